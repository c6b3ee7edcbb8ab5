//! Policies that core could not realise by standard fields: the access log, and reasons for the rest.
//!
//! Nothing is ever emitted as an `ExtensionRef` filter: Cilium ignores one silently, and the route stays open
//! (`operator/pkg/model/ingestion/gateway.go`).

use gateway_modules_core::{
    intent::policies::PolicyKind,
    module::{Context, GatewayScope, Mapping, PolicyTarget, Scope},
};

use crate::{access_log, provisioning};

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    for kind in &target.remaining {
        match (kind, &target.scope) {
            (PolicyKind::AccessLog, Scope::Gateway(scope)) => log(target, scope, cx, &mut mapping),
            _ => refuse(target, *kind, &mut mapping),
        }
    }
    mapping
}

fn log(target: &PolicyTarget<'_>, scope: &GatewayScope<'_>, cx: &Context<'_>, mapping: &mut Mapping) {
    let Some(policy) = target.policies.access_log() else { return };
    if scope.gateway.existing.is_some() {
        let reason = "it would hold for all routes of the existing Gateway, also for those of others";
        mapping.unsupported(policy.field.clone(), reason, &["a Gateway that this plane manages"]);
        return;
    }
    if let Some((field, reason, alternative)) = access_log::problem(&policy.value.format) {
        mapping.unsupported(policy.field.child("format").at(&field), reason, &[alternative]);
        return;
    }
    // The same object that `provision` has made: it depends on the plane only.
    let Some((_, config)) = provisioning::class_config(scope.gateway, cx) else { return };
    let config = mapping.object(config, vec![PolicyKind::AccessLog]);
    mapping.exact(policy.field.child("format"), [config.at("/spec/telemetry/accessLogs/0")]);
}

fn refuse(target: &PolicyTarget<'_>, kind: PolicyKind, mapping: &mut Mapping) {
    let Some(field) = target.policies.field(kind) else { return };
    let (reason, alternatives): (&str, &[&str]) = match kind {
        PolicyKind::UrlRewrite => {
            ("Cilium rewrites a whole path or a prefix only", &["path.replacePrefixMatch", "module kgateway"])
        }
        PolicyKind::Retry => ("Cilium has no retry budget", &["no budget", "module istio"]),
        PolicyKind::AccessLog => ("Cilium writes access logs of whole Gateways only", &[]),
        _ => {
            ("Cilium has the standard fields of Gateway API only, and this route cannot use them", &["module kgateway"])
        }
    };
    mapping.unsupported(field.clone(), reason, alternatives);
}
