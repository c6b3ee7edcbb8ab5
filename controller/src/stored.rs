//! Stored objects, decoded one by one: one that cannot be read never blocks the others.

use gateway_modules::core::intent::{
    ClusterReference, Component, ComponentSpec, DataPlane, DataPlaneSpec, Document, GROUP, Metadata, SourceMap,
    VERSION, schema::DocumentKind, status::LastAccepted,
};
use kube::{
    ResourceExt,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The resource of a kind of intent.
pub(crate) fn resource(kind: DocumentKind) -> ApiResource {
    let plural = match kind {
        DocumentKind::DataPlane => "dataplanes",
        DocumentKind::Component => "components",
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind.as_str()), plural)
}

/// `namespace/name` of an object.
pub(crate) fn key(object: &DynamicObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// Generation of an object.
pub(crate) fn generation(object: &DynamicObject) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

/// Whether the object is being deleted.
pub(crate) fn is_going(object: &DynamicObject) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// A data plane, or why it cannot be read.
pub(crate) fn data_plane(object: &DynamicObject) -> Result<DataPlane, String> {
    decode::<DataPlaneSpec>(object, DocumentKind::DataPlane, &object.data["spec"])
}

/// The cluster of a data plane, whatever else it says; absent: the controller's own.
pub(crate) fn cluster(object: &DynamicObject) -> Result<Option<ClusterReference>, String> {
    serde_json::from_value(object.data["spec"]["cluster"].clone()).map_err(|error| format!("spec.cluster: {error}"))
}

/// A component, or why it cannot be read.
pub(crate) fn component(object: &DynamicObject) -> Result<Component, String> {
    decode::<ComponentSpec>(object, DocumentKind::Component, &object.data["spec"])
}

/// Whether any form of a component was accepted, readable or not.
pub(crate) fn was_accepted(object: &DynamicObject) -> bool {
    object.data.pointer("/status/lastAccepted").is_some_and(|last| !last.is_null())
}

/// The form of a component that was accepted last, if it is another one than the present.
pub(crate) fn last_accepted(object: &DynamicObject) -> Option<(LastAccepted, Component)> {
    let last: LastAccepted = serde_json::from_value(object.data.pointer("/status/lastAccepted")?.clone()).ok()?;
    if last.generation == generation(object) {
        return None;
    }
    let component = decode::<ComponentSpec>(object, DocumentKind::Component, &last.spec).ok()?;
    Some((last, component))
}

fn decode<S: DeserializeOwned>(
    object: &DynamicObject,
    kind: DocumentKind,
    spec: &Value,
) -> Result<Document<S>, String> {
    // Annotations are left out: nothing reads them, and tools write what they like there.
    let metadata: Metadata = serde_json::from_value(json!({
        "name": object.name_any(),
        "namespace": object.namespace(),
        "labels": object.labels(),
    }))
    .map_err(|error| format!("metadata: {error}"))?;
    let spec = serde_json::from_value(spec.clone()).map_err(|error| format!("spec: {error}"))?;
    let name = match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    };
    let source = SourceMap { cluster_object: Some(name), ..SourceMap::default() };
    Ok(Document { metadata, spec, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_field_is_ignored_and_a_wrong_type_is_named() {
        let stored = |spec: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": "catalog", "namespace": "shop", "annotations": {"any thing": "goes"}}, "spec": spec,
            }))
            .unwrap_or_else(|error| panic!("{error}"))
        };
        let endpoint = json!({"name": "api", "type": "HTTP", "port": 80, "visibilities": ["external"], "newer": true});
        assert!(component(&stored(json!({"endpoints": [endpoint]}))).is_ok());
        let error = component(&stored(json!({"endpoints": [{"name": "api", "type": "HTTP", "port": "x"}]})));
        assert!(error.is_err_and(|message| message.contains("spec")), "the place is named");
    }
}
