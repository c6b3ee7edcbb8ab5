//! The upstream conformance suite of Gateway API against a gateway of a lab, and its results against what the module declares.
//!
//! A declared feature of which a test fails is an over-claim; one that is not declared and of which every test passes is an
//! under-claim, which makes the module refuse what its gateway can do. Neither is left unsaid.

mod report;
mod suite;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use gateway_modules_core::{
    capability::{CapabilityName, names::gateway_api as api},
    module::{GatewayModule, ModuleVersion},
};

pub use self::report::{ConformanceRun, FeatureResult, RESULTS, Skipped, TestResult, files, page};
use self::suite::{Pass, Patience};
use super::{ClusterProvider, Lab, State, gateways};
use crate::{Error, go};

/// What the suite needs to know of a gateway.
pub struct Conformance {
    /// The class of the Gateways that the suite makes.
    pub class: &'static str,
    /// Applied after the installation, where that one does not serve the ports of the suite's Gateways.
    pub manifests: Option<fn() -> String>,
    /// Tests that this stand cannot run, with the reason.
    pub skip: &'static [(&'static str, &'static str)],
    /// Features of which the table and the suite may differ, with the reason.
    pub exceptions: &'static [(&'static str, &'static str)],
}

/// How a run goes.
pub struct Options<'a> {
    /// For what the suite writes: its report, its log, the result of each test.
    pub folder: PathBuf,
    /// Only this test.
    pub only: Option<&'a str>,
    /// Declared features alone: what is not declared and could be is not looked for.
    pub declared_only: bool,
    /// No run takes longer.
    pub limit: Duration,
    /// Told each test when it has ended.
    pub progress: &'a (dyn Fn(&TestResult) + Send + Sync),
}

/// Images of the suite's backends, made where they are not there yet. Nothing is pulled.
///
/// # Errors
/// When one cannot be made.
pub fn images() -> Result<Vec<PathBuf>, Error> {
    suite::images()
}

/// Runs the suite in a lab in which the gateway is installed.
///
/// # Errors
/// When the lab or the gateway is not there, or the suite does not come to its end.
pub fn run(
    name: &str,
    gateway: &'static gateways::Gateway,
    module: &Arc<dyn GatewayModule>,
    options: &Options<'_>,
) -> Result<ConformanceRun, Error> {
    let gateways::Stand::Runs { conformance: Some(conformance), deployment, .. } = &gateway.stand else {
        return Err(Error::Lab(format!("{} has no entry for the conformance suite", gateway.module)));
    };
    let (lab, state) = (Lab::attach(name)?, State::of(name)?);
    lab.import(&images()?)?;
    let declared = declared(gateway, &**module)?;
    let kubeconfig = lab.kubeconfig()?;
    let (program, _) = go::conformance()?;
    // Who asks for one test wants to see it.
    let left_out =
        conformance.skip.iter().map(|(test, _)| (*test).to_owned()).filter(|test| options.only != Some(test.as_str()));
    let pass = |features: &BTreeSet<CapabilityName>, done: &[TestResult], patience| Pass {
        program: program.clone(),
        kubeconfig: state.kubeconfig(),
        class: conformance.class,
        module: gateway.module,
        version: gateway.version,
        features: features.iter().map(ToString::to_string).collect(),
        skip: left_out.clone().chain(done.iter().map(|test| test.name.clone())).collect(),
        patience,
    };
    let tests = lab.run(|| async {
        let client = super::client(kubeconfig).await?;
        if let Some(manifests) = conformance.manifests {
            super::manifests::apply(&client, &manifests()).await?;
        }
        gateways::ready(&client, deployment.0, deployment.1).await?;
        let mut tests = pass(&declared, &[], Patience::Usual).run(options, DECLARED).await?;
        if !options.declared_only {
            let all = known().cloned().collect();
            let more = pass(&all, &tests, Patience::Short).run(options, UNDECLARED).await?;
            tests.extend(more);
        }
        Ok::<_, Error>(tests)
    })??;
    Ok(ConformanceRun::of(gateway, conformance, &declared, &tests))
}

const DECLARED: &str = "declared";
const UNDECLARED: &str = "undeclared";

/// Compares again what a run has left in its folder, and starts nothing.
///
/// # Errors
/// When it has left nothing, or the gateway is not there.
pub fn again(
    gateway: &'static gateways::Gateway,
    module: &Arc<dyn GatewayModule>,
    folder: &std::path::Path,
) -> Result<ConformanceRun, Error> {
    let gateways::Stand::Runs { conformance: Some(conformance), .. } = &gateway.stand else {
        return Err(Error::Lab(format!("{} has no entry for the conformance suite", gateway.module)));
    };
    let mut tests = suite::read(&suite::results(folder, DECLARED))?;
    tests.extend(suite::read(&suite::results(folder, UNDECLARED))?);
    Ok(ConformanceRun::of(gateway, conformance, &declared(gateway, &**module)?, &tests))
}

/// Features of Gateway API that the suite has tests for; a mesh is no target of this project.
fn known() -> impl Iterator<Item = &'static CapabilityName> {
    api::ALL.iter().filter(|feature| !feature.as_str().starts_with("Mesh"))
}

/// What the module declares for the gateway of a lab, of the features that the suite knows, in the channel that a lab has.
///
/// # Errors
/// When the gateway does not run in a lab, or its version is none.
pub fn declared(gateway: &gateways::Gateway, module: &dyn GatewayModule) -> Result<BTreeSet<CapabilityName>, Error> {
    let gateways::Stand::Runs { gateway: fields, .. } = &gateway.stand else {
        return Err(Error::Lab(format!("{} does not run in a lab", gateway.module)));
    };
    let mut table = module.declared(&ModuleVersion::new(gateway.version).map_err(Error::Lab)?);
    if let Some(parameters) = fields()["parameters"].as_object() {
        table.extend(module.claimed(parameters));
    }
    table.retain_standard_channel();
    Ok(known().filter(|feature| table.has(feature)).cloned().collect())
}
