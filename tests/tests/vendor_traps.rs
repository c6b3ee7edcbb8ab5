//! What is special about single gateways and would break an intent that another gateway takes, each a test by its name. The
//! adapters' own tests hold what needs their types.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use gateway_modules::core::{
    compile::{Compiled, Release},
    module::Verdict,
};
use serde_json::{Value, json};

mod support;
mod trap_support;

use trap_support::{compile, component, on, on_all, refused, routes};

fn endpoint(policies: Value) -> Value {
    json!([{"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "policies": policies}])
}

fn objects(release: &Release, kind: &str) -> Vec<Value> {
    let all = release.objects.iter().map(|object| object.object.to_value());
    all.filter(|object| object["kind"] == kind).collect()
}

fn differences(compiled: &Compiled) -> BTreeSet<String> {
    gateway_modules_testkit::contract::differences(compiled).into_iter().collect()
}

fn jwt() -> Value {
    json!({"issuer": "https://issuer.example.com", "audiences": ["shop"],
           "jwks": {"remote": {"url": "https://issuer.example.com/keys"}}})
}

/// The more specific of two kgateway policies replaces the `rbac` and `acl` of the other whole.
#[test]
fn kgateway_access_rules_of_two_layers_stand_in_one_policy_per_route() {
    on("kgateway", |bench| {
        let policies = json!({"jwt": jwt(), "claimsAuthorization": {"require": [{"claim": "team", "values": ["dev"]}]},
                              "ipAccess": {"allow": ["10.0.0.0/8"]}});
        let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint(policies))]);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        let with_access: Vec<Value> = objects(release, "TrafficPolicy")
            .into_iter()
            .filter(|policy| policy["spec"].get("rbac").is_some() || policy["spec"].get("acl").is_some())
            .collect();
        assert_eq!(with_access.len(), 1, "{}: {with_access:?}", bench.name());
        let spec = &with_access[0]["spec"];
        assert!(spec.get("rbac").is_some() && spec.get("acl").is_some() && spec.get("jwtAuth").is_some(), "{spec}");
        for target in spec["targetRefs"].as_array().expect("targets") {
            assert_eq!(target["kind"], "HTTPRoute", "a policy of the Gateway would be replaced by one of a route");
        }
    });
}

/// Two policies of one kind on one target conflict (kgateway: the older wins; NGF: they add up).
#[test]
fn no_two_policies_of_one_kind_have_the_same_target() {
    let policies = json!({"rateLimit": {"requests": 10, "per": "1s"}, "bodySizeLimit": {"max": "1Mi"},
                          "cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["GET"]},
                          "timeouts": {"request": "5s"}});
    let rules = json!([{"name": "a", "matches": [{"path": {"prefix": "/a"}}], "policies": {"rateLimit": {"requests": 5, "per": "1s"}}},
                       {"name": "b", "matches": [{"path": {"prefix": "/b"}}]}]);
    let mut both = endpoint(policies);
    both[0]["rules"] = rules;
    let releases = Cell::new(0);
    on_all(|bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", both.clone())]);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        releases.set(releases.get() + 1);
        let mut seen = BTreeMap::new();
        for object in release.objects.iter().map(|object| object.object.to_value()) {
            for target in object["spec"]["targetRefs"].as_array().into_iter().flatten() {
                let key = (object["kind"].to_string(), object["metadata"]["namespace"].to_string(), target.to_string());
                let name = object["metadata"]["name"].to_string();
                let other = seen.insert(key.clone(), name.clone());
                assert!(other.is_none(), "{}: {name} and {other:?} are both for {key:?}", bench.name());
            }
        }
    });
    assert!(releases.get() > 0, "no module emits it");
}

/// A local bucket of kgateway is shared by all clients; Traefik counts by source address unless told.
#[test]
fn a_limit_for_each_client_is_never_the_same_as_one_for_all() {
    let limit = |key: Option<Value>| {
        let mut limit = json!({"requests": 10, "per": "1s"});
        if let Some(key) = key {
            limit["key"] = key;
        }
        endpoint(json!({"rateLimit": limit}))
    };
    on_all(|bench| {
        let text = |endpoints| {
            let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoints)]);
            let objects =
                compiled.release.as_ref().map(|release| serde_json::to_string(&release.objects).expect("JSON"));
            assert!(objects.is_some() || refused(&compiled), "{}", bench.name());
            objects
        };
        if let (Some(all), Some(each)) = (text(limit(None)), text(limit(Some(json!({"clientIp": {}}))))) {
            assert_ne!(all, each, "{}", bench.name());
        }
    });
}

/// kgateway and Traefik read the whole body before they pass it on, which breaks streams.
#[test]
fn a_body_limit_that_buffers_does_not_go_on_streams_unsaid() {
    for kind in ["GRPC", "WebSocket"] {
        let mut endpoint = endpoint(json!({"bodySizeLimit": {"max": "1Mi"}}));
        endpoint[0]["type"] = json!(kind);
        for module in ["kgateway", "traefik"] {
            on(module, |bench| {
                let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint.clone())]);
                let said = !differences(&compiled).is_empty();
                assert!(
                    refused(&compiled) || said,
                    "{}: {kind}: the limit is emitted as if it were exact",
                    bench.name()
                );
            });
        }
    }
}

/// kgateway knows SHA-1 in htpasswd files only; what users write is bcrypt.
#[test]
fn kgateway_gets_users_by_a_secret_in_the_form_that_it_reads() {
    on("kgateway", |bench| {
        let users = endpoint(json!({"basicAuth": {"credentials": {"name": "users"}}}));
        let (_, compiled) = compile(bench, None, &[component("shop", "web", users)]);
        let release = compiled.release.expect("kgateway has basic authentication");
        let policies = objects(&release, "TrafficPolicy");
        let reference = policies[0]["spec"]["basicAuth"]["secretRef"]["name"].as_str().expect("a reference").to_owned();
        assert_ne!(reference, "users", "{}: the Secret of the intent is not in a form that it reads", bench.name());
        let text = serde_json::to_string(&release.contributions).expect("JSON")
            + &serde_json::to_string(&release.objects).expect("JSON");
        assert!(!text.contains("htpasswd:"), "no content of a Secret stands in a release");
    });
}

/// NGF ignores `timeouts` and `retry` of a route, and says so only by a reason of a condition that is True.
#[test]
fn nginx_gets_no_route_field_that_it_ignores() {
    let releases = Cell::new(0);
    for policies in [
        json!({"timeouts": {"request": "5s"}}),
        json!({"timeouts": {"backendRequest": "5s"}}),
        json!({"retry": {"attempts": 2, "codes": [503]}}),
    ] {
        on("nginx-gateway-fabric", |bench| {
            let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint(policies.clone()))]);
            let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
            releases.set(releases.get() + 1);
            for route in routes(release) {
                for rule in route["spec"]["rules"].as_array().expect("rules") {
                    assert!(rule.get("timeouts").is_none() && rule.get("retry").is_none(), "{}: {rule}", bench.name());
                }
            }
        });
    }
    assert!(releases.get() > 0, "nothing was emitted, so this shows nothing");
}

/// NGF ignores names of rules, so that a `sectionName` would select nothing.
#[test]
fn nginx_policies_name_whole_routes() {
    let mut rules = endpoint(json!({}));
    rules[0]["rules"] = json!([
        {"name": "a", "matches": [{"path": {"prefix": "/a"}}], "policies": {"rateLimit": {"requests": 5, "per": "1s"}}},
        {"name": "b", "matches": [{"path": {"prefix": "/b"}}]}]);
    on("nginx-gateway-fabric", |bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", rules.clone())]);
        let release = compiled.release.expect("NGF has rate limits");
        let limits = objects(&release, "RateLimitPolicy");
        assert_eq!(limits.len(), 1);
        let targets = limits[0]["spec"]["targetRefs"].as_array().expect("targets");
        for target in targets {
            assert!(target.get("sectionName").is_none(), "{target}");
            let route = routes(&release).into_iter().find(|route| route["metadata"]["name"] == target["name"]);
            let route = route.expect("the route is in the release");
            let paths = route["spec"]["rules"].to_string();
            assert!(
                paths.contains("\"/a\"") && !paths.contains("\"/b\""),
                "{}: it limits more than asked: {paths}",
                bench.name()
            );
        }
    });
}

/// nginx counts by second and by minute only.
#[test]
fn nginx_rates_are_whole_numbers_by_second_or_minute() {
    for (requests, per, fits) in
        [(10, "1s", true), (60, "1h", true), (90, "1h", false), (1, "1h", false), (100, "7s", false)]
    {
        let limit = endpoint(json!({"rateLimit": {"requests": requests, "per": per}}));
        on("nginx-gateway-fabric", |bench| {
            let (_, compiled) = compile(bench, None, &[component("shop", "web", limit.clone())]);
            if let Some(release) = &compiled.release {
                let rate =
                    objects(release, "RateLimitPolicy")[0]["spec"]["rateLimit"]["local"]["rules"][0]["rate"].clone();
                let rate = rate.as_str().expect("a rate").to_owned();
                assert!(rate.ends_with("r/s") || rate.ends_with("r/m"), "{rate}");
                assert!(
                    fits || !differences(&compiled).is_empty(),
                    "{requests} per {per} is {rate} and nothing is said"
                );
            } else {
                assert!(!fits && refused(&compiled), "{}: {requests} per {per}", bench.name());
            }
        });
    }
}

/// A RequestAuthentication of Istio lets requests without a token pass.
#[test]
fn istio_requires_a_token_and_does_not_only_verify_one() {
    on("istio", |bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint(json!({"jwt": jwt()})))]);
        let release = compiled.release.expect("Istio has JWT");
        assert_eq!(objects(&release, "RequestAuthentication").len(), 1);
        let policies = objects(&release, "AuthorizationPolicy");
        let text = serde_json::to_string(&policies).expect("JSON");
        assert!(text.contains("request.auth.claims[iss]"), "{}: {text}", bench.name());
        assert!(policies.iter().any(|policy| policy["spec"]["action"] == "ALLOW"), "what no rule allows is refused");
    });
}

/// Istio's DestinationRule wins over a BackendTLSPolicy where both speak of TLS.
#[test]
fn istio_destination_rules_say_nothing_of_tls() {
    on("istio", |bench| {
        let policies = json!({"circuitBreaking": {"maxConnections": 100},
            "backendTls": {"hostname": "web.shop.svc", "trust": {"configMaps": ["ca"]}}});
        let mut documents = endpoint(json!({}));
        documents[0]["policies"] = policies;
        let (_, compiled) = compile(bench, None, &[component("shop", "web", documents)]);
        let Some(release) = &compiled.release else { return assert!(refused(&compiled), "{}", bench.name()) };
        assert_eq!(objects(release, "BackendTLSPolicy").len(), 1);
        let rules = objects(release, "DestinationRule");
        assert_eq!(rules.len(), 1);
        assert!(!rules[0].to_string().contains("\"tls\""), "{}", rules[0]);
    });
}

/// A refusal names what is refused, in each of the places where the intent asks for it.
#[test]
fn what_a_gateway_lacks_is_refused_leaf_by_leaf() {
    on("nginx-gateway-fabric", |bench| {
        let (_, compiled) = compile(bench, None, &[component("shop", "web", endpoint(json!({"jwt": jwt()})))]);
        assert!(refused(&compiled) && compiled.release.is_none());
        let leaves = compiled.report.entries.iter().filter(|entry| entry.field.pointer.contains("/policies/jwt"));
        let mut count = 0;
        for entry in leaves {
            count += 1;
            let is_refused = entry.outcomes.iter().all(|one| matches!(one.verdict, Verdict::Unsupported { .. }));
            assert!(is_refused, "{}", entry.field);
        }
        assert_eq!(count, 3, "issuer, audience, address of the keys");
    });
}
