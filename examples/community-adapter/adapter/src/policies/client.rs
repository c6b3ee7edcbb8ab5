//! The `ClientTrafficPolicy` of a Gateway: where the address of a client comes from, and its certificate. Envoy Gateway takes
//! one for a Gateway, so one function says all that is in it, for provisioning and for the policy alike.

use gateway_modules_core::{
    intent::{Listener, ListenerProtocol, TlsMode, policies::PolicyKind},
    module::{Acknowledgement, Context, Enforcement, GatewayScope, Mapping},
    object::Object,
    resolve::GatewayTopology,
};
use serde_json::{Map, Value, json};

use super::Job;
use crate::{
    parameters::{self, Parameters},
    resources::{CLIENT_TRAFFIC_POLICY, GATEWAY_API, object},
};

/// The policy of a Gateway that the plane manages, if it has anything to say.
pub(crate) fn of_gateway(gateway: &GatewayTopology, parameters: &Parameters, cx: &Context<'_>) -> Option<Object> {
    let mut spec = Map::new();
    if let Some(address) = &parameters.client_address {
        let detection = json!({ "xForwardedFor": { "numTrustedHops": address.trusted_hops } });
        spec.insert("clientIPDetection".to_owned(), detection);
    }
    if terminates_tls_everywhere(gateway).is_ok()
        && let Some(references) = authorities(gateway, cx)
    {
        // `optional` is false by default, and security does not rest on defaults.
        let validation = json!({ "optional": false, "caCertificateRefs": references });
        spec.insert("tls".to_owned(), json!({ "clientValidation": validation }));
    }
    if spec.is_empty() {
        return None;
    }
    let reference = json!({ "group": GATEWAY_API, "kind": "Gateway", "name": gateway.name });
    spec.insert("targetRefs".to_owned(), json!([reference]));
    let namespace = cx.gateway_namespace(gateway);
    let name = cx.name(&["client", &namespace, &gateway.name]);
    Some(object(&CLIENT_TRAFFIC_POLICY, &namespace, &name, Value::Object(spec)))
}

/// What the first rule on the Gateway says. Core refuses what binds to a Gateway where its rules do not agree.
fn authorities(gateway: &GatewayTopology, cx: &Context<'_>) -> Option<Value> {
    let routes = cx.plane.routes_on(gateway);
    let policy = routes.flat_map(|route| &route.rules).find_map(|rule| rule.policies.client_certificate())?;
    let reference = |name: &str| json!({ "group": "", "kind": "ConfigMap", "name": name });
    Some(policy.value.ca_certificates.iter().map(|name| reference(name.as_str())).collect())
}

pub(crate) fn certificate(job: Job<'_>, scope: &GatewayScope<'_>, mapping: &mut Mapping) {
    let kind = PolicyKind::ClientCertificate;
    let Some(policy) = job.target.policies.client_certificate().filter(|_| job.target.must_map(kind)) else { return };
    if let Err(listener) = terminates_tls_everywhere(scope.gateway) {
        mapping.unsupported(
            policy.field.clone(),
            format!(
                "listener {} of the Gateway takes requests without TLS, and so without a certificate",
                listener.name
            ),
            &["only HTTPS listeners in this visibility", "redirectTo on the HTTP listener"],
        );
        return;
    }
    // Provisioning has refused parameters that cannot be read.
    let parameters = parameters::of(job.cx.plane).unwrap_or_default();
    let Some(object) = of_gateway(scope.gateway, &parameters, job.cx) else { return };
    let handle = mapping.object(object, vec![kind]);
    // ClientTrafficPolicy has the same `status.ancestors[]` (CRD), and the routes stay closed until it is there.
    mapping.enforce(kind, Enforcement::Attached { acknowledgement: Some(Acknowledgement::PolicyAncestors) });
    let citation = handle.at("/spec/tls/clientValidation/caCertificateRefs");
    mapping.exact(policy.field.child("caCertificates"), [citation]);
}

/// Whether every request on the Gateway has shown its certificate before it reaches an endpoint; else a listener where not.
fn terminates_tls_everywhere(gateway: &GatewayTopology) -> Result<(), &Listener> {
    let terminates = |listener: &&Listener| match listener.protocol {
        ListenerProtocol::Https => true,
        ListenerProtocol::Tls => listener.tls.as_ref().is_some_and(|tls| tls.mode == TlsMode::Terminate),
        // Such a listener carries no endpoint.
        ListenerProtocol::Http => listener.redirect_to.is_some(),
        ListenerProtocol::Tcp | ListenerProtocol::Udp => false,
    };
    gateway.listeners.iter().find(|listener| !terminates(listener)).map_or(Ok(()), Err)
}
