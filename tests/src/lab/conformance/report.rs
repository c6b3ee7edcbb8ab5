//! What the conformance suite has shown of each feature, as data and as a page.

use std::{collections::BTreeSet, fmt};

use gateway_modules_core::capability::CapabilityName;
use serde::{Deserialize, Serialize};

use super::{Conformance, known};
use crate::{Error, go::CONFORMANCE_VERSION, lab::gateways::Gateway};

/// What came of one test of the suite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TestResult {
    /// The suite's name of it.
    pub name: String,
    /// The features that it needs.
    pub features: Vec<String>,
    /// Whether it passed.
    pub passed: bool,
    /// How long it took.
    #[serde(deserialize_with = "whole_seconds")]
    pub seconds: u64,
}

fn whole_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Ok(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs())
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.passed { "ok    " } else { "FAILED" };
        write!(f, "{mark} {} ({} s): {}", self.name, self.seconds, self.features.join(", "))
    }
}

/// What the suite has shown of one feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureResult {
    /// Its name in Gateway API.
    pub name: String,
    /// Whether the module declares it.
    pub declared: bool,
    /// How many tests were about it.
    pub tests: usize,
    /// Those that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Why table and suite may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

impl FeatureResult {
    /// What is wrong with the table, or with the exception from it.
    pub fn difference(&self) -> Option<String> {
        let shown = self.tests > 0 && self.failed.is_empty();
        let wrong = if self.declared { !self.failed.is_empty() } else { shown };
        match (wrong, &self.exception, self.declared) {
            (true, Some(_), _) | (false, None, _) => None,
            (false, Some(_), _) => Some(format!("{}: its exception is about no difference: take it out", self.name)),
            (true, None, true) => Some(format!("{}: declared, and fails {}", self.name, self.failed.join(", "))),
            (true, None, false) => {
                Some(format!("{}: not declared, and passes all of its {} tests", self.name, self.tests))
            }
        }
    }
}

/// A test that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The suite's name of it.
    pub test: String,
    /// Why.
    pub why: String,
}

/// What the suite has shown of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConformanceRun {
    /// The module.
    pub module: String,
    /// The gateway's version.
    pub version: String,
    /// Of Gateway API and its suite.
    pub gateway_api: String,
    /// The day.
    pub date: String,
    /// What the stand cannot show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// Tests that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Tests that were run.
    pub tests: usize,
    /// Each feature that is declared or that a test was about.
    pub features: Vec<FeatureResult>,
}

impl ConformanceRun {
    pub(super) fn of(
        gateway: &Gateway,
        conformance: &Conformance,
        declared: &BTreeSet<CapabilityName>,
        tests: &[TestResult],
    ) -> Self {
        let skipped = conformance.skip.iter();
        let left_out = |test: &&TestResult| skipped.clone().any(|(name, _)| *name == test.name);
        let tests: Vec<TestResult> = tests.iter().filter(|test| !left_out(test)).cloned().collect();
        Self {
            module: gateway.module.to_owned(),
            version: gateway.version.to_owned(),
            gateway_api: CONFORMANCE_VERSION.to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            limits: gateway.limits.iter().map(|limit| (*limit).to_owned()).collect(),
            skipped: skipped
                .clone()
                .map(|(test, why)| Skipped { test: (*test).to_owned(), why: (*why).to_owned() })
                .collect(),
            tests: tests.len(),
            features: features(declared, &tests, conformance.exceptions),
        }
    }

    /// Where the table and the suite differ without a reason.
    pub fn differences(&self) -> Vec<String> {
        self.features.iter().filter_map(FeatureResult::difference).collect()
    }

    fn section(&self) -> String {
        let mut text = format!("## {} {}\n\n", self.module, self.version);
        text += &format!("Suite of Gateway API {}, {}, {} tests.\n\n", self.gateway_api, self.date, self.tests);
        for limit in &self.limits {
            text += &format!("- limit of the stand: {limit}\n");
        }
        for skipped in &self.skipped {
            text += &format!("- left out: `{}`: {}\n", skipped.test, skipped.why);
        }
        text += "\n| feature | declared | tests | failed |\n|---|---|---|---|\n";
        for feature in &self.features {
            let declared = if feature.declared { "yes" } else { "no" };
            let failed: Vec<String> = feature.failed.iter().map(|test| format!("`{test}`")).collect();
            let why = feature.exception.iter().map(|why| format!(" ({})", why.replace('|', "\\|")));
            let failed = failed.join(", ") + &why.collect::<String>();
            text += &format!("| `{}` | {declared} | {} | {} |\n", feature.name, feature.tests, failed.trim());
        }
        text + "\n"
    }
}

impl fmt::Display for ConformanceRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |what: fn(&&FeatureResult) -> bool| self.features.iter().filter(what).count();
        write!(
            f,
            "{} {}: {} tests; {} declared features shown, {} without a test, {} differ",
            self.module,
            self.version,
            self.tests,
            count(|feature| feature.declared && feature.tests > 0 && feature.failed.is_empty()),
            count(|feature| feature.declared && feature.tests == 0),
            self.differences().len(),
        )
    }
}

/// A test is about the rarest that it needs: what it needs besides is needed by others, and shown by them. One that needs what is
/// not declared says nothing of what is.
fn features(
    declared: &BTreeSet<CapabilityName>,
    tests: &[TestResult],
    exceptions: &[(&str, &str)],
) -> Vec<FeatureResult> {
    let result = |feature: &CapabilityName| {
        let name = feature.as_str();
        let counts = |test: &&TestResult| {
            let all = || test.features.iter().all(|own| declared.iter().any(|known| known.as_str() == own));
            is_about(test, name) && (!declared.contains(feature) || all())
        };
        let own: Vec<&TestResult> = tests.iter().filter(counts).collect();
        FeatureResult {
            name: name.to_owned(),
            declared: declared.contains(feature),
            tests: own.len(),
            failed: own.iter().filter(|test| !test.passed).map(|test| test.name.clone()).collect(),
            exception: exceptions.iter().find(|(own, _)| *own == name).map(|(_, why)| (*why).to_owned()),
        }
    };
    let worth = |feature: &FeatureResult| feature.declared || feature.tests > 0 || feature.exception.is_some();
    known().map(result).filter(worth).collect()
}

/// In the order of how much else needs them.
const COMMON: [&str; 7] = ["Gateway", "ReferenceGrant", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"];

fn is_about(test: &TestResult, feature: &str) -> bool {
    let commonness = |name: &str| COMMON.iter().position(|common| *common == name);
    let Some(place) = commonness(feature) else { return test.features.iter().any(|own| own == feature) };
    let rarest = test.features.iter().map(|name| commonness(name).unwrap_or(COMMON.len())).max();
    test.features.iter().any(|own| own == feature) && rarest == Some(place)
}

const HEAD: &str = "# What the upstream conformance suite has shown\n\n\
    Made by `cargo xtask lab conformance NAME --write`; do not edit. The suite of Gateway API runs in the lab against Gateways of\n\
    the class that the installation has made: first with the features that the module declares, then with all others and short\n\
    limits, to find what is not declared and could be. A test counts for the rarest features that it needs. A declared feature that\n\
    fails, or one that is not declared and passes, ends the command with an error unless a reason is given here.\n\n";

/// All runs as one page.
pub fn page(runs: &[ConformanceRun]) -> String {
    let sections: String = runs.iter().map(ConformanceRun::section).collect();
    format!("{HEAD}{sections}").trim_end().to_owned() + "\n"
}

/// Where the repository keeps the results.
pub const RESULTS: &str = "docs/conformance.json";

/// The files of the repository that hold results; paths are from its root.
///
/// # Errors
/// The results cannot be written as JSON.
pub fn files(runs: &[ConformanceRun]) -> Result<Vec<(String, String)>, Error> {
    let results = serde_json::to_string_pretty(runs).map_err(|error| Error::Lab(error.to_string()))?;
    Ok(vec![(RESULTS.to_owned(), results + "\n"), ("docs/conformance.md".to_owned(), page(runs))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, features: &[&str], passed: bool) -> TestResult {
        let features = features.iter().map(|&feature| feature.to_owned()).collect();
        TestResult { name: name.to_owned(), features, passed, seconds: 1 }
    }

    fn differences(declared: &[&str], tests: &[TestResult], exceptions: &[(&str, &str)]) -> Vec<String> {
        let declared = declared.iter().map(|&name| CapabilityName::from(name.to_owned())).collect();
        features(&declared, tests, exceptions).iter().filter_map(FeatureResult::difference).collect()
    }

    #[test]
    fn over_and_under_claims_are_differences_and_a_reason_excuses_them() {
        let tests = [
            test("Simple", &["Gateway", "HTTPRoute"], true),
            test("Mirror", &["Gateway", "HTTPRoute", "HTTPRouteRequestMirror"], false),
            test("Cors", &["Gateway", "HTTPRoute", "HTTPRouteCORS"], true),
        ];
        let declared = ["Gateway", "HTTPRoute", "HTTPRouteRequestMirror"];
        let found = differences(&declared, &tests, &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|text| text.contains("RequestMirror: declared, and fails Mirror")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("HTTPRouteCORS: not declared, and passes")), "{found:?}");
        let excused = [("HTTPRouteRequestMirror", "counted by the lab"), ("HTTPRouteCORS", "not the standard's")];
        assert!(differences(&declared, &tests, &excused).is_empty());
        let stale = differences(&declared, &tests[..1], &excused[..1]);
        assert!(stale.len() == 1 && stale[0].contains("take it out"), "{stale:?}");
    }

    #[test]
    fn a_failed_test_counts_for_the_rarest_features_that_it_needs() {
        let extended = test("a", &["Gateway", "HTTPRoute", "HTTPRouteCORS", "GatewayPort8080"], false);
        let about = |name: &str| is_about(&extended, name);
        assert!(about("HTTPRouteCORS") && about("GatewayPort8080") && !about("HTTPRoute") && !about("Gateway"));
        let needs_more = [test("c", &["Gateway", "BackendTLSPolicy", "GatewayBackendClientCertificate"], false)];
        assert!(differences(&["Gateway", "BackendTLSPolicy"], &needs_more, &[]).is_empty());
        let core = test("b", &["Gateway", "HTTPRoute", "ReferenceGrant"], false);
        assert!(is_about(&core, "HTTPRoute") && !is_about(&core, "Gateway"));
    }
}
