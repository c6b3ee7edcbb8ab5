//! What an adapter returns: objects, edits of routes, and a verdict per field with pointers to the bytes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    intent::{FieldRef, policies::PolicyKind},
    object::Object,
};

/// What became of one field (or of everything below it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
#[non_exhaustive]
pub enum Verdict {
    /// It is emitted with its full meaning.
    Exact,
    /// It is emitted with differences that the intent must accept by name.
    Approximate {
        /// The differences.
        differences: Vec<Difference>,
    },
    /// It cannot be had: an error.
    Unsupported {
        /// Why, one sentence without a full stop.
        reason: String,
        /// What would work: another module, an option of this one, another policy.
        alternatives: Vec<String>,
    },
    /// Another layer's value is in force.
    Overridden {
        /// The field that is in force.
        by: FieldRef,
    },
    /// It steers the compilation and has no bytes of its own.
    Decides {
        /// What it decides.
        what: String,
    },
    /// Nothing of this release uses it, for example a default of a plane without endpoints.
    Inactive {
        /// Why.
        reason: String,
    },
}

/// A difference between what a policy means and what the gateway does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Name by which an intent accepts it: `<policy kind>/<difference>`, for example `rate-limit-local/fixed-window`.
    pub name: String,
    /// The difference in words and numbers.
    pub text: String,
    /// Whether the gateway does more than was asked. A security policy may only be approximated to something stricter.
    pub stricter: bool,
}

/// Bytes that a verdict cites.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Citation {
    /// A JSON pointer into [`Mapping::objects`] or [`Provisioned::objects`].
    Object {
        /// Index of the object.
        index: usize,
        /// JSON pointer.
        pointer: String,
    },
    /// A JSON pointer into the value of one of [`Mapping::edits`] (`""`: the whole value).
    Edit {
        /// Index of the edit.
        index: usize,
        /// JSON pointer.
        pointer: String,
    },
    /// A JSON pointer into the Gateway object of a visibility (provisioning only).
    Gateway {
        /// Visibility.
        visibility: String,
        /// JSON pointer.
        pointer: String,
    },
    /// One of [`Mapping::fragments`], wherever [`assemble`](super::GatewayModule::assemble) puts it.
    Fragment {
        /// Index of the fragment.
        index: usize,
        /// JSON pointer into the fragment's value.
        pointer: String,
    },
    /// A JSON pointer into an object that [`provision`](super::GatewayModule::provision) has made, or into a Gateway.
    Provisioned {
        /// The object.
        object: crate::object::ObjectKey,
        /// JSON pointer.
        pointer: String,
    },
    /// One of [`Mapping::contributions`].
    Contribution {
        /// Index of the contribution.
        index: usize,
    },
}

/// What became of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOutcome {
    /// The field; the outcome holds for everything below it that has no outcome of its own.
    pub field: FieldRef,
    /// What became of it.
    pub verdict: Verdict,
    /// Bytes; never empty for `Exact` and `Approximate`.
    pub citations: Vec<Citation>,
}

/// An object that a mapping has added; makes citations into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHandle(usize);

impl ObjectHandle {
    /// Cites a JSON pointer into the object.
    pub fn at(self, pointer: impl Into<String>) -> Citation {
        Citation::Object { index: self.0, pointer: pointer.into() }
    }
}

/// A change of the route objects of a target, for exactly the rules that are meant.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RouteEdit {
    /// Adds a filter to each rule. Core places it by the request-path order of the kind.
    Filter {
        /// The policy that it is for.
        kind: PolicyKind,
        /// The filter, as Gateway API writes it (`{"type": "ExtensionRef", …}`).
        filter: Value,
    },
    /// Replaces the backends of rules by others that stand for them (`TraefikService`).
    Backends {
        /// The policy that it is for.
        kind: PolicyKind,
        /// Names of the rules; empty for all that are meant. Rules may have different backends.
        rules: Vec<String>,
        /// The `backendRefs`, as Gateway API writes them.
        backend_refs: Value,
    },
    /// Adds items to a comma-separated annotation of the route object, keeping those of others.
    AnnotationItems {
        /// Annotation.
        name: String,
        /// Items.
        items: Vec<String>,
    },
    /// Sets an annotation of the route object; two values for one are an error.
    Annotation {
        /// Annotation.
        name: String,
        /// Value.
        value: String,
    },
}

/// Identifies an object that several targets share, for example `AuthorizationPolicy of Gateway external`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedKey(pub Vec<String>);

/// Part of a shared object.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// The object that it is a part of.
    pub key: SharedKey,
    /// The part; its meaning is the adapter's.
    pub value: Value,
}

/// A field of an object of others that a policy needs. Never creates, owns or deletes the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// The object.
    pub target: crate::object::ObjectKey,
    /// The field.
    #[serde(flatten)]
    pub value: ContributionValue,
    /// Why, for people.
    pub reason: String,
    /// The field of the intent that asks for it.
    pub source: FieldRef,
}

/// What is contributed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ContributionValue {
    /// `spec.ports[port].appProtocol` of a Service (KEP-3726).
    AppProtocol {
        /// Port number of the Service.
        port: u16,
        /// Value, for example `kubernetes.io/ws`.
        protocol: String,
    },
    /// An annotation.
    Annotation {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
    /// Items of a comma-separated annotation.
    AnnotationItems {
        /// Name.
        name: String,
        /// Items.
        items: Vec<String>,
    },
}

impl ContributionValue {
    /// Where it stands in the object, as a JSON pointer (RFC 6901); the item of a list is chosen by its key, for example
    /// `/spec/ports[port=80]/appProtocol`.
    pub fn pointer(&self) -> String {
        match self {
            Self::AppProtocol { port, .. } => format!("/spec/ports[port={port}]/appProtocol"),
            Self::Annotation { name, .. } | Self::AnnotationItems { name, .. } => {
                format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"))
            }
        }
    }
}

/// A Secret that is made from another one when the release is applied; its content never enters a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DerivedSecret {
    /// Namespace of both Secrets.
    pub namespace: String,
    /// Name of the source, in the neutral form (name → clear text).
    pub source: String,
    /// Name of the derived Secret.
    pub name: String,
    /// What is made of it.
    pub transform: SecretTransform,
    /// Labels of the derived Secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Type of the derived Secret. Absent: `Opaque`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The field of the intent that names the source.
    pub field: FieldRef,
}

/// Closed set of transforms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum SecretTransform {
    /// One key with htpasswd lines `user:{SHA}base64(sha1(password))`.
    HtpasswdSha1 {
        /// Key of the derived Secret.
        key: String,
    },
    /// One key with htpasswd lines in bcrypt.
    HtpasswdBcrypt {
        /// Key of the derived Secret.
        key: String,
    },
}

/// What the installation of the gateway must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// Path of the value, for example a Helm value.
    pub setting: String,
    /// Exact value.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// How a security policy keeps its route from being open without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "enforcement")]
#[non_exhaustive]
pub enum Enforcement {
    /// It stands in the route itself.
    Inline,
    /// A filter of the route refers to it, and the rule is closed while the reference does not resolve.
    Referenced {
        /// Test or source that shows it.
        evidence: String,
    },
    /// The gateway refuses by default, and the policy is the opening.
    StandingDeny,
    /// It attaches from outside (targetRefs, annotation): the route is open until the controller has joined both, so the
    /// route stays closed until the policy is acknowledged.
    Attached {
        /// How the controller says that the policy is effective; `None`: it does not, and the policy is refused.
        acknowledgement: Option<Acknowledgement>,
    },
}

/// How a controller says that a policy is effective.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Acknowledgement {
    /// `status.ancestors[]` (GEP-713): for the controller, Accepted is true, Attached and Programmed are absent or true, all
    /// for the object's generation.
    PolicyAncestors,
    /// `status.conditions[]`: this condition is true for the object's generation.
    Condition(String),
}

/// The answer of an adapter for one target.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Mapping {
    /// Verdict and bytes per field.
    pub outcomes: Vec<FieldOutcome>,
    /// Changes of the target's route objects.
    pub edits: Vec<RouteEdit>,
    /// Objects of this target alone, each with the kinds that need it.
    pub objects: Vec<(Object, Vec<PolicyKind>)>,
    /// Parts of objects that targets share.
    pub fragments: Vec<Fragment>,
    /// Fields of objects of others.
    pub contributions: Vec<Contribution>,
    /// What the installation must have.
    pub requires: Vec<Requirement>,
    /// Secrets that are made at apply.
    pub derived_secrets: Vec<DerivedSecret>,
    /// Of each security policy: how it keeps the route from being open without it.
    pub enforcement: BTreeMap<PolicyKind, Enforcement>,
}

impl Mapping {
    /// An empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object that realises these kinds.
    pub fn object(&mut self, object: Object, kinds: impl Into<Vec<PolicyKind>>) -> ObjectHandle {
        self.objects.push((object, kinds.into()));
        ObjectHandle(self.objects.len() - 1)
    }

    /// Adds an edit of the route; returns its index for citations.
    pub fn edit(&mut self, edit: RouteEdit) -> usize {
        self.edits.push(edit);
        self.edits.len() - 1
    }

    /// The field is emitted with its full meaning, at these bytes.
    pub fn exact(&mut self, field: FieldRef, citations: impl Into<Vec<Citation>>) {
        self.outcomes.push(FieldOutcome { field, verdict: Verdict::Exact, citations: citations.into() });
    }

    /// The field is emitted with a difference that the intent must accept by name.
    pub fn approximate(&mut self, field: FieldRef, difference: Difference, citations: impl Into<Vec<Citation>>) {
        let verdict = Verdict::Approximate { differences: vec![difference] };
        self.outcomes.push(FieldOutcome { field, verdict, citations: citations.into() });
    }

    /// The field cannot be had.
    pub fn unsupported(&mut self, field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) {
        let verdict = Verdict::Unsupported {
            reason: reason.into(),
            alternatives: alternatives.iter().map(|text| (*text).to_owned()).collect(),
        };
        self.outcomes.push(FieldOutcome { field, verdict, citations: Vec::new() });
    }

    /// Whether something is said about a field or about what is below it.
    pub fn answers(&self, field: &FieldRef) -> bool {
        self.outcomes.iter().any(|outcome| field.covers(&outcome.field))
    }

    /// The first refusal of a field, or of something below it.
    pub(crate) fn refusal(&self, field: &FieldRef) -> Option<&FieldOutcome> {
        let refuses = |outcome: &&FieldOutcome| matches!(outcome.verdict, Verdict::Unsupported { .. });
        self.outcomes.iter().filter(refuses).find(|outcome| field.covers(&outcome.field))
    }

    /// Says how a security policy keeps its route from being open without it.
    pub fn enforce(&mut self, kind: PolicyKind, enforcement: Enforcement) {
        self.enforcement.insert(kind, enforcement);
    }
}

/// What provisioning of a plane needs besides the Gateways themselves.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Provisioned {
    /// Name of the GatewayClass.
    pub class_name: String,
    /// The GatewayClass, where the platform must make it.
    pub class: Option<Object>,
    /// Parameters of the class and of Gateways.
    pub objects: Vec<Object>,
    /// Edits of the Gateways, by visibility.
    pub gateways: BTreeMap<String, GatewayEdit>,
    /// Verdict and bytes per field of the plane that the module has used.
    pub outcomes: Vec<FieldOutcome>,
    /// What the installation must have.
    pub requires: Vec<Requirement>,
}

impl Provisioned {
    /// With a class and nothing else.
    pub fn with_class(class_name: impl Into<String>) -> Self {
        Self { class_name: class_name.into(), ..Self::default() }
    }

    /// Adds an object.
    pub fn object(&mut self, object: Object) -> ObjectHandle {
        self.objects.push(object);
        ObjectHandle(self.objects.len() - 1)
    }

    /// The field is emitted with its full meaning, at these bytes.
    pub fn exact(&mut self, field: FieldRef, citations: impl Into<Vec<Citation>>) {
        self.outcomes.push(FieldOutcome { field, verdict: Verdict::Exact, citations: citations.into() });
    }
}

/// Edits of one Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GatewayEdit {
    /// `spec.gatewayClassName`, where this Gateway needs another class than the plane's: for gateways that take parameters
    /// by the class only.
    pub class_name: Option<String>,
    /// `spec.infrastructure.parametersRef`: group, kind and name of an object in the Gateway's namespace.
    pub parameters_ref: Option<(String, String, String)>,
    /// Annotations of the Gateway.
    pub annotations: BTreeMap<String, String>,
    /// Options of all TLS listeners.
    pub tls_options: BTreeMap<String, String>,
    /// Ports that the Gateway's listeners must have instead of those that clients use, for gateways whose listeners name
    /// the port of the container.
    pub listener_ports: BTreeMap<u16, u16>,
}

impl GatewayEdit {
    /// An edit that names a class of the Gateway's own.
    pub fn class(name: impl Into<String>) -> Self {
        Self { class_name: Some(name.into()), ..Self::default() }
    }

    /// An edit that names parameters in the Gateway's namespace.
    pub fn parameters(group: &str, kind: &str, name: &str) -> Self {
        Self { parameters_ref: Some((group.to_owned(), kind.to_owned(), name.to_owned())), ..Self::default() }
    }
}

/// Something that a plane asks for and the gateway cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The field.
    pub field: FieldRef,
    /// Why, one sentence without a full stop.
    pub reason: String,
    /// What would work.
    pub alternatives: Vec<String>,
}

impl Refusal {
    /// A refusal.
    pub fn new(field: FieldRef, reason: impl Into<String>, alternatives: &[&str]) -> Self {
        Self {
            field,
            reason: reason.into(),
            alternatives: alternatives.iter().map(|text| (*text).to_owned()).collect(),
        }
    }
}

/// Refusals; never empty when it is an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            write!(f, "{}{}: {}", if index > 0 { "; " } else { "" }, refusal.field, refusal.reason)?;
        }
        Ok(())
    }
}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}
