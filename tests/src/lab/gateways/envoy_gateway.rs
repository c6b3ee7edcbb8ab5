//! Envoy Gateway: its own control plane, built from its Go module, over the Envoy that the Envoy project releases. Its module
//! is the community adapter (`examples/community-adapter`), which is no part of this workspace: what installs it brings it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gateway_modules_core::capability::CapabilityName;
use serde_json::{Value, json};

use super::{Gateway, Install, Services, Settles, Stand};
use crate::{
    Error,
    lab::{
        artifacts::{self, CERTIFICATES},
        image::Image,
    },
};

const VERSION: &str = "1.7.0";
const MODULE: &str = "github.com/envoyproxy/gateway";
/// Of the module and of the chart.
const TAG: &str = "v1.7.0";
const REGISTRY: &str = "lab.invalid";
/// With the registry above, as the chart puts it together.
const CONTROLLER_IMAGE: &str = "lab.invalid/envoyproxy/gateway:v1.7.0";
/// `api/v1alpha1/shared_types.go`, `DefaultEnvoyProxyImage`.
const PROXY_IMAGE: &str = "docker.io/envoyproxy/envoy:distroless-v1.37.0";
/// As the chart and the controller want it.
const USER: &str = "65532";
/// What the project's release job writes into `values.tmpl.yaml`.
const PLACEHOLDERS: [(&str, &str); 2] =
    [("${GatewayImage}", "docker.io/envoyproxy/gateway:v1.7.0"), ("${GatewayImagePullPolicy}", "IfNotPresent")];

const NAMESPACE: &str = "envoy-gateway-system";
/// The controller writes it on what it makes for a Gateway (`internal/gatewayapi/labels.go`).
const OF_GATEWAY: &str = "gateway.envoyproxy.io/owning-gateway-name";

pub(super) const ENVOY_GATEWAY: Gateway = Gateway {
    module: "envoy-gateway",
    version: VERSION,
    limits: &[
        "the Envoy project's Envoy 1.40.0 where 1.37.0 is asked for; the controller is built from the Go module of the release",
        "one replica of the gateway",
    ],
    unshown: &[(
        CapabilityName::of("policy/rate-limit-local"),
        "the suite's limits are of ten seconds, and Envoy Gateway counts by seconds, minutes, hours and days; the module's \
             own lab test shows those",
    )],
    stand: Stand::Runs {
        gateway,
        images: Some(images),
        install: Install::Charts { folder, registry: REGISTRY, values },
        definitions: &[],
        deployment: (NAMESPACE, "envoy-gateway"),
        // Statuses say what the controller has translated, not what proxies have; and Envoy keeps a changed cluster waiting for
        // its endpoints, which have not changed and are not sent again, until it takes those that it knows
        // (`initial_fetch_timeout`, 15 s; `envoy.restart_features.use_eds_cache_for_ads`).
        settles: Settles { usually: Duration::from_secs(2), backends: Duration::from_secs(16) },
        unknown: 404,
        services: Services::OfGateways(NAMESPACE, OF_GATEWAY),
        proxies: (NAMESPACE, OF_GATEWAY),
        // Whose module is not of this workspace.
        conformance: None,
    },
};

fn gateway() -> Value {
    json!({"module": "envoy-gateway", "version": VERSION})
}

fn images() -> Result<Vec<PathBuf>, Error> {
    let controller = artifacts::go_program(&format!("{MODULE}/cmd/envoy-gateway"), TAG, "envoy-gateway")?;
    let envoy = artifacts::envoy()?;
    let certificates = Path::new(CERTIFICATES);
    let controller = Image::new("envoy-gateway", CONTROLLER_IMAGE, &["/usr/local/bin/envoy-gateway"])
        .file("/usr/local/bin/envoy-gateway", &controller)
        .file(CERTIFICATES, certificates)
        .user(USER);
    let proxy = Image::new("envoy-gateway-envoy", PROXY_IMAGE, &["/usr/local/bin/envoy"])
        .linked("/usr/local/bin/envoy", &envoy)
        .file(CERTIFICATES, certificates)
        .user(USER);
    [controller, proxy].iter().map(artifacts::image).collect()
}

fn folder() -> Result<PathBuf, Error> {
    artifacts::charts("envoy-gateway", (MODULE, TAG), &["charts/gateway-helm"], &PLACEHOLDERS, TAG)
}

fn values() -> Vec<(&'static str, Value)> {
    let resources = json!({"requests": {"cpu": "10m", "memory": "128Mi"}});
    vec![("gateway-helm", json!({"deployment": {"envoyGateway": {"resources": resources}}}))]
}
