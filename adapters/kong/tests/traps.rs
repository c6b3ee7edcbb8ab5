//! What is special about Kong and would leave a route open or a Gateway dead, each a test by its name.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use gateway_module_kong::Kong;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, Role, compile},
    intent::{load::load_str, policies::PolicyKind},
    module::{Acknowledgement, Enforcement},
    resolve::resolve,
};
use serde_json::{Value, json};

/// An endpoint on Kong 2.3.
#[derive(Default)]
struct Trap {
    parameters: Value,
    listeners: Option<Value>,
    rules: Value,
    policies: Value,
    accept: &'static [&'static str],
}

impl Trap {
    fn policies(policies: Value) -> Self {
        Self { policies, ..Self::default() }
    }

    fn compiled(&self) -> Compiled {
        let or_empty = |value: &Value, empty: Value| if value.is_null() { empty } else { value.clone() };
        let mut visibility = json!({ "domain": "example.com" });
        if let Some(listeners) = &self.listeners {
            visibility["listeners"] = listeners.clone();
        }
        let parameters = or_empty(&self.parameters, json!({}));
        let plane = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": { "name": "default" },
            "spec": { "gateway": { "module": "kong", "version": "2.3", "parameters": parameters },
                      "visibilities": { "external": visibility }, "accept": self.accept },
        });
        let (rules, policies) = (or_empty(&self.rules, json!([])), or_empty(&self.policies, json!({})));
        let component = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
            "metadata": { "name": "catalog", "namespace": "shop" },
            "spec": { "endpoints": [{ "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"],
                                      "rules": rules, "policies": policies }] },
        });
        let text = format!("{plane}\n---\n{component}\n");
        let loaded = load_str("trap.yaml", &text).unwrap_or_else(|error| panic!("{error:?}"));
        let planes = resolve(&loaded.intent).unwrap_or_else(|error| panic!("{error:?}"));
        let module = Kong::new();
        compile(&CompileInput::offline(&loaded.intent, &planes[0], &module, Channel::Standard).expect("input"))
    }

    /// Asserts that there is no release, and that the reason says this.
    fn is_refused(&self, reason: &str) {
        let compiled = self.compiled();
        assert!(compiled.release.is_none() && compiled.diagnostics.has_errors());
        assert!(compiled.diagnostics.to_string().contains(reason), "{}", compiled.diagnostics);
    }

    fn objects(&self, kind: &str) -> Vec<Value> {
        let compiled = self.compiled();
        let release = compiled.release.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
        let all = release.objects.iter().map(|object| object.object.to_value());
        all.filter(|object| object["kind"] == kind).collect()
    }
}

/// `kongstate.go`, buildPlugins: the failure is reported and the route is served without the plugin (docs/decisions/0024).
#[test]
fn a_filter_that_names_a_missing_plugin_leaves_the_route_open_so_it_stays_closed_until_the_plugin_is_programmed() {
    let trap = Trap {
        accept: &["rate-limit-local/fixed-window"],
        ..Trap::policies(
            json!({ "ipAccess": { "allow": ["10.0.0.0/8"] }, "rateLimit": { "requests": 5, "per": "1s" } }),
        )
    };
    let compiled = trap.compiled();
    let release = compiled.release.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
    let statement = release.policies.iter().find(|policy| policy.kind == PolicyKind::IpAccess).expect("a statement");
    let programmed = Some(Acknowledgement::Condition("Programmed".to_owned()));
    assert_eq!(statement.enforcement, Enforcement::Attached { acknowledgement: programmed });
    let security = release
        .objects
        .iter()
        .find(|object| matches!(&object.role, Role::Policy { kinds } if kinds.contains(&PolicyKind::IpAccess)));
    let route = release.objects.iter().find(|object| matches!(object.role, Role::Route { .. })).expect("a route");
    let gate = route.gate.as_ref().expect("a gate");
    let (open, closed) = (route.object.to_value(), gate.closed.0.to_value());
    // Kong programs a plugin only while a route names it; the other plugin is not worth a filter in a closed route.
    let filters = closed["spec"]["rules"][0]["filters"].as_array().expect("filters").clone();
    assert_eq!(filters.len(), 1, "{filters:?}");
    assert_eq!(filters[0]["extensionRef"]["name"], security.expect("a plugin").object.name());
    assert_ne!(closed["spec"]["rules"][0]["backendRefs"], open["spec"]["rules"][0]["backendRefs"]);
}

/// `kong/plugins/rate-limiting`: a count for each second, minute, hour or day, without a burst.
#[test]
fn fixed_windows_are_said_and_other_periods_and_bursts_are_refused() {
    let limit = |limit: Value| Trap::policies(json!({ "rateLimit": limit }));
    limit(json!({ "requests": 5, "per": "1s" })).is_refused("rate-limit-local/fixed-window");
    let accepting = |value: Value| Trap { accept: &["rate-limit-local/fixed-window"], ..limit(value) };
    accepting(json!({ "requests": 5, "per": "10s" })).is_refused("windows of a second");
    accepting(json!({ "requests": 5, "per": "1s", "burst": 9 })).is_refused("no burst of another size");
    assert_eq!(accepting(json!({ "requests": 5, "per": "1m" })).objects("KongPlugin")[0]["config"]["minute"], 5);
}

/// The default `limit_by: consumer` falls back to the client's address, which nobody asked for.
#[test]
fn a_rate_limit_always_says_by_what_it_counts() {
    for (key, by) in [(None, "service"), (Some(json!({ "clientIp": {} })), "ip")] {
        let mut limit = json!({ "requests": 5, "per": "1s" });
        if let Some(key) = key {
            limit["key"] = key;
        }
        let trap = Trap { accept: &["rate-limit-local/fixed-window"], ..Trap::policies(json!({ "rateLimit": limit })) };
        assert_eq!(trap.objects("KongPlugin")[0]["config"]["limit_by"], by);
    }
}

/// One instance of a plugin type in a scope: the most specific wins whole.
#[test]
fn two_limits_that_would_be_one_plugin_are_refused() {
    let redis = json!({ "redis": { "service": "redis", "port": 6379 } });
    let global = json!({ "requests": 5, "per": "1s", "service": redis, "failOpen": false });
    Trap::policies(json!({ "rateLimit": { "requests": 5, "per": "1s" }, "rateLimitGlobal": global }))
        .is_refused("one plugin rate-limiting");
}

/// Kong/kong-operator issue 3511.
#[test]
fn tls_on_a_shared_port_is_refused() {
    let listeners = json!([
        { "name": "http", "protocol": "HTTP", "port": 80 },
        { "name": "https", "protocol": "HTTPS", "port": 443, "hostname": "a.example.com",
          "tls": { "certificates": [{ "name": "a" }] } },
        { "name": "tls", "protocol": "TLS", "port": 443, "hostname": "b.example.com", "tls": { "mode": "Passthrough" } },
    ]);
    Trap { listeners: Some(listeners), ..Trap::default() }.is_refused("cannot share the port");
}

/// `setConflicted` compares host names without ports, and both listeners are conflicted.
#[test]
fn one_host_on_http_and_https_listeners_is_refused() {
    let listeners = json!([
        { "name": "http", "protocol": "HTTP", "port": 80, "hostname": "*.example.com" },
        { "name": "https", "protocol": "HTTPS", "port": 443, "hostname": "*.example.com",
          "tls": { "certificates": [{ "name": "a" }] } },
    ]);
    Trap { listeners: Some(listeners), ..Trap::default() }.is_refused("for a conflict");
}

/// Reason `TooManyTLSSecrets`.
#[test]
fn a_listener_with_two_certificates_is_refused() {
    let listeners = json!([{ "name": "https", "protocol": "HTTPS", "port": 443,
                             "tls": { "certificates": [{ "name": "a" }, { "name": "b" }] } }]);
    Trap { listeners: Some(listeners), ..Trap::default() }.is_refused("one certificate");
}

/// The default router `traditional_compatible` does not claim it.
#[test]
fn methods_need_the_router_of_expressions() {
    let rules = json!([{ "name": "read", "matches": [{ "method": "GET" }] }]);
    Trap { rules: rules.clone(), ..Trap::default() }.is_refused("HTTPRouteMethodMatching");
    let with_router = Trap { rules, parameters: json!({ "router": "expressions" }), ..Trap::default() };
    let proxy = &with_router.objects("GatewayConfiguration")[0]["spec"]["dataPlaneOptions"]["deployment"]["podTemplateSpec"]
        ["spec"]["containers"][0];
    assert_eq!(proxy["name"], "proxy");
    assert_eq!(proxy["env"], json!([{ "name": "KONG_ROUTER_FLAVOR", "value": "expressions" }]));
}

/// Both reports say no to `HTTPRouteRequestTimeout`, and the field is ignored.
#[test]
fn a_request_timeout_that_kong_ignores_is_refused() {
    Trap::policies(json!({ "timeouts": { "request": "2s" } })).is_refused("no limit for the whole of a request");
}

/// An exact path reaches the router as a pattern, unescaped.
#[test]
fn an_exact_path_that_would_be_another_pattern_is_refused() {
    let rules = json!([{ "name": "all", "matches": [{ "path": { "exact": "/a(b)+" } }] }]);
    Trap { rules, ..Trap::default() }.is_refused("for a regular expression");
}
