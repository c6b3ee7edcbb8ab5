//! All stored intents as read together, and who is served by which plane.

use std::{collections::BTreeMap, sync::Arc};

use gateway_modules::core::{
    intent::{DataPlanePicker, GROUP, Intent, Metadata, VERSION, schema::DocumentKind},
    module::{ClusterReader, ReadError},
    object::GroupVersionKind,
};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::json;

use crate::{isolate::Candidate, stored};

/// All stored intents, as read together. What is missing here is deleted from the gateway: a snapshot must be complete.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All DataPlanes.
    pub data_planes: Vec<Arc<DynamicObject>>,
    /// All Components.
    pub components: Vec<Arc<DynamicObject>>,
}

/// The components of one plane.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// What is to be compiled.
    pub(crate) candidates: Vec<Candidate>,
    /// Generations, by `namespace/name`.
    pub(crate) generations: BTreeMap<String, i64>,
    /// Accepted before, and not readable by this controller.
    pub(crate) unreadable: Vec<String>,
}

impl Snapshot {
    /// Reads all stored intents, once; empty where the kinds of intent are not served. A loop watches instead.
    ///
    /// # Errors
    /// A missing right, or an API server that does not answer.
    pub async fn read(cluster: &dyn ClusterReader) -> Result<Self, ReadError> {
        let all = async |kind: DocumentKind| -> Result<Vec<Arc<DynamicObject>>, ReadError> {
            let what = GroupVersionKind::of(GROUP, VERSION, kind.as_str());
            let listed = cluster.list(&what, None).await?;
            Ok(listed.into_iter().filter_map(|value| serde_json::from_value(value).ok().map(Arc::new)).collect())
        };
        Ok(Self { data_planes: all(DocumentKind::DataPlane).await?, components: all(DocumentKind::Component).await? })
    }

    /// The intents that can be read and are there to stay.
    pub fn intent(&self) -> Intent {
        Intent {
            data_planes: self.present_planes().filter_map(|object| stored::data_plane(object).ok()).collect(),
            components: self.present().filter_map(|object| stored::component(object).ok()).collect(),
        }
    }

    /// Names and labels of all planes, also of those whose specification cannot be read.
    pub(crate) fn planes(&self) -> Vec<Metadata> {
        let metadata = |object: &Arc<DynamicObject>| {
            serde_json::from_value(json!({ "name": object.name_any(), "labels": object.labels() })).ok()
        };
        let mut planes: Vec<Metadata> = self.present_planes().filter_map(metadata).collect();
        planes.sort_by(|a, b| a.name.cmp(&b.name));
        planes
    }

    /// The planes that are there to stay.
    pub(crate) fn present_planes(&self) -> impl Iterator<Item = &Arc<DynamicObject>> {
        self.data_planes.iter().filter(|object| !stored::is_going(object))
    }

    /// The components that are there to stay.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Arc<DynamicObject>> {
        self.components.iter().filter(|object| !stored::is_going(object))
    }

    /// The components of a plane.
    pub(crate) fn served(&self, plane: &str) -> Served {
        let planes = self.planes();
        let mut served = Served::default();
        for object in self.present() {
            let key = stored::key(object);
            let (component, fallback, incumbent) = match (stored::component(object), stored::last_accepted(object)) {
                (Ok(component), last) => {
                    let incumbent = last.is_none() && stored::was_accepted(object);
                    (component, last.map(|(_, component)| component), incumbent)
                }
                // It cannot be read; what was accepted before is served on. Its status says so by itself.
                (Err(_), Some((_, component))) => (component, None, true),
                (Err(_), None) => {
                    // It was served before, and this controller cannot say what it had: nothing may be pruned for it.
                    if stored::was_accepted(object) {
                        served.unreadable.push(key);
                    }
                    continue;
                }
            };
            if serving(component.spec.data_planes.as_ref(), &planes).iter().any(|name| name == plane) {
                served.generations.insert(key, stored::generation(object));
                let created = object.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default();
                served.candidates.push(Candidate { component, fallback, incumbent, created });
            }
        }
        served
    }
}

/// The planes that serve a component: what its picker says, or the only plane there is.
pub(crate) fn serving(picker: Option<&DataPlanePicker>, planes: &[Metadata]) -> Vec<String> {
    let chosen = |plane: &&Metadata| match picker {
        None => planes.len() == 1,
        Some(DataPlanePicker::Names(names)) => names.contains(&plane.name),
        Some(DataPlanePicker::MatchLabels(labels)) => {
            labels.iter().all(|(key, value)| plane.labels.get(key) == Some(value))
        }
    };
    planes.iter().filter(chosen).map(|plane| plane.name.to_string()).collect()
}
