//! A DataPlane's finalizer: what a plane has is removed before its DataPlane goes.

use gateway_modules::core::intent::schema::DocumentKind;
use kube::{
    ResourceExt,
    api::{Api, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    FIELD_MANAGER, FINALIZER, Outcome, ReconcileError, Reconciler, Snapshot,
    conditions::Verdict,
    reconcile::{Judged, Stop},
    status::{PlaneReport, PlaneView},
    stored,
};

pub(crate) fn has_finalizer(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// What became of what a plane had.
pub(crate) enum CleanedUp {
    /// All of it is gone; the plane, where its status was written on the way.
    Gone(Option<Box<DynamicObject>>),
    /// Something of it is still there.
    Not(Box<Judged>),
}

impl Reconciler {
    /// Removes what the plane has, and what was installed for it alone.
    pub(crate) async fn clean_up(&self, object: &DynamicObject, snapshot: &Snapshot) -> Result<CleanedUp, Stop> {
        let site = self.site(object).await?;
        let name = object.name_any();
        let mut writes = 0;
        let mut blocked = Vec::new();
        for plan in site.cluster.plan_delete(&name).await? {
            let done = self.carry_out(&site, &plan, &mut writes).await?;
            blocked.extend(
                done.blocked.into_iter().map(|blocked| format!("{}: {}", blocked.object, blocked.reasons.join("; "))),
            );
        }
        if blocked.is_empty() {
            return Ok(match self.leave_installation(object, snapshot, &site).await {
                Ok(told) => CleanedUp::Gone(told.map(Box::new)),
                Err(judged) => CleanedUp::Not(Box::new(judged)),
            });
        }
        let message = "the plane is being deleted";
        let mut report = PlaneReport::new(Verdict::yes("Resolved", ""), Verdict::no("Deleting", message));
        report.programmed = Verdict::no("Deleting", blocked.join("\n"));
        let outcome = Outcome { again: Some(self.options.retry), writes, ..Outcome::default() };
        let view = PlaneView { failure: Some(message.to_owned()), ..PlaneView::default() };
        Ok(CleanedUp::Not(Box::new(Judged::new(outcome, report, view))))
    }

    pub(crate) async fn add_finalizer(&self, object: &DynamicObject) -> Result<(), ReconcileError> {
        if has_finalizer(object) {
            return Ok(());
        }
        let all: Vec<&str> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
        self.patch_finalizers(object, json!(all)).await
    }

    pub(crate) async fn remove_finalizer(&self, object: &DynamicObject) -> Result<(), ReconcileError> {
        let left: Vec<&String> = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
        self.patch_finalizers(object, json!(left)).await
    }

    async fn patch_finalizers(&self, object: &DynamicObject, finalizers: Value) -> Result<(), ReconcileError> {
        let client = self.local.client.clone();
        let api: Api<DynamicObject> = Api::all_with(client, &stored::resource(DocumentKind::DataPlane));
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() } });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&object.name_any(), &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // Gone already.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ReconcileError::kube(format!("finalizers of DataPlane {}", object.name_any()), error)),
        }
    }
}
