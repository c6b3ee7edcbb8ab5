//! `gwm install`, `doctor`, `upgrade` and `uninstall` on a real control plane, by the real Helm, with the vendors' own charts.
//!
//! There are no nodes: [`Kubelet`] says of every Pod that it is ready, and does what the gateway's controller would do to
//! its class. Everything else is real.

#![allow(clippy::unwrap_used, clippy::panic)]

mod installation_support;

use gateway_modules::core::cluster::{Cluster, ClusterOptions};
use gateway_modules_installation::Record;
use installation_support::{ISTIO, Lab, definition, expect, small_charts, small_charts_of};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn istio_comes_is_seen_and_goes_without_a_trace() {
    let Some(lab) = Lab::start().await else { return };
    let charts = lab.package(&ISTIO, "1.31.0");
    let before = lab.everything().await;

    let report = expect(&lab.gwm(&["doctor", "istio"]), 0);
    assert!(report.contains("istio   not installed") && report.contains("next: gwm install istio"), "{report}");

    let install = ["install", "istio", "--version", "1.31.0", "--charts", &charts];
    let with = |more: &[&'static str]| install.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let plan = expect(&lab.gwm(&with(&["--dry-run"])), 0);
    assert!(plan.contains("install release istiod in istio-system") && plan.contains("create namespace istio-system"));
    lab.unchanged_since(&before).await;

    // Without a node nothing becomes ready: that is said, and is no failure of the installation.
    let late = expect(&lab.gwm(&with(&["--timeout", "1"])), 4);
    assert!(late.contains("GWM0913") && late.contains("0 of 1 ready"), "{late}");
    let report = expect(&lab.gwm(&["doctor", "istio"]), 4);
    assert!(report.contains("unhealthy") && report.contains("describe deployment istiod"), "{report}");

    let kubelet = lab.kubelet("istio", "istio.io/gateway-controller");
    let again = expect(&lab.gwm(&with(&["--timeout", "60"])), 0);
    assert!(again.contains("release istiod is as it should be"), "{again}");
    let report: serde_json::Value =
        serde_json::from_slice(&lab.gwm(&["doctor", "istio", "-o", "json"]).stdout).unwrap();
    assert_eq!((&report[0]["condition"], &report[0]["version"]), (&json!("installed"), &json!("1.31.0")), "{report:#}");

    // What depends on it keeps it.
    lab.create(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }))
    .await;
    lab.create(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "web"}]},
    }))
    .await;
    let refused = expect(&lab.gwm(&["uninstall", "istio"]), 3);
    assert!(refused.contains("Gateway default/web") && refused.contains("HTTPRoute default/shop"), "{refused}");
    lab.delete("gateway.networking.k8s.io/v1", "HTTPRoute", "default", "shop").await;
    lab.delete("gateway.networking.k8s.io/v1", "Gateway", "default", "web").await;

    kubelet.stop().await;
    expect(&lab.gwm(&["uninstall", "istio"]), 0);
    lab.unchanged_since(&before).await;
    let nothing = expect(&lab.gwm(&["uninstall", "istio"]), 0);
    assert!(nothing.contains("nothing to do"), "{nothing}");
    expect(&lab.gwm(&["doctor"]), 0);
}

/// The arguments of a command, with a file of values.
fn with_values(lab: &Lab, command: &[&str], values: &str) -> Vec<String> {
    let file = lab.file("values.yaml", values);
    command.iter().copied().chain(["--values", &file]).map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_next_step_and_changes_nothing() {
    let Some(lab) = Lab::start().await else { return };
    let charts = small_charts(&lab);
    let before = lab.everything().await;
    let install = |more: &[&str]| {
        let all: Vec<&str> = ["install", "kgateway", "--no-wait"].iter().chain(more).copied().collect();
        lab.gwm(&all)
    };
    let said = |output, code, words: &[&str]| {
        let text = expect(&output, code);
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    };
    let with_charts = ["--charts", &charts];

    said(install(&["--helm", "/nowhere/helm"]), 1, &["GWM0902", "/nowhere/helm", "--backend flux"]);
    let old = lab.file("helm2", "#!/bin/sh\necho 'Client: v2.17.0'\n");
    lab.executable(&old);
    said(install(&["--helm", &old]), 1, &["GWM0903", "v2.17.0"]);
    said(lab.gwm(&["install", "generic"]), 3, &["GWM0901", "gwm modules"]);
    // What needs no cluster asks none: the same without one that answers.
    let nowhere = lab.file("nowhere", "no kubeconfig");
    for (arguments, code, word) in [
        (&["install", "generic", "--dry-run"][..], 3, "GWM0901"),
        (&["install", "kong", "--dry-run"], 3, "--chart-version CHART"),
        (&["install", "kgateway", "--version", "two", "--dry-run"], 2, "is not a version"),
        (&["upgrade", "generic", "--dry-run"], 3, "GWM0901"),
    ] {
        let without = arguments.iter().copied().chain(["--kubeconfig", &nowhere]).collect::<Vec<_>>();
        said(lab.gwm(&without), code, &[word]);
    }
    // An unknown patch release of a known line is one like the others; a newer line is told.
    let newer = lab.gwm(&["install", "kgateway", "--version", "2.9.0", "--dry-run", "--charts", &charts]);
    said(newer, 1, &["no table of kgateway 2.9.0 is known", "that of 2.4 stands for it"]);
    let patch = expect(&install(&["--version", "2.4.9", "--dry-run", "--charts", &charts]), 1);
    assert!(!patch.contains("no table of"), "{patch}");
    said(lab.gwm(&["install", "kgatway"]), 2, &["kgateway"]);
    said(install(&["--version", "two"]), 2, &["is not a version"]);
    said(install(&["--version", "2.4.9", "--charts", &charts]), 1, &["GWM0904", "has version v2.4.3", "--charts"]);
    said(install(&["--registry", "oci://127.0.0.1:1/none"]), 1, &["GWM0906", "cannot be reached", "--charts FOLDER"]);
    let digest = format!("kgateway=sha256:{}", "0".repeat(64));
    said(install(&["--charts", &charts, "--digest", &digest]), 3, &["GWM0907", "nothing is installed"]);
    let wrong = lab.file("wrong.yaml", "controller: {replicaCount: many}\nimagePullSecrets: a\n");
    said(
        install(&["--charts", &charts, "--values", &wrong]),
        2,
        &["GWM0909", "`controller.replicaCount` is a text, and the chart wants a whole number", "`imagePullSecrets`"],
    );
    let broken = lab.file("broken.yaml", "a: [\n");
    said(install(&["--charts", &charts, "--values", &broken]), 2, &["broken.yaml"]);
    lab.unchanged_since(&before).await;

    // A release of that name that somebody else has made.
    let helm = lab.helm(&[
        "install",
        "kgateway",
        &format!("{charts}/kgateway"),
        "--create-namespace",
        "-n",
        "kgateway-system",
    ]);
    expect(&helm, 0);
    lab.has_pods("kgateway-system", "kgateway").await;
    let foreign = lab.everything().await;
    said(install(&with_charts), 3, &["GWM0911", "release kgateway in kgateway-system", "--adopt"]);
    foreign.wait_until_again(&lab.client, std::time::Duration::from_secs(10)).await.unwrap();
    said(lab.gwm(&["uninstall", "kgateway"]), 0, &["nothing to do"]);
    expect(&lab.helm(&["uninstall", "kgateway", "-n", "kgateway-system"]), 0);

    // Definitions of a newer version: the chart's would take a version from them.
    lab.create(definition("trafficpolicies", &["v1", "v1alpha1"])).await;
    said(install(&with_charts), 3, &["GWM0911", "trafficpolicies.gateway.kgateway.dev", "what is there is newer"]);
    lab.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "trafficpolicies.gateway.kgateway.dev").await;

    // Gateway API: another channel is never installed over what is there.
    let schemas = gateway_modules_testkit::schemas_or_explain().unwrap().unwrap();
    let experimental = schemas.join("gateway-api/experimental");
    let file = std::fs::read_dir(experimental)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| std::fs::read_to_string(path).unwrap().contains("name: httproutes.gateway.networking.k8s.io"));
    let file = file.unwrap().to_str().unwrap().to_owned();
    said(install(&["--charts", &charts, "--gateway-api", &file]), 3, &["of the experimental channel"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_halfway_is_mended_by_the_next_run() {
    let Some(lab) = Lab::start().await else { return };
    let charts = small_charts(&lab);
    let before = lab.everything().await;
    let install = ["install", "kgateway", "--no-wait", "--charts", &charts];
    let with = |values: &str| with_values(&lab, &install, values);
    let run = |all: &[String]| lab.gwm(&all.iter().map(String::as_str).collect::<Vec<_>>());

    let text = expect(&run(&with("controller: {extraEnv: {BREAK: yes}}")), 1);
    assert!(text.contains("GWM0912") && text.contains("run this again"), "{text}");
    let report = expect(&lab.gwm(&["doctor", "kgateway"]), 4);
    assert!(report.contains("incomplete") && report.contains("gwm install kgateway: it goes on"), "{report}");
    let mended = expect(&run(&with("controller: {replicaCount: 2}")), 0);
    assert!(mended.contains("is installed"), "{mended}");

    let dropped = expect(&lab.gwm(&install), 3);
    assert!(
        dropped.contains("would lose them: controller.replicaCount") && dropped.contains("--reset-values"),
        "{dropped}"
    );

    // The program and Helm die in the middle of an upgrade, whose lock nobody gives back.
    lab.killed(&with("controller: {replicaCount: 2, extraEnv: {HANG: yes}}"), "kgateway-system", "hang").await;
    let mended = expect(&run(&with("controller: {replicaCount: 3}")), 0);
    assert!(mended.contains("was interrupted"), "{mended}");
    let values = expect(&lab.helm(&["get", "values", "kgateway", "-n", "kgateway-system", "-o", "json"]), 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&values).unwrap()["controller"], json!({"replicaCount": 3}));

    // An uninstall keeps the namespace where something of others is.
    lab.create(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "kgateway-system"}}),
    )
    .await;
    lab.delete("batch/v1", "Job", "kgateway-system", "hang").await;
    let text = expect(&lab.gwm(&["uninstall", "kgateway"]), 0);
    assert!(text.contains("namespace kgateway-system stays, since there is ConfigMap mine"), "{text}");
    lab.delete("v1", "Namespace", "", "kgateway-system").await;
    lab.unchanged_since(&before).await;
    let definitions = expect(&lab.gwm(&["doctor", "kgateway"]), 0);
    assert!(definitions.contains("not installed"), "{definitions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_install_that_is_killed_is_mended_by_the_next_run() {
    let Some(lab) = Lab::start().await else { return };
    let charts = small_charts(&lab);
    let before = lab.everything().await;
    let install = ["install", "kgateway", "--no-wait", "--charts", &charts];
    lab.killed(&with_values(&lab, &install, "controller: {extraEnv: {HANG: yes}}"), "kgateway-system", "hang").await;
    let report = expect(&lab.gwm(&["doctor", "kgateway"]), 4);
    assert!(report.contains("incomplete") && report.contains("gwm install kgateway: it goes on"), "{report}");
    lab.delete("batch/v1", "Job", "kgateway-system", "hang").await;
    expect(&lab.gwm(&install), 0);
    let releases = expect(&lab.helm(&["list", "-A", "-o", "json"]), 0);
    let releases: serde_json::Value = serde_json::from_str(&releases).unwrap();
    assert_eq!(releases.as_array().unwrap().len(), 1, "{releases:#}");
    assert!(releases.as_array().unwrap().iter().all(|release| release["status"] == "deployed"), "{releases:#}");
    let what_is_there = async || {
        let manifest = expect(&lab.helm(&["get", "manifest", "kgateway", "-n", "kgateway-system"]), 0);
        let cluster = Cluster::new(lab.client.clone(), ClusterOptions::default());
        (manifest, Record::read(&cluster, "kgateway").await.unwrap().unwrap())
    };
    let mended = what_is_there().await;

    // What an undisturbed run leaves is the same, and so is what an uninstall leaves of either.
    expect(&lab.gwm(&["uninstall", "kgateway"]), 0);
    lab.unchanged_since(&before).await;
    expect(&lab.gwm(&install), 0);
    assert_eq!(what_is_there().await, mended);
    expect(&lab.gwm(&["uninstall", "kgateway"]), 0);
    lab.unchanged_since(&before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_names_the_endpoints_and_policies_that_lose_something() {
    let Some(lab) = Lab::start().await else { return };
    let (charts, older) = (small_charts(&lab), small_charts_of(&lab, "2.3.1"));
    expect(&lab.gwm(&["install", "kgateway", "--charts", &charts, "--no-wait"]), 0);
    let intents = "apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: {name: production}
spec: {}
---
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: {name: catalog, namespace: default}
spec:
  endpoints:
    - name: api
      type: HTTP
      port: 8080
      visibilities: [external]
      policies: {timeouts: {request: 5s}, ipAccess: {allow: [10.0.0.0/8]}}
";
    let back = |more: &[&str]| -> std::process::Output {
        let all = ["upgrade", "kgateway", "--version", "2.3.1", "--charts", &older, "--allow-downgrade", "--dry-run"];
        lab.gwm(&all.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let lost = "warning: default/catalog api ip-access: refused, was exact (";
    // With the intents at hand it is refused.
    let file = lab.file("intents/shop.yaml", intents);
    let refused = expect(&back(&["-f", &file]), 3);
    assert!(refused.contains(lost) && !refused.contains("api timeout"), "{refused}");
    // With none anywhere there is nothing to lose.
    let none = expect(&back(&[]), 0);
    assert!(none.contains("can no longer do what") && !none.contains("was exact"), "{none}");
    // Those that a controller serves are read from the cluster.
    lab.intent_definitions().await;
    for document in intents.split("---\n") {
        lab.create(serde_saphyr::from_str(document).unwrap()).await;
    }
    let told = expect(&back(&[]), 0);
    assert!(told.contains(lost), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_planes_on_a_gateway_keep_it_and_cascade_deletes_them_first() {
    let Some(lab) = Lab::start().await else { return };
    let charts = small_charts(&lab);
    let before = lab.everything().await;
    let kubelet = lab.kubelet("kgateway", "kgateway.dev/kgateway");
    // The stand-in makes the class at once, as somebody else's controller would: that is seen, and may be taken over.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let foreign = expect(&lab.gwm(&["install", "kgateway", "--charts", &charts, "--no-wait"]), 3);
    assert!(foreign.contains("GatewayClass kgateway: a kgateway that was not installed by this program"), "{foreign}");
    let report = expect(&lab.gwm(&["doctor", "kgateway"]), 0);
    assert!(report.contains("external"), "{report}");
    expect(&lab.gwm(&["install", "kgateway", "--charts", &charts, "--adopt", "--timeout", "60"]), 0);
    lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).await;
    let intent = lab.file(
        "intents/shop.yaml",
        "apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: {name: catalog, namespace: shop}
spec:
  endpoints: [{name: api, type: HTTP, port: 8080, visibilities: [external]}]
",
    );
    expect(&lab.gwm(&["apply", "-f", &intent]), 0);
    let refused = expect(&lab.gwm(&["uninstall", "kgateway"]), 3);
    for word in ["data plane default", "Gateway kgateway-system/", "HTTPRoute shop/", "--cascade"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    kubelet.stop().await;
    let text = expect(&lab.gwm(&["uninstall", "kgateway", "--cascade"]), 0);
    assert!(
        text.contains("kgateway is removed") && text.contains("GatewayClass kgateway, which the gateway has made"),
        "{text}"
    );
    lab.delete("v1", "Namespace", "", "shop").await;
    lab.unchanged_since(&before).await;
}

/// A plane whose policy needs a provider in Istio's mesh configuration.
const TRACED: &str = "apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: {name: production}
spec:
  gateway:
    module: istio
    parameters:
      extensionProviders:
        collector: {opentelemetry: {service: collector.tracing.svc.cluster.local, port: 4317}}
---
apiVersion: gatewaymodules.dev/v1alpha1
kind: Component
metadata: {name: catalog, namespace: shop}
spec:
  endpoints:
    - name: api
      type: HTTP
      port: 8080
      visibilities: [external]
      policies: {tracing: {service: collector, namespace: tracing, port: 4317, sampling: 10}}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_policies_need_of_a_gateway_of_others_is_read_of_its_helm_release() {
    let Some(lab) = Lab::start().await else { return };
    let charts = lab.package(&ISTIO, "1.31.0");
    let install = |release: &str, more: &[&str]| {
        let chart = format!("{charts}/{}-1.31.0.tgz", release.trim_start_matches("istio-"));
        let first = ["upgrade", "--install", release, chart.as_str(), "-n", "istio-system", "--create-namespace"];
        expect(&lab.helm(&first.iter().chain(more).copied().collect::<Vec<_>>()), 0);
    };
    install("istio-base", &[]);
    install("istiod", &[]);
    let intents = lab.file("intents/shop.yaml", TRACED);
    let plan = ["plan", "-f", &intents];
    let refused = expect(&lab.gwm(&plan), 3);
    for part in ["must have `meshConfig.extensionProviders[]` = {", "values of the Helm release istiod in istio-system"]
    {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let provider =
        r#"[{"name":"collector","opentelemetry":{"service":"collector.tracing.svc.cluster.local","port":4317}}]"#;
    install("istiod", &["--set-json", &format!("meshConfig.extensionProviders={provider}")]);
    let after = String::from_utf8_lossy(&lab.gwm(&plan).stderr).into_owned();
    assert!(!after.contains("must have"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_forward_and_tells_what_is_lost() {
    let Some(lab) = Lab::start().await else { return };
    let charts = lab.package(&ISTIO, "1.30.3");
    lab.package(&ISTIO, "1.31.0");
    let before = lab.everything().await;
    let refused = expect(&lab.gwm(&["upgrade", "istio", "--charts", &charts]), 3);
    assert!(refused.contains("gwm install istio"), "{refused}");
    expect(&lab.gwm(&["install", "istio", "--charts", &charts, "--no-wait"]), 0);
    let newer = ["upgrade", "istio", "--version", "1.31.0", "--charts", &charts, "--no-wait"];
    let plan: serde_json::Value = serde_json::from_slice(
        &lab.gwm(&newer.iter().copied().chain(["--dry-run", "-o", "json"]).collect::<Vec<_>>()).stdout,
    )
    .unwrap();
    assert_eq!((&plan["from"], &plan["releases"][1]["action"]), (&json!("1.30.3"), &json!("upgrade")), "{plan:#}");
    expect(&lab.gwm(&newer), 0);

    // Back again: refused, and with the switch it tells which capabilities go.
    let older = ["upgrade", "istio", "--version", "1.30.3", "--charts", &charts, "--no-wait", "--dry-run"];
    let refused = expect(&lab.gwm(&older), 3);
    assert!(
        refused.contains("1.31.0 is installed, and 1.30.3 is older") && refused.contains("--allow-downgrade"),
        "{refused}"
    );
    let told = expect(&lab.gwm(&older.iter().copied().chain(["--allow-downgrade"]).collect::<Vec<_>>()), 0);
    assert!(told.contains("warning: 1.30.3 can no longer do what 1.31.0 could: "), "{told}");
    assert!(told.contains("no data plane is on it"), "{told}");

    // What policies need becomes values of the chart.
    let intents = lab.file("intents/shop.yaml", TRACED);
    let plan = ["plan", "-f", &intents];
    let refused = expect(&lab.gwm(&plan), 3);
    assert!(
        refused.contains("must have `meshConfig.extensionProviders[]` = {") && refused.contains("gwm upgrade istio"),
        "{refused}"
    );
    let with = ["upgrade", "istio", "--version", "1.31.0", "--charts", &charts, "--no-wait", "-f", &intents];
    let text = expect(&lab.gwm(&with), 0);
    assert!(text.contains("release istiod in istio-system"), "{text}");
    let values = expect(&lab.helm(&["get", "values", "istiod", "-n", "istio-system", "-o", "json"]), 0);
    let values: serde_json::Value = serde_json::from_str(&values).unwrap();
    assert_eq!(values["meshConfig"]["extensionProviders"][0]["name"], "collector", "{values:#}");
    let after = String::from_utf8_lossy(&lab.gwm(&plan).stderr).into_owned();
    assert!(!after.contains("extensionProviders"), "{after}");
    expect(&lab.gwm(&["uninstall", "istio"]), 0);
    lab.unchanged_since(&before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_and_argo_cd_get_objects_that_their_own_definitions_accept() {
    let Some(lab) = Lab::start().await else { return };
    let missing = expect(&lab.gwm(&["install", "kgateway", "--backend", "flux", "--no-wait"]), 3);
    assert!(missing.contains("does not know helmreleases.helm.toolkit.fluxcd.io"), "{missing}");
    lab.git_ops_definitions().await;
    let missing = expect(&lab.gwm(&["install", "kgateway", "--backend", "argo-cd", "--no-wait"]), 3);
    assert!(missing.contains("--argo-cd-namespace"), "{missing}");
    lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})).await;
    let before = lab.everything().await;

    // OCI charts of kgateway, charts of a repository of Istio; printed for Git, and applied.
    for (backend, module, kinds) in [
        ("flux", "kgateway", &["OCIRepository", "HelmRelease"][..]),
        ("flux", "istio", &["HelmRepository", "HelmRelease"][..]),
        ("argo-cd", "kgateway", &["Application"][..]),
    ] {
        let printed = expect(&lab.gwm(&["install", module, "--backend", backend, "--dry-run", "-o", "yaml"]), 0);
        for kind in kinds {
            assert_eq!(printed.matches(&format!("\nkind: {kind}\n")).count(), 2, "{kind}: {printed}");
        }
        // Applied with strict field validation: a field that the definition does not have is an error.
        expect(&lab.gwm(&["install", module, "--backend", backend, "--no-wait"]), 0);
        let report = expect(&lab.gwm(&["doctor", module]), 4);
        assert!(report.contains(backend), "{report}");
        let finalizers = lab.without_finalizers(backend);
        expect(&lab.gwm(&["uninstall", module]), 0);
        finalizers.stop().await;
        lab.unchanged_since(&before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_come_from_a_registry_with_credentials_digests_and_a_mirror_of_images() {
    let Some(lab) = Lab::start().await else { return };
    let charts = small_charts(&lab);
    let before = lab.everything().await;
    let registry = lab.registry(&charts, &["kgateway-crds", "kgateway"]).await;
    let place = format!("oci://{}/mirror", registry.address);
    let install = |more: &[&str]| {
        let first = ["install", "kgateway", "--no-wait", "--plain-http", "--registry", &place];
        lab.gwm(&first.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let nobody = lab.file("nobody.json", "{}");
    let refused = expect(&install(&["--registry-config", &nobody]), 1);
    assert!(refused.contains("GWM0905") && refused.contains("helm registry login"), "{refused}");
    let credentials = ["--registry-config", registry.credentials.as_str()];
    let with = |more: &[&str]| install(&credentials.iter().chain(more).copied().collect::<Vec<_>>());
    let missing = expect(&with(&["--version", "2.4.9"]), 1);
    assert!(missing.contains("GWM0904"), "{missing}");
    lab.unchanged_since(&before).await;

    let plan: serde_json::Value = serde_json::from_slice(&with(&["--dry-run", "-o", "json"]).stdout).unwrap();
    let digest = plan["releases"][1]["fetched"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:"), "{plan:#}");
    let pinned = format!("kgateway={digest}");
    let images = ["--image-registry", "mirror.example.com/kgateway", "--image-pull-secret", "mirror"];
    expect(&with(&[&["--digest", &pinned][..], &images].concat()), 0);
    let deployment = lab.get("apps/v1", "Deployment", "kgateway-system", "kgateway").await;
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "mirror.example.com/kgateway/kgateway:2.4.3");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "mirror"}]));
    expect(&lab.gwm(&["uninstall", "kgateway"]), 0);
    lab.unchanged_since(&before).await;

    // What is printed for others to apply is what an installation would have written.
    let printed = expect(&with(&["--backend", "manifests"]), 0);
    for text in ["kind: Namespace", "kind: Deployment", "namespace: kgateway-system"] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
    lab.unchanged_since(&before).await;
}
