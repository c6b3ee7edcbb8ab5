//! kgateway: its own charts by `gwm install`; the controller makes a Deployment and a Service for each Gateway. Not in a lab, for want of images: written from its
//! documentation and the adapter's installation, for a cluster whose nodes have them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, Install, Services, Settles, Stand};
use crate::lab::certificates::GATEWAYS;

pub(super) const VERSION: &str = "2.4";

pub(super) const KGATEWAY: Gateway = Gateway {
    module: "kgateway",
    version: VERSION,
    limits: &["one replica of the gateway, as the controller makes it"],
    // What cannot be shown is found by the first run.
    unshown: &[],
    stand: Stand::Runs {
        gateway,
        images: None,
        install: Install::Vendor,
        definitions: &[],
        deployment: ("kgateway-system", "kgateway"),
        // Statuses say what the controller has translated, not what proxies have.
        settles: Settles::always(Duration::from_secs(2)),
        unknown: 404,
        services: Services::InStatus(GATEWAYS),
        proxies: (GATEWAYS, "gateway.networking.k8s.io/gateway-name"),
        conformance: None,
    },
};

fn gateway() -> Value {
    json!({"module": "kgateway", "version": VERSION})
}
