//! Writes what is told on the intent objects, where it has changed.

use std::sync::{Arc, PoisonError};

use futures::{FutureExt, StreamExt};
use gateway_modules::core::intent::{schema::DocumentKind, status::DataPlaneStatus};
use kube::{
    ResourceExt,
    api::{Api, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    FIELD_MANAGER, ReconcileError, Reconciler, Snapshot,
    conditions::Verdict,
    snapshot::serving,
    status::{PlaneReport, component_status},
    stored,
};

/// Status writes at a time.
const CONCURRENCY: usize = 8;

impl Reconciler {
    pub(crate) async fn tell_plane(&self, object: &DynamicObject, report: PlaneReport) -> Result<(), ReconcileError> {
        self.write_plane_status(object, report.into_status(object)).await.map(drop)
    }

    /// Writes the status of a plane; gives the plane as it is then, if it was written.
    pub(crate) async fn write_plane_status(
        &self,
        object: &DynamicObject,
        status: DataPlaneStatus,
    ) -> Result<Option<DynamicObject>, ReconcileError> {
        self.write_status(object, DocumentKind::DataPlane, serde_json::to_value(status)?).await
    }

    /// Tells every component how it is. Writes only what has changed.
    ///
    /// # Errors
    /// The API server does not take a status.
    pub async fn tell_components(&self, snapshot: &Snapshot) -> Result<(), ReconcileError> {
        let planes = snapshot.planes();
        let statuses: Vec<(&Arc<DynamicObject>, Value)> = {
            let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
            let mut statuses = Vec::new();
            for object in snapshot.present() {
                let served = match stored::component(object) {
                    Err(message) if stored::was_accepted(object) => {
                        Err(Verdict::no("Invalid", format!("{message}; what was applied for it before is kept")))
                    }
                    Err(message) => Err(Verdict::no("Invalid", message)),
                    Ok(component) => {
                        let served = serving(component.spec.data_planes.as_ref(), &planes);
                        if served.is_empty() {
                            let names: Vec<&str> = planes.iter().map(|plane| plane.name.as_str()).collect();
                            let message = match names.as_slice() {
                                [] => "there is no DataPlane: create one".to_owned(),
                                names => {
                                    format!("no data plane serves the component: name one of {}", names.join(", "))
                                }
                            };
                            Err(Verdict::no("NoDataPlane", message))
                        } else {
                            Ok(served.into_iter().map(|name| (name.clone(), views.get(&name))).collect())
                        }
                    }
                };
                statuses.push((object, serde_json::to_value(component_status(object, served))?));
            }
            statuses
        };
        let mut pending = Vec::new();
        for (object, status) in statuses {
            pending.push(self.write_status(object, DocumentKind::Component, status).boxed());
        }
        let mut writes = futures::stream::iter(pending).buffer_unordered(CONCURRENCY);
        let mut first = Ok(());
        while let Some(result) = writes.next().await {
            if first.is_ok() {
                first = result.map(drop);
            }
        }
        first
    }

    async fn write_status(
        &self,
        object: &DynamicObject,
        kind: DocumentKind,
        status: Value,
    ) -> Result<Option<DynamicObject>, ReconcileError> {
        if object.data.get("status") == Some(&status) {
            return Ok(None);
        }
        let resource = stored::resource(kind);
        let client = self.local.client.clone();
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        // About this very object: what was changed since has an event of its own, and a newer status is not overwritten.
        let patch = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": object.name_any(), "namespace": object.namespace(), "resourceVersion": object.resource_version() },
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(&object.name_any(), &parameters, &Patch::Apply(patch)).await {
            Ok(written) => {
                self.events.tell(object, kind, &status);
                Ok(Some(written))
            }
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
            Err(error) => Err(ReconcileError::kube(format!("status of {kind} {}", stored::key(object)), error)),
        }
    }
}
