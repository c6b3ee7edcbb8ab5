//! NGINX Gateway Fabric: its own chart by `gwm install`; the control plane makes a Deployment and a Service for each Gateway. Not in a lab, for want of images: written from its
//! documentation and the adapter's installation, for a cluster whose nodes have them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, Install, Services, Settles, Stand};
use crate::lab::certificates::GATEWAYS;

pub(super) const VERSION: &str = "2.6";

pub(super) const NGINX_GATEWAY_FABRIC: Gateway = Gateway {
    module: "nginx-gateway-fabric",
    version: VERSION,
    limits: &["NGINX of the open source: what needs NGINX Plus is not asked"],
    // What cannot be shown is found by the first run.
    unshown: &[],
    stand: Stand::Runs {
        gateway,
        images: None,
        install: Install::Vendor,
        definitions: &[],
        deployment: ("nginx-gateway", "ngf-nginx-gateway-fabric"),
        // Statuses say what the controller has translated, not what proxies have.
        settles: Settles::always(Duration::from_secs(2)),
        unknown: 404,
        services: Services::InStatus(GATEWAYS),
        proxies: (GATEWAYS, "gateway.networking.k8s.io/gateway-name"),
        conformance: None,
    },
};

fn gateway() -> Value {
    json!({"module": "nginx-gateway-fabric", "version": VERSION})
}
