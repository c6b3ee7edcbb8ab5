//! How kgateway is installed: definitions first, then the control plane.

use gateway_modules_core::{
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, Leftover, LeftoverPlace, NotInstallable, ValueKind, patch_release,
    },
    module::ModuleVersion,
};

const NAMESPACE: &str = "kgateway-system";
/// Newest patch releases that are known, by line.
const RELEASES: [&str; 1] = ["2.4.3"];
/// Every path below was read there.
const VALUES: Known = Known::Verified {
    source: "kgateway-dev/kgateway install/helm/kgateway/values.yaml, commit 009b92ff5ed418974c4376f81c94a65526277c2c",
};

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    let release = patch_release(version, &RELEASES)?;
    // kgateway.dev, `install/helm.md`; tags of the charts carry a `v`.
    let source = || ChartSource::Oci { registry: "oci://cr.kgateway.dev/kgateway-dev/charts".to_owned() };
    let tag = format!("v{release}");
    let definitions = Chart::new("kgateway-crds", &tag, NAMESPACE, source()).with_definitions(Definitions::Only);
    let chart = Chart::new("kgateway", &tag, NAMESPACE, source()).with_values(values(options));
    // `pkg/kgateway/wellknown/controller.go`: the controller makes its classes when it runs.
    let class = Class::Controller { name: "kgateway".to_owned() };
    let gateway_api = GatewayApi {
        at_least: if version.line() >= (2, 4) { "1.4" } else { "1.3" },
        source: "kgateway.dev, reference/versions.md",
    };
    let mut installation = Installation::new(
        ModuleVersion::new(&release).unwrap_or(version.clone()),
        vec![definitions, chart],
        gateway_api,
        class,
    );
    installation.prerequisites = vec![
        Check::kubernetes(32, "kgateway.dev, reference/versions.md: the oldest that 2.4 is tested with"),
        Check::load_balancers(),
    ];
    installation.post_checks = vec![
        Check::served(&["trafficpolicies.gateway.kgateway.dev", "gatewayparameters.gateway.kgateway.dev"]),
        Check::ready("Deployment", NAMESPACE, "kgateway"),
        Check::accepted("kgateway"),
    ];
    let class = |name| Leftover {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "GatewayClass",
        place: LeftoverPlace::Cluster,
        name,
        source: "pkg/kgateway/wellknown/controller.go",
    };
    installation.leftovers = vec![class("kgateway"), class("kgateway-waypoint")];
    Ok(installation)
}

fn values(options: &InstallationOptions) -> [ChartValue; 5] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let secrets: Vec<serde_json::Value> =
        options.image_pull_secrets.iter().map(|name| serde_json::json!({ "name": name })).collect();
    [
        value("image.registry", ValueKind::Text, "registry and path of all images")
            .set_if(options.image_registry.clone()),
        value("imagePullSecrets", ValueKind::List, "Secrets with which images are pulled")
            .set_if((!secrets.is_empty()).then_some(secrets)),
        value("controller.replicaCount", ValueKind::Integer, "replicas of the control plane"),
        value("gatewayClassParametersRefs", ValueKind::Mapping, "GatewayParameters of the classes, by class"),
        value("validation.level", ValueKind::Text, "`standard` or `strict`: what a wrong policy does to its route"),
    ]
}
