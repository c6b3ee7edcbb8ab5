//! How Traefik is installed: one chart, whose values are the entry points of every Gateway.

use gateway_modules_core::{
    channel::Channel,
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, NotInstallable, ValueKind,
    },
    module::ModuleVersion,
};

const NAMESPACE: &str = "traefik";
/// Chart versions are not Traefik's: line, version of Traefik, version of the chart that has it as its `appVersion`.
const RELEASES: [((u64, u64), &str, &str); 1] = [((3, 7), "3.7.11", "41.3.0")];
/// Every path below was read there, but for those that say otherwise.
const VALUES: Known = Known::Verified {
    source: "traefik/traefik-helm-chart traefik/values.yaml, commit 00374755f4dc43501d59974079a9f0db49af1f85",
};
const POD_LABELS: &str = "deployment.podLabels";
/// Not in the values file that was read, which is older.
const NEWER: Known = Known::Unverified { source: "traefik/traefik-helm-chart traefik/values.yaml of chart 41.3.0" };

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    let known = RELEASES.iter().find(|(line, patch, _)| {
        *line == version.line() && (version.as_str() == *patch || version.as_str().split('.').count() < 3)
    });
    let (release, chart) = match (known, &options.chart_version) {
        (_, Some(chart)) => (version.as_str(), chart.as_str()),
        (Some((_, release, chart)), None) => (*release, *chart),
        (None, None) => {
            let versions: Vec<_> =
                RELEASES.iter().map(|(_, release, chart)| format!("{release} (chart {chart})")).collect();
            return Err(NotInstallable::new(
                format!("which chart has Traefik {version} is not known"),
                format!("known: {}; another chart is named with `--chart-version`", versions.join(", ")),
            ));
        }
    };
    let source = ChartSource::Repository { url: "https://traefik.github.io/charts".to_owned() };
    let chart = Chart::new("traefik", chart, NAMESPACE, source)
        .with_definitions(Definitions::Folder)
        .with_values(values(options))
        .with_pod_labels([POD_LABELS]);
    // `templates/gatewayclass.yaml`, with `providers.kubernetesGateway.enabled`.
    let class = Class::Chart { name: "traefik".to_owned() };
    let gateway_api = GatewayApi { at_least: "1.5", source: "go.mod of Traefik 3.7" };
    let mut installation =
        Installation::new(ModuleVersion::new(release).unwrap_or(version.clone()), vec![chart], gateway_api, class);
    // `Chart.yaml`: kubeVersion
    installation.prerequisites = vec![Check::kubernetes(25, "the chart refuses older ones"), Check::load_balancers()];
    installation.post_checks = vec![
        Check::served(&["middlewares.traefik.io", "traefikservices.traefik.io", "serverstransports.traefik.io"]),
        Check::ready("Deployment", NAMESPACE, "traefik"),
        Check::accepted("traefik"),
    ];
    Ok(installation)
}

fn values(options: &InstallationOptions) -> Vec<ChartValue> {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let experimental = (options.channel == Channel::Experimental).then_some(true);
    let secrets: Vec<serde_json::Value> =
        options.image_pull_secrets.iter().map(|name| serde_json::json!({ "name": name })).collect();
    vec![
        value("providers.kubernetesGateway.enabled", ValueKind::Boolean, "the gateway").set(true),
        value(
            "providers.kubernetesGateway.experimentalChannel",
            ValueKind::Boolean,
            "TCPRoute and TLSRoute of that channel",
        )
        .set_if(experimental),
        value("providers.kubernetesCRD.enabled", ValueKind::Boolean, "policies are Middlewares").set(true),
        value("gateway.enabled", ValueKind::Boolean, "a Gateway of the chart's own; planes bring theirs").set(false),
        value("gatewayClass.enabled", ValueKind::Boolean, "the GatewayClass").set(true),
        value("image.registry", ValueKind::Text, "registry of the image").set_if(options.image_registry.clone()),
        value("deployment.imagePullSecrets", ValueKind::List, "Secrets with which images are pulled")
            .set_if((!secrets.is_empty()).then_some(secrets)),
        value("ports", ValueKind::Mapping, "entry points: the ports that listeners may have"),
        ChartValue::documented("accessLog", ValueKind::Mapping, "the access log, one for all Gateways", NEWER),
        value("logs", ValueKind::Mapping, "logs of charts before 38"),
        value(POD_LABELS, ValueKind::Mapping, "labels of the pods, for platforms whose network policies ask for them"),
        value("service.type", ValueKind::Text, "type of the one Service"),
    ]
}
