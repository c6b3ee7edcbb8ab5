//! Which gateway serves a data plane. Pure: it is given what is installed and what was recorded.
//!
//! A choice is made once and recorded; from then on it is sticky. What changes in the cluster is said, and never followed by
//! itself: moving routes to another gateway is an outage that somebody must want.

mod eligible;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use self::eligible::eligible;
pub use self::eligible::{Eligibility, ModuleIdentity, Modules};
use crate::{
    module::{ClassesRead, InstalledClass},
    plan::Selection,
};

/// What a plane says about its gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// `gateway.module`.
    pub module: Option<&'a str>,
    /// `gateway.className`.
    pub class: Option<&'a str>,
}

/// Why this gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// The plane names the module.
    ModuleNamed,
    /// The plane names a class, and this is the module of its controller.
    ClassNamed,
    /// It was chosen before.
    Recorded {
        /// Why it was chosen then.
        reason: Option<String>,
        /// When.
        time: Option<String>,
    },
    /// No other gateway is installed.
    Only,
    /// Several are installed, and this is the default one.
    Preferred {
        /// Names of the other classes.
        others: Vec<String>,
    },
    /// One gateway with several classes, and this is the one that its installation makes.
    DefaultClass {
        /// Names of the other classes.
        others: Vec<String>,
    },
    /// No gateway is installed.
    NothingInstalled,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModuleNamed => f.write_str("named by spec.gateway.module"),
            Self::ClassNamed => f.write_str("of the controller of spec.gateway.className"),
            Self::Recorded { reason, time } => {
                f.write_str("recorded when the plane was applied first")?;
                if let Some(time) = time {
                    write!(f, " ({time})")?;
                }
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::Only => f.write_str("the only gateway that is installed"),
            Self::Preferred { others } => {
                write!(f, "the default among the installed gateways (others: {})", others.join(", "))
            }
            Self::DefaultClass { others } => {
                write!(f, "the gateway's own class among its classes (others: {})", others.join(", "))
            }
            Self::NothingInstalled => f.write_str("the default: no gateway is installed"),
        }
    }
}

/// A gateway that a plane could have instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// GatewayClass.
    pub class: String,
    /// Its controller.
    pub controller: String,
    /// Module that serves it.
    pub module: String,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class {} of {} (module {})", self.class, self.controller, self.module)
    }
}

/// What is wrong with the class of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Degraded {
    /// It is no longer there.
    ClassVanished {
        /// The class.
        class: String,
    },
    /// It now belongs to another controller.
    ControllerChanged {
        /// The class.
        class: String,
        /// Controller when it was chosen.
        recorded: String,
        /// Controller now.
        found: String,
    },
    /// Its controller does not accept it, or says nothing.
    NotAccepted {
        /// The class.
        class: String,
        /// What its conditions say.
        message: String,
    },
}

impl Degraded {
    /// One word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ClassVanished { .. } => "ClassVanished",
            Self::ControllerChanged { .. } => "ControllerChanged",
            Self::NotAccepted { .. } => "ClassNotAccepted",
        }
    }

    /// Whether nothing may be applied while it lasts. A class that is not accepted keeps its objects up to date.
    pub const fn stops_writes(&self) -> bool {
        !matches!(self, Self::NotAccepted { .. })
    }
}

impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassVanished { class } => write!(
                f,
                "GatewayClass {class}, which was chosen for this plane, is gone; nothing is pruned and nothing moves to \
                 another gateway: install it again, or name another module in gateway.module and accept an outage with \
                 `gwm apply --allow-outage`"
            ),
            Self::ControllerChanged { class, recorded, found } => write!(
                f,
                "GatewayClass {class} was chosen with controller {recorded} and now belongs to {found}; nothing is \
                 written until it is {recorded}'s again, or another module is named"
            ),
            Self::NotAccepted { class, message } if message.is_empty() => {
                write!(f, "GatewayClass {class} is not accepted: its controller says nothing; see whether it runs")
            }
            Self::NotAccepted { class, message } => write!(f, "GatewayClass {class} is not accepted: {message}"),
        }
    }
}

/// The gateway of a plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Selected {
    /// Name of the module.
    pub module: String,
    /// GatewayClass; absent: the one that the module knows by itself.
    pub class: Option<String>,
    /// Controller of the class, where it is known.
    pub controller: Option<String>,
    /// Why.
    pub reason: Reason,
    /// Other gateways that the plane could move to. Empty where the plane names its gateway.
    pub switch_available: Vec<Candidate>,
    /// What is wrong with the class.
    pub degraded: Option<Degraded>,
    /// What else is to be known, for people.
    pub notes: Vec<String>,
}

/// Why no gateway can be chosen. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Several gateways are installed, and none is the default.
    #[error(
        "several gateways are installed: {}; name one in spec.gateway.module (or a class in spec.gateway.className)",
        list(candidates)
    )]
    Several {
        /// The gateways.
        candidates: Vec<Candidate>,
    },
    /// Gateways are installed, and no controller has accepted their classes.
    #[error(
        "no GatewayClass is accepted: {}; see whether its controller runs, or name the module in spec.gateway.module",
        .classes.join("; ")
    )]
    NotAccepted {
        /// Each class with what its conditions say.
        classes: Vec<String>,
    },
    /// A class is named that is not there.
    #[error(
        "GatewayClass {class} is not in the cluster; there is {}; name one of them, or the module in spec.gateway.module",
        if .available.is_empty() { "none".to_owned() } else { .available.join(", ") }
    )]
    ClassMissing {
        /// The class.
        class: String,
        /// Classes that are there.
        available: Vec<String>,
    },
    /// A class is named that is no gateway for requests from outside.
    #[error("GatewayClass {class} cannot serve a data plane: {why}")]
    NotEligible {
        /// The class.
        class: String,
        /// Why not.
        why: String,
    },
    /// The classes may not be read.
    #[error(
        "what is installed cannot be read (missing right: {right}), so no gateway can be chosen by it: grant the right, \
         or name the module in spec.gateway.module"
    )]
    Unreadable {
        /// The right that is missing.
        right: String,
    },
    /// The module that is named or recorded is not compiled in.
    #[error("module {module}, {why}, is not compiled in; there is {}", .available.join(", "))]
    UnknownModule {
        /// The module.
        module: String,
        /// Who asks for it.
        why: &'static str,
        /// Modules that are there.
        available: Vec<String>,
    },
}

impl SelectError {
    /// One word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Several { .. } => "SeveralGateways",
            Self::NotAccepted { .. } => "ClassNotAccepted",
            Self::ClassMissing { .. } => "ClassMissing",
            Self::NotEligible { .. } => "ClassNotEligible",
            Self::Unreadable { .. } => "ClassesUnreadable",
            Self::UnknownModule { .. } => "UnknownModule",
        }
    }
}

fn list(candidates: &[Candidate]) -> String {
    candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Chooses the gateway of a plane.
///
/// # Errors
/// Nothing may be chosen, and why; nothing must be written or deleted then.
pub fn select(
    modules: &Modules,
    classes: &ClassesRead,
    wanted: Wanted<'_>,
    recorded: Option<&Selection>,
) -> Result<Selected, SelectError> {
    if let Some(name) = wanted.module {
        modules.require(name, "named by spec.gateway.module")?;
    }
    let holds = |recorded: &&Selection| {
        wanted.module.is_none_or(|module| module == recorded.module)
            && wanted.class.is_none_or(|class| class == recorded.class)
            && !recorded.class.is_empty()
    };
    if let Some(recorded) = recorded.filter(holds) {
        return keep(modules, classes, wanted, recorded);
    }
    match (wanted.module, wanted.class) {
        (Some(module), _) => named(modules, classes, module, wanted.class),
        (None, Some(class)) => of_class(modules, classes, class),
        (None, None) => first_choice(modules, classes),
    }
}

/// What was chosen stays chosen.
fn keep(
    modules: &Modules,
    classes: &ClassesRead,
    wanted: Wanted<'_>,
    recorded: &Selection,
) -> Result<Selected, SelectError> {
    modules.require(&recorded.module, "recorded for this plane")?;
    let live = classes.get(&recorded.class);
    let degraded = match (classes, live) {
        (ClassesRead::Unreadable { .. }, _) => None,
        (ClassesRead::Read(_), None) => Some(Degraded::ClassVanished { class: recorded.class.clone() }),
        (ClassesRead::Read(_), Some(live)) => match &recorded.controller {
            Some(controller) if *controller != live.controller => Some(Degraded::ControllerChanged {
                class: live.name.clone(),
                recorded: controller.clone(),
                found: live.controller.clone(),
            }),
            _ => not_accepted(live),
        },
    };
    let own_choice = wanted == Wanted::default();
    let reason = if own_choice {
        Reason::Recorded { reason: recorded.reason.clone(), time: recorded.time.clone() }
    } else if wanted.module.is_some() {
        Reason::ModuleNamed
    } else {
        Reason::ClassNamed
    };
    let mut switch_available = if own_choice { candidates(modules, classes) } else { Vec::new() };
    switch_available.retain(|candidate| candidate.class != recorded.class);
    Ok(Selected {
        module: recorded.module.clone(),
        class: Some(recorded.class.clone()),
        controller: recorded.controller.clone().or_else(|| live.map(|live| live.controller.clone())),
        reason,
        switch_available,
        degraded,
        notes: notes(classes, live),
    })
}

/// The plane names the module; it need not be installed yet, since some modules make their class.
fn named(modules: &Modules, classes: &ClassesRead, module: &str, class: Option<&str>) -> Result<Selected, SelectError> {
    let identity = modules.require(module, "named by spec.gateway.module")?;
    let own = || -> Vec<Candidate> {
        candidates(modules, classes).into_iter().filter(|candidate| candidate.module == module).collect()
    };
    let chosen = match (class, identity.default_class) {
        (Some(class), _) => Some(class.to_owned()),
        (None, Some(default)) if classes.get(default).is_some() => Some(default.to_owned()),
        // The installation gave its class another name.
        (None, Some(default)) => match own().as_slice() {
            [only] => Some(only.class.clone()),
            _ => Some(default.to_owned()),
        },
        (None, None) if identity.controllers.is_empty() => match own().as_slice() {
            [] => None,
            [only] => Some(only.class.clone()),
            _ => return Err(SelectError::Several { candidates: own() }),
        },
        (None, None) => None,
    };
    let live = chosen.as_deref().and_then(|class| classes.get(class));
    let controller = live.map(|live| live.controller.clone()).filter(|controller| identity.serves(controller));
    Ok(Selected {
        module: module.to_owned(),
        class: chosen,
        controller,
        reason: Reason::ModuleNamed,
        switch_available: Vec::new(),
        // Where the class is missing, the plan says so, unless the release makes it.
        degraded: live.and_then(not_accepted),
        notes: notes(classes, live),
    })
}

fn of_class(modules: &Modules, classes: &ClassesRead, class: &str) -> Result<Selected, SelectError> {
    let known = match classes {
        ClassesRead::Read(known) => known,
        ClassesRead::Unreadable { right } => return Err(SelectError::Unreadable { right: right.clone() }),
    };
    let Some(live) = classes.get(class) else {
        let available = known.iter().map(|class| class.name.clone()).collect();
        return Err(SelectError::ClassMissing { class: class.to_owned(), available });
    };
    // A name that only looks like that of a mesh is taken from the one who writes it.
    match eligible(modules, live) {
        Eligibility::Eligible { module } | Eligibility::LooksLikeOtherUse { module } => Ok(Selected {
            module,
            class: Some(class.to_owned()),
            controller: Some(live.controller.clone()),
            reason: Reason::ClassNamed,
            switch_available: Vec::new(),
            degraded: None,
            notes: notes(classes, Some(live)),
        }),
        Eligibility::NotAccepted { .. } => Err(SelectError::NotAccepted { classes: vec![conditions(live)] }),
        other => Err(SelectError::NotEligible { class: class.to_owned(), why: other.to_string() }),
    }
}

fn first_choice(modules: &Modules, classes: &ClassesRead) -> Result<Selected, SelectError> {
    let known = match classes {
        ClassesRead::Read(known) => known,
        ClassesRead::Unreadable { right } => return Err(SelectError::Unreadable { right: right.clone() }),
    };
    let all = candidates(modules, classes);
    let others = |chosen: &Candidate| -> Vec<String> {
        all.iter().filter(|other| other.class != chosen.class).map(|other| other.class.clone()).collect()
    };
    let preferred: Vec<&Candidate> = all.iter().filter(|candidate| candidate.module == modules.preferred).collect();
    // Several classes of one gateway are one gateway.
    let pool: Vec<&Candidate> = if preferred.is_empty() { all.iter().collect() } else { preferred };
    let default_class = pool.iter().copied().find(|candidate| {
        pool.iter().all(|other| other.controller == candidate.controller)
            && modules.get(&candidate.module).is_some_and(|module| module.default_class == Some(&candidate.class))
    });
    let (chosen, reason) = match (pool.as_slice(), default_class) {
        ([], _) => {
            let waiting: Vec<String> = known
                .iter()
                .filter(|class| matches!(eligible(modules, class), Eligibility::NotAccepted { .. }))
                .map(conditions)
                .collect();
            if !waiting.is_empty() {
                return Err(SelectError::NotAccepted { classes: waiting });
            }
            let identity = modules.require(modules.preferred, "the default")?;
            return Ok(Selected {
                module: identity.name.to_owned(),
                class: identity.default_class.map(ToOwned::to_owned),
                controller: None,
                reason: Reason::NothingInstalled,
                switch_available: Vec::new(),
                degraded: None,
                notes: Vec::new(),
            });
        }
        ([only], _) if all.len() == 1 => (*only, Reason::Only),
        (pool, default_class) => match default_class.or_else(|| (pool.len() == 1).then(|| pool[0])) {
            Some(chosen) if chosen.module == modules.preferred => {
                (chosen, Reason::Preferred { others: others(chosen) })
            }
            Some(chosen) => (chosen, Reason::DefaultClass { others: others(chosen) }),
            None => return Err(SelectError::Several { candidates: pool.iter().copied().cloned().collect() }),
        },
    };
    Ok(Selected {
        module: chosen.module.clone(),
        class: Some(chosen.class.clone()),
        controller: Some(chosen.controller.clone()),
        reason,
        switch_available: all.iter().filter(|other| other.class != chosen.class).cloned().collect(),
        degraded: None,
        notes: notes(classes, classes.get(&chosen.class)),
    })
}

/// All eligible classes, in the order of their names.
fn candidates(modules: &Modules, classes: &ClassesRead) -> Vec<Candidate> {
    let candidate = |class: &InstalledClass| match eligible(modules, class) {
        Eligibility::Eligible { module } => {
            Some(Candidate { class: class.name.clone(), controller: class.controller.clone(), module })
        }
        _ => None,
    };
    classes.known().iter().filter_map(candidate).collect()
}

fn not_accepted(class: &InstalledClass) -> Option<Degraded> {
    (class.accepted != Some(true))
        .then(|| Degraded::NotAccepted { class: class.name.clone(), message: class.message.clone() })
}

fn conditions(class: &InstalledClass) -> String {
    let said = if class.message.is_empty() { "its controller says nothing" } else { &class.message };
    format!("{} of {} ({said})", class.name, class.controller)
}

fn notes(classes: &ClassesRead, class: Option<&InstalledClass>) -> Vec<String> {
    let mut notes = Vec::new();
    if let ClassesRead::Unreadable { right } = classes {
        notes.push(format!("whether the class is still there is not known (missing right: {right})"));
    }
    if let Some(class) = class.filter(|class| class.supported_version == Some(false)) {
        notes.push(format!("GatewayClass {}: {}", class.name, class.message));
    }
    notes
}

/// What every installed class is good for, in the order of their names.
pub fn survey(modules: &Modules, classes: &ClassesRead) -> Vec<(InstalledClass, Eligibility)> {
    classes.known().iter().map(|class| (class.clone(), eligible(modules, class))).collect()
}
