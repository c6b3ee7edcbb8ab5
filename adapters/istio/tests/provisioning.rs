//! Gateways: exposure, parameters, limits, client certificates.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use serde_json::json;

fn documents(gateway: &str, visibilities: &str, policies: &str) -> String {
    format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: p }}\nspec:\n  gateway: {gateway}\n  visibilities: \
         {visibilities}\n---\napiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: catalog, namespace: shop \
         }}\nspec:\n  endpoints:\n    - {{ name: api, type: HTTP, port: 80, visibilities: [external], hostnames: [a.example.com], \
         policies: {policies} }}\n"
    )
}

#[test]
fn exposure_and_parameters_stand_in_the_annotation_and_the_config_map() {
    let text = documents(
        "{ module: istio, parameters: { replicas: 2, serviceType: NodePort, resources: { requests: { cpu: 100m } } } }",
        "{ external: { namespace: gateways, exposure: Public }, internal: { namespace: gateways, exposure: Cluster } }",
        "{}",
    );
    let release = common::release(&text);
    let gateways = common::of_kind(&release, "Gateway");
    for (name, kind) in [("external", "NodePort"), ("internal", "ClusterIP")] {
        let gateway = gateways
            .iter()
            .find(|gateway| gateway["metadata"]["name"].as_str().is_some_and(|own| own.contains(name)))
            .expect("gateway");
        assert_eq!(gateway["metadata"]["annotations"]["networking.istio.io/service-type"], kind);
        let reference = &gateway["spec"]["infrastructure"]["parametersRef"];
        assert_eq!((&reference["group"], &reference["kind"]), (&json!(""), &json!("ConfigMap")));
        let maps = common::of_kind(&release, "ConfigMap");
        let map = maps.iter().find(|map| map["metadata"]["name"] == reference["name"]).expect("parameters");
        assert_eq!(map["metadata"]["namespace"], "gateways");
        let text = |key: &str| -> serde_json::Value {
            serde_saphyr::from_str(map["data"][key].as_str().expect("text")).expect("yaml")
        };
        assert_eq!(text("service"), json!({ "spec": { "type": kind } }));
        assert_eq!(
            text("deployment"),
            json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [
                { "name": "istio-proxy", "resources": { "requests": { "cpu": "100m" } } }
            ] } } } })
        );
    }
}

#[test]
fn a_service_keeps_the_addresses_of_clients_where_a_policy_needs_them() {
    let external_traffic = |visibilities: &str, policies: &str| {
        let release = common::release(&documents("{ module: istio }", visibilities, policies));
        let map = &common::of_kind(&release, "ConfigMap")[0];
        let service: serde_json::Value =
            serde_saphyr::from_str(map["data"]["service"].as_str().expect("text")).expect("yaml");
        service["spec"]["externalTrafficPolicy"].clone()
    };
    let public = "{ external: { namespace: gateways } }";
    for policies in [
        "{ ipAccess: { deny: [10.0.0.0/8] } }",
        "{ loadBalancing: { algorithm: { consistentHash: { clientIp: {} } } } }",
    ] {
        assert_eq!(external_traffic(public, policies), "Local", "{policies}");
    }
    assert_eq!(external_traffic(public, "{}"), json!(null));
    // The API server refuses the field for a Service that has no external traffic.
    let inside = "{ external: { namespace: gateways, exposure: Cluster } }";
    assert_eq!(external_traffic(inside, "{ ipAccess: { deny: [10.0.0.0/8] } }"), json!(null));
}

#[test]
fn what_istio_cannot_be_given_is_refused() {
    for (gateway, visibility, expected) in [
        ("{ module: istio }", "{ listeners: [{ name: http, protocol: HTTP, port: 15021 }] }", "port 15021"),
        ("{ module: istio }", "{ addresses: [{ hostname: gw.example.com }] }", "host name"),
        ("{ module: istio, className: istio-waypoint }", "{}", "mesh"),
        ("{ module: istio, parameters: { nonsense: 1 } }", "{}", "nonsense"),
    ] {
        let problems = common::problems(&documents(gateway, &format!("{{ external: {visibility} }}"), "{}"));
        assert!(problems.iter().any(|line| line.contains(expected)), "{expected}: {problems:#?}");
    }
}

const HTTPS: &str = "{ external: { namespace: gateways, listeners: [{ name: https, protocol: HTTPS, port: 443, tls: { certificates: [{ name: c }] } }] } }";
const CLIENT_CERTIFICATE: &str = "{ clientCertificate: { caCertificates: [clients] } }";

#[test]
fn client_certificates_are_an_option_of_1_30_and_standard_from_1_31() {
    let problems = common::problems(&documents("{ module: istio }", HTTPS, CLIENT_CERTIFICATE));
    assert!(problems.iter().any(|line| line.contains("Secrets of the listeners")), "{problems:#?}");

    let option = "{ module: istio, parameters: { clientCertificateAuthorities: [clients] } }";
    let release = common::release(&documents(option, HTTPS, CLIENT_CERTIFICATE));
    let gateway = &common::of_kind(&release, "Gateway")[0];
    assert_eq!(gateway["spec"]["listeners"][0]["tls"]["options"]["gateway.istio.io/tls-terminate-mode"], "MUTUAL");
    assert!(release.requires.iter().any(|requirement| requirement.setting.contains("ca.crt")));

    let release = common::release(&documents("{ module: istio, version: '1.31' }", HTTPS, CLIENT_CERTIFICATE));
    let gateway = &common::of_kind(&release, "Gateway")[0];
    assert_eq!(gateway["spec"]["tls"]["frontend"]["default"]["validation"]["caCertificateRefs"][0]["name"], "clients");
    assert!(gateway["spec"]["listeners"][0]["tls"].get("options").is_none());
}
