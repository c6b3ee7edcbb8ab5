//! Standard policies that stand outside of routes: BackendTLSPolicy, and client certificates of a Gateway.

use serde_json::{Map, Value, json};

use super::{
    Phase, Role,
    compilation::Compilation,
    draft,
    policies::Enforced,
    routes::RouteDraft,
    shared_policies::Agreement,
    standard::{self, BACKEND_TLS_POLICY, GATEWAY},
};
use crate::{
    capability::{Granularity, names::gateway_api},
    intent::{
        FieldRef, ListenerProtocol,
        policies::{BackendTrust, PolicyKind, SubjectAltName},
    },
    module::{Acknowledgement, Enforcement, Verdict},
    object::Object,
    resolve::{self, GatewayTopology},
};

/// Granularity of the standard form of a kind, where the gateway has it.
pub(super) fn granularity(compilation: &Compilation<'_>, kind: PolicyKind) -> Option<Granularity> {
    match kind {
        PolicyKind::BackendTls if compilation.has(&gateway_api::BACKEND_TLS_POLICY) => Some(Granularity::Backend),
        PolicyKind::ClientCertificate
            if compilation.has(&gateway_api::GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION) =>
        {
            Some(Granularity::Gateway)
        }
        _ => None,
    }
}

/// A BackendTLSPolicy for a Service (GEP-1897).
pub(super) fn backend_tls(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    namespace: &str,
    service: &str,
    agreement: &Agreement,
) -> Option<Enforced> {
    let (route, rule) = agreement.first;
    let policy = drafts[route].rules[rule].rule.policies.backend_tls()?;
    let place = format!("Service {namespace}/{service}");
    let value = policy.value.clone();
    let mut validation = Map::new();
    let mut fields = vec![("hostname", "hostname")];
    validation.insert("hostname".into(), value.hostname.as_str().into());
    match &value.trust {
        BackendTrust::System {} => {
            validation.insert("wellKnownCACertificates".into(), "System".into());
            fields.push(("trust", "wellKnownCACertificates"));
        }
        BackendTrust::ConfigMaps(names) => {
            let references: Vec<Value> =
                names.iter().map(|name| json!({"group": "", "kind": "ConfigMap", "name": name.as_str()})).collect();
            validation.insert("caCertificateRefs".into(), references.into());
            fields.push(("trust", "caCertificateRefs"));
        }
    }
    let missing = compilation.lacking(&[gateway_api::BACKEND_TLS_POLICY_SAN_VALIDATION]);
    if value.subject_alt_names.is_empty() {
        // Istio sends `hostname` and checks only what stands here (finding 23); elsewhere it says the same twice.
        if missing.is_empty() {
            let name = json!({"type": "Hostname", "hostname": value.hostname.as_str()});
            validation.insert("subjectAltNames".into(), json!([name]));
            fields.push(("hostname", "subjectAltNames/0/hostname"));
        }
    } else {
        if !missing.is_empty() {
            let (reason, alternatives) = compilation.lack_text("subject alternative names of backends", &missing);
            for field in &agreement.fields {
                compilation.refuse(&field.child("subjectAltNames"), &place, reason.clone(), alternatives.clone());
            }
            return None;
        }
        let names: Vec<Value> = value
            .subject_alt_names
            .iter()
            .map(|name| match name {
                SubjectAltName::Hostname(host) => json!({"type": "Hostname", "hostname": host.as_str()}),
                SubjectAltName::Uri(uri) => json!({"type": "URI", "uri": uri.as_str()}),
            })
            .collect();
        validation.insert("subjectAltNames".into(), names.into());
        fields.push(("subjectAltNames", "subjectAltNames"));
    }
    let kind = standard::served_version(compilation.input, "BackendTLSPolicy").unwrap_or(BACKEND_TLS_POLICY);
    let name = compilation.context().name(&["backend-tls", namespace, service]);
    let object = Object::new(&kind, Some(namespace), &name).with_spec(json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": service}],
        "validation": validation,
    }));
    let key = object.key();
    for (route, _) in &agreement.rules {
        let owner = resolve::owner(&drafts[*route].route.source.document);
        compilation.add(
            object.clone(),
            Phase::Policies,
            Role::Policy { kinds: vec![PolicyKind::BackendTls] },
            Some(owner),
        );
    }
    for field in &agreement.fields {
        for (name, pointer) in &fields {
            compilation.exact(field.child(name), &place, &key, format!("/spec/validation/{pointer}"));
        }
    }
    Some(Enforced {
        rules: agreement.rules.clone(),
        kind: PolicyKind::BackendTls,
        field: policy.field.clone(),
        enforcement: Enforcement::Attached { acknowledgement: Some(Acknowledgement::PolicyAncestors) },
        objects: vec![key],
    })
}

/// `spec.tls.frontend` of a Gateway (GEP-91).
pub(super) fn client_certificate(
    compilation: &mut Compilation<'_>,
    drafts: &[RouteDraft<'_>],
    gateway: &GatewayTopology,
    agreement: &Agreement,
) -> Option<Enforced> {
    let (route, rule) = agreement.first;
    let policy = drafts[route].rules[rule].rule.policies.client_certificate()?;
    let place = format!("Gateway {}", gateway.visibility);
    let refuse = |compilation: &mut Compilation<'_>, fields: &[FieldRef], reason: &str, alternative: &str| {
        for field in fields {
            compilation.refuse(field, &place, reason.to_owned(), vec![alternative.to_owned()]);
        }
    };
    if gateway.existing.is_some() {
        refuse(
            compilation,
            &agreement.fields,
            "the Gateway exists and is not managed",
            "let the data plane make the Gateway",
        );
        return None;
    }
    let clear_text = drafts.iter().filter(|draft| draft.gateway.visibility == gateway.visibility).any(|draft| {
        draft.route.listeners.iter().any(|name| {
            gateway
                .listeners
                .iter()
                .any(|listener| listener.name.as_str() == name && listener.protocol != ListenerProtocol::Https)
        })
    });
    if clear_text {
        let reason = "a listener that does not terminate HTTPS serves the endpoint too, and asks for no certificate";
        refuse(compilation, &agreement.fields, reason, "give the HTTP listener `redirectTo` the HTTPS listener");
        return None;
    }
    let references: Vec<Value> = policy
        .value
        .ca_certificates
        .iter()
        .map(|name| json!({"group": "", "kind": "ConfigMap", "name": name.as_str()}))
        .collect();
    let namespace = compilation.gateway_namespace(gateway);
    let key = Object::new(&GATEWAY, Some(&namespace), &gateway.name).key();
    if let Some(spec) = compilation.objects.get_mut(&key).and_then(|object| object.object.pointer_mut("/spec")) {
        spec["tls"] = json!({"frontend": {"default": {"validation": {"caCertificateRefs": references, "mode": "AllowValidOnly"}}}});
    }
    for field in &agreement.fields {
        let claim = compilation.ledger.claim(field.child("caCertificates"), &place, Verdict::Exact);
        compilation.ledger.cite(claim, key.clone(), "/spec/tls/frontend/default/validation/caCertificateRefs");
    }
    let _ = draft::place(drafts[route].route, drafts[route].rules[rule].rule);
    Some(Enforced {
        rules: agreement.rules.clone(),
        kind: PolicyKind::ClientCertificate,
        field: policy.field.clone(),
        // The certificate is asked for by the Gateway: it is in force when the Gateway of this generation is programmed.
        enforcement: Enforcement::Attached {
            acknowledgement: Some(Acknowledgement::Condition("Programmed".to_owned())),
        },
        objects: vec![key],
    })
}
