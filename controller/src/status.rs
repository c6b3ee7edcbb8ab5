//! What is told on the intent objects.

use std::collections::BTreeMap;

use gateway_modules::core::{
    cluster::{Health, Status},
    compile::Summary,
    intent::status::{
        ChosenModule, ComponentCount, ComponentStatus, DataPlaneStatus, EndpointState, Fidelity, GatewayState,
        LastAccepted, PlaneState,
    },
};
use kube::core::DynamicObject;

use crate::{
    conditions::{Verdict, condition, conditions},
    isolate::Refusal,
    stored,
};

/// What one plane has to say about one component.
#[derive(Clone, Debug)]
pub(crate) struct ComponentView {
    /// The generation that it is about.
    pub(crate) generation: i64,
    /// Why it is not served as it is written.
    pub(crate) refusal: Option<Refusal>,
    /// How its endpoints are, as one.
    pub(crate) programmed: Verdict,
    /// Endpoints.
    pub(crate) endpoints: Vec<EndpointState>,
}

/// What a plane has to say about its components.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaneView {
    pub(crate) module: Option<String>,
    pub(crate) fidelity: Option<Fidelity>,
    /// Why the plane serves nobody.
    pub(crate) failure: Option<String>,
    /// By `namespace/name`.
    pub(crate) components: BTreeMap<String, ComponentView>,
}

pub(crate) fn fidelity(summary: &Summary) -> Fidelity {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Fidelity {
        exact: number(summary.exact),
        approximate: number(summary.approximate),
        unsupported: number(summary.unsupported),
        overridden: number(summary.overridden),
        other: number(summary.decides + summary.inactive),
    }
}

/// The endpoints of a component on a plane, and its verdict: the worst of them.
pub(crate) fn component_view(status: &Status, namespace: &str, name: &str) -> (Verdict, Vec<EndpointState>) {
    let mut worst: Option<Health> = None;
    let mut endpoints = Vec::new();
    let mut routes = Vec::new();
    for endpoint in &status.endpoints {
        let Some(binding) = &endpoint.binding else { continue };
        if binding.namespace != namespace || binding.component != name {
            continue;
        }
        worst = Some(worst.map_or(endpoint.health, |worst| worst.max(endpoint.health)));
        routes.extend(endpoint.routes.iter().map(ToString::to_string));
        endpoints.push(EndpointState {
            name: binding.endpoint.clone(),
            visibility: binding.visibility.clone(),
            health: endpoint.health.to_string(),
            urls: endpoint.urls.clone(),
        });
    }
    endpoints.sort_by(|a, b| (&a.name, &a.visibility).cmp(&(&b.name, &b.visibility)));
    let words = |reason: &gateway_modules::core::cluster::Reason| {
        format!("{}: {} ({})", reason.object, reason.message, reason.next)
    };
    let own: Vec<String> = status.reasons.iter().filter(|reason| routes.contains(&reason.object)).map(words).collect();
    let message = match worst {
        None | Some(Health::Ready) => String::new(),
        Some(_) if own.is_empty() => status.reasons.first().map(words).unwrap_or_default(),
        Some(_) => own.join("\n"),
    };
    // No endpoint, no route: nothing to wait for only if nothing was asked for.
    (Verdict::of_health(worst.unwrap_or(Health::Unknown), message), endpoints)
}

/// Status of a DataPlane.
#[derive(Debug)]
pub(crate) struct PlaneReport {
    pub(crate) resolved: Verdict,
    pub(crate) accepted: Verdict,
    pub(crate) programmed: Verdict,
    /// What else is said, by the name of the condition.
    pub(crate) besides: Vec<(&'static str, Verdict)>,
    pub(crate) module: Option<ChosenModule>,
    pub(crate) fidelity: Option<Fidelity>,
    pub(crate) components: Option<ComponentCount>,
    pub(crate) status: Option<Status>,
}

impl PlaneReport {
    /// Of a plane that is not being served as it is written.
    pub(crate) fn new(resolved: Verdict, accepted: Verdict) -> Self {
        Self {
            resolved,
            accepted,
            programmed: Verdict::unknown("NotAccepted", "what was applied before stays as it is"),
            besides: Vec::new(),
            module: None,
            fidelity: None,
            components: None,
            status: None,
        }
    }

    pub(crate) fn into_status(self, object: &DynamicObject) -> DataPlaneStatus {
        let generation = stored::generation(object);
        let previous = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
        let gateways = self.status.iter().flat_map(|status| &status.gateways).map(|gateway| GatewayState {
            name: format!("{}/{}", gateway.object.namespace.as_deref().unwrap_or_default(), gateway.object.name),
            health: gateway.health.to_string(),
            addresses: gateway.addresses.clone(),
        });
        let gateways = gateways.collect();
        let mut conditions = conditions(&previous, generation, self.resolved, self.accepted, self.programmed);
        let besides = self.besides.into_iter();
        conditions.extend(besides.map(|(name, verdict)| condition(&previous, generation, name, verdict)));
        // Where nothing was applied, what was applied before is still there.
        let before: DataPlaneStatus = object
            .data
            .get("status")
            .and_then(|status| serde_json::from_value(status.clone()).ok())
            .unwrap_or_default();
        DataPlaneStatus {
            observed_generation: generation,
            gateways,
            release: self.status.as_ref().map_or(before.release, |status| status.release.clone()),
            conditions,
            module: self.module.or(before.module),
            fidelity: self.fidelity,
            components: self.components,
        }
    }
}

/// Status of a component over all planes that serve it; `Err` says why none does.
pub(crate) fn component_status(
    object: &DynamicObject,
    planes: Result<Vec<(String, Option<&PlaneView>)>, Verdict>,
) -> ComponentStatus {
    let generation = stored::generation(object);
    let previous = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    let last: Option<LastAccepted> =
        object.data.pointer("/status/lastAccepted").and_then(|value| serde_json::from_value(value.clone()).ok());
    let planes = match planes {
        Ok(planes) => planes,
        Err(verdict) => {
            let message = "the component is not resolved";
            return ComponentStatus {
                observed_generation: generation,
                conditions: conditions(
                    &previous,
                    generation,
                    verdict,
                    Verdict::unknown("NotResolved", message),
                    Verdict::unknown("NotResolved", message),
                ),
                data_planes: Vec::new(),
                last_accepted: last,
            };
        }
    };
    let key = stored::key(object);
    let (mut resolved, mut accepted, mut programmed) = (
        Verdict::yes("Resolved", ""),
        Verdict::yes("Accepted", "every field has its effect, or a difference that was accepted by name"),
        Verdict::yes("Programmed", ""),
    );
    let mut states = Vec::new();
    for (name, view) in planes {
        let at =
            |message: &str| if message.is_empty() { String::new() } else { format!("DataPlane {name}: {message}") };
        let mut state = PlaneState { name: name.clone(), ..PlaneState::default() };
        let waiting = || Verdict::unknown("Waiting", at("not reconciled yet"));
        match view {
            None => {
                worsen(&mut accepted, waiting());
                worsen(&mut programmed, waiting());
            }
            Some(view) => {
                state.module.clone_from(&view.module);
                state.fidelity.clone_from(&view.fidelity);
                if let Some(failure) = &view.failure {
                    worsen(&mut accepted, Verdict::unknown("DataPlaneFailed", at(failure)));
                    worsen(&mut programmed, Verdict::unknown("DataPlaneFailed", at(failure)));
                } else if let Some(found) = view.components.get(&key).filter(|found| found.generation == generation) {
                    if let Some(refusal) = &found.refusal {
                        let kept = if refusal.fallback {
                            "; what was accepted before is still served"
                        } else {
                            "; it is not served"
                        };
                        let message = at(&format!("{}{kept}", refusal.message));
                        if refusal.refused {
                            worsen(&mut accepted, Verdict::no("Refused", message));
                        } else {
                            worsen(&mut resolved, Verdict::no("Invalid", message.clone()));
                            worsen(&mut accepted, Verdict::unknown("NotResolved", message));
                        }
                    }
                    let mut verdict = found.programmed.clone();
                    verdict.message = at(&verdict.message);
                    worsen(&mut programmed, verdict);
                    state.endpoints.clone_from(&found.endpoints);
                } else {
                    worsen(&mut accepted, waiting());
                    worsen(&mut programmed, waiting());
                }
            }
        }
        states.push(state);
    }
    states.sort_by(|a, b| a.name.cmp(&b.name));
    let last_accepted = if accepted.status == "True" && resolved.status == "True" {
        Some(LastAccepted { generation, spec: object.data["spec"].clone() })
    } else {
        last
    };
    ComponentStatus {
        observed_generation: generation,
        conditions: conditions(&previous, generation, resolved, accepted, programmed),
        data_planes: states,
        last_accepted,
    }
}

/// The worse of two verdicts: false, then unknown, then true.
fn worsen(verdict: &mut Verdict, other: Verdict) {
    let rank = |verdict: &Verdict| match verdict.status {
        "True" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    if rank(&other) > rank(verdict) {
        *verdict = other;
    }
}
