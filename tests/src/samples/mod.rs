//! Sample intents: one endpoint per policy kind, and forms of a kind that only some gateways have.
//!
//! They are the intents of the contract suite, of the yardstick and of the metamorphic tests, so that all of them speak of
//! the same thing.

mod documents;
mod forms;
mod policies;

use gateway_modules_core::intent::policies::PolicyKind;
use serde_json::Value;

pub use self::{
    documents::{Documents, leaves},
    forms::with_policies,
};

/// An intent that uses one policy kind: a data plane, and a component with one endpoint.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The kind.
    pub kind: PolicyKind,
    /// What is special about it, for example `redis`; `common` for the form that everyone means first.
    pub form: &'static str,
    /// Capability that a gateway must have for this form besides the kind itself.
    pub needs: Option<&'static str>,
    /// The documents.
    pub documents: Documents,
}

impl Sample {
    /// Name for people, for example `rate-limit-local/client-ip`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.kind, self.form)
    }

    /// Whether it is the form that everyone means first.
    pub fn is_common(&self) -> bool {
        self.needs.is_none() && self.form.starts_with("common")
    }
}

/// The common form of each kind, and other forms of some.
pub fn all() -> Vec<Sample> {
    let mut samples = common();
    samples.extend(forms::forms());
    samples
}

/// The common form of each kind. `rate-limit-global` has two, since its counting service is part of the intent.
pub fn common() -> Vec<Sample> {
    policies::FILES
        .iter()
        .map(|(kind, form, text)| Sample { kind: *kind, form, needs: None, documents: policies::documents(text) })
        .collect()
}

/// The common forms of one kind.
pub fn of(kind: PolicyKind) -> Vec<Sample> {
    common().into_iter().filter(|sample| sample.kind == kind).collect()
}

/// The endpoint of `first` with the policies and rules of `second` as well; `None` where both write the same field.
pub fn combined(first: &Documents, second: &Documents) -> Option<Documents> {
    const ENDPOINT: &str = "/spec/endpoints/0";
    let mut both = first.clone();
    let other = second.component().pointer(ENDPOINT)?.clone();
    let own = both.component_mut().pointer_mut(ENDPOINT)?.as_object_mut()?;
    if let Some(rules) = other.get("rules") {
        if own.contains_key("rules") {
            return None;
        }
        own.insert("rules".to_owned(), rules.clone());
    }
    let policies = own.entry("policies").or_insert_with(|| Value::Object(serde_json::Map::new())).as_object_mut()?;
    for (field, value) in other.get("policies").and_then(Value::as_object).into_iter().flatten() {
        if policies.insert(field.clone(), value.clone()).is_some_and(|own| own != *value) {
            return None;
        }
    }
    // The plane of both: listeners, and what it allows.
    let references = second.plane().pointer("/spec/allowedReferences").cloned();
    let visibilities = second.plane().pointer("/spec/visibilities").cloned();
    let spec = both.plane_mut().pointer_mut("/spec")?.as_object_mut()?;
    if let Some(references) = references {
        spec.insert("allowedReferences".to_owned(), references);
    }
    if let Some(visibilities) = visibilities.filter(|text| text.to_string().contains("HTTPS")) {
        spec.insert("visibilities".to_owned(), visibilities);
    }
    Some(both)
}
