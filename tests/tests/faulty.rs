//! Adapters with a deliberate fault: the contract suite catches each, by the check that is there for it.

use std::sync::Arc;

use gateway_modules::core::{
    capability::{Capabilities, CapabilityName, Evidence, Granularity, names::gateway_api},
    intent::policies::PolicyKind,
    module::{
        Citation, Context, Fragment, GatewayModule, Mapping, Metadata, ModuleVersion, PolicyTarget, Provisioned,
        Refusals, SharedKey,
    },
    object::Object,
    resolve::DataPlaneTopology,
};
use gateway_modules_testkit::contract::{self, CheckReport, Options};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Declares fault injection, of which it knows nothing.
    OverClaim,
    /// Does not declare the rewriting of paths, which it has.
    UnderClaim,
    /// Says that bytes are where there are none.
    Dangling,
    /// Answers nothing to a declared kind.
    SilentDrop,
    /// Emits security policies and says not how they are enforced.
    NoEnforcement,
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
            Fault::OverClaim | Fault::UnderClaim => {}
        }
        mapping
    }

    fn assemble(&self, key: &SharedKey, parts: &[Fragment], cx: &Context<'_>) -> Result<Vec<Object>, Refusals> {
        self.inner.assemble(key, parts, cx)
    }
}

/// The checks that fail for a faulty form of a module.
#[allow(clippy::expect_used)] // a helper of tests
fn failed(module: &str, fault: Fault) -> Vec<CheckReport> {
    let inner = gateway_modules::registry().expect("no duplicates").get(module).expect("compiled in");
    let mut options = Options::new().published(["HTTPRoute", "HTTPRoutePathRewrite"]);
    options.versions = vec![inner.metadata().default_version.to_owned()];
    let report = contract::run(&Faulty { inner, fault }, &options);
    println!("{fault:?}: {report}");
    report.checks.into_iter().filter(|check| !check.failures.is_empty()).collect()
}

fn assert_caught(module: &str, fault: Fault, by: &str) {
    let failed = failed(module, fault);
    let check = failed.iter().find(|check| check.name == by);
    let names: Vec<_> = failed.iter().map(|check| check.name).collect();
    assert!(check.is_some_and(|check| !check.fix.is_empty()), "{fault:?} is caught by {names:?}, not by {by:?}");
}

#[test]
fn an_over_claim_is_caught() {
    assert_caught("generic", Fault::OverClaim, "declared is emitted");
}

#[test]
fn an_under_claim_is_caught() {
    assert_caught("kgateway", Fault::UnderClaim, "published is declared");
}

#[test]
fn a_citation_without_bytes_is_caught() {
    assert_caught("kgateway", Fault::Dangling, "declared is emitted");
}

#[test]
fn a_silent_drop_is_caught() {
    assert_caught("kgateway", Fault::SilentDrop, "declared is emitted");
}

#[test]
fn a_security_policy_without_enforcement_is_caught() {
    assert_caught("kgateway", Fault::NoEnforcement, "declared is emitted");
}
