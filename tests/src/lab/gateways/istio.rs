//! Istio: its own control plane and agent, built from its Go module, over the Envoy that the Envoy project releases.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Gateway, Install, Services, Settles, Stand};
use crate::{
    Error, go,
    lab::{
        artifacts::{self, CERTIFICATES},
        conformance::Conformance,
        image::Image,
    },
};

/// The version that the source gives itself (its file VERSION).
const VERSION: &str = "1.31.0-dev";
const MODULE: &str = "istio.io/istio";
/// The main branch on 2026-08-27.
const MODULE_VERSION: &str = "v0.0.0-20260827124520-eed52ebb66ad";
const REGISTRY: &str = "lab.invalid/istio";
/// As `pilot/docker/Dockerfile.pilot` has it; the chart asks for a user that is not root and names none.
const USER: &str = "1337";

pub(super) const ISTIO: Gateway = Gateway {
    module: "istio",
    version: VERSION,
    limits: &[
        "stand-in: the Envoy project's Envoy 1.40.0 in place of Istio's own build of it; istiod and agent are built from \
         Istio's main branch of 2026-08-27",
        "without Istio's own filters, which that Envoy lacks: ALPN, metadata exchange, telemetry labels and statistics are \
         switched off",
        "one replica of the gateway, two where a line says so",
    ],
    unshown: &[],
    stand: Stand::Runs {
        gateway,
        images: Some(images),
        install: Install::Charts { folder, registry: REGISTRY, values },
        definitions: &[],
        deployment: ("istio-system", "istiod"),
        // istiod collects changes for 100 ms, at most 10 s (`PILOT_DEBOUNCE_AFTER`), and no status says what proxies have.
        settles: Settles::always(Duration::from_secs(1)),
        // The standing policies of the module refuse what no endpoint asks for.
        unknown: 403,
        services: Services::OfGateways("gateways", "gateway.networking.k8s.io/gateway-name"),
        proxies: ("gateways", "gateway.networking.k8s.io/gateway-name"),
        conformance: Some(Conformance {
            class: "istio",
            manifests: None,
            skip: &[(
                "GatewayStaticAddresses",
                "the lab gives each Service of type LoadBalancer the first free address, so that none can be asked for",
            )],
            exceptions: &[],
        }),
    },
};

fn gateway() -> Value {
    json!({"module": "istio", "version": VERSION, "parameters": {"extensionProviders": {
        "authorization": {"envoyExtAuthzHttp": authorization(&["authorization", "x-token"])},
        "changed": {"envoyExtAuthzHttp": authorization(&["authorization", "x-token", "x-other"])},
        "text": {"envoyFileAccessLog": {}},
        "json": {"envoyFileAccessLog": {"logFormat": {"labels": {}}}},
        "collector": {"opentelemetry": {"service": "collector.shop.svc.cluster.local", "port": 4317}},
    }}})
}

/// The service that the suite asks, as the mesh configuration and the parameters name it.
fn authorization(headers: &[&str]) -> Value {
    json!({
        "service": "authorization.shop.svc.cluster.local",
        "port": 8080,
        "includeRequestHeadersInCheck": headers,
        "headersToUpstreamOnAllow": ["x-user"],
    })
}

fn images() -> Result<Vec<PathBuf>, Error> {
    let program = |name: &str| artifacts::go_program(&format!("{MODULE}/pilot/cmd/{name}"), MODULE_VERSION, name);
    let (pilot, agent) = (program("pilot-discovery")?, program("pilot-agent")?);
    let envoy = artifacts::envoy()?;
    let source = go::module(MODULE, MODULE_VERSION)?;
    // `pilot/docker/Dockerfile.proxyv2`
    let bootstrap = source.join("tools/packaging/common/envoy_bootstrap.json");
    let certificates = Path::new(CERTIFICATES);
    let names = ["pilot", "proxyv2"].map(|name| format!("{REGISTRY}/{name}:{VERSION}"));
    let pilot = Image::new("istio-pilot", &names[0], &["/usr/local/bin/pilot-discovery"])
        .file("/usr/local/bin/pilot-discovery", &pilot)
        .file(CERTIFICATES, certificates)
        .user(USER);
    let proxy = Image::new("istio-proxyv2", &names[1], &["/usr/local/bin/pilot-agent"])
        .file("/usr/local/bin/pilot-agent", &agent)
        .linked("/usr/local/bin/envoy", &envoy)
        .file("/var/lib/istio/envoy/envoy_bootstrap_tmpl.json", &bootstrap)
        .file(CERTIFICATES, certificates)
        .user(USER);
    [pilot, proxy].iter().map(artifacts::image).collect()
}

fn folder() -> Result<PathBuf, Error> {
    let charts = ["manifests/charts/base", "manifests/charts/istio-control/istio-discovery"];
    artifacts::charts("istio", (MODULE, MODULE_VERSION), &charts, &[], VERSION)
}

fn values() -> Vec<(&'static str, Value)> {
    let mut providers = gateway()["parameters"]["extensionProviders"].clone();
    for name in ["text", "json"] {
        providers[name]["envoyFileAccessLog"]["path"] = "/dev/stdout".into();
    }
    let providers: Vec<Value> = providers
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, provider)| {
            let mut provider = provider.clone();
            provider["name"] = name.as_str().into();
            provider
        })
        .collect();
    let istiod = json!({
        "autoscaleEnabled": false,
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
        // The Envoy project's Envoy refuses a listener with a filter that it does not have.
        "env": {
            "PILOT_ENABLE_ALPN_FILTER": "false",
            "PILOT_ENABLE_METADATA_EXCHANGE": "false",
            "PILOT_ENABLE_TELEMETRY_LABEL": "false",
            // Twenty minutes otherwise.
            "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL": "5s",
        },
        "telemetry": {"enabled": false},
        "global": {"tag": VERSION, "imagePullPolicy": "Never"},
        "meshConfig": {"enablePrometheusMerge": false, "extensionProviders": providers},
    });
    vec![("istiod", istiod)]
}
