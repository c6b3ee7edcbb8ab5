//! What is told on the intent objects.

use std::collections::BTreeMap;

use gateway_modules::core::{
    cluster::{EndpointStatus, Health, Reason, Status},
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
    stored, upgraded,
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
    /// What another version of the gateway makes otherwise, by `namespace/name`; absent: it is the version of before.
    pub(crate) upgraded: Option<BTreeMap<String, String>>,
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

/// What a status says, found by component and by object: a plane may have thousands of both.
pub(crate) struct ComponentViews<'a> {
    endpoints: BTreeMap<(&'a str, &'a str), Vec<&'a EndpointStatus>>,
    reasons: BTreeMap<&'a str, Vec<&'a Reason>>,
    worst: Option<&'a Reason>,
}

impl<'a> ComponentViews<'a> {
    pub(crate) fn of(status: &'a Status) -> Self {
        let mut views = Self { endpoints: BTreeMap::new(), reasons: BTreeMap::new(), worst: status.reasons.first() };
        for endpoint in &status.endpoints {
            if let Some(binding) = &endpoint.binding {
                let key = (binding.namespace.as_str(), binding.component.as_str());
                views.endpoints.entry(key).or_default().push(endpoint);
            }
        }
        for reason in &status.reasons {
            views.reasons.entry(&reason.object).or_default().push(reason);
        }
        views
    }

    /// The endpoints of a component on the plane, and its verdict: the worst of them.
    pub(crate) fn view(&self, namespace: &str, name: &str) -> (Verdict, Vec<EndpointState>) {
        let own = self.endpoints.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        let worst = own.iter().map(|endpoint| endpoint.health).max();
        let mut endpoints: Vec<EndpointState> = own
            .iter()
            .filter_map(|endpoint| {
                let binding = endpoint.binding.as_ref()?;
                Some(EndpointState {
                    name: binding.endpoint.clone(),
                    visibility: binding.visibility.clone(),
                    health: endpoint.health.to_string(),
                    urls: endpoint.urls.clone(),
                })
            })
            .collect();
        endpoints.sort_by(|a, b| (&a.name, &a.visibility).cmp(&(&b.name, &b.visibility)));
        let words = |reason: &&Reason| format!("{}: {} ({})", reason.object, reason.message, reason.next);
        let mut reasons: Vec<&Reason> = own
            .iter()
            .flat_map(|endpoint| &endpoint.routes)
            .filter_map(|route| self.reasons.get(route.to_string().as_str()))
            .flatten()
            .copied()
            .collect();
        reasons.sort_by(|a, b| b.health.cmp(&a.health).then_with(|| a.cmp(b)));
        let message = match worst {
            None | Some(Health::Ready) => String::new(),
            Some(_) if reasons.is_empty() => self.worst.as_ref().map(words).unwrap_or_default(),
            Some(_) => reasons.iter().map(words).collect::<Vec<_>>().join("\n"),
        };
        // No endpoint, no route: nothing to wait for only if nothing was asked for.
        (Verdict::of_health(worst.unwrap_or(Health::Unknown), message), endpoints)
    }
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
    let mut changed: Option<Vec<String>> = None;
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
                if let Some(upgraded) = &view.upgraded {
                    changed.get_or_insert_default().extend(upgraded.get(&key).map(|words| at(words)));
                }
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
    let mut conditions = conditions(&previous, generation, resolved, accepted, programmed);
    let upgraded = match changed {
        None => upgraded::kept(&previous),
        Some(words) => (!words.is_empty()).then(|| Verdict::yes("VersionChanged", words.join("\n"))),
    };
    conditions.extend(upgraded.map(|verdict| condition(&previous, generation, upgraded::CONDITION, verdict)));
    ComponentStatus { observed_generation: generation, conditions, data_planes: states, last_accepted }
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
