//! What is special about Cilium and would leave a route open or a Gateway dead, each a test by its name.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use gateway_module_cilium::Cilium;
use gateway_modules_core::{
    channel::Channel,
    compile::{CompileInput, Compiled, LiveGateway, compile},
    intent::{load::load_str, policies::PolicyKind},
    module::ModuleVersion,
    resolve::resolve,
};
use serde_json::{Value, json};

/// A plane with one endpoint; `gateway` and `visibility` are added to what it needs.
fn compiled(channel: Channel, gateway: &Value, visibility: &Value, policies: &Value) -> Compiled {
    compiled_on(LiveGateway::default(), channel, gateway, visibility, policies)
}

/// The same, with what was read of the gateway in the cluster.
fn compiled_on(live: LiveGateway, channel: Channel, gateway: &Value, visibility: &Value, policies: &Value) -> Compiled {
    let with = |mut base: Value, more: &Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            base[key] = value.clone();
        }
        base
    };
    let plane = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": { "name": "default" },
        "spec": {
            "gateway": with(json!({ "module": "cilium" }), gateway),
            "visibilities": { "external": with(json!({ "domain": "example.com" }), visibility) },
        },
    });
    let component = json!({
        "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
        "metadata": { "name": "catalog", "namespace": "shop" },
        "spec": { "endpoints": [
            { "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "policies": policies },
        ] },
    });
    let loaded =
        load_str("trap.yaml", &format!("{plane}\n---\n{component}\n")).unwrap_or_else(|error| panic!("{error:?}"));
    let planes = resolve(&loaded.intent).unwrap_or_else(|error| panic!("{error:?}"));
    let module = Cilium::new();
    compile(&CompileInput::live(&loaded.intent, &planes[0], &module, channel, live).expect("input"))
}

fn refused(compiled: &Compiled) -> bool {
    compiled.release.is_none() && compiled.diagnostics.has_errors()
}

fn objects(compiled: &Compiled) -> Vec<Value> {
    let release = compiled.release.as_ref().unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
    release.objects.iter().map(|object| object.object.to_value()).collect()
}

/// Policies of every security kind that a route could carry by a filter of the vendor's.
fn security() -> Vec<(PolicyKind, Value)> {
    vec![
        (
            PolicyKind::Jwt,
            json!({ "issuer": "https://issuer.example.com", "audiences": ["shop"],
                    "jwks": { "remote": { "url": "https://issuer.example.com/keys" } } }),
        ),
        (PolicyKind::BasicAuth, json!({ "credentials": { "name": "users" } })),
        (PolicyKind::IpAccess, json!({ "allow": ["10.0.0.0/8"] })),
    ]
}

/// `operator/pkg/model/ingestion/gateway.go` has no default branch for filters: the route is Accepted and open.
#[test]
fn a_filter_that_cilium_ignores_is_never_what_protects_a_route() {
    for (kind, policy) in security() {
        for channel in [Channel::Standard, Channel::Experimental] {
            let name = kind.field();
            let compiled = compiled(channel, &json!({}), &json!({}), &json!({ name: policy }));
            assert!(refused(&compiled), "{kind}");
            let text = compiled.diagnostics.to_string();
            assert!(text.contains(&format!("no policy {kind}")), "{text}");
        }
    }
}

/// The filter is left out when its Service is missing or not granted, until 1.20.2 (docs/decisions/0161).
#[test]
fn external_authorization_that_fails_open_is_refused() {
    let policy = json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "port": 9000 } });
    let of = |channel, version: &str| compiled(channel, &json!({ "version": version }), &json!({}), &policy);
    for version in ["1.19", "1.20", "1.20.0", "1.20.1"] {
        assert!(refused(&of(Channel::Experimental, version)), "{version}");
    }
    assert!(refused(&of(Channel::Standard, "1.20.2")));
    let open = of(Channel::Experimental, "1.20.2");
    let route = objects(&open).into_iter().find(|object| object["kind"] == "HTTPRoute").expect("a route");
    assert_eq!(route["spec"]["rules"][0]["filters"][0]["type"], "ExternalAuth");
}

/// What a plane says of its version opens no route that the running version leaves without its policy.
#[test]
fn a_version_that_is_only_named_protects_nothing() {
    let policy = json!({ "externalAuthorization": { "protocol": "HTTP", "service": "authz", "port": 9000 } });
    let named = json!({ "version": "1.20.2" });
    let on = |running: &str| {
        let version = ModuleVersion::new(running).expect("a version");
        let live =
            LiveGateway { version: Some((version, "the operator's image".to_owned())), ..LiveGateway::default() };
        compiled_on(live, Channel::Experimental, &named, &json!({}), &policy)
    };
    let older = on("1.20.1");
    assert!(refused(&older));
    let told = older.diagnostics.to_string();
    assert!(
        told.contains("Cilium 1.20.1 runs (the operator's image), and has no policy external-authorization"),
        "{told}"
    );
    assert!(told.contains("gwm upgrade cilium --version 1.20.2"), "{told}");
    for running in ["1.20.2", "1.20.3"] {
        assert!(!refused(&on(running)), "{running}");
    }
}

/// Its policy would be acknowledged only when the route is open (docs/decisions/0162).
#[test]
fn tls_to_backends_that_cannot_be_waited_for_is_refused() {
    let policy = json!({ "backendTls": { "hostname": "catalog.shop.svc", "trust": { "configMaps": ["authority"] } } });
    for version in ["1.19", "1.20", "1.20.2"] {
        assert!(
            refused(&compiled(Channel::Standard, &json!({ "version": version }), &json!({}), &policy)),
            "{version}"
        );
    }
}

/// The time of one try becomes that of all tries, so that none is repeated that has taken it.
#[test]
fn retries_with_a_timeout_of_one_try_are_refused() {
    let of = |timeouts: Value| {
        let policies = json!({ "retry": { "attempts": 3, "codes": [503] }, "timeouts": timeouts });
        compiled(Channel::Experimental, &json!({}), &json!({}), &policies)
    };
    let together = of(json!({ "backendRequest": "2s" }));
    assert!(refused(&together));
    assert!(together.diagnostics.to_string().contains("all tries together"), "{}", together.diagnostics);
    assert!(!refused(&of(json!({ "request": "2s" }))));
}

/// `Gateway.spec.infrastructure.parametersRef` makes a Gateway Accepted=False, InvalidParameters.
#[test]
fn parameters_go_to_a_class_of_the_gateways_own_and_never_to_the_gateway() {
    let gateway = json!({ "parameters": { "serviceType": "NodePort" } });
    let objects = objects(&compiled(Channel::Standard, &gateway, &json!({}), &json!({})));
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let (gateway, class, config) = (of("Gateway"), of("GatewayClass"), of("CiliumGatewayClassConfig"));
    assert!(gateway["spec"].pointer("/infrastructure/parametersRef").is_none(), "{gateway}");
    assert_eq!(gateway["spec"]["gatewayClassName"], class["metadata"]["name"]);
    assert_eq!(class["spec"]["parametersRef"]["name"], config["metadata"]["name"]);
    assert_eq!(class["spec"]["parametersRef"]["namespace"], config["metadata"]["namespace"]);
    assert_eq!(config["spec"]["service"]["type"], "NodePort");
}

/// A class that others use would give them the parameters too.
#[test]
fn parameters_of_a_class_that_others_share_are_refused() {
    let gateway = json!({ "className": "cilium", "parameters": { "serviceType": "NodePort" } });
    let compiled = compiled(Channel::Standard, &gateway, &json!({}), &json!({}));
    assert!(refused(&compiled));
    assert!(compiled.diagnostics.to_string().contains("by the class only"), "{}", compiled.diagnostics);
}

/// The chart's admission policy `gateway.cilium.io`.
#[test]
fn a_listener_with_two_certificates_is_refused() {
    let listeners = |certificates: &[&str]| {
        let certificates: Vec<_> = certificates.iter().map(|name| json!({ "name": name })).collect();
        json!({ "listeners": [{ "name": "https", "protocol": "HTTPS", "port": 443, "tls": { "certificates": certificates } }] })
    };
    let of = |certificates: &[&str]| compiled(Channel::Standard, &json!({}), &listeners(certificates), &json!({}));
    assert!(!refused(&of(&["one"])));
    assert!(refused(&of(&["one", "two"])));
}

/// Cilium answers `UnsupportedValue` and takes the whole route away.
#[test]
fn a_route_that_sets_the_host_header_is_refused() {
    let policies =
        json!({ "headerModification": { "request": { "set": [{ "name": "hOsT", "value": "a.example.com" }] } } });
    assert!(refused(&compiled(Channel::Standard, &json!({}), &json!({}), &policies)));
}

/// 1.19 accepts the CORS filter, which its report says no to.
#[test]
fn cors_that_1_19_ignores_is_refused_there() {
    let policies = json!({ "cors": { "allowOrigins": ["https://www.example.com"] } });
    let of = |version: &str| compiled(Channel::Standard, &json!({ "version": version }), &json!({}), &policies);
    assert!(refused(&of("1.19")) && !refused(&of("1.20")));
}

/// Its Service is a LoadBalancer or a NodePort, and both are reached from outside.
#[test]
fn a_gateway_inside_the_cluster_is_refused() {
    assert!(refused(&compiled(Channel::Standard, &json!({}), &json!({ "exposure": "Cluster" }), &json!({}))));
}

/// With kube-proxy the Service of a Gateway leads nowhere, whatever its status says.
#[test]
fn the_replacement_of_kube_proxy_is_a_prerequisite() {
    let compiled = compiled(Channel::Standard, &json!({}), &json!({}), &json!({}));
    let release = compiled.release.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
    for setting in ["gatewayAPI.enabled", "kubeProxyReplacement", "l7Proxy"] {
        assert!(release.requires.iter().any(|one| one.setting == setting && one.value == "true"), "{setting}");
    }
}
