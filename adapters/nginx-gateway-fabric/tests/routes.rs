//! Policies reach whole routes: rules are spread, and what would reach another route is refused.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use serde_json::json;

fn documents(endpoints: &[&str]) -> String {
    let endpoints = endpoints.iter().fold(String::new(), |all, endpoint| all + "    - " + endpoint + "\n");
    format!(
        "apiVersion: gatewaymodules.dev/v1alpha1\nkind: DataPlane\nmetadata: {{ name: p }}\nspec:\n  gateway: {{ module: \
         nginx-gateway-fabric }}\n  visibilities: {{ external: {{ namespace: gateways }} }}\n---\napiVersion: \
         gatewaymodules.dev/v1alpha1\nkind: Component\nmetadata: {{ name: catalog, namespace: shop }}\nspec:\n  endpoints:\n{endpoints}"
    )
}

fn api(rest: &str) -> String {
    format!("{{ name: api, type: HTTP, port: 80, visibilities: [external], hostnames: [a.example.com], {rest} }}")
}

#[test]
fn a_policy_of_one_rule_targets_the_route_of_that_rule() {
    let rules = "rules: [{ name: a, matches: [{ path: { exact: /a } }], policies: { rateLimit: { requests: 5, per: 1s } } }, \
                 { name: b, matches: [{ path: { exact: /b } }] }]";
    let release = common::release(&documents(&[&api(rules)]));
    let routes = common::of_kind(&release, "HTTPRoute");
    assert_eq!(routes.len(), 2);
    let policies = common::of_kind(&release, "RateLimitPolicy");
    assert_eq!(policies.len(), 1);
    let targets = policies[0]["spec"]["targetRefs"].as_array().expect("targets");
    assert_eq!(targets.len(), 1);
    assert!(targets[0].get("sectionName").is_none());
    let target = routes.iter().find(|route| route["metadata"]["name"] == targets[0]["name"]).expect("route");
    assert_eq!(target["spec"]["rules"].as_array().map(Vec::len), Some(1));
    assert_eq!(target["spec"]["rules"][0]["matches"][0]["path"]["value"], "/a");
}

#[test]
fn a_path_that_two_routes_share_is_refused() {
    let other = "{ name: other, type: HTTP, port: 80, visibilities: [external], hostnames: [a.example.com], rules: [{ name: x, \
                 matches: [{ path: { prefix: /a }, headers: [{ name: x, value: { exact: y } }] }] }] }";
    let own = api(
        "rules: [{ name: a, matches: [{ path: { prefix: /a } }] }], policies: { rateLimit: { requests: 5, per: 1s } }",
    );
    let problems = common::problems(&documents(&[&own, other]));
    assert!(problems.iter().any(|line| line.contains("TargetConflict")), "{problems:#?}");
    let free = other.replace("prefix: /a", "prefix: /b");
    assert_eq!(common::of_kind(&common::release(&documents(&[&own, &free])), "RateLimitPolicy").len(), 1);
}

#[test]
fn the_exporter_of_a_gateway_is_one() {
    let endpoint = |name: &str, host: &str, service: &str| {
        format!(
            "{{ name: {name}, type: HTTP, port: 80, visibilities: [external], hostnames: [{host}], policies: {{ tracing: {{ service: \
             {service}, port: 4317 }} }} }}"
        )
    };
    let one = endpoint("one", "a.example.com", "collector");
    let problems = common::problems(&documents(&[&one, &endpoint("two", "b.example.com", "elsewhere")]));
    assert!(problems.iter().any(|line| line.contains("one exporter per Gateway")), "{problems:#?}");
    let untraced = "{ name: two, type: HTTP, port: 80, visibilities: [external], hostnames: [b.example.com] }";
    let release = common::release(&documents(&[&one, untraced]));
    assert_eq!(common::of_kind(&release, "ObservabilityPolicy").len(), 1);
    assert_eq!(
        common::of_kind(&release, "NginxProxy")[0]["spec"]["telemetry"],
        json!({ "exporter": { "endpoint": "collector.shop.svc:4317" } })
    );
}

#[test]
fn grpc_endpoints_get_policies_on_their_grpc_route() {
    let endpoint = "{ name: rpc, type: GRPC, port: 80, visibilities: [external], hostnames: [g.example.com], policies: { rateLimit: { \
                    requests: 5, per: 1s }, bodySizeLimit: { max: 1Mi }, basicAuth: { credentials: { name: users } } } }";
    let release = common::release(&documents(&[endpoint]));
    assert_eq!(common::of_kind(&release, "RateLimitPolicy")[0]["spec"]["targetRefs"][0]["kind"], "GRPCRoute");
    assert_eq!(common::of_kind(&release, "ClientSettingsPolicy")[0]["spec"]["targetRef"]["kind"], "GRPCRoute");
}

#[test]
fn basic_authentication_is_a_filter_of_the_rule_and_a_secret_of_the_right_type() {
    let release = common::release(&documents(&[&api("policies: { basicAuth: { credentials: { name: users } } }")]));
    let route = &common::of_kind(&release, "HTTPRoute")[0];
    let reference = &route["spec"]["rules"][0]["filters"][0]["extensionRef"];
    let filter = &common::of_kind(&release, "AuthenticationFilter")[0];
    assert_eq!((&reference["kind"], &reference["name"]), (&json!("AuthenticationFilter"), &filter["metadata"]["name"]));
    let secret = &release.derived_secrets[0];
    assert_eq!(secret.secret_type.as_deref(), Some("nginx.org/htpasswd"));
    assert_eq!(filter["spec"]["basic"]["secretRef"]["name"], secret.name.as_str());
}
