//! The common form of each kind: the files of `examples/intents/policies`.

use gateway_modules_core::intent::policies::PolicyKind;

use super::Documents;

const DATA_PLANES: &str = include_str!("policies/data-planes.yaml");

/// Kind, form and text of each component.
pub(super) const FILES: &[(PolicyKind, &str, &str)] = &[
    (PolicyKind::AccessLog, "common", include_str!("policies/access-log.yaml")),
    (PolicyKind::HealthCheck, "common", include_str!("policies/active-health-check.yaml")),
    (PolicyKind::ApiKey, "common", include_str!("policies/api-key.yaml")),
    (PolicyKind::BackendTls, "common", include_str!("policies/backend-tls.yaml")),
    (PolicyKind::BasicAuth, "common", include_str!("policies/basic-auth.yaml")),
    (PolicyKind::BodySizeLimit, "common", include_str!("policies/body-size-limit.yaml")),
    (PolicyKind::CircuitBreaking, "common", include_str!("policies/circuit-breaking.yaml")),
    (PolicyKind::ClaimsAuthorization, "common", include_str!("policies/claims-authorization.yaml")),
    (PolicyKind::ClientCertificate, "common", include_str!("policies/client-certificate.yaml")),
    (PolicyKind::Compression, "common", include_str!("policies/compression.yaml")),
    (PolicyKind::ConnectionLimit, "common", include_str!("policies/connection-limit.yaml")),
    (PolicyKind::Cors, "common", include_str!("policies/cors.yaml")),
    (PolicyKind::DirectResponse, "common", include_str!("policies/direct-response.yaml")),
    (PolicyKind::ExternalAuthorization, "common", include_str!("policies/external-authorization.yaml")),
    (PolicyKind::FaultInjection, "common", include_str!("policies/fault-injection.yaml")),
    (PolicyKind::HeaderModification, "common", include_str!("policies/header-modification.yaml")),
    (PolicyKind::IpAccess, "common", include_str!("policies/ip-access.yaml")),
    (PolicyKind::Jwt, "common", include_str!("policies/jwt.yaml")),
    (PolicyKind::LoadBalancing, "common", include_str!("policies/load-balancing.yaml")),
    (PolicyKind::Mirror, "common", include_str!("policies/mirror.yaml")),
    (PolicyKind::OutlierDetection, "common", include_str!("policies/outlier-detection.yaml")),
    (PolicyKind::RateLimitGlobal, "common-envoy", include_str!("policies/rate-limit-global.yaml")),
    (PolicyKind::RateLimitGlobal, "common-redis", include_str!("policies/rate-limit-global-redis.yaml")),
    (PolicyKind::RateLimitLocal, "common", include_str!("policies/rate-limit-local.yaml")),
    (PolicyKind::Redirect, "common", include_str!("policies/redirect.yaml")),
    (PolicyKind::Retry, "common", include_str!("policies/retry.yaml")),
    (PolicyKind::SessionAffinity, "common", include_str!("policies/session-affinity.yaml")),
    (PolicyKind::Timeout, "common", include_str!("policies/timeout.yaml")),
    (PolicyKind::Tracing, "common", include_str!("policies/tracing.yaml")),
    (PolicyKind::TrafficSplit, "common", include_str!("policies/traffic-split.yaml")),
    (PolicyKind::UrlRewrite, "common", include_str!("policies/url-rewrite.yaml")),
];

/// A component with its data plane.
pub(super) fn documents(component: &str) -> Documents {
    Documents::from_yaml(&format!("{DATA_PLANES}---\n{component}"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_kind_has_a_sample_that_uses_it() {
        let kinds: BTreeSet<_> = super::super::common()
            .iter()
            .map(|sample| {
                let intent = sample.documents.load().expect("valid");
                let endpoint = &intent.components[0].spec.endpoints[0];
                let split = sample.kind == PolicyKind::TrafficSplit && endpoint.rules[0].backends.len() == 2;
                assert!(split || endpoint.policies.kinds().contains(&sample.kind), "{}", sample.name());
                sample.kind
            })
            .collect();
        assert_eq!(kinds, PolicyKind::ALL.iter().copied().collect());
    }

    /// The files are in the crate too, since a published crate holds nothing from outside of its folder.
    #[test]
    fn the_examples_are_the_samples() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/samples/policies");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/intents/policies");
        let read = |folder: &Path| -> std::collections::BTreeMap<String, String> {
            std::fs::read_dir(folder)
                .expect("folder")
                .map(|entry| entry.expect("entry").path())
                .map(|path| {
                    let name = path.file_name().expect("name").to_string_lossy().into_owned();
                    (name, std::fs::read_to_string(&path).expect("text"))
                })
                .collect()
        };
        assert!(read(&own) == read(&examples), "copy tests/src/samples/policies to examples/intents/policies");
        assert_eq!(read(&own).len(), FILES.len() + 1);
    }
}
