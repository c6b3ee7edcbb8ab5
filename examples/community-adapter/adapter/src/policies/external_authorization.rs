//! `SecurityPolicy.spec.extAuth`.

use gateway_modules_core::{
    intent::policies::{ExternalAuthorizationProtocol, PolicyKind},
    module::{Difference, RouteScope},
    types::HeaderName,
};
use serde_json::json;

use super::{Draft, Job, reference::ServiceReference};

pub(crate) fn route(job: Job<'_>, scope: &RouteScope<'_>, draft: &mut Draft) {
    let kind = PolicyKind::ExternalAuthorization;
    let Some(policy) = job.target.policies.external_authorization().filter(|_| job.target.must_map(kind)) else {
        return;
    };
    let (field, value) = (policy.field, policy.value);
    let own = scope.route.namespace.as_str();
    let reference = ServiceReference {
        from: own,
        service: value.service.as_str(),
        namespace: value.namespace.as_ref().map_or(own, |namespace| namespace.as_str()),
        port: value.port.get(),
    };
    let Some(backend) = reference.resolve(job, kind, &field.child("service"), &mut draft.mapping) else { return };
    let http = value.protocol == ExternalAuthorizationProtocol::Http;
    let protocol = if http { "http" } else { "grpc" };
    let place = format!("/extAuth/{protocol}");
    let mut service = json!({ "backendRefs": [backend] });
    draft.exact(field.child("protocol"), &[&place]);
    draft.exact(field.child("service"), &[&format!("{place}/backendRefs/0/name")]);
    draft.exact(field.child("port"), &[&format!("{place}/backendRefs/0/port")]);
    if value.namespace.is_some() {
        // In the policy's own namespace the reference has no namespace; as a whole it still changes with it.
        draft.exact(field.child("namespace"), &[&format!("{place}/backendRefs/0")]);
    }
    if let Some(prefix) = &value.path_prefix {
        if http {
            service["path"] = prefix.as_str().into();
            draft.exact(field.child("pathPrefix"), &[&format!("{place}/path")]);
        } else {
            draft.unsupported(field.child("pathPrefix"), "a gRPC service is asked at no path", &["protocol HTTP"]);
        }
    }
    if !value.backend_headers.is_empty() {
        if http {
            service["headersToBackend"] = json!(value.backend_headers);
            draft.exact(field.child("backendHeaders"), &[&format!("{place}/headersToBackend")]);
        } else {
            let reason = "a gRPC service chooses the headers for the backend in its answer";
            draft.unsupported(field.child("backendHeaders"), reason, &["no backendHeaders"]);
        }
    }
    // failOpen is false by default, and security does not rest on defaults.
    let mut spec = json!({ "failOpen": false, protocol: service });
    let mut headers: Vec<&str> = value.allowed_headers.iter().map(HeaderName::as_str).collect();
    if !http {
        // Without a list a gRPC service would see all headers, also those that the intent does not name.
        headers.insert(0, "authorization");
    }
    if !headers.is_empty() {
        spec["headersToExtAuth"] = json!(headers);
    }
    if !value.allowed_headers.is_empty() {
        draft.exact(field.child("allowedHeaders"), &["/extAuth/headersToExtAuth"]);
    }
    if let Some(size) = value.body_max_size {
        match u32::try_from(size.as_bytes()).ok().filter(|bytes| *bytes > 0) {
            Some(bytes) => {
                spec["bodyToExtAuth"] = json!({ "maxRequestBytes": bytes });
                let difference = Difference {
                    name: "external-authorization/longer-body-refused".to_owned(),
                    text: format!(
                        "a request with a body of {bytes} bytes or more is answered with 413 and not asked about"
                    ),
                    stricter: true,
                };
                draft.approximate(field.child("bodyMaxSize"), difference, &["/extAuth/bodyToExtAuth/maxRequestBytes"]);
            }
            None => draft.unsupported(field.child("bodyMaxSize"), "Envoy takes 1 to 4294967295 bytes", &["1Gi"]),
        }
    }
    draft.hold_security(kind, "extAuth", spec);
}
