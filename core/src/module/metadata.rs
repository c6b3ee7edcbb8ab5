//! Identity of a module.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::Serialize;

/// Version of a gateway's controller, for example `2.4` or `2.4.3`. A missing part is older than any written one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModuleVersion {
    text: String,
    parts: Vec<u64>,
}

impl ModuleVersion {
    /// Reads a version: dotted numbers, optionally after `v`; what follows a `-` or `+` is kept and does not order.
    ///
    /// # Errors
    /// The text is no version.
    pub fn new(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not a version: write for example `2.4` or `2.4.3`");
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split(['-', '+']).next().unwrap_or_default();
        let parts: Option<Vec<u64>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        match parts {
            Some(parts) if (1..=4).contains(&parts.len()) && bare.len() <= 64 => {
                Ok(Self { text: bare.to_owned(), parts })
            }
            _ => Err(invalid()),
        }
    }

    /// The minor line, for example (2, 4); a missing minor number is 0.
    pub fn line(&self) -> (u64, u64) {
        (self.parts.first().copied().unwrap_or(0), self.parts.get(1).copied().unwrap_or(0))
    }

    /// The text, without a leading `v`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ModuleVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
}

impl fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialOrd for ModuleVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ModuleVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| self.text.cmp(&other.text))
    }
}

impl Serialize for ModuleVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// How far a module has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Maturity {
    /// May change and may lack things.
    Experimental,
    /// Complete, shown by golden files, real CRDs and a status stand-in.
    Beta,
    /// Shown by behaviour tests with real requests.
    Stable,
}

/// Identity of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name, as in `gateway.module`; a DNS label.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Controller names (`GatewayClass.spec.controllerName`) that this module serves; empty for any.
    pub controllers: &'static [&'static str],
    /// GatewayClass that the gateway's own installation or controller makes; `None` when the platform must name or make it.
    pub default_class: Option<&'static str>,
    /// Namespace in which the gateway is installed by default, and where Gateways go when a plane names none.
    pub default_namespace: &'static str,
    /// Minor lines with a capability table, oldest first, for example `["2.3", "2.4"]`; a patch release too where its table is
    /// another than that of its line.
    pub versions: &'static [&'static str],
    /// Version that is assumed when nothing names one.
    pub default_version: &'static str,
    /// How far the module has come.
    pub maturity: Maturity,
    /// Home page of the gateway.
    pub homepage: &'static str,
}

impl Metadata {
    /// The line whose table stands for a version that has none of its own, with the reason in words; `None` for a line with a table. An
    /// unknown patch release of a known line has the table of its line, or of the newest listed patch release before it.
    pub fn nearest_line(&self, version: &ModuleVersion) -> Option<(&'static str, String)> {
        let lines = || self.versions.iter().filter_map(|line| Some((*line, ModuleVersion::new(line).ok()?.line())));
        if lines().any(|(_, line)| line == version.line()) {
            return None;
        }
        // The newest that is not newer, else the oldest: as the tables are read.
        let nearest = lines().rfind(|(_, line)| *line < version.line()).or_else(|| lines().next())?.0;
        let known = self.versions.join(", ");
        Some((
            nearest,
            format!(
                "no table of {} {version} is known (known: {known}), and that of {nearest} stands for it",
                self.title
            ),
        ))
    }
}

/// What a vendor has besides gateways for requests from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtherUses {
    /// Names of GatewayClasses.
    pub classes: &'static [&'static str],
    /// Controller names, each with all its classes.
    pub controllers: &'static [&'static str],
}

/// How a gateway holds a regular expression to a path. Gateway API leaves it to the implementation
/// (`HTTPPathMatch`, type `RegularExpression`); the catalogue means the whole path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathExpressions {
    /// To the whole path, as Envoy does (`safe_regex`).
    #[default]
    Whole,
    /// A part of the path is enough, so core writes the anchors `^(?:…)$`.
    Part,
    /// A part of the path is enough, and the gateway takes no anchors: an approximation.
    PartWithoutAnchors,
}

/// How a closed route names its backends where it waits for a policy of one (`BackendTLSPolicy`, GEP-1897): some gateways look at
/// such a policy only where a route names its backend, and would never acknowledge it while the route is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClosedBackends {
    /// Not at all: the gateway acknowledges the policy of a backend that no route names.
    #[default]
    Unnamed,
    /// With weight 0 beside a backend that does not exist. Only for gateways that were seen to send nothing to weight 0 there.
    WithoutWeight,
    /// Alone, behind a filter of this kind that does not exist, which by Gateway API must not be skipped: what it would have seen
    /// gets an error (`HTTPRouteFilter.extensionRef`, `GRPCRouteFilter.extensionRef`). Only for gateways that were seen to keep that.
    BehindMissingFilter {
        /// API group of the filter.
        group: &'static str,
        /// Its kind.
        kind: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_table_gets_the_nearest_and_a_patch_release_that_of_its_line() {
        let metadata = Metadata {
            name: "a",
            title: "A",
            controllers: &[],
            default_class: None,
            default_namespace: "a",
            versions: &["1.30", "1.31"],
            default_version: "1.30",
            maturity: Maturity::Beta,
            homepage: "",
        };
        let nearest =
            |text: &str| metadata.nearest_line(&ModuleVersion::new(text).expect("valid")).map(|(line, _)| line);
        assert_eq!(nearest("1.31.7"), None);
        assert_eq!(nearest("1.30"), None);
        assert_eq!((nearest("1.32.0"), nearest("2.0"), nearest("1.29.4")), (Some("1.31"), Some("1.31"), Some("1.30")));
    }

    #[test]
    fn versions_order_by_number() {
        let version = |text: &str| ModuleVersion::new(text).expect("valid");
        assert!(version("2.10") > version("2.9.9") && version("2.4") < version("2.4.0"));
        assert_eq!(version("v2.4.0-rc.1").line(), (2, 4));
        for bad in ["", "v", "a.b", "1..2", "1.2.3.4.5", "-1"] {
            assert!(ModuleVersion::new(bad).is_err(), "{bad:?}");
        }
    }
}
