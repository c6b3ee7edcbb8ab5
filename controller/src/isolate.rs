//! Compiles a plane with as many of its components as can be served: what is wrong with one is that one's alone.

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules::{
    CompiledPlane, InstalledCrds, Registry, Target, compile_selected,
    core::{
        diagnostic::{Category, Diagnostic, Severity},
        intent::{Component, DataPlane, DataPlanePicker, Intent, check::check},
        object::GroupVersionKind,
    },
};

/// Diagnostics of the resolver about two owners that the gateway could not tell apart.
const COLLISIONS: &[&str] = &["GWM0307", "GWM0308", "GWM0309"];

/// A component that is to be served by a plane.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// As it is written.
    pub(crate) component: Component,
    /// As it was accepted last, if that is something else.
    pub(crate) fallback: Option<Component>,
    /// Whether this form is being served already.
    pub(crate) incumbent: bool,
    /// When it was created, as text that sorts.
    pub(crate) created: String,
}

/// Why a component is not served as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Whether the intent is in order and the gateway cannot do it.
    pub(crate) refused: bool,
    /// For people.
    pub(crate) message: String,
    /// Whether the form that was accepted last is served instead.
    pub(crate) fallback: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Isolated {
    /// The plane, with a release.
    pub(crate) plane: CompiledPlane,
    /// Components (`namespace/name`) that are not served as they are written.
    pub(crate) refusals: BTreeMap<String, Refusal>,
}

impl Isolated {
    /// What policies need of the gateway's installation. Its values are not the controller's to read, so this is told and not
    /// looked up.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = String> {
        let requires = self.plane.compiled.release.iter().flat_map(|release| &release.requires);
        requires.map(|one| {
            format!("the installation must have {}: {} ({}); that is not looked up", one.setting, one.value, one.reason)
        })
    }
}

/// Why a plane cannot be served at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaneRefusal {
    /// Whether the intent is in order and the gateway cannot do it.
    pub(crate) refused: bool,
    /// For people.
    pub(crate) message: String,
}

/// `namespace/name` of a component.
pub(crate) fn key(component: &Component) -> String {
    format!("{}/{}", component.namespace(), component.metadata.name)
}

/// The component as this plane sees it: other planes' overrides are theirs.
pub(crate) fn narrowed(component: &Component, plane: &DataPlane) -> Component {
    let mut component = component.clone();
    component.spec.data_planes = Some(DataPlanePicker::Names(vec![plane.metadata.name.clone()]));
    component.spec.overrides.retain(|over| over.data_plane == plane.metadata.name);
    component
}

/// Whether the cluster serves a kind.
pub(crate) type Serves<'a> = dyn Fn(&GroupVersionKind) -> bool + Sync + 'a;

/// Compiles a plane, leaving out or setting back one component after the other until the rest can be served. A component that
/// needs a kind that the cluster does not serve is one of them: without its policies its routes must not stay.
pub(crate) fn compile(
    plane: &DataPlane,
    mut candidates: Vec<Candidate>,
    registry: &Registry,
    target: &Target,
    crds: &InstalledCrds,
    serves: &Serves<'_>,
) -> Result<Isolated, PlaneRefusal> {
    let mut refusals: BTreeMap<String, Refusal> = BTreeMap::new();
    let targets = BTreeMap::from([(plane.metadata.name.to_string(), target.clone())]);
    loop {
        let intent = Intent {
            data_planes: vec![plane.clone()],
            components: candidates.iter().map(|candidate| narrowed(&candidate.component, plane)).collect(),
        };
        let (compiled, errors) = attempt(&intent, registry, &targets, crds);
        if let Some(compiled) = compiled {
            let mut changed = false;
            for (name, message) in unserved(&compiled, serves) {
                changed |= set_back(&mut candidates, &mut refusals, name, true, message);
            }
            if changed {
                continue;
            }
            return Ok(Isolated { plane: compiled, refusals });
        }
        let mut blamed: BTreeMap<String, Vec<&Diagnostic>> = BTreeMap::new();
        for error in &errors {
            if let Some(loser) = blame(error, &candidates) {
                blamed.entry(loser).or_default().push(error);
            }
        }
        if blamed.is_empty() {
            return Err(PlaneRefusal { refused: are_refusals(errors.iter()), message: message(errors.iter()) });
        }
        for (name, errors) in blamed {
            let (refused, message) = (are_refusals(errors.iter().copied()), message(errors.iter().copied()));
            set_back(&mut candidates, &mut refusals, name, refused, message);
        }
    }
}

/// A component goes back to what was accepted last, or is left out; false when it is not there.
fn set_back(
    candidates: &mut Vec<Candidate>,
    refusals: &mut BTreeMap<String, Refusal>,
    name: String,
    refused: bool,
    message: String,
) -> bool {
    let Some(index) = candidates.iter().position(|candidate| key(&candidate.component) == name) else { return false };
    let fallback = candidates[index].fallback.take();
    let served = fallback.is_some();
    match fallback {
        Some(component) => {
            candidates[index].component = component;
            candidates[index].incumbent = true;
        }
        None => drop(candidates.remove(index)),
    }
    refusals.entry(name).and_modify(|refusal| refusal.fallback = served).or_insert_with(|| Refusal {
        refused,
        message,
        fallback: served,
    });
    true
}

/// The components that need kinds that the cluster does not serve, with the reason. What the plane itself needs is not
/// theirs, and is told when it is applied.
fn unserved(plane: &CompiledPlane, serves: &Serves<'_>) -> BTreeMap<String, String> {
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in plane.compiled.release.iter().flat_map(|release| &release.objects) {
        let kind = entry.object.kind();
        if !entry.owners.is_empty() && !serves(&kind) {
            for owner in &entry.owners {
                missing.entry(owner.clone()).or_default().insert(kind.to_string());
            }
        }
    }
    let words = |kinds: BTreeSet<String>| {
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
        format!("the cluster does not serve {kinds}: install the CustomResourceDefinitions of the gateway")
    };
    missing.into_iter().map(|(owner, kinds)| (owner, words(kinds))).collect()
}

fn attempt(
    intent: &Intent,
    registry: &Registry,
    targets: &BTreeMap<String, Target>,
    crds: &InstalledCrds,
) -> (Option<CompiledPlane>, Vec<Diagnostic>) {
    let only_errors = |all: Vec<Diagnostic>| -> Vec<Diagnostic> {
        all.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
    };
    let errors = only_errors(check(intent).0);
    if !errors.is_empty() {
        return (None, errors);
    }
    match compile_selected(intent, registry, targets, crds) {
        Err(diagnostics) => (None, only_errors(diagnostics.0)),
        Ok(mut planes) => match planes.pop() {
            Some(plane) if plane.compiled.release.is_some() => (Some(plane), Vec::new()),
            Some(plane) => (None, only_errors(plane.compiled.diagnostics.0)),
            None => (None, Vec::new()),
        },
    }
}

/// The component that an error is about. Of two that collide it is the one that is not served yet, then the younger one, so
/// that nobody takes what another has.
fn blame(error: &Diagnostic, candidates: &[Candidate]) -> Option<String> {
    let named = |candidate: &&Candidate| {
        let id = candidate.component.id().to_string();
        id == error.document
            || COLLISIONS.contains(&error.code)
                && error.message.split(&id).skip(1).any(|rest| rest.starts_with(' ') || rest.starts_with(','))
    };
    candidates
        .iter()
        .filter(named)
        .max_by_key(|candidate| (!candidate.incumbent, candidate.created.clone(), key(&candidate.component)))
        .map(|candidate| key(&candidate.component))
}

fn are_refusals<'a>(mut errors: impl Iterator<Item = &'a Diagnostic>) -> bool {
    errors.all(|error| error.category == Category::Refused)
}

fn message<'a>(errors: impl Iterator<Item = &'a Diagnostic>) -> String {
    const SHOWN: usize = 8;
    let lines: BTreeSet<String> = errors
        .map(|error| {
            let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            format!("{}: {} [{}]{help}", error.pointer, error.message, error.code)
        })
        .collect();
    let more = lines.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = lines.into_iter().take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_modules::core::{channel::Channel, intent::load::load_str, module::ClassesRead};

    fn intent(text: &str) -> Intent {
        intent_on("{module: kgateway}", text)
    }

    fn intent_on(gateway: &str, text: &str) -> Intent {
        let documents = format!(
            "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{name: main}}\nspec: {{gateway: {gateway}}}\n{text}"
        );
        gateway_modules::core::intent::load::Loader::new()
            .text("t.yaml", &documents)
            .finish_unchecked()
            .unwrap_or_else(|error| panic!("{error}"))
            .intent
    }

    fn component(name: &str, host: &str) -> String {
        format!(
            "---\napiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  endpoints:\n    - {{name: api, type: HTTP, port: 80, visibilities: [external], hostnames: [{host}]}}\n"
        )
    }

    fn candidates(intent: &Intent) -> Vec<Candidate> {
        let candidate = |component: &Component| Candidate {
            component: component.clone(),
            fallback: None,
            incumbent: false,
            created: "2026".into(),
        };
        intent.components.iter().map(candidate).collect()
    }

    #[test]
    fn what_policies_need_of_the_installation_is_told() {
        let registry = gateway_modules::registry().unwrap_or_else(|error| panic!("{error}"));
        let logged =
            "[a.example.com], accept: [access-log/installation-format], policies: {accessLog: {format: {json: {}}}}";
        let text = component("a", "a.example.com").replace("[a.example.com]", logged);
        let intent = intent_on("{module: traefik, parameters: {accessLog: true}}", &text);
        let none = ClassesRead::Read(Vec::new());
        let target = Target::choose(&registry, &none, &intent.data_planes[0].spec.gateway, None);
        let target = target.unwrap_or_else(|error| panic!("{error}"));
        let crds = InstalledCrds::assumed(Channel::Standard);
        let isolated = compile(&intent.data_planes[0], candidates(&intent), &registry, &target, &crds, &|_| true);
        let isolated = isolated.unwrap_or_else(|refusal| panic!("{}", refusal.message));
        assert!(isolated.refusals.is_empty(), "{:#?}", isolated.refusals);
        let told: Vec<String> = isolated.requirements().collect();
        assert!(told.iter().any(|line| line.contains("logs.access")), "{told:#?}");
    }

    #[test]
    fn who_came_last_loses_the_host_and_goes_back_to_what_it_had() {
        let registry = gateway_modules::registry().unwrap_or_else(|error| panic!("{error}"));
        let crds = InstalledCrds::assumed(Channel::Standard);
        let text = component("a", "one.example.com") + &component("b", "one.example.com");
        let intent = intent(&text);
        let none = ClassesRead::Read(Vec::new());
        let target = Target::choose(&registry, &none, &intent.data_planes[0].spec.gateway, None);
        let target = target.unwrap_or_else(|error| panic!("{error}"));
        let mut all = candidates(&intent);
        all[1].incumbent = true;
        let result = compile(&intent.data_planes[0], all.clone(), &registry, &target, &crds, &|_| true);
        let isolated = result.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(isolated.refusals.keys().collect::<Vec<_>>(), ["shop/a"], "{:?}", isolated.refusals);
        assert!(!isolated.refusals["shop/a"].fallback);

        let before = load_str("t.yaml", &component("a", "two.example.com")).unwrap_or_else(|error| panic!("{error}"));
        all[0].fallback = before.intent.components.first().cloned();
        let result = compile(&intent.data_planes[0], all, &registry, &target, &crds, &|_| true);
        let isolated = result.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(isolated.refusals["shop/a"].fallback);
        assert_eq!(isolated.plane.plane.routes.len(), 2);
    }
}
