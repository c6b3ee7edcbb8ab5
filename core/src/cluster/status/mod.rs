//! One verdict per data plane, rolled up from what the controllers say. Pure: it is given what is live.

mod conditions;
mod evaluate;
mod index;
pub(in crate::cluster) mod urls;

use serde::Serialize;

pub(super) use self::evaluate::evaluate;
use super::probe::{PolicyProbe, ProbeVerdict};
use crate::{compile::Promise, intent::policies::PolicyKind, object::ObjectKey, plan::Selection, resolve::Binding};

/// How something is. The order is that of a roll-up: the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Everything was accepted, resolved and programmed, for the generation that is there.
    Ready,
    /// The controller works on it.
    Progressing,
    /// The controller has said nothing, or not about this generation. Never healthy.
    Unknown,
    /// The controller has refused something.
    Degraded,
    /// A route is closed, because its security policies are not acknowledged.
    Blocked,
    /// A protected route has answered a request without credentials (a probe has seen it).
    Open,
}

impl Health {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Unknown => "Unknown",
            Self::Degraded => "Degraded",
            Self::Blocked => "Blocked",
            Self::Open => "Open",
        }
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something is not ready, and the next step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// How bad it is.
    pub health: Health,
    /// The object, `Kind namespace/name`.
    pub object: String,
    /// What is wrong, in the controller's words where there are any.
    pub message: String,
    /// What to do.
    pub next: String,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Number of routes that the controller has attached.
    pub attached_routes: u64,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// The Gateway.
    pub object: ObjectKey,
    /// How it is, with its listeners.
    pub health: Health,
    /// Addresses that it has.
    pub addresses: Vec<String>,
    /// Listeners.
    pub listeners: Vec<ListenerStatus>,
}

/// A route at one of its parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent, `namespace/name` with its listener.
    pub parent: String,
    /// How it is there.
    pub health: Health,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The route.
    pub object: ObjectKey,
    /// How it is, over all parents.
    pub health: Health,
    /// Whether it stands in its closed form.
    pub closed: bool,
    /// Per parent.
    pub parents: Vec<ParentStatus>,
}

/// An object of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The object.
    pub object: ObjectKey,
    /// How it is; absent when its controller writes no status for this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What is promised about a security policy, and what is kept now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromiseStatus {
    /// Where the policy is in force.
    pub binding: Binding,
    /// Kind.
    pub kind: PolicyKind,
    /// What an apply promises.
    pub promised: Promise,
    /// What is kept; absent when the policy is not in force and its route is closed or not there, and when a probe was let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub achieved: Option<Promise>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// What it is; absent when the status was asked for without the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Its route objects.
    pub routes: Vec<ObjectKey>,
    /// How it is, with the Gateways that it is on.
    pub health: Health,
    /// Where it answers.
    pub urls: Vec<String>,
}

/// How a data plane is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Data plane.
    pub data_plane: String,
    /// The module that it was applied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Release that was applied last, completely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The verdict.
    pub health: Health,
    /// Gateways.
    pub gateways: Vec<GatewayStatus>,
    /// Routes.
    pub routes: Vec<RouteStatus>,
    /// Objects of policies.
    pub policies: Vec<PolicyStatus>,
    /// Security policies; empty when the status was asked for without the release.
    pub promises: Vec<PromiseStatus>,
    /// What a probe has shown of each of these security policies; empty when there was none ([`Status::with_probe`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<PolicyProbe>,
    /// Endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// Why it is not ready, the worst first.
    pub reasons: Vec<Reason>,
}

impl Status {
    /// With what a probe of the same release has shown: a refusal that was seen keeps the promise P3, and an answer without
    /// credentials is worse than anything else.
    #[must_use]
    pub fn with_probe(mut self, probes: Vec<PolicyProbe>) -> Self {
        for (promise, probe) in self.promises.iter_mut().zip(&probes) {
            match probe.verdict {
                ProbeVerdict::Observed if promise.achieved.is_some() => promise.achieved = Some(Promise::Observed),
                ProbeVerdict::Open => promise.achieved = None,
                _ => {}
            }
        }
        for probe in probes.iter().filter(|probe| probe.verdict == ProbeVerdict::Open) {
            self.health = Health::Open;
            let endpoints =
                self.endpoints.iter_mut().filter(|endpoint| endpoint.binding.as_ref() == Some(&probe.binding));
            for endpoint in endpoints {
                endpoint.health = Health::Open;
                let reason = |route: &ObjectKey| Reason {
                    health: Health::Open,
                    object: route.to_string(),
                    message: format!("{} does not keep anybody out: {}", probe.kind, probe.message),
                    next: "take the endpoint out of service, and look at the controller of its policies".to_owned(),
                };
                self.reasons.splice(0..0, endpoint.routes.iter().map(reason));
            }
        }
        self.probes = probes;
        self
    }
}
