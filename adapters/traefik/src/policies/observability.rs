//! Access log and traces: Traefik takes both at its start, for everything that it serves. Nothing is emitted; where the
//! operator says that the installation has it (`gateway.parameters`), the release says by `requires` what that must be.

use std::collections::BTreeSet;

use gateway_modules_core::{
    intent::{
        FieldRef,
        policies::{AccessLogFormat, PolicyKind},
    },
    module::{Context, FieldOutcome, GatewayScope, Mapping, PolicyTarget, Requirement, Verdict},
};

pub(super) fn gateway(target: &PolicyTarget<'_>, scope: &GatewayScope<'_>, cx: &Context<'_>) -> Mapping {
    let mut mapping = Mapping::new();
    for kind in [PolicyKind::AccessLog, PolicyKind::Tracing] {
        let Some(field) = target.policies.field(kind).filter(|_| target.must_map(kind)) else { continue };
        if scope.gateway.existing.is_some() {
            let reason = "it would hold for all routes of the existing Gateway, also for those of others";
            mapping.unsupported(field.clone(), reason, &["a Gateway that this plane manages"]);
        } else if !is_same_everywhere(target, kind, cx) {
            let reason =
                "it holds for all that Traefik serves, and other endpoints of the plane ask for another or none";
            mapping.unsupported(field.clone(), reason, &["the same policy as a default of the DataPlane"]);
        } else if kind == PolicyKind::AccessLog {
            access_log(target, field, &mut mapping);
        } else {
            tracing(target, field, cx, &mut mapping);
        }
    }
    mapping
}

fn is_same_everywhere(target: &PolicyTarget<'_>, kind: PolicyKind, cx: &Context<'_>) -> bool {
    let mut rules = cx.plane.routes.iter().flat_map(|route| &route.rules);
    rules.all(|rule| match kind {
        PolicyKind::AccessLog => rule.policies.values.access_log == target.policies.values.access_log,
        _ => rule.policies.values.tracing == target.policies.values.tracing,
    })
}

fn require(mapping: &mut Mapping, settings: impl IntoIterator<Item = (&'static str, String)>, reason: &str) {
    mapping.requires.extend(settings.into_iter().map(|(setting, value)| Requirement {
        setting: setting.to_owned(),
        value,
        reason: reason.to_owned(),
    }));
}

fn decides(mapping: &mut Mapping, field: FieldRef) {
    let what = "what the installation of Traefik must have; the release says it by `requires`".to_owned();
    mapping.outcomes.push(FieldOutcome { field, verdict: Verdict::Decides { what }, citations: Vec::new() });
}

fn access_log(target: &PolicyTarget<'_>, field: &FieldRef, mapping: &mut Mapping) {
    let Some(policy) = target.policies.access_log() else { return };
    let format = match &policy.value.format {
        AccessLogFormat::Text {} => "common",
        AccessLogFormat::Json { fields } if fields.is_empty() => "json",
        AccessLogFormat::Json { .. } => {
            let reason = "Traefik's JSON lines have fields of their own, which can be dropped but not chosen";
            mapping.unsupported(field.at("/format/json/fields"), reason, &["json without fields"]);
            return;
        }
    };
    let settings = [("logs.access.enabled", "true".to_owned()), ("logs.access.format", format.to_owned())];
    require(mapping, settings, "Traefik opens its access log at its start");
    decides(mapping, field.clone());
}

fn tracing(target: &PolicyTarget<'_>, field: &FieldRef, cx: &Context<'_>, mapping: &mut Mapping) {
    let Some(policy) = target.policies.tracing() else { return };
    let value = policy.value;
    let own: BTreeSet<&str> = cx.plane.routes.iter().map(|route| route.namespace.as_str()).collect();
    let namespace = match (&value.namespace, own.first()) {
        (Some(namespace), _) => namespace.as_str(),
        (None, Some(namespace)) if own.len() == 1 => namespace,
        _ => {
            let reason = "tracing holds for all that Traefik serves, and its components run in several namespaces";
            mapping.unsupported(field.child("service"), reason, &["tracing.namespace"]);
            return;
        }
    };
    let share = f64::from(value.sampling.get()) / 100.0;
    let settings = [
        ("tracing.otlp.enabled", "true".to_owned()),
        ("tracing.otlp.grpc.enabled", "true".to_owned()),
        ("tracing.otlp.grpc.endpoint", format!("{}.{namespace}.svc:{}", value.service, value.port)),
        ("tracing.otlp.grpc.insecure", "true".to_owned()),
        ("tracing.sampleRate", share.to_string()),
    ];
    require(mapping, settings, "Traefik opens its connection to the collector at its start");
    decides(mapping, field.clone());
}
