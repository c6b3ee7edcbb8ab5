//! Entry points: ports, exposure, collisions.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{documents, endpoint, of_kind, problems, release};
use serde_json::{Value, json};

fn with(gateway: &Value, visibilities: &Value) -> String {
    let plane = json!({ "gateway": gateway, "visibilities": visibilities });
    documents(
        &plane,
        &json!([endpoint(
            &json!({ "visibilities": visibilities.as_object().expect("mapping").keys().collect::<Vec<_>>() })
        )]),
    )
}

fn internal_entry_point() -> Value {
    json!({ "module": "traefik", "parameters": { "entryPoints": {
        "web": { "port": 8000, "exposedPort": 80 },
        "inside": { "port": 9000, "exposedPort": 80, "exposure": "Cluster" },
    } } })
}

#[test]
fn listeners_get_the_port_of_their_entry_point() {
    let listeners = json!({ "external": { "listeners": [
        { "name": "http", "protocol": "HTTP", "port": 80, "redirectTo": "https" },
        { "name": "https", "protocol": "HTTPS", "port": 443, "tls": { "certificates": [{ "name": "cert" }] } },
    ] } });
    let release = release(&with(&json!({ "module": "traefik" }), &listeners));
    let gateway = &of_kind(&release, "Gateway")[0];
    assert_eq!(gateway["metadata"]["namespace"], "traefik");
    assert_eq!(gateway["spec"]["gatewayClassName"], "traefik");
    assert_eq!(gateway["spec"]["listeners"][0]["port"], 8000);
    assert_eq!(gateway["spec"]["listeners"][1]["port"], 8443);
    // Clients are sent to the port that they use.
    let redirects: Vec<Value> = of_kind(&release, "HTTPRoute")
        .iter()
        .filter_map(|route| route.pointer("/spec/rules/0/filters/0/requestRedirect/port").cloned())
        .collect();
    assert_eq!(redirects, [json!(443)]);
    assert!(release.requires.iter().any(|one| one.setting == "providers.kubernetesGateway.enabled"));
}

#[test]
fn the_entry_point_may_be_named_by_its_own_port() {
    let listeners = json!({ "external": { "listeners": [{ "name": "http", "protocol": "HTTP", "port": 8000 }] } });
    let release = release(&with(&json!({ "module": "traefik" }), &listeners));
    assert_eq!(of_kind(&release, "Gateway")[0]["spec"]["listeners"][0]["port"], 8000);
}

#[test]
fn what_is_internal_has_an_entry_point_that_only_a_cluster_ip_leads_to() {
    let release = release(&with(&internal_entry_point(), &json!({ "external": {}, "internal": {} })));
    let ports: Vec<Value> =
        of_kind(&release, "Gateway").iter().map(|gateway| gateway["spec"]["listeners"][0]["port"].clone()).collect();
    assert!(ports.contains(&json!(8000)) && ports.contains(&json!(9000)), "{ports:?}");
    for (setting, value) in [
        ("ports.inside.expose.default", "false"),
        ("ports.inside.expose.internal", "true"),
        ("service.additionalServices.internal.type", "ClusterIP"),
        ("ports.web.expose.default", "true"),
    ] {
        assert!(release.requires.iter().any(|one| one.setting == setting && one.value == value), "{setting}");
    }
}

#[test]
fn what_traefik_cannot_be_given_is_refused() {
    let plain = json!({ "module": "traefik" });
    let listener = |protocol: &str, port: u16| json!([{ "name": "x", "protocol": protocol, "port": port }]);
    for (gateway, visibilities, expected) in [
        (&plain, json!({ "external": { "listeners": listener("HTTP", 9999) } }), "web (80), websecure (443)"),
        (&plain, json!({ "external": {}, "internal": {} }), "only a Service of type ClusterIP"),
        (&plain, json!({ "external": { "listeners": listener("HTTP", 443) } }), "TLS of its own"),
        (&plain, json!({ "external": {}, "partner": {} }), "share entry point web"),
        (&plain, json!({ "external": { "addresses": [{ "ip": "192.0.2.1" }] } }), "static addresses"),
        (&plain, json!({ "external": { "labels": { "a": "b" } } }), "labels and annotations"),
        (
            &plain,
            json!({ "external": { "exposure": "Cluster", "gatewayRef": { "name": "g", "namespace": "n" } } }),
            "nothing proves",
        ),
        (&json!({ "module": "traefik", "parameters": { "nonsense": 1 } }), json!({ "external": {} }), "nonsense"),
        (
            &json!({ "module": "traefik", "parameters": { "entryPoints": {
                "a": { "port": 8000 }, "b": { "port": 8000, "exposedPort": 80 },
            } } }),
            json!({ "external": {} }),
            "has port 8000 already",
        ),
    ] {
        let lines = problems(&with(gateway, &visibilities));
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}: {lines:#?}");
    }
}

#[test]
fn an_undeclared_plane_compiles_with_the_chart_as_it_is() {
    let text = documents(&json!({}), &json!([endpoint(&json!({}))]));
    let component = text.split("---").nth(1).expect("component");
    let release = release(component);
    assert_eq!(of_kind(&release, "Gateway")[0]["spec"]["listeners"][0]["port"], 8000);
}

#[test]
fn standard_fields_that_grpc_routes_do_not_get_are_refused() {
    for (policies, expected) in [
        (json!({ "backendTls": { "hostname": "b.example", "trust": { "system": {} } } }), "would not be verified"),
        (json!({ "headerModification": { "response": { "remove": ["x-a"] } } }), "every call fail"),
    ] {
        let endpoint = endpoint(&json!({ "type": "GRPC", "policies": policies }));
        let lines = problems(&documents(&json!({}), &json!([endpoint])));
        assert!(lines.iter().any(|line| line.contains(expected)), "{lines:#?}");
    }
}

#[test]
fn the_installation_has_what_the_operator_says() {
    let gateway = json!({ "module": "traefik", "parameters": { "accessLog": true, "tracing": true } });
    let policies = json!({
        "accessLog": { "format": { "json": {} } },
        "tracing": { "service": "collector", "namespace": "observability", "port": 4317, "sampling": 10 },
    });
    let one = endpoint(&json!({ "policies": policies }));
    let release = release(&documents(&json!({ "gateway": gateway.clone() }), &json!([one.clone()])));
    for (setting, value) in [
        ("logs.access.format", "json"),
        ("tracing.otlp.grpc.endpoint", "collector.observability.svc:4317"),
        ("tracing.sampleRate", "0.1"),
    ] {
        assert!(release.requires.iter().any(|one| one.setting == setting && one.value == value), "{setting}");
    }
    // What one endpoint asks for would hold for the other too.
    let other = endpoint(&json!({ "name": "other", "hostnames": ["other.example.com"] }));
    let lines = problems(&documents(&json!({ "gateway": gateway }), &json!([one, other])));
    assert!(lines.iter().any(|line| line.starts_with("GWM0601")), "{lines:#?}");
}
