//! From what is live to a status.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    EndpointStatus, GatewayStatus, Health, ListenerStatus, ParentStatus, PolicyStatus, PromiseStatus, Reason,
    RouteStatus, Status,
    conditions::{Demand, check},
    index::Index,
    urls::{ParentRef, addresses, urls},
};
use crate::{
    cluster::acknowledge,
    compile::{Promise, Release},
    module::Enforcement,
    object::{Object, ObjectKey},
    plan::{ANNOTATION_CLOSED, ANNOTATION_SENT, Identity, ParentState},
    resolve::Binding,
};

/// What is live of a data plane. The release adds roles, promises, and what is missing.
pub(in crate::cluster) fn evaluate(
    data_plane: &str,
    parent: Option<&ParentState>,
    objects: &BTreeMap<Identity, Value>,
    release: Option<&Release>,
) -> Status {
    let mut evaluation = Evaluation {
        objects,
        release,
        index: Index::of(release),
        controller: release
            .and_then(|release| release.module.controller.clone())
            .or_else(|| parent.and_then(|parent| parent.record.selection.as_ref()?.controller.clone())),
        reasons: Vec::new(),
    };
    evaluation.record(data_plane, parent);
    let mut status = Status {
        data_plane: data_plane.to_owned(),
        selection: parent.and_then(|parent| parent.record.selection.clone()),
        release: parent.and_then(|parent| parent.release.clone()),
        health: Health::Unknown,
        gateways: evaluation.gateways(),
        routes: evaluation.routes(),
        policies: evaluation.policies(),
        promises: Vec::new(),
        probes: Vec::new(),
        endpoints: Vec::new(),
        reasons: Vec::new(),
    };
    status.promises = evaluation.promises(&status.routes);
    status.endpoints = evaluation.endpoints(&status);
    status.reasons = evaluation.reasons;
    status.reasons.sort_by(|a, b| b.health.cmp(&a.health).then_with(|| a.cmp(b)));
    status.reasons.dedup();
    status.health = status.reasons.first().map_or(Health::Ready, |reason| reason.health);
    if objects.is_empty() {
        status.health = status.health.max(Health::Unknown);
    }
    status
}

struct Evaluation<'a> {
    objects: &'a BTreeMap<Identity, Value>,
    release: Option<&'a Release>,
    index: Index<'a>,
    controller: Option<String>,
    reasons: Vec<Reason>,
}

const GROUP: &str = "gateway.networking.k8s.io";

fn generation(value: &Value) -> i64 {
    value["metadata"]["generation"].as_i64().unwrap_or_default()
}

fn key(value: &Value) -> Option<ObjectKey> {
    Object::try_from(value.clone()).ok().map(|object| object.key())
}

impl<'a> Evaluation<'a> {
    fn of_kind(&self, matches: impl Fn(&Identity) -> bool) -> Vec<(ObjectKey, &'a Value)> {
        let found = self.objects.iter().filter(|(identity, _)| matches(identity));
        found.filter_map(|(_, value)| Some((key(value)?, value))).collect()
    }

    fn reason(&mut self, health: Health, object: &str, message: String, next: &str) {
        self.reasons.push(Reason { health, object: object.to_owned(), message, next: next.to_owned() });
    }

    /// What the parent says, and what of the release is not there.
    fn record(&mut self, data_plane: &str, parent: Option<&ParentState>) {
        let whole = format!("data plane {data_plane}");
        let Some(parent) = parent else {
            return self.reason(Health::Unknown, &whole, "nothing was applied".to_owned(), "run `gwm apply`");
        };
        match (self.release, &parent.release) {
            (_, None) => {
                let message = "no release was applied completely yet".to_owned();
                self.reason(Health::Progressing, &whole, message, "run `gwm apply` again");
            }
            (Some(release), Some(applied)) if release.id() != *applied => {
                let message = format!("release {applied} is live, and this is {}", release.id());
                self.reason(Health::Progressing, &whole, message, "run `gwm plan`, then `gwm apply`");
            }
            _ => {}
        }
        let release = self.release;
        for entry in release.iter().flat_map(|release| &release.objects) {
            let key = entry.key();
            if !self.objects.contains_key(&Identity::from(&key)) {
                self.reason(Health::Degraded, &key.to_string(), "it is not there".to_owned(), "run `gwm apply`");
            }
        }
    }

    fn gateways(&mut self) -> Vec<GatewayStatus> {
        let found = self.of_kind(|identity| identity.kind.group == GROUP && identity.kind.kind == "Gateway");
        found
            .into_iter()
            .map(|(object, value)| {
                let name = object.to_string();
                let (status, generation) = (&value["status"], generation(value));
                let demands = [("Accepted", Demand::True), ("Programmed", Demand::True)];
                let mut health = check(&name, "", &status["conditions"], generation, &demands, &mut self.reasons);
                let listeners = status["listeners"].as_array().into_iter().flatten();
                let listeners: Vec<ListenerStatus> = listeners
                    .map(|listener| {
                        let own = listener["name"].as_str().unwrap_or_default();
                        let demands = [
                            ("Accepted", Demand::True),
                            ("ResolvedRefs", Demand::True),
                            ("Programmed", Demand::True),
                            ("Conflicted", Demand::FalseOrAbsent),
                        ];
                        let place = format!("listener {own}");
                        let conditions = &listener["conditions"];
                        let health = check(&name, &place, conditions, generation, &demands, &mut self.reasons);
                        let attached_routes = listener["attachedRoutes"].as_u64().unwrap_or_default();
                        ListenerStatus { name: own.to_owned(), health, attached_routes }
                    })
                    .collect();
                health = listeners.iter().fold(health, |worst, listener| worst.max(listener.health));
                GatewayStatus { object, health, addresses: addresses(value), listeners }
            })
            .collect()
    }

    fn routes(&mut self) -> Vec<RouteStatus> {
        let found = self.of_kind(|identity| identity.kind.group == GROUP && identity.kind.kind.ends_with("Route"));
        found
            .into_iter()
            .map(|(object, value)| {
                let name = object.to_string();
                let closed = value["metadata"]["annotations"].get(ANNOTATION_CLOSED).is_some();
                let parents = self.route_parents(&name, value, closed);
                let mut health = parents.iter().map(|parent| parent.health).max().unwrap_or(Health::Unknown);
                if closed {
                    health = Health::Blocked;
                    self.blocked(&object);
                }
                RouteStatus { object, health, closed, parents }
            })
            .collect()
    }

    fn route_parents(&mut self, name: &str, route: &Value, closed: bool) -> Vec<ParentStatus> {
        let namespace = route["metadata"]["namespace"].as_str().unwrap_or_default();
        let generation = generation(route);
        // A closed route has no backend on purpose.
        let resolved = if closed { &[][..] } else { &[("ResolvedRefs", Demand::True)][..] };
        let demands: Vec<(&str, Demand)> = [("Accepted", Demand::True)]
            .iter()
            .chain(resolved)
            .chain(&[("Programmed", Demand::TrueOrAbsent), ("PartiallyInvalid", Demand::FalseOrAbsent)])
            .copied()
            .collect();
        let mut statuses = Vec::new();
        for wanted in route["spec"]["parentRefs"].as_array().into_iter().flatten() {
            let wanted = ParentRef::read(wanted, namespace);
            let said = route["status"]["parents"].as_array().into_iter().flatten().find(|said| {
                let right = self.controller.as_deref().is_none_or(|controller| said["controllerName"] == controller);
                right && ParentRef::read(&said["parentRef"], namespace).same(&wanted)
            });
            let place = wanted.to_string();
            let health = if let Some(said) = said {
                check(name, &place, &said["conditions"], generation, &demands, &mut self.reasons)
            } else {
                let who = self.controller.clone().unwrap_or_else(|| "its controller".to_owned());
                let message = format!("{place}: {who} has not written a status");
                self.reason(Health::Unknown, name, message, "look whether the gateway's controller runs");
                Health::Unknown
            };
            statuses.push(ParentStatus { parent: place, health });
        }
        statuses
    }

    fn blocked(&mut self, route: &ObjectKey) {
        let mut missing: Vec<String> = self
            .index
            .waits_for(route)
            .iter()
            .filter_map(|policy| {
                let Some(object) = self.objects.get(&Identity::from(&policy.object)) else {
                    return Some(format!("{} is not there", policy.object));
                };
                Some(format!("{}: {}", policy.object, acknowledge::effective(policy, object, None).err()?))
            })
            .collect();
        if missing.is_empty() {
            missing.push("the route is closed until its policies are acknowledged".to_owned());
        }
        let next = "look at the controller of the policies, then run `gwm apply` again, which opens the route";
        self.reason(Health::Blocked, &route.to_string(), missing.join("; "), next);
    }

    fn policies(&mut self) -> Vec<PolicyStatus> {
        let found = self.of_kind(|_| true);
        let mut statuses = Vec::new();
        for (object, value) in found {
            let mark = value["metadata"]["annotations"][ANNOTATION_SENT].as_str().unwrap_or_default();
            let phase = mark.split('/').next().unwrap_or_default();
            if phase != "policies" || object.kind.kind == "Secret" {
                continue;
            }
            let name = object.to_string();
            let gates = self.index.gates(&object);
            let health = if gates.is_empty() {
                self.policy_health(&name, value)
            } else {
                let worst = gates.iter().find_map(|gate| acknowledge::effective(gate, value, None).err());
                if let Some(message) = worst.clone() {
                    let next = "the policy is not in force; look at its controller";
                    self.reason(Health::Degraded, &name, message, next);
                }
                Some(if worst.is_some() { Health::Degraded } else { Health::Ready })
            };
            statuses.push(PolicyStatus { object, health });
        }
        statuses
    }

    /// A kind for which the controller writes no status says nothing, good or bad.
    fn policy_health(&mut self, name: &str, value: &Value) -> Option<Health> {
        let demands = [
            ("Accepted", Demand::TrueOrAbsent),
            ("Attached", Demand::TrueOrAbsent),
            ("Programmed", Demand::TrueOrAbsent),
        ];
        let generation = generation(value);
        let mut worst = None;
        let ancestors = value["status"]["ancestors"].as_array().into_iter().flatten();
        let own = ancestors
            .filter(|said| self.controller.as_deref().is_none_or(|controller| said["controllerName"] == controller));
        let own: Vec<&Value> = own.map(|said| &said["conditions"]).collect();
        for conditions in own.into_iter().chain(Some(&value["status"]["conditions"]).filter(|value| value.is_array())) {
            worst = worst.max(Some(check(name, "", conditions, generation, &demands, &mut self.reasons)));
        }
        worst
    }

    fn promises(&self, routes: &[RouteStatus]) -> Vec<PromiseStatus> {
        let Some(release) = self.release else { return Vec::new() };
        let opened: BTreeSet<Identity> =
            routes.iter().filter(|route| !route.closed).map(|route| Identity::from(&route.object)).collect();
        release
            .policies
            .iter()
            .map(|statement| {
                let entries = self.index.routes(&statement.binding);
                let open = entries.iter().any(|entry| opened.contains(&Identity::from(&entry.key())));
                let there = statement.objects.iter().all(|key| self.objects.contains_key(&Identity::from(key)));
                let effective =
                    entries.iter().filter_map(|entry| entry.gate.as_ref()).flat_map(|gate| &gate.policies).all(
                        |policy| {
                            let object = self.objects.get(&Identity::from(&policy.object));
                            object.is_some_and(|object| acknowledge::effective(policy, object, None).is_ok())
                        },
                    );
                let attached = matches!(statement.enforcement, Enforcement::Attached { .. });
                let achieved = match () {
                    () if !open || !there => None,
                    () if attached && effective => Some(Promise::Acknowledged),
                    () => Some(Promise::Ordered),
                };
                PromiseStatus {
                    binding: statement.binding.clone(),
                    kind: statement.kind,
                    promised: statement.promise,
                    achieved,
                }
            })
            .collect()
    }

    fn endpoints(&self, status: &Status) -> Vec<EndpointStatus> {
        let mut by_binding: BTreeMap<(Option<Binding>, String), (EndpointStatus, BTreeSet<String>)> = BTreeMap::new();
        for route in &status.routes {
            let Some(value) = self.objects.get(&Identity::from(&route.object)) else { continue };
            if self.index.is_redirect(&route.object) {
                continue;
            }
            let binding = self.index.binding(&route.object).cloned();
            let group = (binding.clone(), if binding.is_some() { String::new() } else { route.object.to_string() });
            let (endpoint, found) = by_binding.entry(group).or_insert_with(|| {
                (
                    EndpointStatus { binding, routes: Vec::new(), health: Health::Ready, urls: Vec::new() },
                    BTreeSet::new(),
                )
            });
            endpoint.routes.push(route.object.clone());
            endpoint.health = endpoint.health.max(route.health);
            let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
            for parent in value["spec"]["parentRefs"].as_array().into_iter().flatten() {
                let parent = ParentRef::read(parent, namespace);
                let gateway = status.gateways.iter().find(|gateway| {
                    gateway.object.name == parent.name && gateway.object.namespace.as_deref() == Some(parent.namespace)
                });
                let Some(gateway) = gateway else { continue };
                endpoint.health = endpoint.health.max(gateway.health);
                if let Some(gateway) = self.objects.get(&Identity::from(&gateway.object)) {
                    urls(value, gateway, &parent, found);
                }
            }
        }
        by_binding
            .into_values()
            .map(|(mut endpoint, urls)| {
                endpoint.urls = urls.into_iter().collect();
                endpoint
            })
            .collect()
    }
}
