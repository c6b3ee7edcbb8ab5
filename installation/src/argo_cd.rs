//! Releases by Argo CD: an Application each, which its controller carries out.

use async_trait::async_trait;
use gateway_modules_core::{
    cluster::Cluster,
    installation::{ChartSource, Definitions},
    object::ObjectKey,
};
use serde_json::{Value, json};

use crate::{
    Backend, InstallError, PlannedRelease, Progress, Refusal, ReleaseState,
    checks::key,
    flux::{gone, missing},
    plan::NAMESPACE,
    record::RecordedRelease,
};

const APPLICATION: &str = "argoproj.io/v1alpha1";
/// With it, deleting the Application deletes what it has made.
const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// Where Argo CD reads Applications unless it is told otherwise.
pub const DEFAULT_NAMESPACE: &str = "argocd";

/// Argo CD, in the cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArgoCd {
    /// Namespace of its Applications.
    pub namespace: String,
    /// Its project.
    pub project: String,
}

impl ArgoCd {
    /// The backend, with a namespace of its Applications.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), project: "default".to_owned() }
    }

    /// Names of Applications share one namespace, so the namespace of the release is in them.
    fn key(&self, release: &str, namespace: &str) -> ObjectKey {
        key(APPLICATION, "Application", Some(&self.namespace), &name(release, namespace))
    }
}

fn name(release: &str, namespace: &str) -> String {
    format!("{namespace}-{release}")
}

#[async_trait]
impl Backend for ArgoCd {
    fn name(&self) -> &'static str {
        "argo-cd"
    }

    fn describe(&self) -> String {
        format!("Argo CD ({})", self.namespace)
    }

    fn leaves_definitions(&self) -> bool {
        false
    }

    async fn lacks(&self, cluster: &Cluster) -> Result<Vec<Refusal>, InstallError> {
        let link = "https://argo-cd.readthedocs.io/en/stable/getting_started";
        let mut all = missing(cluster, &["applications.argoproj.io"], "Argo CD", link).await?;
        let key = ObjectKey { kind: NAMESPACE, namespace: None, name: self.namespace.clone() };
        if all.is_empty() && cluster.get_object(&key).await?.is_none() {
            let reason = "it is not there, and Applications go into it";
            let next = "name Argo CD's own with --argo-cd-namespace";
            all.push(Refusal::new(format!("namespace {}", self.namespace), reason, next));
        }
        Ok(all)
    }

    async fn state(&self, cluster: &Cluster, release: &str, namespace: &str) -> Result<ReleaseState, InstallError> {
        let Some(found) = cluster.get_object(&self.key(release, namespace)).await? else {
            return Ok(ReleaseState::Absent);
        };
        let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or("Unknown").to_owned();
        let (phase, sync) = (text("/status/operationState/phase"), text("/status/sync/status"));
        Ok(match (phase.as_str(), sync.as_str()) {
            ("Failed" | "Error", _) => ReleaseState::Broken { status: text("/status/operationState/message") },
            (_, "Synced") => ReleaseState::Deployed,
            _ => ReleaseState::Changing { status: sync },
        })
    }

    async fn apply(&self, cluster: &Cluster, release: &PlannedRelease, _: &Progress) -> Result<(), InstallError> {
        for object in self.objects(release) {
            cluster.apply_object(&object, true, false).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        cluster: &Cluster,
        release: &RecordedRelease,
        progress: &Progress,
    ) -> Result<(), InstallError> {
        if release.definitions_only {
            // Such an Application has no finalizer, so what it has made stays.
            progress(&format!("the definitions of {} stay, and the objects of their kinds", release.chart));
        }
        let key = self.key(&release.release, &release.namespace);
        cluster.delete_object(&key, None).await?;
        gone(cluster, &key, "Argo CD").await
    }

    fn objects(&self, release: &PlannedRelease) -> Vec<Value> {
        let chart = &release.chart;
        let repository = match &release.origin {
            ChartSource::Repository { url } => url.clone(),
            // Argo CD knows a registry by its lack of a scheme.
            ChartSource::Oci { registry } => registry.trim_start_matches("oci://").trim_end_matches('/').to_owned(),
            _ => return Vec::new(),
        };
        let only = chart.definitions == Definitions::Only;
        let finalizers: Vec<&str> = if only { Vec::new() } else { vec![FINALIZER] };
        let mut metadata = json!({"name": name(&chart.release, &chart.namespace), "namespace": self.namespace});
        if !finalizers.is_empty() {
            metadata["finalizers"] = json!(finalizers);
        }
        vec![json!({
            "apiVersion": APPLICATION,
            "kind": "Application",
            "metadata": metadata,
            "spec": {
                "project": self.project,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": chart.namespace},
                "source": {
                    "repoURL": repository,
                    "chart": chart.name,
                    "targetRevision": release.pinned.as_deref().unwrap_or(&chart.version),
                    "helm": {"releaseName": chart.release, "valuesObject": release.values},
                },
                "syncPolicy": {
                    // Definitions may be larger than the annotation of a client-side apply.
                    "syncOptions": ["ServerSideApply=true"],
                    "automated": {"prune": !only, "selfHeal": true},
                    "retry": {"limit": 5},
                },
            },
        })]
    }

    async fn values(&self, cluster: &Cluster, release: &RecordedRelease) -> Result<Value, InstallError> {
        let found = cluster.get_object(&self.key(&release.release, &release.namespace)).await?;
        Ok(found.and_then(|found| found.pointer("/spec/source/helm/valuesObject").cloned()).unwrap_or(Value::Null))
    }
}
