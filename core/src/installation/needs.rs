//! What several data planes need of one installation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    requirements::{same_item, same_value, value},
    satisfies,
};
use crate::module::{ModuleVersion, Requirement};

/// What a data plane needs of the installation of its gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Needs {
    /// Version of the gateway that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its policies need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
}

/// Two data planes on one installation want different things of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "data planes {plane} and {other} share one installation and contradict each other: `{setting}` is {value} for {plane} and \
     {other_value} for {other}; let both want the same, or give one of them another gateway"
)]
pub struct Contradiction {
    /// The plane that comes second.
    pub plane: String,
    /// What it wants.
    pub value: String,
    /// The plane that comes first.
    pub other: String,
    /// What that one wants.
    pub other_value: String,
    /// Setting, or `gateway.version`.
    pub setting: String,
}

/// What several data planes need of one installation, as far as they agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct United {
    /// The version that they name; of a line and a patch release of it, the patch release.
    pub version: Option<String>,
    /// What all their policies need.
    pub requires: Vec<Requirement>,
    /// The planes that agree, with what each needs.
    pub planes: BTreeMap<String, Needs>,
    /// The planes that contradict one of these.
    pub contradictions: BTreeMap<String, Contradiction>,
}

/// How an installation is, beside what the data planes on it need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Somebody else has installed the gateway; it is used as it is.
    External {
        /// Its class.
        class: String,
    },
    /// It is as it is asked to be.
    AsAsked {
        /// Version of the gateway.
        version: ModuleVersion,
        /// What does not hold yet, in words; empty when it works.
        missing: Vec<String>,
        /// What policies need and no value of a chart decides, in words.
        by_hand: Vec<String>,
    },
    /// Something is to be done.
    Differs {
        /// Version that is installed; absent: none is.
        from: Option<ModuleVersion>,
        /// Version that is asked for.
        to: ModuleVersion,
        /// Whether it has, as it is, all that the plane's policies need.
        serves: bool,
    },
    /// The plane contradicts another one.
    Contradicts {
        /// What both want.
        contradiction: Contradiction,
        /// Whether it has, as it is, all that the plane's policies need.
        serves: bool,
    },
}

/// Unites what planes need. Who has been granted what it still wants comes first, so that nobody takes what another has; then the
/// names decide.
pub fn unite(planes: &BTreeMap<String, Needs>, granted: &BTreeMap<String, Needs>) -> United {
    let has = |name: &&String| granted.get(*name) == planes.get(*name);
    let (first, then): (Vec<&String>, Vec<&String>) = planes.keys().partition(has);
    let mut united = United::default();
    for (name, needs) in first.into_iter().chain(then).filter_map(|name| Some((name, planes.get(name)?))) {
        match united.planes.iter().find_map(|(other, theirs)| contradiction((name, needs), (other, theirs))) {
            Some(contradiction) => {
                united.contradictions.insert(name.clone(), contradiction);
            }
            None => {
                united.planes.insert(name.clone(), needs.clone());
            }
        }
    }
    for needs in united.planes.values() {
        united.requires.extend(needs.requires.iter().cloned());
        let longer = |version: &&String| united.version.as_ref().is_none_or(|known| version.len() > known.len());
        if let Some(version) = needs.version.as_ref().filter(longer) {
            united.version = Some(version.clone());
        }
    }
    united.requires.sort();
    united.requires.dedup_by(|a, b| (&a.setting, &a.value) == (&b.setting, &b.value));
    united
}

fn contradiction((name, needs): (&str, &Needs), (other, theirs): (&str, &Needs)) -> Option<Contradiction> {
    let told = |setting: &str, value: &str, other_value: &str| Contradiction {
        plane: name.to_owned(),
        value: value.to_owned(),
        other: other.to_owned(),
        other_value: other_value.to_owned(),
        setting: setting.to_owned(),
    };
    if let (Some(mine), Some(their)) = (&needs.version, &theirs.version)
        && !agree(mine, their)
    {
        return Some(told("gateway.version", mine, their));
    }
    needs.requires.iter().find_map(|mine| {
        let against = |their: &&Requirement| {
            let (left, right) = (value(mine), value(their));
            let same_place = if mine.setting.ends_with("[]") { same_item(&left, &right) } else { true };
            mine.setting == their.setting && same_place && !same_value(&left, &right)
        };
        theirs.requires.iter().find(against).map(|their| told(&mine.setting, &mine.value, &their.value))
    })
}

fn agree(left: &str, right: &str) -> bool {
    match (ModuleVersion::new(left), ModuleVersion::new(right)) {
        (Ok(left), Ok(right)) => satisfies(&left, &right) || satisfies(&right, &left),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(version: Option<&str>, requires: &[(&str, &str)]) -> Needs {
        let requirement = |(setting, value): &(&str, &str)| Requirement {
            setting: (*setting).to_owned(),
            value: (*value).to_owned(),
            reason: "test".to_owned(),
        };
        Needs { version: version.map(ToOwned::to_owned), requires: requires.iter().map(requirement).collect() }
    }

    fn planes(all: &[(&str, Needs)]) -> BTreeMap<String, Needs> {
        all.iter().map(|(name, needs)| ((*name).to_owned(), needs.clone())).collect()
    }

    #[test]
    fn what_agrees_is_united_once() {
        let one = needs(Some("1.30"), &[("mesh.providers[]", r#"{"name":"a","x":1}"#), ("crd.enabled", "true")]);
        let two = needs(Some("1.30.3"), &[("mesh.providers[]", r#"{"name":"b","x":2}"#), ("crd.enabled", "true")]);
        let united = unite(&planes(&[("one", one), ("two", two)]), &BTreeMap::new());
        assert_eq!(united.contradictions, BTreeMap::new());
        assert_eq!((united.version.as_deref(), united.requires.len()), (Some("1.30.3"), 3), "{united:#?}");
    }

    #[test]
    fn a_contradiction_names_both_and_who_came_first_keeps_what_it_has() {
        let (one, two) = (needs(None, &[("crd.enabled", "true")]), needs(None, &[("crd.enabled", "false")]));
        let third = needs(Some("2.0"), &[]);
        let all = planes(&[("one", one.clone()), ("two", two.clone()), ("third", third)]);
        let by_name = unite(&all, &BTreeMap::new());
        assert!(by_name.contradictions["two"].to_string().starts_with("data planes two and one share"), "{by_name:#?}");
        let granted = unite(&all, &planes(&[("two", two)]));
        let told = granted.contradictions["one"].to_string();
        assert!(told.contains("`crd.enabled` is true for one and false for two"), "{told}");
        assert_eq!(granted.planes.keys().collect::<Vec<_>>(), ["third", "two"]);
        // Both want another value than the one that they have: nobody stands in the way.
        let both = planes(&[("one", needs(None, &[("x", "2")])), ("two", needs(None, &[("x", "2")]))]);
        let had = planes(&[("one", needs(None, &[("x", "1")])), ("two", needs(None, &[("x", "1")]))]);
        assert_eq!(unite(&both, &had).contradictions, BTreeMap::new());
    }

    #[test]
    fn versions_and_items_of_one_name_contradict() {
        for (left, right) in [
            (needs(Some("1.30"), &[]), needs(Some("1.31.0"), &[])),
            (needs(Some("1.30.1"), &[]), needs(Some("1.30.2"), &[])),
            (needs(None, &[("l[]", r#"{"name":"a","x":1}"#)]), needs(None, &[("l[]", r#"{"name":"a","x":2}"#)])),
        ] {
            let united = unite(&planes(&[("one", left), ("two", right)]), &BTreeMap::new());
            assert_eq!(united.contradictions.keys().collect::<Vec<_>>(), ["two"], "{united:#?}");
        }
    }
}
