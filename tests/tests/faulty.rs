//! Adapters with a deliberate fault: the contract suite catches each, by the check that is there for it.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::sync::Arc;

use gateway_modules::core::{
    capability::{
        Capabilities, CapabilityName, Evidence, Granularity,
        names::{gateway_api, project},
    },
    intent::policies::PolicyKind,
    module::{
        Citation, Context, Fragment, GatewayModule, Mapping, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusals, SharedKey,
    },
    object::Object,
    resolve::DataPlaneTopology,
};
use gateway_modules_testkit::contract::{self, ContractReport, Options};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Declares fault injection, of which it knows nothing.
    OverClaim,
    /// Does not declare the rewriting of paths, which it has by a standard field.
    UnderClaim,
    /// Does not declare local rate limits, which it maps.
    UnderClaimOfPolicy,
    /// Says that bytes are where there are none.
    Dangling,
    /// Answers nothing to a declared kind.
    SilentDrop,
    /// Emits security policies and says not how they are enforced.
    NoEnforcement,
    /// Nothing: external authorization is declared by the standard filter alone.
    StandardExternalAuthorization,
}

struct Faulty {
    inner: Arc<dyn GatewayModule>,
    fault: Fault,
}

impl GatewayModule for Faulty {
    fn metadata(&self) -> &Metadata {
        self.inner.metadata()
    }

    fn declared(&self, version: &ModuleVersion) -> Capabilities {
        let mut capabilities = self.inner.declared(version);
        match self.fault {
            Fault::OverClaim => {
                let evidence = Evidence::documentation("nowhere", "1");
                let name = CapabilityName::policy(PolicyKind::FaultInjection);
                capabilities.declare(name, Granularity::Rule, evidence);
            }
            Fault::UnderClaim => {
                capabilities.remove(&gateway_api::HTTP_ROUTE_PATH_REWRITE);
            }
            Fault::UnderClaimOfPolicy => {
                capabilities.remove(&CapabilityName::policy(PolicyKind::RateLimitLocal));
            }
            Fault::StandardExternalAuthorization => {
                let evidence = Evidence::documentation("a report", "1");
                capabilities.declare(project::EXTERNAL_AUTH_FILTER, Granularity::Rule, evidence);
            }
            _ => {}
        }
        capabilities
    }

    fn provision(&self, plane: &DataPlaneTopology, cx: &Context<'_>) -> Result<Provisioned, Refusals> {
        self.inner.provision(plane, cx)
    }

    fn map(&self, target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
        let mut mapping = self.inner.map(target, cx);
        match self.fault {
            Fault::Dangling => {
                for citation in mapping.outcomes.iter_mut().flat_map(|outcome| &mut outcome.citations) {
                    if let Citation::Object { pointer, .. } = citation {
                        "/spec/nowhere".clone_into(pointer);
                    }
                }
            }
            Fault::SilentDrop => return Mapping::new(),
            Fault::NoEnforcement => mapping.enforcement.clear(),
            _ => {}
        }
        mapping
    }

    fn assemble(&self, key: &SharedKey, parts: &[Fragment], cx: &Context<'_>) -> Result<Vec<Object>, Refusals> {
        self.inner.assemble(key, parts, cx)
    }
}

fn report(module: &str, fault: Fault) -> ContractReport {
    let inner = gateway_modules::registry().expect("no duplicates").get(module).expect("compiled in");
    let mut options =
        Options::new().published(["HTTPRoute", "HTTPRoutePathRewrite"]).shown([PolicyKind::RateLimitLocal]);
    options.versions = vec![inner.metadata().default_version.to_owned()];
    let report = contract::run(&Faulty { inner, fault }, &options);
    println!("{fault:?}: {report}");
    report
}

/// The check fails, names what is wrong, and says how to mend it.
fn assert_caught(report: &ContractReport, by: &str, wrong: &str, mend: &str) {
    let check = report.check(by).expect("the check is there");
    assert!(check.failures.iter().any(|failure| failure.contains(wrong)), "{by}: no {wrong:?} in {:?}", check.failures);
    assert!(check.info.fix.contains(mend), "{by}: no {mend:?} in {:?}", check.info.fix);
    // What the author reads says both.
    let text = report.to_string();
    assert!(text.contains(wrong) && text.contains(mend), "{text}");
}

#[test]
fn an_over_claim_is_caught() {
    let report = report("generic", Fault::OverClaim);
    assert_caught(
        &report,
        "declared is emitted",
        "fault-injection is declared, and no form",
        "take it out of `declared()`",
    );
}

#[test]
fn an_under_claim_of_a_standard_field_is_caught() {
    let report = report("kgateway", Fault::UnderClaim);
    let wrong = "the live class publishes HTTPRoutePathRewrite, and `declared()` does not have it";
    assert_caught(&report, "published is declared", wrong, "declare the feature in `declared()`");
}

#[test]
fn an_under_claim_of_a_policy_is_caught_by_the_mapping_and_by_requests() {
    let report = report("kgateway", Fault::UnderClaimOfPolicy);
    let wrong = "`map` emits rate-limit-local when it is asked to, and no version declares";
    assert_caught(&report, "mapped is declared", wrong, "declare the kind in `declared()`");
    let wrong = "requests have shown rate-limit-local";
    assert_caught(&report, "shown is declared", wrong, "with the run as evidence");
}

#[test]
fn a_citation_without_bytes_is_caught() {
    assert_caught(&report("kgateway", Fault::Dangling), "totality", "GWM0503", "with citations into what");
}

#[test]
fn a_silent_drop_is_caught() {
    assert_caught(
        &report("kgateway", Fault::SilentDrop),
        "declared is emitted",
        "is declared, and no form",
        "map the kind",
    );
}

#[test]
fn a_security_policy_without_enforcement_is_caught() {
    let report = report("kgateway", Fault::NoEnforcement);
    assert_caught(&report, "declared is emitted", "jwt is declared, and no form", "map the kind");
}

#[test]
fn the_standard_filter_alone_carries_external_authorization() {
    let report = report("kong", Fault::StandardExternalAuthorization);
    for name in ["declared is emitted", "undeclared is refused", "withdrawn is refused", "security in force"] {
        let check = report.check(name).expect("the check is there");
        assert!(check.failures.is_empty(), "{name}: {:#?}", check.failures);
    }
}

#[test]
fn a_report_is_json_too_and_every_check_says_what_it_proves() {
    let checks = contract::catalogue();
    assert!(checks.iter().all(|check| check.proves.len() > 40 && check.fix.len() > 20), "{checks:#?}");
    let report = report("generic", Fault::OverClaim);
    let json: serde_json::Value = serde_json::from_str(&report.to_json().expect("JSON")).expect("JSON");
    let listed = json["checks"].as_array().expect("checks");
    assert_eq!(listed.len(), checks.len());
    for (listed, check) in listed.iter().zip(&checks) {
        assert_eq!((listed["name"].as_str(), listed["fix"].as_str()), (Some(check.name), Some(check.fix)));
    }
}
