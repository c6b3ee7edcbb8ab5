//! Requests through a real gateway, which runs in a cluster of yours: what is declared must be seen, with its boundaries, and what is
//! not declared must be refused.
//!
//! ```text
//! GATEWAY_MODULES_LAB_KUBECONFIG=FILE cargo test --test behaviour -- --nocapture
//! ```
//!
//! The suite makes a data plane, backends and a Secret or two in that cluster, and breaks its backends and the gateway's pods for a
//! while: take one that nobody else uses. Addresses of its Services must be reached from here, and its nodes must have the
//! image of the backends (`docs/adapter-author/README.md` of the project says where from).
#![cfg(target_os = "linux")]

use std::{sync::Arc, time::Duration};

use gateway_module_example_gateway::ExampleGatewayAdapter;
use gateway_modules_testkit::{
    behaviour::{self, Options},
    lab::{
        self, AnyCluster, ClusterProvider,
        gateways::{Gateway, Install, Services, Settles, Stand},
    },
};
use serde_json::json;

/// The gateway as the suite meets it.
static GATEWAY: Gateway = Gateway {
    module: "example-gateway",
    // The version that runs there; evidence is of this version.
    version: "1.0.0",
    // What this cluster cannot show, and kinds that it cannot show, each with the reason.
    limits: &[],
    unshown: &[],
    stand: Stand::Runs {
        gateway: || json!({"module": "example-gateway", "version": "1.0.0"}),
        images: None,
        install: Install::There,
        definitions: &[],
        // The controller: namespace and name of its Deployment.
        deployment: ("example-gateway-system", "example-gateway"),
        // How long after its statuses say so what was applied may not be in force yet.
        settles: Settles::always(Duration::from_secs(2)),
        // What it answers to a request that is for no route.
        unknown: 404,
        // Clients reach it where the status of its Gateways says; proxies are pods with this label.
        services: Services::InStatus("gateways"),
        proxies: ("gateways", "gateway.networking.k8s.io/gateway-name"),
        conformance: None,
    },
};

/// `GATEWAY_MODULES_LAB_ONLY` names a part of the names of the lines that are wanted.
#[test]
fn what_is_declared_is_what_requests_show() {
    let Some(file) = std::env::var_os("GATEWAY_MODULES_LAB_KUBECONFIG") else {
        println!("left out: GATEWAY_MODULES_LAB_KUBECONFIG names no cluster with the gateway");
        return;
    };
    let cluster = AnyCluster { file: file.into() };
    let only = std::env::var("GATEWAY_MODULES_LAB_ONLY").ok();
    let options = Options::default().with_only(only.as_deref()).with_progress(&|line| println!("{line}"));
    let asked = lab::run_in(&cluster, || async {
        let client = lab::client(cluster.kubeconfig()?).await?;
        Box::pin(behaviour::run(client, Arc::new(ExampleGatewayAdapter::new()), &GATEWAY, &options)).await
    });
    let report = asked.and_then(|report| report).unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    assert!(report.passes(), "what failed is printed above");
}
