//! How Envoy Gateway is installed: one chart, and a GatewayClass that nobody else makes.

use gateway_modules_core::{
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, Leftover, LeftoverPlace, NotInstallable, ValueKind, patch_release,
    },
    module::ModuleVersion,
    object::Object,
};
use serde_json::json;

use crate::{CLASS, CONTROLLER, NAMESPACE, resources::GATEWAY_CLASS};

/// Newest patch releases that are known, by line.
const RELEASES: [&str; 1] = ["1.7.0"];
/// github.com/envoyproxy/gateway is a public Go module; a test reads its chart.
const VALUES: Known = Known::Verified { source: "github.com/envoyproxy/gateway charts/gateway-helm/values.tmpl.yaml" };

/// Names of the chart's hooks, of a release `eg` in [`NAMESPACE`].
const HOOK: &str = "eg-gateway-helm-certgen";
const HOOK_OF_CLUSTER: &str = "eg-gateway-helm-certgen:envoy-gateway-system";

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    let release = patch_release(version, &RELEASES)?;
    // gateway.envoyproxy.io docs v1.7, install-helm; tags of the charts carry a `v`.
    let source = ChartSource::Oci { registry: "oci://docker.io/envoyproxy".to_owned() };
    let tag = format!("v{release}");
    // The folder `crds` also has Gateway API of the experimental channel; core leaves standard definitions where they are.
    let chart = Chart::new("gateway-helm", &tag, NAMESPACE, source)
        .with_release("eg")
        .with_definitions(Definitions::Folder)
        .with_values(values(options));
    let class = Object::new(&GATEWAY_CLASS, None, CLASS).with_spec(json!({ "controllerName": CONTROLLER }));
    let gateway_api = GatewayApi { at_least: "1.4", source: "go.mod of the release" };
    let mut installation = Installation::new(
        ModuleVersion::new(&release).unwrap_or(version.clone()),
        vec![chart],
        gateway_api,
        Class::Installer { object: class },
    );
    installation.leftovers = leftovers();
    installation.prerequisites = vec![Check::load_balancers()];
    installation.post_checks = vec![
        Check::served(&[
            "backendtrafficpolicies.gateway.envoyproxy.io",
            "clienttrafficpolicies.gateway.envoyproxy.io",
            "envoyproxies.gateway.envoyproxy.io",
            "httproutefilters.gateway.envoyproxy.io",
            "securitypolicies.gateway.envoyproxy.io",
        ]),
        Check::ready("Deployment", NAMESPACE, "envoy-gateway"),
        Check::accepted(CLASS),
    ];
    Ok(installation)
}

/// The chart's hooks, which Helm leaves, and the certificates that their Job writes.
fn leftovers() -> Vec<Leftover> {
    let rights = "rbac.authorization.k8s.io/v1";
    let hook = |api_version, kind, place, name, source| Leftover { api_version, kind, place, name, source };
    let rbac = "charts/gateway-helm/templates/certgen-rbac.yaml";
    let mut all = vec![
        hook("batch/v1", "Job", LeftoverPlace::Own, HOOK, "charts/gateway-helm/templates/certgen.yaml"),
        hook("v1", "ServiceAccount", LeftoverPlace::Own, HOOK, rbac),
        hook(rights, "RoleBinding", LeftoverPlace::Own, HOOK, rbac),
        hook(rights, "Role", LeftoverPlace::Own, HOOK, rbac),
        hook(rights, "ClusterRoleBinding", LeftoverPlace::Cluster, HOOK_OF_CLUSTER, rbac),
        hook(rights, "ClusterRole", LeftoverPlace::Cluster, HOOK_OF_CLUSTER, rbac),
        hook(
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            LeftoverPlace::Cluster,
            "envoy-gateway-topology-injector.envoy-gateway-system",
            "charts/gateway-helm/templates/envoy-proxy-topology-injector-webhook.yaml",
        ),
    ];
    for name in ["envoy-gateway", "envoy", "envoy-rate-limit", "envoy-oidc-hmac"] {
        all.push(hook("v1", "Secret", LeftoverPlace::Own, name, "internal/provider/kubernetes/secrets.go"));
    }
    all
}

fn values(options: &InstallationOptions) -> [ChartValue; 5] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let secrets: Vec<serde_json::Value> =
        options.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    [
        value("global.imageRegistry", ValueKind::Text, "registry of all images of the control plane")
            .set_if(options.image_registry.clone()),
        value("global.imagePullSecrets", ValueKind::List, "Secrets with which images are pulled")
            .set_if((!secrets.is_empty()).then_some(secrets)),
        value("deployment.replicas", ValueKind::Integer, "replicas of the control plane"),
        value("config.envoyGateway", ValueKind::Mapping, "the controller's own configuration, also `rateLimit`"),
        value("service.type", ValueKind::Text, "type of the control plane's Service"),
    ]
}
