//! How Kong Operator is installed: one chart, and a GatewayClass that nobody else makes.

use gateway_modules_core::{
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, NotInstallable, ValueKind,
    },
    module::ModuleVersion,
    object::{GroupVersionKind, Object},
};
use serde_json::json;

use crate::CONTROLLER;

const NAMESPACE: &str = "kong-system";
const CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
/// `charts/kong-operator/Chart.yaml`: which operator this chart has. Which chart has which 2.2.x is not known.
const OPERATOR: &str = "2.3.0-rc.3";
const CHART: &str = "1.4.0-rc.2";
/// Every path below was read there, but for those that say otherwise.
const VALUES: Known = Known::Verified {
    source: "Kong/kong-operator charts/kong-operator/values.yaml, commit 08a60fecd564fdc9cba3e445768139708d103ec9",
};
/// Commented out in the values file, so a chart that was fetched does not show it either.
const COMMENTED_OUT: Known =
    Known::Unverified { source: "Kong/kong-operator charts/kong-operator/values.yaml, in a comment" };

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    // `charts/kong-operator/Chart.yaml`: chart 1.4.0-rc.2 has operator 2.3.0-rc.3; which chart has which 2.2.x is not known.
    let (operator, chart) = match &options.chart_version {
        Some(chart) => (version.as_str(), chart.as_str()),
        None if version.as_str() == OPERATOR || version.as_str() == "2.3" => (OPERATOR, CHART),
        None => {
            return Err(NotInstallable::new(
                format!("which chart has Kong Operator {version} is not known"),
                format!(
                    "look it up (`helm search repo kong/kong-operator --versions`) and run `gwm install kong --version {version} \
                     --chart-version CHART`; or take `gwm install kong --version {OPERATOR}`, which is chart {CHART}"
                ),
            ));
        }
    };
    let source = ChartSource::Repository { url: "https://charts.konghq.com".to_owned() };
    let chart = Chart::new("kong-operator", chart, NAMESPACE, source)
        .with_release("ko")
        .with_definitions(Definitions::Folder)
        .with_values(values(options));
    let class = Object::new(&CLASS, None, "kong").with_spec(json!({ "controllerName": CONTROLLER }));
    let gateway_api = GatewayApi { at_least: "1.6", source: "go.mod of the operator" };
    let mut installation = Installation::new(
        ModuleVersion::new(operator).unwrap_or(version.clone()),
        vec![chart],
        gateway_api,
        Class::Installer { object: class },
    );
    installation.prerequisites = vec![Check::load_balancers()];
    installation.post_checks = vec![
        Check::served(&["gatewayconfigurations.gateway-operator.konghq.com", "kongplugins.configuration.konghq.com"]),
        Check::ready("Deployment", NAMESPACE, "ko-kong-operator-controller-manager"),
        Check::accepted("kong"),
    ];
    Ok(installation)
}

fn values(options: &InstallationOptions) -> [ChartValue; 7] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let secrets = (!options.image_pull_secrets.is_empty()).then(|| options.image_pull_secrets.clone());
    let image = options.image_registry.as_ref().map(|registry| format!("{registry}/kong/kong-operator"));
    [
        value(
            "gwapi-standard-crds.enabled",
            ValueKind::Boolean,
            "Gateway API definitions are not the gateway's to bring",
        )
        .set(false),
        value(
            "gwapi-experimental-crds.enabled",
            ValueKind::Boolean,
            "Gateway API definitions are not the gateway's to bring",
        )
        .set(false),
        value("ko-crds.keep", ValueKind::Boolean, "definitions stay when the chart goes, and so do the objects")
            .set(true),
        value("image.repository", ValueKind::Text, "image of the operator").set_if(image),
        ChartValue::documented(
            "image.pullSecrets",
            ValueKind::List,
            "Secrets with which the operator's image is pulled",
            COMMENTED_OUT,
        )
        .set_if(secrets),
        value("replicaCount", ValueKind::Integer, "replicas of the operator"),
        value("env", ValueKind::Mapping, "environment of the operator"),
    ]
}
