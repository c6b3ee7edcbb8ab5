//! What a gateway can do, one name per ability, each with its evidence.

mod evidence;
pub mod names;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

pub use self::evidence::{Evidence, EvidenceKind};
use crate::{intent::policies::PolicyKind, module::ModuleVersion};

/// Name of a capability: a feature of Gateway API (`HTTPRouteCORS`, from its `pkg/features`), or one of this project's with
/// a `/` in it (`policy/rate-limit-local`, `field/HTTPRoute/rules.retry`, `gateway/isolation`). An open set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapabilityName(Cow<'static, str>);

impl CapabilityName {
    /// A name known at compile time.
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The capability of a policy kind: `policy/<kind>`.
    pub fn policy(kind: PolicyKind) -> Self {
        Self(Cow::Owned(format!("policy/{kind}")))
    }

    /// A part of a policy kind that only some gateways have: `policy/<kind>/<part>`, for example
    /// `policy/rate-limit-local/key/client-ip`.
    pub fn policy_part(kind: PolicyKind, part: &str) -> Self {
        Self(Cow::Owned(format!("policy/{kind}/{part}")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for CapabilityName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for CapabilityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The smallest thing that a capability can be bound to without reaching further than asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Granularity {
    /// One rule of a route.
    Rule,
    /// One route.
    Route,
    /// One backend Service, whoever routes to it.
    Backend,
    /// One listener of a Gateway.
    Listener,
    /// One Gateway.
    Gateway,
    /// All Gateways of a class.
    Class,
    /// All Gateways in the cluster.
    Cluster,
}

impl Granularity {
    /// The smallest thing that a feature of Gateway API, or one of the project's own, is a field of. Policies have none:
    /// what theirs bind to is the vendor's.
    pub fn of_feature(name: &CapabilityName) -> Self {
        match name.as_str() {
            text if text.starts_with("Gateway") || text == "ListenerSet" => Self::Gateway,
            text if text.starts_with("listener/") => Self::Listener,
            text if text.starts_with("BackendTLSPolicy") || text == "ReferenceGrant" => Self::Backend,
            _ => Self::Rule,
        }
    }
}

/// One capability of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What it can be bound to.
    pub granularity: Granularity,
    /// Whether it needs the CRDs of Gateway API's experimental channel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub experimental: bool,
    /// Why it is believed, strongest first; never empty.
    pub evidence: Vec<Evidence>,
}

/// What a gateway can do, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeMap<CapabilityName, Capability>);

impl Capabilities {
    /// No capability.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a capability; evidence for one that is there is added to it. A feature whose field is in the experimental channel
    /// only needs that channel, whoever declares or claims it.
    pub fn declare(&mut self, name: CapabilityName, granularity: Granularity, evidence: Evidence) -> &mut Self {
        let experimental = names::EXPERIMENTAL.contains(&name);
        let capability = self.0.entry(name).or_insert(Capability { granularity, experimental, evidence: Vec::new() });
        capability.granularity = granularity;
        capability.evidence.push(evidence);
        capability.evidence.sort();
        capability.evidence.dedup();
        self
    }

    /// Adds a policy kind and those of its parts that not every gateway has, all with the same evidence.
    pub fn declare_policy(
        &mut self,
        kind: PolicyKind,
        granularity: Granularity,
        parts: &[&str],
        evidence: &Evidence,
    ) -> &mut Self {
        self.declare(CapabilityName::policy(kind), granularity, evidence.clone());
        for part in parts {
            self.declare(CapabilityName::policy_part(kind, part), granularity, evidence.clone());
        }
        self
    }

    /// Adds what was shown by requests through a real gateway, as evidence for what is declared: one line
    /// `<version>,<capability>,<case>` each, as the behaviour suite of the test kit writes them. What was shown with
    /// another minor line of the gateway than the table is for, or is not declared, adds nothing: a test is no claim.
    pub fn tested(&mut self, shown: &str, minor_line: (u64, u64)) -> &mut Self {
        for line in shown.lines() {
            let mut parts = line.splitn(3, ',');
            let (Some(tested), Some(name), Some(case)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let same_line = ModuleVersion::new(tested).is_ok_and(|tested| tested.line() == minor_line);
            let Some(capability) = self.0.get_mut(&CapabilityName::from(name.to_owned())).filter(|_| same_line) else {
                continue;
            };
            capability.evidence.push(Evidence::tested(&format!("behaviour suite: {case}"), tested));
            capability.evidence.sort();
            capability.evidence.dedup();
        }
        self
    }

    /// Adds a capability that needs the experimental channel's CRDs.
    pub fn declare_experimental(
        &mut self,
        name: CapabilityName,
        granularity: Granularity,
        evidence: Evidence,
    ) -> &mut Self {
        self.declare(name.clone(), granularity, evidence);
        if let Some(capability) = self.0.get_mut(&name) {
            capability.experimental = true;
        }
        self
    }

    /// Adds those of another table; what is there keeps its granularity and gains evidence.
    pub fn extend(&mut self, other: Self) {
        for (name, capability) in other.0 {
            match self.0.get_mut(&name) {
                Some(own) => {
                    own.evidence.extend(capability.evidence);
                    own.evidence.sort();
                    own.evidence.dedup();
                }
                None => {
                    self.0.insert(name, capability);
                }
            }
        }
    }

    /// Keeps of the features of Gateway API only those that the live class publishes, which gain its evidence. A class that
    /// publishes nothing (Istio's) says nothing, and names of this project are not for a class to publish.
    pub fn retain_published(&mut self, published: &Self) {
        if published.is_empty() {
            return;
        }
        self.0.retain(|name, capability| {
            if !names::gateway_api::ALL.contains(name) {
                return true;
            }
            let live = published.get(name);
            if let Some(live) = live {
                capability.evidence.extend(live.evidence.iter().cloned());
                capability.evidence.sort();
                capability.evidence.dedup();
            }
            live.is_some()
        });
    }

    /// Keeps what another table has too, and gives the names of the others.
    pub fn retain_common(&mut self, other: &Self) -> Vec<CapabilityName> {
        let (common, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| other.has(name));
        self.0 = common;
        lost.into_keys().collect()
    }

    /// Takes a capability away: a negative test, or the operator's word, beats all other evidence.
    pub fn remove(&mut self, name: &CapabilityName) -> Option<Capability> {
        self.0.remove(name)
    }

    /// Keeps only what works with the standard channel's CRDs.
    pub fn retain_standard_channel(&mut self) {
        self.0.retain(|_, capability| !capability.experimental);
    }

    /// Whether it is there.
    pub fn has(&self, name: &CapabilityName) -> bool {
        self.0.contains_key(name)
    }

    /// One capability.
    pub fn get(&self, name: &CapabilityName) -> Option<&Capability> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&CapabilityName, &Capability)> {
        self.0.iter()
    }

    /// The names.
    pub fn names(&self) -> BTreeSet<CapabilityName> {
        self.0.keys().cloned().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{names::gateway_api, *};

    #[test]
    fn what_a_class_publishes_only_takes_away() {
        let declared = |names: &[CapabilityName]| {
            let mut capabilities = Capabilities::new();
            for name in names {
                capabilities.declare(name.clone(), Granularity::Rule, Evidence::documentation("x", "1"));
            }
            capabilities
        };
        let policy = CapabilityName::policy(PolicyKind::Cors);
        let mut known = declared(&[gateway_api::HTTP_ROUTE, gateway_api::HTTP_ROUTE_CORS, policy.clone()]);
        let before = known.clone();
        known.retain_published(&Capabilities::new());
        assert_eq!(known, before, "a class that publishes nothing says nothing");
        known.retain_published(&declared(&[gateway_api::HTTP_ROUTE, gateway_api::GRPC_ROUTE]));
        assert_eq!(known.names(), BTreeSet::from([gateway_api::HTTP_ROUTE, policy]));
    }

    #[test]
    fn a_claim_does_not_bring_an_experimental_field_into_the_standard_channel() {
        let mut claimed = Capabilities::new();
        claimed.declare(gateway_api::HTTP_ROUTE_RETRY, Granularity::Rule, Evidence::operator("parameters"));
        claimed.declare(gateway_api::HTTP_ROUTE_CORS, Granularity::Rule, Evidence::operator("parameters"));
        claimed.retain_standard_channel();
        assert_eq!(claimed.names(), BTreeSet::from([gateway_api::HTTP_ROUTE_CORS]));
    }
}
