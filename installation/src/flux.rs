//! Releases by Flux: a source and a HelmRelease, which its controllers carry out.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use gateway_modules_core::{
    cluster::Cluster,
    installation::{ChartSource, Definitions},
    object::ObjectKey,
};
use serde_json::{Value, json};

use crate::{
    Backend, InstallError, PlannedRelease, Progress, Refusal, ReleaseState, checks::key, plan::CRD,
    record::RecordedRelease,
};

/// `source.toolkit.fluxcd.io/v1` since Flux 2.6 (OCIRepository) and 2.0 (HelmRepository).
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
/// `helm.toolkit.fluxcd.io/v2` since Flux 2.3.
const RELEASE: &str = "helm.toolkit.fluxcd.io/v2";
/// How long Flux may take to remove a release.
const REMOVAL: Duration = Duration::from_mins(5);

/// Flux, in the cluster.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Flux;

impl Flux {
    /// The backend.
    pub const fn new() -> Self {
        Self
    }
}

fn release_key(release: &str, namespace: &str) -> ObjectKey {
    key(RELEASE, "HelmRelease", Some(namespace), release)
}

#[async_trait]
impl Backend for Flux {
    fn name(&self) -> &'static str {
        "flux"
    }

    fn describe(&self) -> String {
        "Flux".to_owned()
    }

    fn leaves_definitions(&self) -> bool {
        false
    }

    async fn lacks(&self, cluster: &Cluster) -> Result<Vec<Refusal>, InstallError> {
        let names = [
            "helmreleases.helm.toolkit.fluxcd.io",
            "helmrepositories.source.toolkit.fluxcd.io",
            "ocirepositories.source.toolkit.fluxcd.io",
        ];
        missing(cluster, &names, "Flux", "https://fluxcd.io/flux/installation").await
    }

    async fn state(&self, cluster: &Cluster, release: &str, namespace: &str) -> Result<ReleaseState, InstallError> {
        let Some(found) = cluster.get_object(&release_key(release, namespace)).await? else {
            return Ok(ReleaseState::Absent);
        };
        let conditions = found.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        Ok(match ready.map(|condition| (condition["status"].as_str(), condition["message"].as_str())) {
            Some((Some("True"), _)) => ReleaseState::Deployed,
            Some((Some("False"), message)) => ReleaseState::Broken { status: message.unwrap_or_default().to_owned() },
            _ => ReleaseState::Changing { status: "Flux has not answered".to_owned() },
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
        let key = release_key(&release.release, &release.namespace);
        let live = if release.definitions_only { cluster.get_object(&key).await? } else { None };
        if let Some(mut live) = live {
            // Flux leaves what a suspended release has made when the release goes: the definitions, and everybody's objects.
            live["spec"]["suspend"] = true.into();
            let suspended = json!({
                "apiVersion": RELEASE, "kind": "HelmRelease",
                "metadata": {"name": release.release, "namespace": release.namespace}, "spec": live["spec"],
            });
            cluster.apply_object(&suspended, true, false).await?;
            progress(&format!("the definitions of {} stay, and the objects of their kinds", release.chart));
        }
        cluster.delete_object(&key, None).await?;
        gone(cluster, &key, "Flux").await?;
        for kind in ["OCIRepository", "HelmRepository"] {
            let source = crate::checks::key(SOURCE, kind, Some(&release.namespace), &release.release);
            if let Some(live) = cluster.get_object(&source).await? {
                cluster.delete_object(&source, live["metadata"]["uid"].as_str()).await?;
            }
        }
        Ok(())
    }

    fn objects(&self, release: &PlannedRelease) -> Vec<Value> {
        let chart = &release.chart;
        let metadata = json!({"name": chart.release, "namespace": chart.namespace});
        let mut spec = json!({
            "interval": "1h",
            "releaseName": chart.release,
            "targetNamespace": chart.namespace,
            "storageNamespace": chart.namespace,
            "install": {"crds": "Create", "remediation": {"retries": 3}},
            // Definitions are only ever replaced by those of a newer chart: the plan compares versions.
            "upgrade": {"crds": "CreateReplace", "remediation": {"retries": 3}},
            "values": release.values,
        });
        if let Some(first) = &release.after {
            spec["dependsOn"] = json!([{ "name": first }]);
        }
        if chart.definitions == Definitions::Only {
            spec["install"]["crds"] = "CreateReplace".into();
        }
        let source = match &release.origin {
            ChartSource::Repository { url } => {
                spec["chart"] = json!({"spec": {
                    "chart": chart.name, "version": chart.version, "interval": "1h",
                    "sourceRef": {"kind": "HelmRepository", "name": chart.release},
                }});
                json!({"apiVersion": SOURCE, "kind": "HelmRepository", "metadata": metadata,
                    "spec": {"interval": "1h", "url": url}})
            }
            ChartSource::Oci { registry } => {
                spec["chartRef"] = json!({"kind": "OCIRepository", "name": chart.release});
                let mut reference = json!({"tag": chart.version});
                if let Some(digest) = &release.pinned {
                    reference["digest"] = digest.as_str().into();
                }
                json!({"apiVersion": SOURCE, "kind": "OCIRepository", "metadata": metadata, "spec": {
                    "interval": "1h", "url": format!("{}/{}", registry.trim_end_matches('/'), chart.name), "ref": reference,
                    "layerSelector": {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "operation": "copy"},
                }})
            }
            _ => return Vec::new(),
        };
        vec![source, json!({"apiVersion": RELEASE, "kind": "HelmRelease", "metadata": metadata, "spec": spec})]
    }

    async fn values(&self, cluster: &Cluster, release: &RecordedRelease) -> Result<Value, InstallError> {
        let found = cluster.get_object(&release_key(&release.release, &release.namespace)).await?;
        Ok(found.and_then(|found| found.pointer("/spec/values").cloned()).unwrap_or(Value::Null))
    }
}

/// Definitions of a GitOps controller that the cluster does not have.
pub(crate) async fn missing(
    cluster: &Cluster,
    names: &[&str],
    title: &str,
    link: &str,
) -> Result<Vec<Refusal>, InstallError> {
    let mut missing = Vec::new();
    for name in names {
        let key = ObjectKey { kind: CRD, namespace: None, name: (*name).to_owned() };
        if cluster.get_object(&key).await?.is_none() {
            missing.push(*name);
        }
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let reason = format!("the cluster does not know {}", missing.join(", "));
    Ok(vec![Refusal::new(title, reason, format!("install {title} ({link}), or use --backend helm"))])
}

/// Waits until an object is gone, which its controller decides.
pub(crate) async fn gone(cluster: &Cluster, key: &ObjectKey, title: &str) -> Result<(), InstallError> {
    let start = Instant::now();
    while cluster.get_object(key).await?.is_some() {
        if start.elapsed() >= REMOVAL {
            return Err(InstallError::Failed {
                action: format!("waiting for {key} to go"),
                message: format!("{title} has not removed it"),
                next: format!("see that {title} runs and what it says, then run this again"),
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
