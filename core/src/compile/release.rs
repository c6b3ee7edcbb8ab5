//! A release: everything that is to be in the cluster for one data plane, and nothing that a cluster was asked for.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use super::Report;
use crate::{
    channel::Channel,
    intent::{FieldRef, policies::PolicyKind},
    module::{Acknowledgement, Contribution, DerivedSecret, Enforcement, ModuleVersion, Requirement},
    object::{Object, ObjectKey},
    resolve::Binding,
};

/// Everything that is to be in the cluster for one data plane.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Release {
    /// Name of the data plane.
    pub data_plane: String,
    /// The module that it was compiled for, and with which assumptions.
    pub module: ModuleUse,
    /// Objects in the order of their phases; within a phase by identity.
    pub objects: Vec<ReleaseObject>,
    /// Fields of objects of others.
    pub contributions: Vec<Contribution>,
    /// Secrets that are made at apply.
    pub derived_secrets: Vec<DerivedSecret>,
    /// What the installation of the gateway must have.
    pub requires: Vec<Requirement>,
    /// Each security policy and what is promised about it.
    pub policies: Vec<PolicyStatement>,
    /// What became of each leaf of the intent.
    pub report: Report,
    /// How long after its status says so a policy may not be in force in all proxies yet.
    #[serde(skip)]
    pub in_force_after: Duration,
}

/// The module that a release was compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleUse {
    /// Name of the module.
    pub name: String,
    /// Version of the gateway.
    pub version: ModuleVersion,
    /// GatewayClass.
    pub class: String,
    /// Controller name that must own the class; `None` for any.
    pub controller: Option<String>,
    /// Channel of the Gateway API CRDs.
    pub channel: Channel,
    /// What was assumed because nothing said it, for people.
    pub assumptions: Vec<String>,
}

/// When an object is written; deletion is the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// GatewayClass, parameters, ReferenceGrants.
    Foundation,
    /// Gateways.
    Gateways,
    /// What policies refer to, and policies.
    Policies,
    /// Routes.
    Routes,
}

/// What an object is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Role {
    /// A GatewayClass or its parameters, which several planes of a cluster may share.
    Class,
    /// Parameters of one Gateway.
    Parameters,
    /// A Gateway.
    Gateway {
        /// Visibility.
        visibility: String,
    },
    /// A ReferenceGrant.
    ReferenceGrant,
    /// A policy, or something that one refers to.
    Policy {
        /// Kinds that it realises.
        kinds: Vec<PolicyKind>,
    },
    /// A route.
    Route {
        /// What it is for.
        binding: Binding,
    },
    /// The redirect of an HTTP listener.
    RedirectRoute {
        /// Visibility.
        visibility: String,
    },
}

/// An object of a release.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseObject {
    /// The object, as it is to be.
    pub object: Object,
    /// When it is written.
    pub phase: Phase,
    /// What it is for.
    pub role: Role,
    /// Components (`namespace/name`) that need it; empty for what the plane itself needs.
    pub owners: BTreeSet<String>,
    /// Of a route with attached security policies: how it is opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

impl ReleaseObject {
    /// Identity in a cluster.
    pub fn key(&self) -> ObjectKey {
        self.object.key()
    }
}

/// How a route with attached security policies is opened: written closed first, opened when all policies are effective.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The route with its final name, parents, hosts and matches, and backends that do not exist, so that it answers 500.
    pub closed: ClosedForm,
    /// The policies that must be effective before it is opened.
    pub policies: Vec<GatePolicy>,
}

/// A route in the form that lets nothing through.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ClosedForm(pub Object);

/// A policy that must be effective before a route is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatePolicy {
    /// Kind of the policy.
    pub kind: PolicyKind,
    /// The object whose status says so.
    pub object: ObjectKey,
    /// Controller whose word counts.
    pub controller: String,
    /// How it says so.
    pub acknowledgement: Acknowledgement,
}

/// What is promised about a security policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Promise {
    /// The policy was written before the route (the audit log shows it).
    #[serde(rename = "P1 ordered")]
    Ordered,
    /// The controller has said that the policy is effective before the route was opened.
    #[serde(rename = "P2 acknowledged")]
    Acknowledged,
    /// A refusal was seen at every address of its Gateways (a probe).
    #[serde(rename = "P3 observed")]
    Observed,
}

impl std::fmt::Display for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ordered => "P1 ordered",
            Self::Acknowledged => "P2 acknowledged",
            Self::Observed => "P3 observed",
        })
    }
}

/// A security policy of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatement {
    /// Where it is in force.
    pub binding: Binding,
    /// Rules that it covers, by name.
    pub rules: Vec<String>,
    /// The same rules where they stand: route objects, and indices in their `spec.rules`.
    pub places: Vec<(ObjectKey, usize)>,
    /// Kind.
    pub kind: PolicyKind,
    /// The field of the intent.
    pub field: FieldRef,
    /// How it keeps the route from being open without it.
    pub enforcement: Enforcement,
    /// What an apply with gating promises.
    pub promise: Promise,
    /// Objects that realise it.
    pub objects: Vec<ObjectKey>,
}

/// Identifies a contribution: two components that want different values for one key are an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContributionKey {
    /// The object.
    pub target: ObjectKey,
    /// The field, for example `spec.ports[8080].appProtocol`.
    pub field: String,
}

impl Release {
    /// A release with nothing in it.
    pub fn new(data_plane: impl Into<String>, module: ModuleUse) -> Self {
        Self {
            data_plane: data_plane.into(),
            module,
            objects: Vec::new(),
            contributions: Vec::new(),
            derived_secrets: Vec::new(),
            requires: Vec::new(),
            policies: Vec::new(),
            report: Report::default(),
            in_force_after: Duration::ZERO,
        }
    }

    /// The release as one text that changes when and only when the release does.
    pub fn id(&self) -> String {
        let text = serde_json::to_string(&(
            &self.data_plane,
            &self.module.name,
            &self.objects,
            &self.contributions,
            &self.derived_secrets,
        ))
        .unwrap_or_default();
        crate::names::hash(&[&text])
    }
}
