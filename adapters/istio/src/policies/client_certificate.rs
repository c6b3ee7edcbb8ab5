//! Client certificates on Istio 1.30: a TLS option of the listeners, and authorities in the listeners' own Secrets. From
//! 1.31 on core writes the standard field.

use std::collections::BTreeMap;

use gateway_modules_core::{
    capability::names::gateway_api,
    intent::{Listener, ListenerProtocol, TlsMode, policies::PolicyKind},
    module::{Acknowledgement, Citation, Context, Enforcement, GatewayScope, Mapping, Requirement},
    object::Object,
    resolve::{DataPlaneTopology, GatewayTopology},
};

use super::Job;
use crate::{parameters::Parameters, resources::GATEWAY};

const OPTION: &str = "gateway.istio.io/tls-terminate-mode";

/// TLS options of a Gateway, which are those of all its listeners: only where every rule on it asks for the authorities that
/// the operator says its Secrets hold.
pub(crate) fn options(
    plane: &DataPlaneTopology,
    gateway: &GatewayTopology,
    parameters: &Parameters,
    cx: &Context<'_>,
) -> BTreeMap<String, String> {
    let standard = cx.has(&gateway_api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION);
    let mut rules = plane.routes_on(gateway).flat_map(|route| &route.rules).peekable();
    let asked = !standard
        && rules.peek().is_some()
        && obstacle(gateway).is_none()
        && rules.all(|rule| {
            rule.policies.values.client_certificate.as_ref().is_some_and(|policy| {
                policy
                    .ca_certificates
                    .iter()
                    .map(|name| name.as_str())
                    .eq(parameters.client_certificate_authorities.iter().map(String::as_str))
            })
        });
    if asked { [(OPTION.to_owned(), "MUTUAL".to_owned())].into() } else { BTreeMap::new() }
}

/// What the Secrets of the listeners must hold.
pub(crate) fn requirements(gateway: &GatewayTopology, parameters: &Parameters) -> Vec<Requirement> {
    let certificates =
        gateway.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.certificates);
    certificates
        .map(|certificate| Requirement {
            setting: format!("Secret {} of Gateway {}: ca.crt", certificate.name, gateway.name),
            value: format!("ca.crt of ConfigMap {}", parameters.client_certificate_authorities.join(", ")),
            reason: "Istio 1.30 reads the authorities of client certificates from the Secret of the listener"
                .to_owned(),
        })
        .collect()
}

/// Why the certificate would not guard every way to the endpoints.
fn obstacle(gateway: &GatewayTopology) -> Option<&'static str> {
    let serves = |listener: &&Listener| listener.redirect_to.is_none();
    if gateway.listeners.iter().filter(serves).any(|listener| listener.protocol != ListenerProtocol::Https) {
        return Some("a listener that does not terminate HTTPS serves endpoints too, and asks for no certificate");
    }
    let terminates = |listener: &Listener| {
        listener.tls.as_ref().is_some_and(|tls| tls.mode == TlsMode::Terminate && tls.certificates.len() == 1)
    };
    if !gateway.listeners.iter().filter(serves).all(terminates) {
        return Some("the authorities stand in the Secret of a listener, so each has one");
    }
    None
}

pub(super) fn map(job: Job<'_>, scope: &GatewayScope<'_>, parameters: &Parameters, mapping: &mut Mapping) {
    let kind = PolicyKind::ClientCertificate;
    let Some(policy) = job.target.policies.client_certificate().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field.child("caCertificates");
    if let Some(reason) = obstacle(scope.gateway) {
        mapping.unsupported(field, reason, &["one HTTPS listener with one certificate, and redirectTo it on HTTP"]);
        return;
    }
    if options(job.cx.plane, scope.gateway, parameters, job.cx).is_empty() {
        let reason = "Istio 1.30 reads authorities from the Secrets of the listeners, not from ConfigMaps, and nobody has said \
                      that they hold these";
        let names: Vec<&str> = policy.value.ca_certificates.iter().map(|name| name.as_str()).collect();
        let parameter = format!("parameters clientCertificateAuthorities: [{}]", names.join(", "));
        mapping.unsupported(field, reason, &["gateway.version 1.31", &parameter]);
        return;
    }
    let object = Object::new(&GATEWAY, Some(scope.gateway_namespace), &scope.gateway.name).key();
    let citations: Vec<Citation> = scope
        .gateway
        .listeners
        .iter()
        .enumerate()
        .filter(|(_, listener)| listener.tls.is_some())
        .map(|(index, _)| Citation::Provisioned {
            object: object.clone(),
            pointer: format!("/spec/listeners/{index}/tls/options/gateway.istio.io~1tls-terminate-mode"),
        })
        .collect();
    mapping.exact(field, citations);
    let acknowledgement = Some(Acknowledgement::Condition("Programmed".to_owned()));
    mapping.enforce(kind, Enforcement::Attached { acknowledgement });
}
