//! The only part of the crate that talks to Kubernetes: reads what is live, carries out plans, observes.
//!
//! The caller brings its own [`kube::Client`]. One [`Cluster`] serves many data planes.

mod acknowledge;
mod apply;
mod client;
mod derive;
mod error;
mod event;
mod leadership;
mod live;
mod lock;
mod objects;
mod parent;
mod probe;
mod reader;
mod status;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, channel::mpsc, future, stream};
use serde_json::Value;

use self::{
    apply::Applier,
    client::{Http, Patience},
    lock::LockTimes,
};
pub use self::{
    error::ClusterError,
    event::{ApplyEvent, ApplyItem, ApplyOptions, ApplyOutcome, Blocked},
    leadership::Leadership,
    objects::InstallationLock,
    probe::{PolicyProbe, ProbeOptions, ProbeVerdict},
    reader::KubeReader,
    status::{
        EndpointStatus, GatewayStatus, Health, ListenerStatus, ParentStatus, PolicyStatus, PromiseStatus, Reason,
        RouteStatus, Status,
    },
};
use crate::{
    compile::Release,
    plan::{self, Identity, LiveState, ParentState, Plan, PlanOptions, Selection, SetIdentity},
};

/// How a cluster is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Name of this installation of Gateway Modules; several may share a cluster. Default `default`.
    pub installation: String,
    /// Namespace of the parents of all sets. It must exist. Default `default`.
    pub namespace: String,
    /// Who holds a lock, for the message to the one who waits. Default `gwm-<process id>`.
    pub holder: String,
    /// For one request. Default 15 s.
    pub request_timeout: Duration,
    /// For one request with its retries. Default 60 s.
    pub total_timeout: Duration,
    /// How long a lock outlives a killed holder. Default 10 s.
    pub lock_duration: Duration,
    /// How long a lock of somebody else is waited for. Default 30 s.
    pub lock_wait: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            installation: "default".to_owned(),
            namespace: "default".to_owned(),
            holder: format!("gwm-{}", std::process::id()),
            request_timeout: Duration::from_secs(15),
            total_timeout: Duration::from_mins(1),
            lock_duration: Duration::from_secs(10),
            lock_wait: Duration::from_secs(30),
        }
    }
}

impl ClusterOptions {
    /// Name of this installation of Gateway Modules.
    #[must_use]
    pub fn with_installation(mut self, installation: impl Into<String>) -> Self {
        self.installation = installation.into();
        self
    }

    /// Namespace of the parents of all sets.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Who holds a lock.
    #[must_use]
    pub fn with_holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// For one request, and for one request with its retries.
    #[must_use]
    pub const fn with_timeouts(mut self, request: Duration, total: Duration) -> Self {
        self.request_timeout = request;
        self.total_timeout = total;
        self
    }

    /// How long a lock outlives a killed holder, and how long a lock of somebody else is waited for.
    #[must_use]
    pub const fn with_lock(mut self, duration: Duration, wait: Duration) -> Self {
        self.lock_duration = duration;
        self.lock_wait = wait;
        self
    }
}

/// A Kubernetes cluster, as the pipeline's last stages see it.
#[derive(Clone)]
pub struct Cluster {
    http: Arc<Http>,
    options: ClusterOptions,
}

impl Cluster {
    /// Over the caller's client.
    pub fn new(client: kube::Client, options: ClusterOptions) -> Self {
        let patience = Patience { request: options.request_timeout, total: options.total_timeout };
        Self { http: Arc::new(Http::new(client, patience)), options }
    }

    /// Reads objects, for the modules' discovery.
    pub fn reader(&self) -> KubeReader {
        KubeReader(Arc::clone(&self.http))
    }

    /// Plans an apply of a release. Writes nothing.
    ///
    /// # Errors
    /// The cluster cannot be read, or the release cannot be applied to it at all ([`ClusterError::Plan`]). Objects and
    /// fields of others are no errors but [`Plan::conflicts`].
    pub async fn plan(&self, release: &Release, options: PlanOptions) -> Result<Plan, ClusterError> {
        Ok(plan::plan(release, &self.live(release).await?, options)?)
    }

    /// As [`plan`](Self::plan), for a gateway that was chosen by [`select`](crate::select::select): the reason is recorded with
    /// the time, if the plane has no record of this gateway yet.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub async fn plan_chosen(
        &self,
        release: &Release,
        reason: &str,
        options: PlanOptions,
    ) -> Result<Plan, ClusterError> {
        let now = format!("{:.0}", k8s_openapi::jiff::Timestamp::now());
        Ok(self.plan(release, options).await?.with_choice(reason, now))
    }

    /// The gateway that is recorded for a data plane; the newest record, while it moves to another module.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn selection(&self, data_plane: &str) -> Result<Option<Selection>, ClusterError> {
        let recorded = self.sets(data_plane).await?.into_iter().filter_map(|set| set.record.selection);
        Ok(recorded.max_by(|a, b| a.time.cmp(&b.time)))
    }

    /// What is live for a release, as [`plan::plan`] needs it.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn live(&self, release: &Release) -> Result<LiveState, ClusterError> {
        live::read(&self.http, self.set(&release.data_plane, &release.module.name), Some(release)).await
    }

    /// Carries out a plan and tells what it does. Nothing happens until the stream is polled; dropping it cancels the rest,
    /// and the next apply or delete completes it.
    ///
    /// The last item is [`ApplyEvent::Finished`] or an error.
    pub fn apply(&self, plan: &Plan, options: ApplyOptions) -> impl Stream<Item = ApplyItem> + Send + use<> {
        let (events, received) = mpsc::unbounded();
        let times =
            LockTimes { duration: self.options.lock_duration, wait: self.options.lock_wait, poll: LockTimes::POLL };
        let applier = Applier::new(Arc::clone(&self.http), self.options.holder.clone(), times, options, events);
        let driver = stream::once(applier.run(plan.clone())).filter_map(|()| future::ready(None));
        stream::select(received, driver)
    }

    /// Carries out a plan to its end.
    ///
    /// # Errors
    /// What has ended it; the next apply or delete completes it.
    pub async fn apply_to_end(&self, plan: &Plan, options: ApplyOptions) -> Result<ApplyOutcome, ClusterError> {
        let mut events = Box::pin(self.apply(plan, options));
        let mut outcome = ApplyOutcome::default();
        while let Some(event) = events.next().await {
            if let ApplyEvent::Finished { outcome: last } = event? {
                outcome = last;
            }
        }
        Ok(outcome)
    }

    /// Plans the deletion of everything that a data plane has in the cluster, one plan per module that it was applied with.
    /// Carry them out with [`apply`](Self::apply).
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn plan_delete(&self, data_plane: &str) -> Result<Vec<Plan>, ClusterError> {
        let mut plans = Vec::new();
        for parent in self.sets(data_plane).await? {
            plans.push(plan::plan_delete(&live::read(&self.http, parent.set, None).await?));
        }
        Ok(plans)
    }

    /// The sets of a data plane that are in the cluster; one, unless it is being switched to another module.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn sets(&self, data_plane: &str) -> Result<Vec<ParentState>, ClusterError> {
        let parents = live::parents(&self.http, &self.options.installation, &self.options.namespace).await?;
        Ok(parents.into_iter().filter(|parent| parent.set.data_plane.as_deref() == Some(data_plane)).collect())
    }

    /// Names of the data planes that are in the cluster with a module.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn planes_of(&self, module: &str) -> Result<Vec<String>, ClusterError> {
        let parents = live::parents(&self.http, &self.options.installation, &self.options.namespace).await?;
        let on =
            |parent: &ParentState| parent.record.selection.as_ref().is_some_and(|selection| selection.module == module);
        let mut planes: Vec<String> =
            parents.into_iter().filter(on).filter_map(|parent| parent.set.data_plane).collect();
        planes.sort();
        planes.dedup();
        Ok(planes)
    }

    /// How a release is, with its roles and promises.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn status(&self, release: &Release) -> Result<Status, ClusterError> {
        let set = self.set(&release.data_plane, &release.module.name);
        let parents = live::parents(&self.http, &self.options.installation, &self.options.namespace).await?;
        let parent = parents.iter().find(|parent| parent.set == set);
        let objects = self.observed_of(release, parent, &parents).await?;
        Ok(status::evaluate(&release.data_plane, parent, &objects, Some(release)))
    }

    /// Asks each protected route for what its policies must refuse: HTTP requests without credentials, to the addresses that
    /// the status of its Gateways publishes and to no others, until all have answered or the time is over. One entry per policy
    /// of the release, in its order, for [`Status::with_probe`].
    ///
    /// # Errors
    /// The cluster cannot be read. What a gateway answers, or that it does not, is no error.
    pub async fn probe(&self, release: &Release, options: ProbeOptions) -> Result<Vec<PolicyProbe>, ClusterError> {
        let set = self.set(&release.data_plane, &release.module.name);
        let parents = live::parents(&self.http, &self.options.installation, &self.options.namespace).await?;
        let parent = parents.iter().find(|parent| parent.set == set);
        let mut objects = self.observed_of(release, parent, &parents).await?;
        for gateway in probe::gateways(release, &objects) {
            if let Some(value) = self.http.get(&gateway).await? {
                objects.insert(Identity::from(&gateway), value);
            }
        }
        Ok(probe::run(release, &objects, options).await)
    }

    /// How a data plane is, from what the cluster records alone; without roles and promises.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub async fn status_of(&self, data_plane: &str) -> Result<Status, ClusterError> {
        let parents = live::parents(&self.http, &self.options.installation, &self.options.namespace).await?;
        let parent = parents.iter().find(|parent| parent.set.data_plane.as_deref() == Some(data_plane));
        let objects = self.observed(parent, &parents).await?;
        Ok(status::evaluate(data_plane, parent, &objects, None))
    }

    async fn observed_of(
        &self,
        release: &Release,
        parent: Option<&ParentState>,
        parents: &[ParentState],
    ) -> Result<BTreeMap<Identity, Value>, ClusterError> {
        let mut objects = self.observed(parent, parents).await?;
        // What the label does not lead to: an existing Gateway, an object whose label somebody has removed.
        for entry in &release.objects {
            let key = entry.key();
            if !objects.contains_key(&Identity::from(&key))
                && let Some(value) = self.http.get(&key).await?
            {
                objects.insert(Identity::from(&key), value);
            }
        }
        Ok(objects)
    }

    async fn observed(
        &self,
        parent: Option<&ParentState>,
        parents: &[ParentState],
    ) -> Result<BTreeMap<Identity, Value>, ClusterError> {
        let mut objects = BTreeMap::new();
        let Some(parent) = parent else { return Ok(objects) };
        let own = parent.set.id();
        for (identity, found) in live::members(&self.http, parent, &BTreeMap::new()).await? {
            objects.insert(identity, found.value);
        }
        for shared in parents.iter().filter(|parent| parent.set.data_plane.is_none()) {
            for (identity, found) in live::members(&self.http, shared, &BTreeMap::new()).await? {
                let references = shared.record.references.get(&identity.to_string());
                if references.is_some_and(|references| references.contains(&own)) {
                    objects.insert(identity, found.value);
                }
            }
        }
        Ok(objects)
    }

    fn set(&self, data_plane: &str, module: &str) -> SetIdentity {
        SetIdentity::of_plane(&self.options.installation, &self.options.namespace, data_plane, module)
    }
}
