//! Traps that platforms fell into (`A1` to `C4` of the survey of the nearest platform): the same intent here gives routes
//! that are protected and distinct, or a refusal, on every module, version and channel.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::collections::{BTreeMap, BTreeSet};

use gateway_modules::core::{intent::policies::PolicyKind, module::Verdict};
use serde_json::{Value, json};

mod support;
mod trap_support;

use trap_support::{compile, component, on_all, refused, routes, topology};

/// Protections that an endpoint asks for, each as written in an intent.
fn protections() -> Vec<(PolicyKind, Value)> {
    vec![
        (PolicyKind::BasicAuth, json!({"basicAuth": {"credentials": {"name": "users"}}})),
        (
            PolicyKind::ApiKey,
            json!({"apiKey": {"location": {"header": "X-Api-Key"}, "credentials": {"name": "clients"}}}),
        ),
        (
            PolicyKind::Jwt,
            json!({"jwt": {"issuer": "https://issuer.example.com", "audiences": ["shop"],
                           "jwks": {"remote": {"url": "https://issuer.example.com/keys"}}}}),
        ),
        (PolicyKind::IpAccess, json!({"ipAccess": {"allow": ["10.0.0.0/8"]}})),
    ]
}

#[test]
fn a1_a2_a3_cors_on_a_gateway_without_cors_is_a_refusal_before_anything_is_rendered() {
    let endpoint = json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
        "policies": {"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["GET"]}}}]);
    on_all(|bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
        let name = bench.name();
        let Some(release) = &compiled.release else {
            return assert!(refused(&compiled), "{name}: no release, and no reason");
        };
        let text = serde_json::to_string(&release.objects).expect("JSON");
        assert!(text.contains("https://www.example.com"), "{name}: the origin is nowhere");
        let by_filter = routes(release).iter().any(|route| route.to_string().contains(r#""type":"CORS""#));
        let has = bench.capabilities().names().iter().any(|name| name.as_str() == "HTTPRouteCORS");
        assert!(has || !by_filter, "{name}: a CORS filter on a gateway that has none");
    });
}

#[test]
fn b2_nothing_of_another_vendor_is_left_when_the_module_changes() {
    const VENDORS: &[(&str, &[&str])] = &[
        ("kgateway", &["kgateway.dev"]),
        ("istio", &["istio.io"]),
        ("nginx-gateway-fabric", &["nginx.org"]),
        ("kong", &["konghq.com", "konghq.org"]),
        ("traefik", &["traefik.io", "traefik.containo.us"]),
        ("cilium", &["cilium.io"]),
    ];
    let endpoint = json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external", "internal"],
        "policies": {"headerModification": {"request": {"set": [{"name": "x-team", "value": "shop"}]}},
                     "timeouts": {"request": "5s"}}}]);
    on_all(|bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        let text = serde_json::to_string(&(&release.objects, &release.contributions)).expect("JSON");
        for (vendor, groups) in VENDORS.iter().filter(|(vendor, _)| *vendor != bench.module.metadata().name) {
            let found = groups.iter().find(|group| text.contains(*group));
            assert!(found.is_none(), "{}: {found:?} is of {vendor}", bench.name());
        }
    });
}

#[test]
fn b3_b4_every_rule_of_every_visibility_is_protected() {
    for (kind, policies) in protections() {
        let endpoint = json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external", "internal"],
            "policies": policies,
            "rules": [{"name": "first", "matches": [{"path": {"prefix": "/first"}}]},
                      {"name": "second", "matches": [{"path": {"prefix": "/second"}}]},
                      {"name": "third", "matches": [{"path": {"exact": "/third"}}]}]}]);
        let releases = std::cell::Cell::new(0);
        on_all(|bench| {
            let (intent, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
            let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
            releases.set(releases.get() + 1);
            let asked: BTreeSet<(String, String)> = topology(&intent)
                .routes
                .iter()
                .flat_map(|route| route.rules.iter().map(|rule| (route.binding.to_string(), rule.name.clone())))
                .collect();
            assert_eq!(asked.len(), 6, "three rules, two visibilities");
            let enforced: BTreeSet<(String, String)> = release
                .policies
                .iter()
                .filter(|statement| statement.kind == kind)
                .flat_map(|one| one.rules.iter().map(|rule| (one.binding.to_string(), rule.clone())))
                .collect();
            assert_eq!(enforced, asked, "{}: {kind}", bench.name());
        });
        assert!(releases.get() > 0, "{kind}: no module emits it, so this shows nothing");
    }
}

#[test]
fn b5_two_policies_of_one_endpoint_are_both_in_force() {
    let pairs = [("basicAuth", "ipAccess"), ("apiKey", "ipAccess"), ("jwt", "ipAccess")];
    let all: BTreeMap<String, (PolicyKind, Value)> = protections()
        .into_iter()
        .map(|(kind, value)| (kind.field().to_owned(), (kind, value[kind.field()].clone())))
        .collect();
    let releases = std::cell::Cell::new(0);
    for (first, second) in pairs {
        let policies = json!({first: all[first].1, second: all[second].1,
            "rateLimit": {"requests": 10, "per": "1s", "key": {"clientIp": {}}}});
        for policies in [policies.clone(), json!({first: policies[first], second: policies[second]})] {
            let endpoint = json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "policies": policies}]);
            on_all(|bench| {
                let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
                let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
                releases.set(releases.get() + 1);
                for kind in [all[first].0, all[second].0] {
                    let found = release.policies.iter().any(|statement| statement.kind == kind);
                    assert!(found, "{}: {kind} is lost beside the other", bench.name());
                }
            });
        }
    }
    assert!(releases.get() > 0, "no module emits two at once, so this shows nothing");
}

#[test]
fn b6_header_values_keep_every_byte() {
    for value in ["https://www.example.com/a:b", "a: b; c=\"d\"", "max-age=1, s=%7B", "50%", "it's", "back\\slash"] {
        let endpoint = json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
            "policies": {"headerModification": {"request": {"set": [{"name": "x-value", "value": value}]}}}}]);
        let releases = std::cell::Cell::new(0);
        on_all(|bench| {
            let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
            let Some(release) = &compiled.release else {
                let reasons = compiled.report.entries.iter().flat_map(|entry| &entry.outcomes);
                let refused = reasons.filter(|one| matches!(one.verdict, Verdict::Unsupported { .. })).count();
                return assert!(refused > 0, "{}: {value:?} is refused without a verdict", bench.name());
            };
            releases.set(releases.get() + 1);
            let written: Vec<String> =
                release.objects.iter().flat_map(|object| strings(&object.object.to_value())).collect();
            // Envoy substitutes `%`, so a gateway that hands the value on as it is must double it.
            let forms = [value.to_owned(), value.replace('%', "%%")];
            assert!(written.iter().any(|text| forms.contains(text)), "{}: {value:?} is cut or changed", bench.name());
        });
        assert!(releases.get() > 0, "{value:?}: no module emits it");
    }
}

/// All strings in a value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn b9_an_endpoint_of_any_protocol_has_a_route_or_a_refusal() {
    let listeners = json!([{"name": "http", "protocol": "HTTP", "port": 80},
                           {"name": "sql", "protocol": "TCP", "port": 5432}, {"name": "dns", "protocol": "UDP", "port": 53},
                           {"name": "pass", "protocol": "TLS", "port": 8443, "tls": {"mode": "Passthrough"}}]);
    for (kind, port, route, listener) in [
        ("HTTP", 8080, "HTTPRoute", 0),
        ("GRPC", 9090, "GRPCRoute", 0),
        ("TCP", 5432, "TCPRoute", 1),
        ("UDP", 53, "UDPRoute", 2),
        ("TLS", 8443, "TLSRoute", 3),
    ] {
        let mut endpoint = json!({"name": "api", "type": kind, "port": port, "visibilities": ["external"]});
        if kind == "TLS" {
            endpoint["hostnames"] = json!(["pass.example.com"]);
        }
        let releases = std::cell::Cell::new(0);
        on_all(|bench| {
            let one = json!([listeners[listener]]);
            let (_, compiled) = compile(bench, Some(one), &[component("shop", "any", json!([endpoint]))]);
            let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
            releases.set(releases.get() + 1);
            let kinds: Vec<String> =
                routes(release).iter().map(|route| route["kind"].as_str().unwrap_or_default().to_owned()).collect();
            assert!(kinds.iter().any(|found| found == route), "{}: {kind}: {kinds:?}", bench.name());
        });
        assert!(releases.get() > 0, "{kind}: no module routes it");
    }
}

#[test]
fn b10_a_rate_limit_of_another_period_is_another_limit_or_a_refusal() {
    let endpoint = |per: &str| {
        json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
                "policies": {"rateLimit": {"requests": 60, "per": per}}}])
    };
    let releases = std::cell::Cell::new(0);
    on_all(|bench| {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for per in ["1s", "1m", "1h", "24h"] {
            let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint(per))]);
            let Some(release) = &compiled.release else {
                assert!(refused(&compiled), "{}", bench.name());
                continue;
            };
            releases.set(releases.get() + 1);
            let objects: Vec<Value> = release.objects.iter().map(|object| object.object.to_value()).collect();
            let text = serde_json::to_string(&objects).expect("JSON");
            if let Some(other) = seen.insert(text, per) {
                panic!("{}: 60 per {per} is the same as 60 per {other}", bench.name());
            }
        }
    });
    assert!(releases.get() > 0);
}

#[test]
fn c1_c2_c3_names_and_hosts_of_different_endpoints_are_never_the_same() {
    let endpoint = |name: &str, visibilities: Value| json!([{"name": name, "type": "HTTP", "port": 8080, "visibilities": visibilities}]);
    let external = || json!(["external"]);
    let components = [
        component("shop", "a-b", endpoint("c", external())),
        component("shop", "a", endpoint("b-c", external())),
        component("dev-a", "b", endpoint("c", external())),
        component("dev", "a-b", endpoint("c", external())),
        component(
            "shop",
            "svc",
            json!([
                {"name": "http-internal", "type": "HTTP", "port": 8080, "visibilities": ["external"]},
                {"name": "http", "type": "HTTP", "port": 8081, "visibilities": ["external", "internal"]},
            ]),
        ),
    ];
    on_all(|bench| {
        let (intent, compiled) = compile(bench, None, &components);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        let bindings = topology(&intent).routes.len();
        let routes = routes(release);
        let key = |route: &Value| (route["metadata"]["namespace"].to_string(), route["metadata"]["name"].to_string());
        let names: BTreeSet<_> = routes.iter().map(key).collect();
        assert_eq!((names.len(), bindings), (routes.len(), 7), "{}: {names:?}", bench.name());
        let hosts: Vec<String> = routes.iter().flat_map(|route| strings(&route["spec"]["hostnames"])).collect();
        let distinct: BTreeSet<_> = hosts.iter().collect();
        assert_eq!(distinct.len(), hosts.len(), "{}: {hosts:?}", bench.name());
    });
}

#[test]
fn c4_no_label_of_a_host_is_longer_than_dns_allows() {
    let long = "a".repeat(63);
    let components = [component(
        &long,
        &long,
        json!([{"name": long, "type": "HTTP", "port": 8080, "visibilities": ["external", "internal"]}]),
    )];
    on_all(|bench| {
        let (_, compiled) = compile(bench, None, &components);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        for host in routes(release).iter().flat_map(|route| strings(&route["spec"]["hostnames"])) {
            assert!(host.len() <= 253 && host.split('.').all(|label| label.len() <= 63), "{}: {host}", bench.name());
        }
        for object in &release.objects {
            let name = object.key().name.clone();
            assert!(name.len() <= 63, "{}: {name}", bench.name());
        }
    });
}
