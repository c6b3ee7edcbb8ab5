//! Cilium by its own chart, on a real control plane, by the real Helm: what it needs, what is said, and no trace of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{process::Command, sync::Arc, time::Duration};

use gateway_module_cilium::Cilium;
use gateway_modules_core::{
    cluster::{Cluster, ClusterOptions},
    installation::InstallationOptions,
    module::{GatewayModule, Installed, ModuleVersion},
};
use gateway_modules_installation::{
    Action, ChartSettings, Condition, Helm, HelmOptions, InstallRequest, ModuleReport, Progress, doctor, install, plan,
    uninstall,
};
use gateway_modules_testkit::{Channel, ControlPlane, Inventory, Options, crds, go, schemas_or_explain};
use serde_json::json;

async fn look(cluster: &Cluster, module: &dyn GatewayModule) -> ModuleReport {
    let installed = Installed::read(&cluster.reader()).await.unwrap();
    doctor(cluster, module, &installed).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cilium_comes_and_goes() {
    let Some(schemas) = schemas_or_explain().unwrap() else { return };
    let program = tokio::task::spawn_blocking(go::helm).await.unwrap().unwrap();
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    crds::install_gateway_api(&client, &schemas, Channel::Standard).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&control_plane.kubeconfig().unwrap()).unwrap()).unwrap();
    let module = go::module("github.com/cilium/cilium", "v1.20.2").unwrap();
    let mut package = Command::new(&program);
    package.arg("package").arg(module.join("install/kubernetes/cilium")).arg("--destination").arg(folder.path());
    assert!(package.output().unwrap().status.success());

    let mut options = HelmOptions::default();
    options.program = Some(program);
    options.kubeconfig = Some(kubeconfig);
    let helm = Helm::find(options).await.unwrap();
    let cluster = Cluster::new(client.clone(), ClusterOptions::default());
    let cilium: Arc<dyn GatewayModule> = Arc::new(Cilium::new());
    let version = ModuleVersion::new("1.20").unwrap();
    let mut charts = ChartSettings::default();
    charts.folder = Some(folder.path().to_owned());
    let request = InstallRequest {
        installation: cilium.installation(&version, &InstallationOptions::default()).unwrap(),
        module: Arc::clone(&cilium),
        values: Default::default(),
        requirements: Vec::new(),
        charts,
        gateway_api: Vec::new(),
        adopt: false,
        allow_downgrade: false,
        planes: None,
        again: false,
        reset_values: false,
    };
    let before = Inventory::take(&client).await.unwrap();
    let quiet: Progress = Arc::new(|line| println!("{line}"));

    let planned = plan(&cluster, &helm, Some(&helm), &request).await.unwrap();
    assert_eq!(planned.refusals, []);
    install(&cluster, &helm, &planned, None, &quiet).await.unwrap();
    let report = look(&cluster, cilium.as_ref()).await;
    // Nothing runs without nodes, and the operator would make the definitions.
    assert_eq!(report.condition, Condition::Unhealthy, "{report:#?}");
    assert_eq!(report.classes, [("cilium".to_owned(), false)]);
    let again = plan(&cluster, &helm, Some(&helm), &request).await.unwrap();
    assert!(again.is_empty() && again.releases[0].action == Action::Unchanged, "{:?}", again.releases[0].action);

    uninstall(&cluster, &helm, cilium.as_ref(), Some(&request.installation), &quiet).await.unwrap();
    before.wait_until_again(&client, Duration::from_secs(30)).await.unwrap();
    assert_eq!(look(&cluster, cilium.as_ref()).await.condition, Condition::NotInstalled);

    // Another network on the cluster is in the way.
    let daemon_set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "calico-node", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}},
    });
    cluster.apply_object(&daemon_set, false, false).await.unwrap();
    let refused = plan(&cluster, &helm, Some(&helm), &request).await.unwrap();
    assert_eq!(refused.refusals.len(), 1);
    assert!(refused.refusals[0].to_string().contains("calico-node is there"), "{}", refused.refusals[0]);
}
