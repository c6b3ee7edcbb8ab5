//! Real requests through a real Envoy Gateway 1.7.0: the control plane from its Go module, its own chart, Envoy from the Envoy
//! project, on the node of the test kit's lab. `examples/community-adapter/lab` starts it and this test, with the lab's name in
//! `GATEWAY_MODULES_LAB`; `GATEWAY_MODULES_LAB_KUBECONFIG` names a cluster where Envoy Gateway is installed already. Without
//! either, nothing is sent.
//!
//! The test kit's behaviour suite asks what every module is asked; [`cases`] asks what only this gateway has.

#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

mod cases;
mod kept;
mod life;
mod scene;

use std::sync::Arc;

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::module::GatewayModule;
use gateway_modules_testkit::{
    Error,
    behaviour::{self, BehaviourReport, Options, Shard},
    lab::{
        self, AnyCluster, ClusterProvider, Lab, backends,
        gateways::{self, Gateway},
    },
    schemas_or_explain,
};
use kube::Client;

use self::scene::Scene;

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Puts Envoy Gateway into the lab as `gwm install` does, takes it away where the first part of the cases is asked, and puts it there
/// again; nothing where it is there.
fn install(lab: &Lab, gateway: &'static Gateway, first: bool) {
    let schemas =
        schemas_or_explain().expect("a folder of CRDs").expect("GATEWAY_MODULES_SCHEMAS names a folder of CRDs");
    // Before the lab's network, from which nothing can be fetched.
    gateway.prepare().expect("images and charts");
    let kubeconfig = lab.kubeconfig().expect("readable");
    let work = || async move {
        let client = lab::client(kubeconfig).await?;
        let there = lab::manifests::api(&client, "gateway.networking.k8s.io/v1", "GatewayClass", None);
        if there.get("envoy-gateway").await.is_ok() {
            return Ok(());
        }
        let module: Arc<dyn GatewayModule> = Arc::new(EnvoyGatewayAdapter::new());
        if first {
            life::comes_and_goes(&client, lab, gateway, &module, &schemas).await?;
        }
        gateways::install(&client, lab, gateway, module, &schemas).await
    };
    lab.run(work).expect("the lab's network").expect("installed");
}

/// The cluster, with Envoy Gateway in it.
fn cluster(gateway: &'static Gateway, first: bool) -> Option<Box<dyn ClusterProvider>> {
    if let Some(file) = set("GATEWAY_MODULES_LAB_KUBECONFIG") {
        return Some(Box::new(AnyCluster { file: file.into() }));
    }
    let Some(name) = set("GATEWAY_MODULES_LAB") else {
        println!("left out: GATEWAY_MODULES_LAB names no lab; examples/community-adapter/lab starts one");
        return None;
    };
    let lab = Lab::attach(&name).expect("a running lab");
    install(&lab, gateway, first);
    Some(Box::new(lab))
}

/// With `GATEWAY_MODULES_LAB_WRITE` what was shown is kept (`kept.rs`).
#[test]
fn what_is_declared_is_what_requests_show() {
    let gateway = gateways::find("envoy-gateway").expect("a gateway of the lab");
    let only = set("GATEWAY_MODULES_LAB_ONLY");
    let shard: Option<Shard> = set("GATEWAY_MODULES_LAB_SHARD").map(|text| text.parse().expect("a part, such as 1/2"));
    let Some(cluster) = cluster(gateway, shard.is_none_or(|shard| shard.has(0))) else { return };
    let options =
        Options::default().with_only(only.as_deref()).with_shard(shard).with_progress(&|line| println!("{line}"));
    let asked = lab::run_in(&*cluster, || async {
        let client = lab::client(cluster.kubeconfig()?).await?;
        Box::pin(ask(client, gateway, &options)).await
    });
    let report = asked.and_then(|report| report).unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    let passes = report.passes();
    if set("GATEWAY_MODULES_LAB_WRITE").is_some() {
        kept::write(report);
    }
    assert!(passes, "what failed is printed above");
}

/// The suite, then the cases of this module.
async fn ask(client: Client, gateway: &'static Gateway, options: &Options<'_>) -> Result<BehaviourReport, Error> {
    let module = Arc::new(EnvoyGatewayAdapter::new());
    let mut report = Box::pin(behaviour::run(client.clone(), module, gateway, options)).await?;
    backends::install(&client).await?;
    let mut scene = Scene::new(client, gateway).await.map_err(Error::Lab)?;
    let own = Box::pin(cases::run(&mut scene, options)).await.map_err(Error::Lab)?;
    report.lines.extend(own);
    Ok(report)
}
