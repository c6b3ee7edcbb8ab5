//! An installation as manifests, for people who would rather apply it themselves.

use gateway_modules_core::installation::{DefinitionChange, Definitions, GATEWAY_API_GROUP};
use serde_json::{Value, json};

use crate::{Backend, InstallError, InstallPlan, fetch::yaml};

/// Everything that an installation would write, in order. With a backend that writes objects (Flux, Argo CD) those objects, else
/// what the charts make of their values; hooks of charts are among them and are Jobs to be run once.
///
/// # Errors
/// A chart makes something that is no YAML.
pub fn manifests(backend: &dyn Backend, plan: &InstallPlan) -> Result<Vec<Value>, InstallError> {
    let mut all: Vec<Value> = plan
        .installation
        .namespaces()
        .into_iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .collect();
    let changed = plan
        .definitions
        .iter()
        .filter(|definition| matches!(definition.change, DefinitionChange::Create | DefinitionChange::Update));
    all.extend(changed.map(|definition| definition.object.clone()));
    for release in &plan.releases {
        let objects = backend.objects(release);
        if !objects.is_empty() {
            all.extend(objects);
            continue;
        }
        for document in release.rendered.split("\n---") {
            let object = yaml(document.trim_start_matches("---"), &release.chart.name)?;
            let beside = plan.definitions.iter().any(|definition| definition.object == object);
            // Standard definitions are not the gateway's to bring, as in an installation.
            let standard =
                object["spec"]["group"] == GATEWAY_API_GROUP && release.chart.definitions != Definitions::Templates;
            if object.is_object() && !beside && !standard {
                all.push(in_namespace(object, &release.chart.namespace));
            }
        }
    }
    all.extend(plan.class.iter().map(gateway_modules_core::object::Object::to_value));
    Ok(all)
}

/// `helm template` leaves the namespace to the one who applies. Kinds without one are known by their groups here.
fn in_namespace(mut object: Value, namespace: &str) -> Value {
    const CLUSTER: [&str; 11] = [
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "PriorityClass",
        "StorageClass",
    ];
    let kind = object["kind"].as_str().unwrap_or_default();
    if !CLUSTER.contains(&kind) && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}
