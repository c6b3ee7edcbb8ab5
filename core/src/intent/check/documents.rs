//! Identity of documents.

use std::collections::BTreeMap;

use super::place::{At, Checker};
use crate::intent::codes;

pub(super) fn check(checker: &mut Checker<'_>) {
    let intent = checker.intent;
    let planes = intent.data_planes.iter().map(|plane| (plane.id(), At::data_plane(plane)));
    let components = intent.components.iter().map(|component| (component.id(), At::component(component)));
    let mut seen = BTreeMap::new();
    for (id, at) in planes.chain(components) {
        let name = at.field("metadata/name");
        if let Some(first) = seen.get(&id) {
            let first: &At<'_> = first;
            checker.error(
                &name,
                codes::DUPLICATE_DOCUMENT,
                format!("{id} is written twice, first at {}", first.named()),
                "give one of them another name, or remove it",
            );
        } else {
            seen.insert(id, name);
        }
    }
    for plane in &intent.data_planes {
        if plane.metadata.namespace.is_some() {
            checker.error(
                &At::data_plane(plane).field("metadata/namespace"),
                codes::NAMESPACED_DATA_PLANE,
                "a DataPlane is cluster-scoped and has no namespace",
                "remove `namespace`; `visibilities.<name>.namespace` says where a Gateway stands",
            );
        }
    }
}
