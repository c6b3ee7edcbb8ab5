//! Releases by the Helm program.

use async_trait::async_trait;
use gateway_modules_core::{cluster::Cluster, installation::Definitions};
use serde_json::Value;

use crate::{
    Backend, Helm, PlannedRelease, Progress, ReleaseState, error::InstallError, helm::Target, record::RecordedRelease,
};

#[async_trait]
impl Backend for Helm {
    fn name(&self) -> &'static str {
        "helm"
    }

    fn describe(&self) -> String {
        Self::describe(self)
    }

    fn leaves_definitions(&self) -> bool {
        true
    }

    async fn state(&self, _: &Cluster, release: &str, namespace: &str) -> Result<ReleaseState, InstallError> {
        Ok(match self.status(release, namespace).await? {
            None => ReleaseState::Absent,
            Some(found) if found.status == "deployed" => ReleaseState::Deployed,
            // Who asks holds the lock of the installation, so nobody but a program that has died is at it.
            Some(found) => ReleaseState::Broken { status: found.status },
        })
    }

    async fn apply(&self, _: &Cluster, release: &PlannedRelease, progress: &Progress) -> Result<(), InstallError> {
        let (name, namespace) = (&release.chart.release, &release.chart.namespace);
        if let Some(found) = self.status(name, namespace).await? {
            match found.status.as_str() {
                "pending-install" | "uninstalling" => {
                    progress(&format!("release {name} was interrupted ({}): removed, to begin anew", found.status));
                    self.uninstall(name, namespace, progress).await?;
                }
                "pending-upgrade" | "pending-rollback" if found.revision > 1 => {
                    progress(&format!("release {name} was interrupted ({}): rolled back first", found.status));
                    self.roll_back(name, namespace, progress).await?;
                }
                _ => {}
            }
        }
        let Some(fetched) = &release.fetched else {
            return Err(InstallError::Unreadable {
                place: name.clone(),
                message: "the chart was not fetched".to_owned(),
            });
        };
        let values = write_values(&release.values)?;
        let target = Target { name, namespace, chart: &fetched.path, values: values.path() };
        self.upgrade(&target, release.chart.definitions == Definitions::Folder, progress).await
    }

    async fn remove(&self, _: &Cluster, release: &RecordedRelease, progress: &Progress) -> Result<(), InstallError> {
        self.uninstall(&release.release, &release.namespace, progress).await
    }

    async fn values(&self, _: &Cluster, release: &RecordedRelease) -> Result<Value, InstallError> {
        Helm::values(self, &release.release, &release.namespace).await
    }
}

/// Values may hold secrets: the file is readable by its owner alone, and goes with the command.
pub(crate) fn write_values(values: &Value) -> Result<tempfile::NamedTempFile, InstallError> {
    let failed = |source| InstallError::File { path: std::env::temp_dir(), source };
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().map_err(failed)?;
    std::io::Write::write_all(&mut file, values.to_string().as_bytes()).map_err(failed)?;
    Ok(file)
}
