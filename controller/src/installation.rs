//! [`Installer`] by the crate that `gwm install` uses (feature `installation`).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use gateway_modules::core::{cluster::ClusterError, installation::Standing, module::GatewayModule};
use gateway_modules_installation::{InstallError, Keeper, Progress, Record};

use crate::installer::{InstallProblem, Installer, Order, Place, ProblemKind};

/// What is missing where the controller was not given the right to install.
const RIGHTS: &str = "the controller may install gateways with `deploy/installation.yaml` (the chart's `installation.enabled`), or let \
                      somebody else install this one (`gateway.install: external`)";

fn problem(error: InstallError) -> InstallProblem {
    match &error {
        InstallError::Cluster(ClusterError::Forbidden { .. }) => {
            InstallProblem::new(ProblemKind::RightMissing, format!("{error}; {RIGHTS}"))
        }
        // The words of the API server, which Helm passes on.
        InstallError::Failed { message, .. } if message.contains(" is forbidden: ") => {
            InstallProblem::new(ProblemKind::RightMissing, format!("{error}; {RIGHTS}"))
        }
        InstallError::Refused(_) | InstallError::NotInstallable(_) => {
            InstallProblem::new(ProblemKind::Refused, error.to_string())
        }
        _ => InstallProblem::new(ProblemKind::Failed, error.to_string()),
    }
}

fn progress() -> Progress {
    Arc::new(|line| tracing::info!("{line}"))
}

#[async_trait]
impl Installer for Keeper {
    async fn version(&self, place: Place<'_>, module: &dyn GatewayModule) -> Result<Option<String>, InstallProblem> {
        let record = Record::read(place.cluster, module.metadata().name).await.map_err(problem)?;
        Ok(record.filter(|record| record.asked.is_some()).map(|record| record.version))
    }

    async fn module_of(
        &self,
        place: Place<'_>,
        modules: &[Arc<dyn GatewayModule>],
        plane: &str,
    ) -> Result<Option<String>, InstallProblem> {
        for module in modules {
            let name = module.metadata().name;
            let record = Record::read(place.cluster, name).await.map_err(problem)?;
            if record.is_some_and(|record| record.planes.contains_key(plane)) {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    async fn standing(&self, place: Place<'_>, order: &Order) -> Result<Standing, InstallProblem> {
        let standing = Self::standing(self, place.cluster, &order.module, &order.plane, &order.planes);
        standing.await.map_err(problem)
    }

    async fn keep(&self, place: Place<'_>, order: &Order) -> Result<(), InstallProblem> {
        let told = progress();
        let kept = Self::keep(self, place.cluster, place.kubeconfig, &order.module, &order.planes, &told);
        kept.await.map_err(problem)
    }

    async fn leave(
        &self,
        place: Place<'_>,
        modules: &[Arc<dyn GatewayModule>],
        plane: &str,
        left: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<String>, InstallProblem> {
        let told = progress();
        let gone = Self::leave(self, place.cluster, place.kubeconfig, modules, plane, left, &told);
        gone.await.map_err(problem)
    }
}
