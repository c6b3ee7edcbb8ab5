//! What another version of the gateway has made of the policies: the condition `VerdictsChanged`.

use std::collections::BTreeMap;

use gateway_modules::{
    InstalledCrds, Registry, Target, VerdictChange, compile_selected,
    core::{
        intent::{DataPlane, Intent, status::ChosenModule},
        module::{Fact, ModuleVersion},
    },
    verdict_changes,
};
use kube::core::DynamicObject;
use serde_json::Value;

use crate::{
    conditions::{Verdict, find},
    isolate::{Candidate, Refusal, key, narrowed},
};

/// Name of the condition.
pub(crate) const CONDITION: &str = "VerdictsChanged";
/// Policies in a message.
const SHOWN: usize = 50;

/// Another version of a plane's gateway than the one that its status tells.
#[derive(Debug)]
pub(crate) struct Upgrade {
    words: String,
    /// `Err`: why the two could not be compared.
    changes: Result<Vec<VerdictChange>, String>,
}

/// What a plane is compiled with.
pub(crate) struct Compiling<'a> {
    pub(crate) plane: &'a DataPlane,
    pub(crate) registry: &'a Registry,
    pub(crate) target: &'a Target,
    pub(crate) crds: &'a InstalledCrds,
    pub(crate) refusals: &'a BTreeMap<String, Refusal>,
}

/// The version that the status of a plane tells, if it is another one of the same module.
pub(crate) fn other_version(object: &DynamicObject, chosen: &ChosenModule) -> Option<ModuleVersion> {
    let told = object.data.pointer("/status/module")?;
    let version = told["version"].as_str().filter(|version| *version != chosen.version)?;
    (told["name"] == chosen.name.as_str()).then(|| ModuleVersion::new(version).ok())?
}

impl Upgrade {
    /// Compiles the components as they are written for both versions. Those that no version could serve are left out.
    pub(crate) fn compare(
        compiling: &Compiling<'_>,
        candidates: Vec<Candidate>,
        from: ModuleVersion,
        chosen: &ChosenModule,
    ) -> Self {
        let words = format!("from {} {from} to {}", chosen.name, chosen.version);
        let invalid = |name: &str| compiling.refusals.get(name).is_some_and(|refusal| !refusal.refused);
        let intent = Intent {
            data_planes: vec![compiling.plane.clone()],
            components: candidates
                .iter()
                .filter(|candidate| !invalid(&key(&candidate.component)))
                .map(|candidate| narrowed(&candidate.component, compiling.plane))
                .collect(),
        };
        let compiled = |target: Target| {
            let targets = BTreeMap::from([(compiling.plane.metadata.name.to_string(), target)]);
            compile_selected(&intent, compiling.registry, &targets, compiling.crds).map_err(|errors| errors.to_string())
        };
        let mut old = compiling.target.clone();
        old.version = Fact { value: Some(from), source: "the status of the DataPlane".to_owned() };
        let changes = compiled(old)
            .and_then(|before| Ok(verdict_changes(&intent, &before, &compiled(compiling.target.clone())?)));
        Self { words, changes }
    }

    /// The condition of the plane.
    fn verdict(&self) -> Verdict {
        match &self.changes {
            Ok(changes) if changes.is_empty() => {
                Verdict::no("VersionChanged", format!("{}: what becomes of each policy is as before", self.words))
            }
            Ok(changes) => {
                let mut lines = vec![format!("{}:", self.words)];
                lines.extend(changes.iter().take(SHOWN).map(ToString::to_string));
                if changes.len() > SHOWN {
                    lines.push(format!("and {} more", changes.len() - SHOWN));
                }
                Verdict::yes("VersionChanged", lines.join("\n"))
            }
            Err(error) => Verdict::unknown("NotCompared", format!("{}: {error}", self.words)),
        }
    }

    /// What has changed for each component (`namespace/name`), in words.
    pub(crate) fn by_component(&self) -> BTreeMap<String, String> {
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        for change in self.changes.iter().flatten() {
            if let Some((component, _)) = change.place.split_once(' ').filter(|(name, _)| name.contains('/')) {
                let text = words.entry(component.to_owned()).or_insert_with(|| format!("{}:", self.words));
                text.push('\n');
                text.push_str(&change.to_string());
            }
        }
        words
    }
}

/// The condition of a plane. What the last upgrade has changed stays told until the next one.
pub(crate) fn verdict(upgrade: Option<&Upgrade>, previous: &Value) -> Verdict {
    upgrade.map_or_else(|| kept(previous).unwrap_or_else(|| Verdict::no("SameVersion", "")), Upgrade::verdict)
}

/// The condition as it was told before.
pub(crate) fn kept(previous: &Value) -> Option<Verdict> {
    let before = find(previous, CONDITION)?;
    let message = before["message"].as_str().unwrap_or_default();
    Some(match (before["status"].as_str()?, before["reason"].as_str()?) {
        ("True", _) => Verdict::yes("VersionChanged", message),
        ("Unknown", _) => Verdict::unknown("NotCompared", message),
        (_, "VersionChanged") => Verdict::no("VersionChanged", message),
        _ => Verdict::no("SameVersion", message),
    })
}
