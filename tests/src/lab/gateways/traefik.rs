//! Traefik: the official program, with an entry point for each visibility.

use serde_json::{Value, json};

use super::{Gateway, Stand};
use crate::lab::artifacts::{TRAEFIK_IMAGE, TRAEFIK_VERSION};

pub(super) const TRAEFIK: Gateway = Gateway {
    module: "traefik",
    version: TRAEFIK_VERSION,
    limits: &["one replica", "no Redis, so global rate limits are not shown"],
    stand: Stand::Runs {
        gateway,
        manifests,
        definitions: &["traefik"],
        deployment: ("traefik", "traefik"),
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
