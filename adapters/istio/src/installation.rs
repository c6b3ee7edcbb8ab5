//! How Istio is installed: definitions (`base`) and control plane (`istiod`), without sidecars' and ambient mode's parts.

use gateway_modules_core::{
    channel::Channel,
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, Leftover, LeftoverPlace, NotInstallable, ValueKind, patch_release,
    },
    module::ModuleVersion,
};

const NAMESPACE: &str = "istio-system";
/// Newest patch releases that are known, by line.
const RELEASES: [&str; 1] = ["1.30.3"];
/// The values file of the control plane; istio.io/istio is a public Go module.
const VALUES: Known =
    Known::Verified { source: "istio.io/istio manifests/charts/istio-control/istio-discovery/values.yaml" };
/// The chart of the control plane copies `env` of the values into the Deployment's environment.
const ALPHA: &str = "env.PILOT_ENABLE_ALPHA_GATEWAY_API";

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    let release = patch_release(version, &RELEASES)?;
    // `manifests/charts/README.md`: chart versions are Istio's versions.
    let source = || ChartSource::Repository { url: "https://istio-release.storage.googleapis.com/charts".to_owned() };
    let base = Chart::new("base", &release, NAMESPACE, source())
        .with_release("istio-base")
        .with_definitions(Definitions::Templates);
    let istiod = Chart::new("istiod", &release, NAMESPACE, source()).with_values(values(options));
    // `pilot/pkg/config/kube/gatewaycommon/classinfo.go`: istiod makes its classes when it runs.
    let class = Class::Controller { name: "istio".to_owned() };
    let at_least = if version.line() >= (1, 31) { "1.6" } else { "1.5" };
    let gateway_api = GatewayApi { at_least, source: "go.mod of the release" };
    let mut installation = Installation::new(
        ModuleVersion::new(&release).unwrap_or(version.clone()),
        vec![base, istiod],
        gateway_api,
        class,
    );
    installation.prerequisites = vec![Check::load_balancers()];
    installation.post_checks = vec![
        Check::served(&[
            "authorizationpolicies.security.istio.io",
            "destinationrules.networking.istio.io",
            "requestauthentications.security.istio.io",
            "telemetries.telemetry.istio.io",
        ]),
        Check::ready("Deployment", NAMESPACE, "istiod"),
        Check::accepted("istio"),
    ];
    installation.leftovers = leftovers();
    Ok(installation)
}

fn values(options: &InstallationOptions) -> [ChartValue; 6] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let experimental = (options.channel == Channel::Experimental).then_some("true");
    let secrets = (!options.image_pull_secrets.is_empty()).then(|| options.image_pull_secrets.clone());
    [
        value("global.istioNamespace", ValueKind::Text, "namespace of the control plane").set(NAMESPACE),
        value("global.hub", ValueKind::Text, "registry and path of all images").set_if(options.image_registry.clone()),
        value("global.imagePullSecrets", ValueKind::List, "names of Secrets with which images are pulled")
            .set_if(secrets),
        value(ALPHA, ValueKind::Text, "kinds of Gateway API's experimental channel; set with that channel")
            .set_if(experimental),
        value("meshConfig", ValueKind::Mapping, "mesh configuration; policies need its extensionProviders"),
        value("autoscaleMin", ValueKind::Integer, "least replicas of the control plane"),
    ]
}

fn leftovers() -> Vec<Leftover> {
    let class = |name| Leftover {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "GatewayClass",
        place: LeftoverPlace::Cluster,
        name,
        source: "pilot/pkg/config/kube/gatewaycommon/classinfo.go",
    };
    let own = |api_version, kind, place, name, source| Leftover { api_version, kind, place, name, source };
    let elections = "pilot/pkg/leaderelection/leaderelection.go";
    let mut all = vec![
        class("istio"),
        class("istio-remote"),
        class("istio-waypoint"),
        class("istio-east-west"),
        own("v1", "Secret", LeftoverPlace::Own, "istio-ca-secret", "security/pkg/pki/ca/ca.go"),
        own(
            "v1",
            "ConfigMap",
            LeftoverPlace::Everywhere,
            "istio-ca-root-cert",
            "pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go",
        ),
    ];
    let leases = [
        "istio-leader",
        "istio-namespace-controller-election",
        "istio-gateway-status-leader",
        "istio-gateway-deployment-default",
    ];
    // Leader elections are ConfigMaps or Leases, by version.
    for name in leases {
        all.push(own("v1", "ConfigMap", LeftoverPlace::Own, name, elections));
        all.push(own("coordination.k8s.io/v1", "Lease", LeftoverPlace::Own, name, elections));
    }
    all
}
