//! Traefik: the official program, with an entry point for each visibility.

use std::time::Duration;

use gateway_modules_core::intent::policies::PolicyKind;
use serde_json::{Value, json};

use super::{Gateway, Stand};
use crate::lab::artifacts::{TRAEFIK_IMAGE, TRAEFIK_VERSION};

pub(super) const TRAEFIK: Gateway = Gateway {
    module: "traefik",
    version: TRAEFIK_VERSION,
    limits: &["one replica of the gateway", "HTTP only, no certificates"],
    unshown: &[
        (PolicyKind::RateLimitGlobal, "there is no Redis in the lab"),
        (PolicyKind::BackendTls, "no backend of the lab speaks TLS"),
        (PolicyKind::OutlierDetection, "no backend of the lab fails on one replica alone"),
    ],
    stand: Stand::Runs {
        gateway,
        manifests,
        definitions: &["traefik"],
        deployment: ("traefik", "traefik"),
        // It has no status for Middlewares and TraefikServices, and takes changes at most every 2 s by default
        // (`providers.providersThrottleDuration`), of routes and of these one by one.
        settles: Duration::from_millis(2500),
        services: &[("external", "traefik", "traefik"), ("internal", "traefik", "traefik-internal")],
    },
};

/// As the manifests have it.
fn gateway() -> Value {
    json!({"module": "traefik", "version": TRAEFIK_VERSION, "parameters": {"entryPoints": {
        "web": {"port": 8000, "exposedPort": 80},
        "websecure": {"port": 8443, "exposedPort": 443},
        "internal": {"port": 9000, "exposedPort": 80, "exposure": "Cluster"},
    }}})
}

fn manifests() -> String {
    include_str!("traefik.yaml").replace("IMAGE", TRAEFIK_IMAGE)
}
