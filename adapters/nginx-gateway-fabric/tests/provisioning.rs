//! Gateways: exposure, parameters, limits, client certificates.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use gateway_modules_core::channel::Channel;
use serde_json::json;

fn documents(gateway: &str, visibilities: &str, endpoint: &str) -> String {
    format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: p }}\nspec:\n  gateway: {gateway}\n  visibilities: \
         {visibilities}\n---\napiVersion: gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: catalog, namespace: shop \
         }}\nspec:\n  endpoints:\n    - {endpoint}\n"
    )
}

const HTTP: &str = "{ name: api, type: HTTP, port: 80, visibilities: [external], hostnames: [a.example.com] }";

#[test]
fn exposure_and_parameters_stand_in_the_nginx_proxy() {
    let text = documents(
        "{ module: nginx-gateway-fabric, parameters: { replicas: 2, serviceType: NodePort, resources: { requests: { cpu: 100m } } } }",
        "{ external: { namespace: gateways, exposure: Public }, internal: { namespace: gateways, exposure: Cluster } }",
        &HTTP.replace("[external]", "[external, internal]"),
    );
    let release = common::release(&text);
    for (name, kind) in [("external", "NodePort"), ("internal", "ClusterIP")] {
        let gateways = common::of_kind(&release, "Gateway");
        let gateway = gateways
            .iter()
            .find(|gateway| gateway["metadata"]["name"].as_str().is_some_and(|own| own.contains(name)))
            .expect("gateway");
        assert_eq!(gateway["spec"]["gatewayClassName"], "nginx");
        let reference = &gateway["spec"]["infrastructure"]["parametersRef"];
        assert_eq!((&reference["group"], &reference["kind"]), (&json!("gateway.nginx.org"), &json!("NginxProxy")));
        let proxies = common::of_kind(&release, "NginxProxy");
        let proxy = proxies.iter().find(|proxy| proxy["metadata"]["name"] == reference["name"]).expect("proxy");
        assert_eq!(proxy["metadata"]["namespace"], "gateways");
        assert_eq!(
            proxy["spec"],
            json!({ "kubernetes": {
                "service": { "type": kind },
                "deployment": { "replicas": 2, "container": { "resources": { "requests": { "cpu": "100m" } } } },
            } })
        );
    }
    if let Some(schemas) = common::schemas() {
        common::assert_valid(&release, &schemas);
    }
}

#[test]
fn what_ngf_cannot_be_given_is_refused() {
    for (gateway, visibility, expected) in [
        (
            "{ module: nginx-gateway-fabric }",
            "{ listeners: [{ name: http, protocol: HTTP, port: 9113 }] }",
            "port 9113",
        ),
        (
            "{ module: nginx-gateway-fabric }",
            "{ listeners: [{ name: http, protocol: HTTP, port: 8081 }] }",
            "port 8081",
        ),
        ("{ module: nginx-gateway-fabric }", "{ addresses: [{ hostname: gw.example.com }] }", "IP addresses only"),
        ("{ module: nginx-gateway-fabric, parameters: { nonsense: 1 } }", "{}", "nonsense"),
        (
            "{ module: nginx-gateway-fabric, parameters: { serviceType: NodePort, loadBalancerClass: x } }",
            "{}",
            "no load balancer",
        ),
        (
            "{ module: nginx-gateway-fabric }",
            "{ exposure: Cluster, gatewayRef: { name: g, namespace: gateways } }",
            "existing Gateway",
        ),
    ] {
        let problems = common::problems(&documents(gateway, &format!("{{ external: {visibility} }}"), HTTP));
        assert!(problems.iter().any(|line| line.contains(expected)), "{expected}: {problems:#?}");
    }
}

#[test]
fn existing_gateways_are_not_edited_and_their_proxy_is_not_ours() {
    let existing = "{ external: { gatewayRef: { name: g, namespace: gateways } } }";
    let release = common::release(&documents("{ module: nginx-gateway-fabric }", existing, HTTP));
    assert!(common::of_kind(&release, "NginxProxy").is_empty() && common::of_kind(&release, "Gateway").is_empty());
    for policy in ["accessLog: { format: { text: {} } }", "tracing: { service: c, port: 4317 }"] {
        let endpoint = HTTP.replace(" }", &format!(", policies: {{ {policy} }} }}"));
        let problems = common::problems(&documents("{ module: nginx-gateway-fabric }", existing, &endpoint));
        assert!(
            problems.iter().any(|line| line.contains("Gateway that this plane manages")
                || line.contains("existing")
                || line.contains("exists")),
            "{problems:#?}"
        );
    }
}

#[test]
fn another_class_and_layer_4_are_options_of_the_installation() {
    let release =
        common::release(&documents("{ module: nginx-gateway-fabric, className: edge }", "{ external: {} }", HTTP));
    assert!(release.requires.iter().any(|requirement| requirement.setting == "nginxGateway.gatewayClassName"));
    let tcp = documents(
        "{ module: nginx-gateway-fabric }",
        "{ external: { listeners: [{ name: db, protocol: TCP, port: 5432 }] } }",
        "{ name: db, type: TCP, port: 5432, visibilities: [external] }",
    );
    assert!(common::compiled(&tcp).release.is_none());
    let compiled = common::compiled_for(&tcp, Channel::Experimental);
    let release = compiled.into_release().unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(common::of_kind(&release, "TCPRoute").len(), 1);
    assert!(release.requires.iter().any(|requirement| requirement.setting.contains("gwAPIExperimentalFeatures")));
}

#[test]
fn client_certificates_are_standard_since_2_6() {
    const HTTPS: &str = "{ external: { namespace: gateways, listeners: [{ name: https, protocol: HTTPS, port: 443, tls: { certificates: [{ name: c }] } }] } }";
    let endpoint = HTTP.replace(" }", ", policies: { clientCertificate: { caCertificates: [clients] } } }");
    let release = common::release(&documents("{ module: nginx-gateway-fabric }", HTTPS, &endpoint));
    let gateway = &common::of_kind(&release, "Gateway")[0];
    assert_eq!(gateway["spec"]["tls"]["frontend"]["default"]["validation"]["caCertificateRefs"][0]["name"], "clients");
    let problems = common::problems(&documents("{ module: nginx-gateway-fabric, version: '2.5' }", HTTPS, &endpoint));
    assert!(problems.iter().any(|line| line.starts_with("GWM060")), "{problems:#?}");
}
