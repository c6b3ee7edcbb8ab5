//! How NGINX Gateway Fabric is installed: one chart.

use gateway_modules_core::{
    channel::Channel,
    installation::{
        Chart, ChartSource, ChartValue, Check, Class, Definitions, GatewayApi, Installation, InstallationOptions,
        Known, Leftover, LeftoverPlace, NotInstallable, ValueKind, patch_release,
    },
    module::ModuleVersion,
};

const NAMESPACE: &str = "nginx-gateway";
const RELEASE: &str = "ngf";
/// Newest patch releases that are known, by line.
const RELEASES: [&str; 1] = ["2.6.7"];
/// Every path below was read there.
const VALUES: Known = Known::Verified {
    source: "nginx/nginx-gateway-fabric charts/nginx-gateway-fabric/values.yaml, commit 0181372db38c90cf240d8874729fdf4d2beb42f9",
};

pub(crate) fn installation(
    version: &ModuleVersion,
    options: &InstallationOptions,
) -> Result<Installation, NotInstallable> {
    let release = patch_release(version, &RELEASES)?;
    let source = ChartSource::Oci { registry: "oci://ghcr.io/nginx/charts".to_owned() };
    let chart = Chart::new("nginx-gateway-fabric", &release, NAMESPACE, source)
        .with_release(RELEASE)
        .with_definitions(Definitions::Folder)
        .with_values(values(options));
    // The chart makes the class that `nginxGateway.gatewayClassName` names.
    let class = Class::Chart { name: "nginx".to_owned() };
    let gateway_api = GatewayApi { at_least: "1.5", source: "README.md, Technical Specifications" };
    let mut installation =
        Installation::new(ModuleVersion::new(&release).unwrap_or(version.clone()), vec![chart], gateway_api, class);
    installation.prerequisites =
        vec![Check::kubernetes(31, "README.md, Technical Specifications"), Check::load_balancers()];
    installation.post_checks = vec![
        Check::served(&["nginxproxies.gateway.nginx.org", "ratelimitpolicies.gateway.nginx.org"]),
        Check::ready("Deployment", NAMESPACE, "ngf-nginx-gateway-fabric"),
        Check::accepted("nginx"),
    ];
    // The chart's Job makes these certificates (`templates/certs-job.yaml`).
    let secret = |name| Leftover {
        api_version: "v1",
        kind: "Secret",
        place: LeftoverPlace::Own,
        name,
        source: "charts/nginx-gateway-fabric/values.yaml (certGenerator)",
    };
    installation.leftovers = vec![secret("server-tls"), secret("agent-tls")];
    Ok(installation)
}

fn values(options: &InstallationOptions) -> [ChartValue; 10] {
    let value = |path, kind, about| ChartValue::documented(path, kind, about, VALUES);
    let experimental = (options.channel == Channel::Experimental).then_some(true);
    let secrets = (!options.image_pull_secrets.is_empty()).then(|| options.image_pull_secrets.clone());
    let image = |path: &str| options.image_registry.as_ref().map(|registry| format!("{registry}/{path}"));
    [
        value("nginxGateway.gatewayClassName", ValueKind::Text, "the GatewayClass, one per control plane").set("nginx"),
        value(
            "nginxGateway.gwAPIExperimentalFeatures.enable",
            ValueKind::Boolean,
            "fields of the experimental channel; set with that channel",
        )
        .set_if(experimental),
        value("nginxGateway.image.repository", ValueKind::Text, "image of the control plane")
            .set_if(image("nginx-gateway-fabric")),
        value("nginx.image.repository", ValueKind::Text, "image of the data plane")
            .set_if(image("nginx-gateway-fabric/nginx")),
        value(
            "nginxGateway.serviceAccount.imagePullSecrets",
            ValueKind::List,
            "Secrets with which the control plane's image is pulled",
        )
        .set_if(secrets.clone()),
        value("nginx.imagePullSecrets", ValueKind::List, "Secrets with which the data plane's image is pulled")
            .set_if(secrets),
        value("nginxGateway.replicas", ValueKind::Integer, "replicas of the control plane"),
        value(
            "nginxGateway.snippetsFilters.enable",
            ValueKind::Boolean,
            "NGINX configuration in filters; off is safer",
        ),
        value("nginx.service.type", ValueKind::Text, "Service type of Gateways without an own NginxProxy"),
        value("nginx.config", ValueKind::Mapping, "NginxProxy of the class"),
    ]
}
