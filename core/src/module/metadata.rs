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
    /// Minor lines with a capability table, oldest first, for example `["2.3", "2.4"]`.
    pub versions: &'static [&'static str],
    /// Version that is assumed when nothing names one.
    pub default_version: &'static str,
    /// How far the module has come.
    pub maturity: Maturity,
    /// Home page of the gateway.
    pub homepage: &'static str,
}

/// What a vendor has besides gateways for requests from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtherUses {
    /// Names of GatewayClasses.
    pub classes: &'static [&'static str],
    /// Controller names, each with all its classes.
    pub controllers: &'static [&'static str],
}

#[cfg(test)]
mod tests {
    use super::*;

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
