//! Who carries an installation out.

use async_trait::async_trait;
use gateway_modules_core::{
    cluster::Cluster,
    installation::{Chart, ChartSource},
};
use serde::Serialize;
use serde_json::Value;

use crate::{FetchedChart, Progress, Refusal, error::InstallError, record::RecordedRelease};

/// How a release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseState {
    /// There is none of that name.
    Absent,
    /// It is there, as it was asked for.
    Deployed,
    /// A change of it failed, or was interrupted.
    Broken {
        /// In the words of the one who carries it out.
        status: String,
    },
    /// A change of it is under way.
    Changing {
        /// In the words of the one who carries it out.
        status: String,
    },
}

/// What happens to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is new.
    Install,
    /// It is changed.
    Upgrade,
    /// It broke and is brought in order.
    Mend,
    /// It is as it should be.
    Unchanged,
}

/// One release of a plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRelease {
    /// What happens.
    pub action: Action,
    /// The chart, with the values that the module sets.
    pub chart: Chart,
    /// Where it is fetched from.
    pub origin: ChartSource,
    /// All values: the module's, the user's, those that policies need.
    pub values: Value,
    /// The chart on this machine, where it was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<FetchedChart>,
    /// Digest that the user has pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// What the chart makes of the values, as YAML.
    #[serde(skip)]
    pub rendered: String,
    /// Hash over chart and values.
    pub hash: String,
    /// Release that comes before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Carries installations out.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Name, as in `--backend`.
    fn name(&self) -> &'static str;

    /// For people: which program, which version.
    fn describe(&self) -> String;

    /// Whether definitions are applied beside the releases by who calls; else the backend's own controller does it.
    fn leaves_definitions(&self) -> bool;

    /// What the cluster lacks for this backend; nothing is installed while there is any.
    ///
    /// # Errors
    /// The cluster does not answer.
    async fn lacks(&self, cluster: &Cluster) -> Result<Vec<Refusal>, InstallError> {
        let _ = cluster;
        Ok(Vec::new())
    }

    /// How a release is.
    ///
    /// # Errors
    /// The cluster or the program does not answer.
    async fn state(&self, cluster: &Cluster, release: &str, namespace: &str) -> Result<ReleaseState, InstallError>;

    /// Installs or upgrades a release, or mends one that broke.
    ///
    /// # Errors
    /// It failed; the next run mends it.
    async fn apply(&self, cluster: &Cluster, release: &PlannedRelease, progress: &Progress)
    -> Result<(), InstallError>;

    /// Removes a release; no error when it is not there.
    ///
    /// # Errors
    /// It failed; the next run goes on.
    async fn remove(
        &self,
        cluster: &Cluster,
        release: &RecordedRelease,
        progress: &Progress,
    ) -> Result<(), InstallError>;

    /// What it writes for a release, for people who would rather commit it to Git.
    fn objects(&self, release: &PlannedRelease) -> Vec<Value> {
        let _ = release;
        Vec::new()
    }

    /// The values of a release, as they are in the cluster; null when they cannot be known.
    ///
    /// # Errors
    /// The cluster or the program does not answer.
    async fn values(&self, cluster: &Cluster, release: &RecordedRelease) -> Result<Value, InstallError>;
}
