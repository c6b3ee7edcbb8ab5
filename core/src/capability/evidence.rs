//! Why a capability is believed.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// One reason to believe a capability.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What kind of reason; stronger kinds come first.
    pub kind: EvidenceKind,
    /// Where to look: name of a test, of a GatewayClass, of a conformance report, path in the vendor's source or documentation.
    pub source: Cow<'static, str>,
    /// Exact version (and build) that it is about.
    pub version: Cow<'static, str>,
}

/// Kind of evidence, from the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EvidenceKind {
    /// A behaviour test of this project with real requests.
    Tested,
    /// `GatewayClass.status.supportedFeatures` of the live class.
    Live,
    /// An official conformance report.
    Report,
    /// The vendor's code, CRD or documentation.
    Documentation,
    /// The operator says so; never carries a security policy.
    Operator,
}

impl Evidence {
    /// An official conformance report, by its path in the Gateway API repository below `conformance/reports`.
    pub const fn report(source: &'static str, version: &'static str) -> Self {
        Self { kind: EvidenceKind::Report, source: Cow::Borrowed(source), version: Cow::Borrowed(version) }
    }

    /// The vendor's code, CRD or documentation.
    pub const fn documentation(source: &'static str, version: &'static str) -> Self {
        Self { kind: EvidenceKind::Documentation, source: Cow::Borrowed(source), version: Cow::Borrowed(version) }
    }

    /// A behaviour test of this project with real requests (`docs/behaviour.md`).
    pub fn tested(case: &str, version: &str) -> Self {
        Self {
            kind: EvidenceKind::Tested,
            source: Cow::Owned(case.to_owned()),
            version: Cow::Owned(version.to_owned()),
        }
    }

    /// The live class's own list.
    pub fn live(class: &str, version: &str) -> Self {
        Self {
            kind: EvidenceKind::Live,
            source: Cow::Owned(format!("GatewayClass {class}")),
            version: Cow::Owned(version.to_owned()),
        }
    }

    /// The operator's word.
    pub fn operator(source: &str) -> Self {
        Self { kind: EvidenceKind::Operator, source: Cow::Owned(source.to_owned()), version: Cow::Borrowed("any") }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            EvidenceKind::Tested => "tested",
            EvidenceKind::Live => "live",
            EvidenceKind::Report => "report",
            EvidenceKind::Documentation => "documentation",
            EvidenceKind::Operator => "operator",
        };
        write!(f, "{kind}: {} ({})", self.source, self.version)
    }
}
