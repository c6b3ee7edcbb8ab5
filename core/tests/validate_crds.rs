//! Objects written by hand against the real CRDs of the Gateway API and of the gateways.
//!
//! The CRDs are in the folder that `GATEWAY_MODULES_SCHEMAS` names, or in `../shared/crds` beside the workspace.
//! Without them the tests say so and pass, except where the variable `CI` is set: there they fail.

#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

use std::{path::PathBuf, sync::OnceLock, time::Instant};

use gateway_modules_core::{
    channel::Channel,
    object::{GroupKind, Object},
    validate::{Schemas, Stage, Validation, Verdict, validate, validate_all, validate_update},
};
use serde_json::Value;

use Channel::{Experimental, Standard};

/// The CRDs of a channel, loaded once for all tests.
fn schemas(channel: Channel) -> Option<&'static Schemas> {
    static LOADED: [OnceLock<Option<Schemas>>; 2] = [OnceLock::new(), OnceLock::new()];
    LOADED[usize::from(channel == Experimental)].get_or_init(|| load(channel)).as_ref()
}

fn load(channel: Channel) -> Option<Schemas> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/crds");
    let named = std::env::var_os("GATEWAY_MODULES_SCHEMAS").map(PathBuf::from);
    let Some(folder) = named.or_else(|| beside.is_dir().then_some(beside)) else {
        let reason = "GATEWAY_MODULES_SCHEMAS names no folder of CRDs: the tests with real CRDs do not run";
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        eprintln!("{reason}");
        return None;
    };
    let start = Instant::now();
    let schemas = Schemas::load_folder(&folder, channel).expect("the CRDs load");
    eprintln!("{channel}: {} CRDs in {:?}", schemas.crds().count(), start.elapsed());
    Some(schemas)
}

fn object(yaml: &str) -> Object {
    let value: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    Object::try_from(value).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Kind and version in short, and the rest of the object below `metadata`.
fn named(kind: &str, body: &str) -> Object {
    let (api_version, scope) = match kind {
        "Gateway" | "HTTPRoute" | "GRPCRoute" | "BackendTLSPolicy" => ("gateway.networking.k8s.io/v1", true),
        "GatewayClass" => ("gateway.networking.k8s.io/v1", false),
        "TCPRoute" => ("gateway.networking.k8s.io/v1alpha2", true),
        "TrafficPolicy" | "BackendConfigPolicy" | "DirectResponse" | "GatewayExtension" => {
            ("gateway.kgateway.dev/v1alpha1", true)
        }
        "Middleware" | "TLSOption" => ("traefik.io/v1alpha1", true),
        "KongPlugin" | "KongConsumer" => ("configuration.konghq.com/v1", true),
        "KongClusterPlugin" => ("configuration.konghq.com/v1", false),
        "KongUpstreamPolicy" => ("configuration.konghq.com/v1beta1", true),
        "RequestAuthentication" | "AuthorizationPolicy" => ("security.istio.io/v1", true),
        "DestinationRule" | "ServiceEntry" => ("networking.istio.io/v1", true),
        "CiliumLoadBalancerIPPool" => ("cilium.io/v2", false),
        "CiliumGatewayClassConfig" => ("cilium.io/v2alpha1", true),
        "ClientSettingsPolicy" => ("gateway.nginx.org/v1alpha1", true),
        "ObservabilityPolicy" | "NginxProxy" => ("gateway.nginx.org/v1alpha2", true),
        other => panic!("add {other} to the test"),
    };
    let namespace = if scope { ", namespace: shop" } else { "" };
    object(&format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a{namespace}}}\n{body}\n"))
}

fn tell(validation: &Validation) -> String {
    match &validation.verdict {
        Verdict::Valid => format!("valid, unchecked: {:?}", validation.unchecked_rules),
        Verdict::Invalid(violations) => violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "),
        Verdict::NotChecked(reason) => format!("not checked: {reason}"),
    }
}

const GATEWAY: &str = "{gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}";
const BACKEND: &str = "backendRefs: [{name: b, port: 80}]";

#[test]
fn valid_objects_are_accepted() {
    let (Some(standard), Some(experimental)) = (schemas(Standard), schemas(Experimental)) else { return };
    let route = |rest: &str| format!("spec: {{parentRefs: [{{name: g}}], rules: [{{{BACKEND}{rest}}}]}}");
    let tls = "tls: {certificateRefs: [{name: cert}]}";
    let both = [
        ("Gateway", format!("spec: {GATEWAY}")),
        (
            "Gateway",
            format!("spec: {{gatewayClassName: c, listeners: [{{name: s, port: 443, protocol: HTTPS, hostname: '*.a.io', {tls}}}, {{name: t, port: 443, protocol: HTTPS, hostname: b.io, {tls}}}]}}"),
        ),
        // an error on the left of `||` does not count if the right is true: no certificateRefs, but options
        (
            "Gateway",
            "spec: {gatewayClassName: c, listeners: [{name: s, port: 443, protocol: HTTPS, tls: {mode: Terminate, options: {a.io/b: c}}}]}".to_owned(),
        ),
        ("GatewayClass", "spec: {controllerName: example.io/gateway}".to_owned()),
        ("HTTPRoute", route(", timeouts: {request: 10s, backendRequest: 5s}")),
        ("HTTPRoute", route(", matches: [{path: {type: PathPrefix, value: /api}, method: GET}]")),
        ("HTTPRoute", route(", filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: v}]}}]")),
        ("GRPCRoute", route(", matches: [{method: {service: a.B, method: C}}]")),
        (
            "BackendTLSPolicy",
            "spec: {targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.io, wellKnownCACertificates: System}}".to_owned(),
        ),
        ("TrafficPolicy", "spec: {buffer: {maxRequestSize: 64Ki}, timeouts: {request: 30s}}".to_owned()),
        ("TrafficPolicy", "spec: {buffer: {maxRequestSize: 65536}, cors: {allowOrigins: ['https://a.io']}}".to_owned()),
        ("BackendConfigPolicy", "spec: {http2ProtocolOptions: {initialStreamWindowSize: 64Ki}, connectTimeout: 5s}".to_owned()),
        (
            "BackendConfigPolicy",
            "spec: {loadBalancer: {roundRobin: {slowStart: {window: 10s, aggression: '1.5'}}}}".to_owned(),
        ),
        ("DirectResponse", "spec: {status: 503, body: down}".to_owned()),
        ("Middleware", "spec: {rateLimit: {average: 100, burst: 50, period: 1m}}".to_owned()),
        ("Middleware", "spec: {rateLimit: {average: 100, period: 60}}".to_owned()),
        ("Middleware", "spec: {plugin: {anything: {goes: [here]}}}".to_owned()),
        ("KongPlugin", "plugin: rate-limiting\nconfig: {minute: 5, policy: local}".to_owned()),
        ("KongConsumer", "custom_id: c-1".to_owned()),
        ("KongUpstreamPolicy", "spec: {algorithm: least-connections, slots: 100}".to_owned()),
        ("RequestAuthentication", "spec: {jwtRules: [{issuer: i, jwksUri: 'https://a.io/jwks', timeout: 5s}]}".to_owned()),
        ("RequestAuthentication", "spec: {jwtRules: [{issuer: i, jwks_uri: 'https://a.io/jwks'}]}".to_owned()),
        ("AuthorizationPolicy", "spec: {action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}".to_owned()),
        ("DestinationRule", "spec: {host: a, trafficPolicy: {outlierDetection: {interval: 10s}}}".to_owned()),
        ("CiliumLoadBalancerIPPool", "spec: {blocks: [{cidr: 10.0.0.0/24}, {cidr: '2001:db8::/64'}]}".to_owned()),
        ("CiliumGatewayClassConfig", "spec: {service: {type: NodePort}}".to_owned()),
        (
            "ClientSettingsPolicy",
            "spec: {targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}, body: {maxSize: 10m, timeout: 30s}}".to_owned(),
        ),
        ("NginxProxy", "spec: {kubernetes: {deployment: {replicas: 2}}}".to_owned()),
    ];
    for (kind, body) in &both {
        let object = named(kind, body);
        for schemas in [standard, experimental] {
            let validation = validate(&object, schemas);
            assert!(validation.is_valid(), "{kind} {body}: {}", tell(&validation));
        }
    }
    let retry = named("HTTPRoute", &route(", retry: {attempts: 3, codes: [503]}"));
    assert!(validate(&retry, experimental).is_valid(), "{}", tell(&validate(&retry, experimental)));
    let tcp = named("TCPRoute", &route(""));
    assert!(validate(&tcp, experimental).is_valid(), "{}", tell(&validate(&tcp, experimental)));
}

#[test]
fn invalid_objects_are_refused_for_the_right_reason() {
    let (Some(standard), Some(experimental)) = (schemas(Standard), schemas(Experimental)) else { return };
    let gateway = |listeners: &str| format!("spec: {{gatewayClassName: c, listeners: [{listeners}]}}");
    let rule = |rest: &str| format!("spec: {{parentRefs: [{{name: g}}], rules: [{{{BACKEND}, {rest}}}]}}");
    let fixed = str::to_owned;
    let listener = "/spec/listeners";
    let cases = [
        // Gateway API
        (
            "Gateway",
            gateway("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
            Stage::ListKeys,
            "/spec/listeners/1",
            "name=\"a\"",
        ),
        (
            "Gateway",
            gateway("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
            Stage::Cel,
            listener,
            "unique",
        ),
        (
            "Gateway",
            gateway("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}"),
            Stage::Cel,
            listener,
            "unique",
        ),
        ("Gateway", gateway("{name: a, port: 9000, protocol: TCP, hostname: a.io}"), Stage::Cel, listener, "hostname"),
        (
            "Gateway",
            gateway("{name: a, port: 80, protocol: HTTP, tls: {mode: Terminate, certificateRefs: [{name: c}]}}"),
            Stage::Cel,
            listener,
            "tls",
        ),
        (
            "Gateway",
            gateway("{name: a, port: 443, protocol: HTTPS, tls: {mode: Terminate}}"),
            Stage::Cel,
            "/spec/listeners/0/tls",
            "cannot be evaluated",
        ),
        (
            "Gateway",
            gateway("{name: a, port: 0, protocol: HTTP}"),
            Stage::Structure,
            "/spec/listeners/0/port",
            "minimum",
        ),
        (
            "Gateway",
            gateway("{name: a, port: 65536, protocol: HTTP}"),
            Stage::Structure,
            "/spec/listeners/0/port",
            "maximum",
        ),
        (
            "Gateway",
            gateway("{name: a, port: '80', protocol: HTTP}"),
            Stage::Structure,
            "/spec/listeners/0/port",
            "integer",
        ),
        (
            "Gateway",
            gateway("{name: A_b, port: 80, protocol: HTTP}"),
            Stage::Structure,
            "/spec/listeners/0/name",
            "pattern",
        ),
        ("Gateway", gateway("{name: a, port: 80}"), Stage::Structure, "/spec/listeners/0/protocol", "required"),
        (
            "Gateway",
            fixed("spec: {listeners: [{name: a, port: 80, protocol: HTTP}]}"),
            Stage::Structure,
            "/spec/gatewayClassName",
            "required",
        ),
        ("Gateway", gateway(""), Stage::Structure, listener, "less than 1"),
        (
            "GatewayClass",
            fixed("spec: {controllerName: no-slash}"),
            Stage::Structure,
            "/spec/controllerName",
            "pattern",
        ),
        (
            "HTTPRoute",
            rule("timeouts: {reqest: 1s}"),
            Stage::UnknownField,
            "/spec/rules/0/timeouts/reqest",
            "`request`",
        ),
        ("HTTPRoute", rule("retry: {attempts: 3}"), Stage::UnknownField, "/spec/rules/0/retry", "no such field"),
        ("HTTPRoute", rule("timeouts: {request: 1d}"), Stage::Structure, "/spec/rules/0/timeouts/request", "pattern"),
        (
            "HTTPRoute",
            rule("timeouts: {request: 1s, backendRequest: 2s}"),
            Stage::Cel,
            "/spec/rules/0/timeouts",
            "backendRequest",
        ),
        ("HTTPRoute", rule("matches: [{path: {value: api}}]"), Stage::Cel, "/spec/rules/0/matches/0/path", "absolute"),
        ("HTTPRoute", rule("matches: [{path: {value: /a//b}}]"), Stage::Cel, "/spec/rules/0/matches/0/path", "//"),
        (
            "HTTPRoute",
            rule("matches: [{headers: [{name: x, value: a}, {name: x, value: b}]}]"),
            Stage::ListKeys,
            "/spec/rules/0/matches/0/headers/1",
            "name=\"x\"",
        ),
        ("HTTPRoute", rule("filters: [{type: URLRewrite}]"), Stage::Cel, "/spec/rules/0/filters/0", "urlRewrite"),
        ("HTTPRoute", rule("matches: [{method: FETCH}]"), Stage::Structure, "/spec/rules/0/matches/0/method", "FETCH"),
        (
            "HTTPRoute",
            fixed("spec: {parentRefs: [{name: g}], hostnames: [10.0.0.1.], rules: []}"),
            Stage::Structure,
            "/spec/hostnames/0",
            "pattern",
        ),
        (
            "HTTPRoute",
            fixed("spec: {rules: [{backendRefs: [{name: b}]}]}"),
            Stage::Cel,
            "/spec/rules/0/backendRefs/0",
            "port",
        ),
        (
            "TCPRoute",
            fixed("spec: {rules: [{backendRefs: [{name: b, port: 1}]}]}"),
            Stage::Version,
            "/apiVersion",
            "use v1",
        ),
        (
            "BackendTLSPolicy",
            fixed("spec: {targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.io}}"),
            Stage::Cel,
            "/spec/validation",
            "must specify either CACertificateRefs",
        ),
        // kgateway
        (
            "TrafficPolicy",
            fixed("spec: {buffer: {maxRequestSize: 5Gi}}"),
            Stage::Cel,
            "/spec/buffer/maxRequestSize",
            "less than 4Gi",
        ),
        (
            "TrafficPolicy",
            fixed("spec: {buffer: {maxRequestSize: 1.x}}"),
            Stage::Structure,
            "/spec/buffer/maxRequestSize",
            "pattern",
        ),
        (
            "TrafficPolicy",
            fixed("spec: {buffer: {maxRequestSize: true}}"),
            Stage::Structure,
            "/spec/buffer/maxRequestSize",
            "true",
        ),
        (
            "TrafficPolicy",
            fixed("spec: {cors: {allowOrigins: [a, a]}}"),
            Stage::ListKeys,
            "/spec/cors/allowOrigins/1",
            "duplicates",
        ),
        ("TrafficPolicy", fixed("spec: {timeouts: {request: 5 minutes}}"), Stage::Cel, "/spec/timeouts/request", ""),
        (
            "BackendConfigPolicy",
            fixed("spec: {http1ProtocolOptions: {}, http2ProtocolOptions: {}}"),
            Stage::Cel,
            "/spec",
            "at most one",
        ),
        (
            "BackendConfigPolicy",
            fixed("spec: {http2ProtocolOptions: {initialStreamWindowSize: 1Ki}}"),
            Stage::Cel,
            "/spec/http2ProtocolOptions/initialStreamWindowSize",
            "",
        ),
        (
            "BackendConfigPolicy",
            fixed("spec: {loadBalancer: {roundRobin: {slowStart: {window: 10s, aggression: '-1.5'}}}}"),
            Stage::Cel,
            "/spec/loadBalancer/roundRobin/slowStart/aggression",
            "",
        ),
        ("DirectResponse", fixed("spec: {status: 600}"), Stage::Structure, "/spec/status", "maximum"),
        // Traefik
        (
            "Middleware",
            fixed("spec: {rateLimit: {average: -1}}"),
            Stage::Structure,
            "/spec/rateLimit/average",
            "minimum",
        ),
        ("Middleware", fixed("spec: {rateLimit: {period: 1.5}}"), Stage::Structure, "/spec/rateLimit/period", "1.5"),
        ("Middleware", fixed("spec: {ipAllowlist: {}}"), Stage::UnknownField, "/spec/ipAllowlist", "`ipAllowList`"),
        // Kong
        ("KongPlugin", fixed("config: {minute: 5}"), Stage::Structure, "/plugin", "required"),
        (
            "KongPlugin",
            fixed("plugin: p\nconfig: {}\nconfigFrom: {secretKeyRef: {name: a, key: b}}"),
            Stage::Cel,
            "",
            "Using both config and configFrom",
        ),
        ("KongConsumer", fixed("credentials: [a]"), Stage::Cel, "", "username or custom_id"),
        ("KongConsumer", fixed("username: a\ncredentials: [a, a]"), Stage::ListKeys, "/credentials/1", "duplicates"),
        ("KongUpstreamPolicy", fixed("spec: {slots: 1}"), Stage::Structure, "/spec/slots", "minimum"),
        // Istio
        (
            "RequestAuthentication",
            fixed("spec: {jwtRules: [{issuer: i, jwksUri: 'ftp://a.io/x'}]}"),
            Stage::Cel,
            "/spec/jwtRules/0/jwksUri",
            "scheme",
        ),
        (
            "RequestAuthentication",
            fixed("spec: {jwtRules: [{issuer: i, jwksUri: 'https://a.io', jwks_uri: 'https://a.io'}]}"),
            Stage::Cel,
            "/spec/jwtRules/0",
            "",
        ),
        (
            "RequestAuthentication",
            fixed("spec: {jwtRules: [{issuer: i, timeout: 0s}]}"),
            Stage::Cel,
            "/spec/jwtRules/0/timeout",
            "duration",
        ),
        (
            "AuthorizationPolicy",
            fixed("spec: {targetRef: {kind: Gateway, name: g}, targetRefs: [{kind: Gateway, name: g}]}"),
            Stage::Cel,
            "/spec",
            "",
        ),
        ("DestinationRule", fixed("spec: {trafficPolicy: {}}"), Stage::Structure, "/spec/host", "required"),
        // Cilium
        (
            "CiliumLoadBalancerIPPool",
            fixed("spec: {blocks: [{cidr: 10.0.0.0/33}]}"),
            Stage::Structure,
            "/spec/blocks/0/cidr",
            "cidr",
        ),
        (
            "CiliumGatewayClassConfig",
            fixed("spec: {service: {type: ClusterIP}}"),
            Stage::Structure,
            "/spec/service/type",
            "ClusterIP",
        ),
        // NGINX Gateway Fabric
        (
            "ClientSettingsPolicy",
            fixed(
                "spec: {targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}, body: {maxSize: 10mb}}",
            ),
            Stage::Structure,
            "/spec/body/maxSize",
            "pattern",
        ),
        (
            "ClientSettingsPolicy",
            fixed("spec: {targetRef: {group: gateway.networking.k8s.io, kind: Service, name: r}}"),
            Stage::Cel,
            "/spec/targetRef",
            "TargetRef Kind",
        ),
        (
            "NginxProxy",
            fixed("spec: {kubernetes: {deployment: {}, daemonSet: {}}}"),
            Stage::Cel,
            "/spec/kubernetes",
            "only one",
        ),
    ];
    let mut wrong = Vec::new();
    for (kind, body, stage, pointer, word) in &cases {
        let validation = validate(&named(kind, body), standard);
        let is_told = validation.violations().iter().any(|violation| {
            violation.stage == *stage && violation.pointer == *pointer && violation.message.contains(word)
        });
        if !is_told {
            wrong.push(format!("{kind} {body}\n  wants {stage} {pointer} `{word}`, got: {}", tell(&validation)));
        }
        let is_only_standard = matches!(*pointer, "/apiVersion" | "/spec/rules/0/retry");
        if !is_only_standard && validate(&named(kind, body), experimental).violations().is_empty() {
            wrong.push(format!("{kind} {body}\n  is accepted by the experimental channel"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn immutable_fields_are_seen_on_update_only() {
    let Some(schemas) = schemas(Standard) else { return };
    for (kind, old, new, pointer) in [
        ("KongPlugin", "plugin: cors", "plugin: jwt", ""),
        ("KongClusterPlugin", "plugin: cors", "plugin: jwt", ""),
        ("GatewayClass", "spec: {controllerName: a.io/b}", "spec: {controllerName: a.io/c}", "/spec/controllerName"),
    ] {
        let (old, new) = (named(kind, old), named(kind, new));
        assert!(validate(&new, schemas).is_valid(), "{kind}");
        assert!(validate_update(&old, &old, schemas).is_valid(), "{kind}");
        let validation = validate_update(&old, &new, schemas);
        let found = validation.violations();
        assert_eq!(found.len(), 1, "{kind}: {}", tell(&validation));
        assert_eq!((found[0].stage, found[0].pointer.as_str()), (Stage::Cel, pointer), "{kind}");
    }
}

#[test]
fn every_schema_compiles_and_uncheckable_rules_are_known() {
    for channel in [Standard, Experimental] {
        let Some(schemas) = schemas(channel) else { return };
        let mut rules = 0;
        let mut uncheckable = Vec::new();
        for crd in schemas.crds() {
            for (version, schema) in crd.versions() {
                let (count, broken) = schema.rule_census();
                rules += count;
                uncheckable.extend(broken.into_iter().map(|(rule, _)| (crd.group_kind().kind.clone(), rule)));
                let namespace = (crd.scope() == gateway_modules_core::validate::Scope::Namespaced).then_some("n");
                let GroupKind { group, kind } = crd.group_kind().clone();
                let kind = gateway_modules_core::object::GroupVersionKind {
                    group: group.into(),
                    version: version.clone().into(),
                    kind: kind.into(),
                };
                let validation = validate(&Object::new(&kind, namespace, "a"), schemas);
                assert!(!matches!(validation.verdict, Verdict::NotChecked(_)), "{kind}: {}", tell(&validation));
            }
        }
        assert!(rules > 1000, "only {rules} rules");
        // optional selection (`self.?field`) of kgateway's OIDC extension; see `cel.rs`
        let unexpected: Vec<_> = uncheckable.iter().filter(|(_, rule)| !rule.contains(".?")).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        eprintln!("{channel}: {rules} rules, {} of them cannot be checked", uncheckable.len());
    }
}

#[test]
fn uncheckable_rules_are_told_where_they_apply() {
    let Some(schemas) = schemas(Standard) else { return };
    let oauth2 = "spec: {oauth2: {backendRef: {name: idp, port: 443}, issuerURI: 'https://idp.io', credentials: {clientID: c, clientSecretRef: {name: s}}}}";
    let validation = validate(&named("GatewayExtension", oauth2), schemas);
    assert_eq!(validation.verdict, Verdict::Valid, "{}", tell(&validation));
    assert!(!validation.is_valid());
    assert!(validation.unchecked_rules.iter().all(|rule| rule.pointer == "/spec/oauth2"), "{}", tell(&validation));
}

#[test]
fn versions_channel_and_speed() {
    let Some(schemas) = schemas(Standard) else { return };
    let tcp = GroupKind { group: "gateway.networking.k8s.io".into(), kind: "TCPRoute".into() };
    assert_eq!(schemas.served_versions_of(&tcp), ["v1"]);
    assert_eq!(schemas.crd(&tcp).and_then(|crd| crd.channel()), Some("standard"));
    let objects = vec![named("Gateway", &format!("spec: {GATEWAY}")); 100];
    validate_all(&objects[..1], schemas);
    let start = Instant::now();
    assert!(validate_all(&objects, schemas).iter().all(|(_, validation)| validation.is_valid()));
    eprintln!("{:?} for each Gateway", start.elapsed() / 100);
}
