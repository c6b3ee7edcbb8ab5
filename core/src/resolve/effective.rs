//! Which policy is in force, and where it comes from (GEP-713, atomic per kind).

use super::{Binding, EffectivePolicies, Layer, Overridden, Provenance};
use crate::intent::{
    EndpointType, FieldRef,
    policies::{Policies, PolicyGroup, PolicyKind},
};

/// One layer: its policies and the field that they stand in.
pub(super) struct LayerPolicies<'a> {
    pub(super) layer: Layer,
    pub(super) policies: &'a Policies,
    pub(super) field: FieldRef,
}

/// Takes each kind from the most binding layer that has it, and notes the layers that it replaces.
pub(super) fn merge(
    layers: &[LayerPolicies<'_>],
    endpoint: EndpointType,
    binding: &Binding,
) -> (EffectivePolicies, Vec<Overridden>) {
    let mut effective = EffectivePolicies::default();
    let mut overridden: Vec<Overridden> = Vec::new();
    let mut ordered: Vec<_> = layers.iter().collect();
    ordered.sort_by_key(|layer| layer.layer);
    for layer in ordered {
        for kind in layer.policies.kinds() {
            let from_plane = matches!(layer.layer, Layer::DataPlaneDefault | Layer::DataPlaneOverride);
            if from_plane && !concerns(kind, endpoint) {
                continue;
            }
            let field = layer.field.child(kind.field());
            let provenance = Provenance { field: field.clone(), layer: layer.layer };
            if let Some(replaced) = effective.provenance.insert(kind, provenance) {
                for entry in overridden.iter_mut().filter(|entry| entry.by == replaced.field) {
                    entry.by = field.clone();
                }
                overridden.push(Overridden { field: replaced.field, by: field, binding: binding.clone() });
            }
            effective.values.take_from(kind, layer.policies);
        }
    }
    (effective, overridden)
}

/// Whether a policy that the platform sets for all endpoints means anything for this type. A security policy always does:
/// where it cannot be enforced it must be refused, not left out.
fn concerns(kind: PolicyKind, endpoint: EndpointType) -> bool {
    let layer_4 = matches!(
        kind,
        PolicyKind::CircuitBreaking
            | PolicyKind::OutlierDetection
            | PolicyKind::HealthCheck
            | PolicyKind::ConnectionLimit
            | PolicyKind::LoadBalancing
            | PolicyKind::AccessLog
    );
    endpoint.is_http() || endpoint == EndpointType::Grpc || layer_4 || kind.group() == PolicyGroup::Security
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::{DocumentId, policies::RateLimit};

    #[test]
    fn an_override_beats_the_rule_which_beats_the_endpoint_which_beats_the_default() {
        let document = DocumentId::DataPlane { name: "p".into() };
        let limit = |requests| Policies { rate_limit: Some(RateLimit::per_minute(requests)), ..Policies::default() };
        let (default, endpoint, rule, r#override) = (limit(1), limit(2), limit(3), limit(4));
        let binding =
            Binding { namespace: "n".into(), component: "c".into(), endpoint: "e".into(), visibility: "v".into() };
        let layers = |count: usize| {
            [
                (Layer::DataPlaneDefault, &default, "/default"),
                (Layer::Endpoint, &endpoint, "/endpoint"),
                (Layer::Rule, &rule, "/rule"),
                (Layer::DataPlaneOverride, &r#override, "/override"),
            ]
            .into_iter()
            .take(count)
            .map(|(layer, policies, pointer)| LayerPolicies {
                layer,
                policies,
                field: FieldRef::new(document.clone(), pointer),
            })
            .collect::<Vec<_>>()
        };
        for count in 1..=4_u32 {
            let (effective, overridden) = merge(&layers(count as usize), EndpointType::Http, &binding);
            assert_eq!(effective.values.rate_limit.as_ref().map(|limit| limit.requests), Some(count));
            assert_eq!(overridden.len(), count as usize - 1);
            let winner = effective.field(PolicyKind::RateLimitLocal).expect("set");
            assert!(overridden.iter().all(|entry| entry.by == *winner), "all name the one in force");
        }
    }

    #[test]
    fn a_default_for_http_leaves_tcp_alone_unless_it_is_security() {
        assert!(!concerns(PolicyKind::Cors, EndpointType::Tcp));
        assert!(concerns(PolicyKind::Jwt, EndpointType::Tcp) && concerns(PolicyKind::Cors, EndpointType::Grpc));
    }
}
