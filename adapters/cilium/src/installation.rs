//! How Cilium is installed: one chart, which is the cluster's network as well as its gateway.

use gateway_modules_core::{
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, GatewayApi, Installation, InstallationOptions, Known, Leftover,
        LeftoverPlace, NotInstallable, Test, ValueKind, patch_release,
    },
    module::ModuleVersion,
};

const NAMESPACE: &str = "kube-system";
/// Newest patch releases that are known, by line.
const RELEASES: [&str; 1] = ["1.20.2"];
/// github.com/cilium/cilium is a public Go module.
const VALUES: Known = Known::Verified { source: "github.com/cilium/cilium install/kubernetes/cilium/values.yaml" };

/// Pods of the proxies, and of the agents, which hold the proxy where `envoy.enabled` is false.
const POD_LABELS: [&str; 2] = ["envoy.podLabels", "podLabels"];

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    if options.image_registry.is_some() {
        return Err(NotInstallable::new(
            "the chart names the repository of each of its images in a value of its own, and has none for the registry",
            "write `image.repository`, `operator.image.repository` and `envoy.image.repository` into a values file",
        ));
    }
    let release = patch_release(version, &RELEASES)?;
    let source = ChartSource::Repository { url: "https://helm.cilium.io".to_owned() };
    let chart =
        Chart::new("cilium", &release, NAMESPACE, source).with_values(values(options)).with_pod_labels(POD_LABELS);
    // `templates/cilium-gateway-api-class.yaml`, when `gatewayAPI.gatewayClass.create` says so.
    let class = Class::Chart { name: "cilium".to_owned() };
    let gateway_api = GatewayApi {
        at_least: if version.line() >= (1, 20) { "1.6" } else { "1.4" },
        source: "Documentation/network/servicemesh/gateway-api/installation.rst",
    };
    let mut installation =
        Installation::new(ModuleVersion::new(&release).unwrap_or(version.clone()), vec![chart], gateway_api, class);
    installation.prerequisites = prerequisites();
    installation.post_checks = vec![
        // The operator makes the definitions when it runs; the chart has none.
        Check::served(&["ciliumenvoyconfigs.cilium.io", "ciliumgatewayclassconfigs.cilium.io"]),
        Check::ready("Deployment", NAMESPACE, "cilium-operator"),
        Check::ready("DaemonSet", NAMESPACE, "cilium"),
        Check::accepted("cilium"),
    ];
    let lease = |name| Leftover {
        api_version: "coordination.k8s.io/v1",
        kind: "Lease",
        place: LeftoverPlace::Own,
        name,
        source: "operator/cmd/root.go (leaderElectionResourceLockName)",
    };
    installation.leftovers = vec![lease("cilium-operator-resource-lock")];
    Ok(installation)
}

fn prerequisites() -> Vec<Check> {
    let absent = |kind, name: &str, reason, next: &str| {
        let test =
            Test::Absent { api_version: "apps/v1", kind, namespace: Some(NAMESPACE.to_owned()), name: name.to_owned() };
        Check::required("no other network", test, reason, next)
    };
    let other = "two networks on one cluster break the pods of both";
    let next = "migrate to Cilium as its documentation says (per-node migration), then run this again; a gateway that is no \
                network (kgateway, Traefik, Istio, …) needs none of this";
    let replaced = "the gateway needs Cilium to replace kube-proxy, and both together set up the same Services";
    let kube_proxy = Test::Absent {
        api_version: "apps/v1",
        kind: "DaemonSet",
        namespace: Some(NAMESPACE.to_owned()),
        name: "kube-proxy".to_owned(),
    };
    vec![
        // `Chart.yaml`: kubeVersion
        Check::kubernetes(21, "the chart refuses older ones"),
        absent("DaemonSet", "calico-node", other, next),
        absent("DaemonSet", "aws-node", other, next),
        absent("DaemonSet", "kindnet", other, next),
        absent("DaemonSet", "kube-flannel-ds", other, next),
        Check::advised("kube-proxy", kube_proxy, replaced, "remove kube-proxy once Cilium runs on all nodes"),
        Check::load_balancers(),
    ]
}

fn values(options: &InstallationOptions) -> [ChartValue; 11] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let secrets: Vec<serde_json::Value> =
        options.image_pull_secrets.iter().map(|name| serde_json::json!({ "name": name })).collect();
    [
        value("gatewayAPI.enabled", ValueKind::Boolean, "the gateway").set(true),
        value("gatewayAPI.gatewayClass.create", ValueKind::Text, "`true` makes the class whatever the chart sees")
            .set("true"),
        value("kubeProxyReplacement", ValueKind::Text, "the gateway needs Services to be handled by Cilium")
            .set("true"),
        value("l7Proxy", ValueKind::Boolean, "the proxy that the gateway is").set(true),
        value("imagePullSecrets", ValueKind::List, "Secrets with which images are pulled")
            .set_if((!secrets.is_empty()).then_some(secrets)),
        value("k8sServiceHost", ValueKind::Text, "address of the API server, needed where kube-proxy is gone"),
        value("operator.replicas", ValueKind::Integer, "replicas of the operator"),
        value(POD_LABELS[0], ValueKind::Mapping, "labels of the proxies' pods"),
        value(POD_LABELS[1], ValueKind::Mapping, "labels of the agents' pods"),
        value("gatewayAPI.hostNetwork.enabled", ValueKind::Boolean, "serve on the nodes' own addresses"),
        value("loadBalancer.l7.algorithm", ValueKind::Text, "load balancing of Services with an annotation"),
    ]
}
