//! The vendor's kinds, as far as this adapter writes them (`gateway.kgateway.dev/v1alpha1`).

use std::collections::BTreeMap;

use gateway_modules_core::object::{GroupVersionKind, Object};
use serde::Serialize;
use serde_json::Value;

/// API group of kgateway.
pub(crate) const GROUP: &str = "gateway.kgateway.dev";
/// API group of Gateway API.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io";

const fn kind(kind: &'static str) -> GroupVersionKind {
    GroupVersionKind::of(GROUP, "v1alpha1", kind)
}

pub(crate) const TRAFFIC_POLICY: GroupVersionKind = kind("TrafficPolicy");
pub(crate) const BACKEND_CONFIG_POLICY: GroupVersionKind = kind("BackendConfigPolicy");
pub(crate) const LISTENER_POLICY: GroupVersionKind = kind("ListenerPolicy");
pub(crate) const GATEWAY_EXTENSION: GroupVersionKind = kind("GatewayExtension");
pub(crate) const GATEWAY_PARAMETERS: GroupVersionKind = kind("GatewayParameters");
pub(crate) const BACKEND: GroupVersionKind = kind("Backend");
pub(crate) const DIRECT_RESPONSE: GroupVersionKind = kind("DirectResponse");
pub(crate) const BACKEND_TLS_POLICY: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "BackendTLSPolicy");
/// `v1` as core writes it; Gateway API serves it since 1.5.
pub(crate) const REFERENCE_GRANT: GroupVersionKind = GroupVersionKind::of(GATEWAY_API, "v1", "ReferenceGrant");

/// An object with a typed spec.
pub(crate) fn object(kind: &GroupVersionKind, namespace: &str, name: &str, spec: &impl Serialize) -> Object {
    // The specs here hold maps with text keys and finite numbers only, so they always are JSON.
    Object::new(kind, Some(namespace), name).with_spec(serde_json::to_value(spec).unwrap_or_default())
}

/// A `targetRef` (GEP-713).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) section_name: Option<String>,
}

/// Defines structs that are only ever written, leaving out what is absent.
macro_rules! specs {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, Default, Serialize)]
            #[serde(rename_all = "camelCase")]
            #[allow(clippy::struct_field_names)] // the names are the vendor's
            pub(crate) struct $name { $(#[serde(skip_serializing_if = "Option::is_none")] pub(crate) $field: Option<$type>,)* }
        )*
    };
}

specs! {
    /// `TrafficPolicy.spec`: kgateway merges it by these fields, so a target has one with its whole set.
    TrafficPolicySpec {
        target_refs: Vec<TargetRef>,
        acl: Value,
        api_key_auth: Value,
        basic_auth: Value,
        buffer: Value,
        compression: Value,
        cors: Value,
        ext_auth: Value,
        fault_injection: FaultInjection,
        jwt_auth: Value,
        rate_limit: RateLimit,
        rbac: Value,
        retry: Retry,
        timeouts: Value,
        url_rewrite: Value,
    }
    /// `.spec.faultInjection`
    FaultInjection {
        delay: Value,
        abort: Value,
    }
    /// `.spec.rateLimit`
    RateLimit {
        local: LocalRateLimit,
        global: Value,
    }
    /// `.spec.rateLimit.local`
    LocalRateLimit {
        token_bucket: TokenBucket,
    }
    /// `.spec.rateLimit.local.tokenBucket`
    TokenBucket {
        max_tokens: u32,
        tokens_per_fill: u32,
        fill_interval: String,
    }
    /// `.spec.retry`
    Retry {
        attempts: u32,
        backoff_base_interval: String,
        retry_on: Vec<&'static str>,
        status_codes: Vec<u16>,
    }
    /// `BackendConfigPolicy.spec`
    BackendConfigPolicySpec {
        target_refs: Vec<TargetRef>,
        circuit_breakers: CircuitBreakers,
        health_check: HealthCheck,
        load_balancer: Value,
        outlier_detection: OutlierDetection,
    }
    /// `.spec.circuitBreakers`
    CircuitBreakers {
        max_connections: u32,
        max_pending_requests: u32,
        max_requests: u32,
        max_retries: u32,
    }
    /// `.spec.healthCheck`
    HealthCheck {
        http: Value,
        grpc: Value,
        interval: String,
        timeout: String,
        healthy_threshold: u32,
        unhealthy_threshold: u32,
    }
    /// `.spec.outlierDetection`
    OutlierDetection {
        consecutive5xx: u32,
        interval: String,
        base_ejection_time: String,
        max_ejection_percent: u8,
    }
    /// `ListenerPolicy.spec`
    ListenerPolicySpec {
        target_refs: Vec<TargetRef>,
        default: ListenerConfig,
    }
    /// `ListenerPolicy.spec.default`
    ListenerConfig {
        client_certificate_validation: Value,
        http_settings: HttpSettings,
    }
    /// `ListenerPolicy.spec.default.httpSettings`
    HttpSettings {
        access_log: Vec<Value>,
        tracing: Value,
    }
    /// `GatewayParameters.spec`
    GatewayParametersSpec {
        kube: KubeParameters,
    }
    /// `GatewayParameters.spec.kube`
    KubeParameters {
        deployment: DeploymentParameters,
        envoy_container: ContainerParameters,
        service: ServiceParameters,
    }
    /// `GatewayParameters.spec.kube.deployment`
    DeploymentParameters {
        replicas: u32,
    }
    /// `GatewayParameters.spec.kube.envoyContainer`
    ContainerParameters {
        resources: ResourceParameters,
    }
    /// `GatewayParameters.spec.kube.envoyContainer.resources`
    ResourceParameters {
        requests: BTreeMap<String, String>,
        limits: BTreeMap<String, String>,
    }
    /// `GatewayParameters.spec.kube.service`
    ServiceParameters {
        r#type: &'static str,
        load_balancer_class: String,
    }
}
