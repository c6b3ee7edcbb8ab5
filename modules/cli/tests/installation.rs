//! `gwm install`, `doctor`, `upgrade` and `uninstall` on a real control plane, by the real Helm, with the vendors' own charts.
//!
//! There are no nodes: [`Kubelet`] says of every Pod that it is ready, and does what the gateway's controller would do to
//! its class. Everything else is real.

#![allow(clippy::unwrap_used, clippy::panic)]

mod installation_support;

use installation_support::{Lab, Vendor, expect};
use serde_json::json;

const ISTIO: Vendor = Vendor {
    module: "istio.io/istio",
    // The module of a release is not served; this is the last of the main branch, with its own charts.
    version: "v0.0.0-20260827124520-eed52ebb66ad",
    charts: &["manifests/charts/base", "manifests/charts/istio-control/istio-discovery"],
};

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

