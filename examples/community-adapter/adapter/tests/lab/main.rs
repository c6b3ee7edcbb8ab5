//! Real requests through a real Envoy Gateway 1.7.0: the control plane from its Go module, its own chart, Envoy from the Envoy
//! project, on the node of the test kit's lab. `examples/community-adapter/lab` starts it and this test; without
//! `GATEWAY_MODULES_LAB` there is no lab, and nothing is sent.
//!
//! The test kit's behaviour suite asks what every module is asked; [`cases`] asks what only this gateway has.

#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

mod cases;
mod scene;

use std::{path::PathBuf, sync::Arc};

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_testkit::{
    behaviour::{self, Options},
    lab::{
        self, Lab, backends,
        gateways::{self, Gateway},
    },
};

use self::scene::{Scene, Shown};

/// Name of the lab, where there is one.
fn lab() -> Option<(String, &'static Gateway)> {
    let Ok(name) = std::env::var("GATEWAY_MODULES_LAB") else {
        println!("left out: GATEWAY_MODULES_LAB names no lab; examples/community-adapter/lab starts one");
        return None;
    };
    Some((name, gateways::find("envoy-gateway").expect("a gateway of the lab")))
}

/// Puts Envoy Gateway into the lab as `gwm install` does, unless it is there.
fn install(name: &str, gateway: &'static Gateway) {
    let schemas = std::env::var_os("GATEWAY_MODULES_SCHEMAS").expect("GATEWAY_MODULES_SCHEMAS names a folder of CRDs");
    // Before the lab's network, from which nothing can be fetched.
    gateway.images().expect("images");
    let lab = &Lab::attach(name).expect("a running lab");
    let kubeconfig = lab.kubeconfig().expect("readable");
    let work = || async move {
        let client = lab::client(kubeconfig).await?;
        let there = lab::manifests::api(&client, "gateway.networking.k8s.io/v1", "GatewayClass", None);
        if there.get("envoy-gateway").await.is_ok() {
            return Ok(());
        }
        let module = Arc::new(EnvoyGatewayAdapter::new());
        gateways::install(&client, lab, gateway, module, &PathBuf::from(schemas)).await
    };
    lab.run(work).expect("the lab's network").expect("installed");
}

#[test]
fn what_is_declared_is_what_requests_show() {
    let Some((name, gateway)) = lab() else { return };
    install(&name, gateway);
    let only = std::env::var("GATEWAY_MODULES_LAB_ONLY").ok().filter(|only| !only.is_empty());
    let only_some = only.is_some();
    let options = Options::default().with_only(only.as_deref()).with_progress(&|line| println!("{line:?}"));
    let report = behaviour::in_lab(&name, Arc::new(EnvoyGatewayAdapter::new()), gateway, &options);
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    let own = own(&name, gateway, only.unwrap_or_default());
    let failed: Vec<_> = own.iter().filter(|(_, shown)| shown.is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.passes() || (only_some && report.lines.is_empty()), "what failed is printed above");
}

fn own(name: &str, gateway: &'static Gateway, only: String) -> Vec<(String, Shown)> {
    let lab = Lab::attach(name).expect("a running lab");
    let kubeconfig = lab.kubeconfig().expect("readable");
    let work = || async move {
        let client = lab::client(kubeconfig).await.map_err(|error| error.to_string())?;
        backends::install(&client).await.map_err(|error| error.to_string())?;
        let mut scene = Scene::new(client, gateway).await?;
        Ok::<_, String>(cases::run(&mut scene, &only).await)
    };
    let rows: Shown<Vec<(String, Shown)>> = lab.run(work).expect("the lab's network");
    rows.unwrap_or_else(|error| panic!("{error}"))
}
