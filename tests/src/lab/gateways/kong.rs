//! Kong's operator: its own chart by `gwm install`; it makes a DataPlane for each Gateway, with names of its own making. Not in a lab, for want of images: written from its
//! documentation and the adapter's installation, for a cluster whose nodes have them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, Install, Services, Settles, Stand};
use crate::lab::certificates::GATEWAYS;

pub(super) const VERSION: &str = "2.3";

pub(super) const KONG: Gateway = Gateway {
    module: "kong",
    version: VERSION,
    limits: &["Kong without a licence: enterprise plugins are not asked"],
    // What cannot be shown is found by the first run.
    unshown: &[],
    stand: Stand::Runs {
        gateway,
        images: None,
        install: Install::Vendor,
        definitions: &[],
        deployment: ("kong-system", "ko-kong-operator-controller-manager"),
        // Statuses say what the controller has translated, not what proxies have.
        settles: Settles::always(Duration::from_secs(5)),
        unknown: 404,
        services: Services::InStatus(GATEWAYS),
        proxies: (GATEWAYS, "gateway-operator.konghq.com/managed-by=dataplane"),
        conformance: None,
    },
};

fn gateway() -> Value {
    json!({"module": "kong", "version": VERSION})
}
