//! Carries out a plan: locked, recorded, gated, ordered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::channel::mpsc::UnboundedSender;
use serde_json::Value;

use super::{
    acknowledge,
    client::{ApplyMode, Http},
    derive,
    error::ClusterError,
    event::{ApplyEvent, ApplyItem, ApplyOptions, ApplyOutcome, Blocked},
    live,
    lock::{Lock, LockTimes},
    parent,
};
use crate::{
    compile::{GatePolicy, Phase},
    object::{Object, ObjectKey},
    plan::{
        Action, ContributionAction, ContributionStep, GateStep, Identity, LABEL_PART_OF, Membership, Opening, Plan,
        SecretStep, SetIdentity, Step, contribution_patch, lost_fields, plan_delete,
    },
};

/// Time between two looks at a status.
const POLL: Duration = Duration::from_millis(250);
/// How long the closing of a route that is to be deleted may take to be observed; a controller that is gone must not keep
/// anything from being deleted.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a new Secret is there before the policy that names it: a controller that sees the policy first closes what is open.
const SEEN: Duration = Duration::from_secs(1);
/// How long what policies and routes have named stays after they have gone or name it no more. A controller reads each kind by a
/// watch of its own and says nowhere what it has stopped using; Traefik takes changes of a provider every 2 s.
const UNUSED: Duration = Duration::from_millis(2500);

pub(crate) struct Applier {
    pub(crate) http: Arc<Http>,
    pub(crate) holder: String,
    pub(crate) times: LockTimes,
    pub(crate) options: ApplyOptions,
    pub(crate) events: UnboundedSender<ApplyItem>,
    pub(crate) outcome: ApplyOutcome,
    locks: Vec<Lock>,
    /// Generations that we have written or found.
    generations: BTreeMap<Identity, i64>,
}

struct Gated<'a> {
    step: &'a Step,
    gate: &'a GateStep,
    /// Whether an acknowledgement was there before the route, so that it says nothing about the two together.
    prior: bool,
    told: Vec<String>,
    /// Since when all policies are acknowledged.
    acknowledged: Option<Instant>,
}

impl Applier {
    pub(crate) fn new(
        http: Arc<Http>,
        holder: String,
        times: LockTimes,
        options: ApplyOptions,
        events: UnboundedSender<ApplyItem>,
    ) -> Self {
        Self {
            http,
            holder,
            times,
            options,
            events,
            outcome: ApplyOutcome::default(),
            locks: Vec::new(),
            generations: BTreeMap::new(),
        }
    }

    /// Runs to the end and tells it.
    pub(crate) async fn run(mut self, plan: Plan) {
        let result = self.carry_out(&plan).await;
        for lock in std::mem::take(&mut self.locks) {
            lock.release().await;
        }
        let last = result.map(|()| ApplyEvent::Finished { outcome: self.outcome.clone() });
        // Nobody listens any more: nothing left to tell.
        let _ = self.events.unbounded_send(last);
    }

    async fn carry_out(&mut self, plan: &Plan) -> Result<(), ClusterError> {
        let conflicts = plan.conflicts();
        if !conflicts.is_empty() {
            return Err(ClusterError::Refused { conflicts });
        }
        if plan.is_empty() {
            return Ok(());
        }
        if self.options.dry_run {
            return self.rehearse(plan).await;
        }
        let uses_shared =
            !plan.references.is_empty() || plan.steps.iter().any(|step| step.membership == Membership::Shared);
        // Always the shared lock first, so that two planes never wait for each other.
        if uses_shared {
            self.locks.push(Lock::acquire(&self.http, &plan.shared, &self.holder, self.times).await?);
        }
        self.locks.push(Lock::acquire(&self.http, &plan.set, &self.holder, self.times).await?);
        self.tell(ApplyEvent::Locked);
        let own = parent::read(&self.http, &plan.set).await?;
        let shared = parent::read(&self.http, &plan.shared).await?;
        let version =
            |parent: &Option<crate::plan::ParentState>| parent.as_ref().map(|parent| parent.resource_version.clone());
        if version(&own) != plan.versions.0 {
            return Err(ClusterError::StalePlan { set: plan.set.to_string() });
        }
        // Another plane may have added its reference since; only for a write is that a reason to plan again.
        let writes_shared =
            plan.steps.iter().any(|step| step.membership == Membership::Shared && step.action != Action::Unchanged);
        if writes_shared && version(&shared) != plan.versions.1 {
            return Err(ClusterError::StalePlan { set: plan.shared.to_string() });
        }
        for former in &plan.former {
            self.remove_former(&former.set).await?;
        }
        if plan.release.is_none() {
            return self.remove(plan, shared).await;
        }
        let own = parent::write(&self.http, own.as_ref(), parent::widened(plan, own.as_ref())).await?;
        let shared_after = match parent::shared_widened(plan, shared.as_ref()) {
            Some(after) if uses_shared => Some(parent::write(&self.http, shared.as_ref(), after).await?),
            other => other,
        };
        self.tell(ApplyEvent::Recorded);
        self.write_all(plan).await?;
        self.prune(plan).await?;
        self.withdraw(plan).await?;
        let complete = self.outcome.is_complete();
        parent::write(&self.http, Some(&own), parent::narrowed(plan, &own, complete)).await?;
        if let Some(shared) = shared_after.filter(|_| uses_shared && complete) {
            self.narrow_shared(plan, &shared).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, plan: &Plan, shared: Option<crate::plan::ParentState>) -> Result<(), ClusterError> {
        self.prune(plan).await?;
        self.withdraw(plan).await?;
        if let Some(shared) = shared {
            self.narrow_shared(plan, &shared).await?;
        }
        parent::delete(&self.http, &plan.set).await
    }

    async fn narrow_shared(&self, plan: &Plan, shared: &crate::plan::ParentState) -> Result<(), ClusterError> {
        let after = parent::shared_narrowed(plan, shared);
        if after.record.references.is_empty() {
            return parent::delete(&self.http, &plan.shared).await;
        }
        parent::write(&self.http, Some(shared), after).await.map(|_| ())
    }

    /// A set of another module of the same plane goes first, routes before everything else.
    async fn remove_former(&mut self, set: &SetIdentity) -> Result<(), ClusterError> {
        self.locks.push(Lock::acquire(&self.http, set, &self.holder, self.times).await?);
        let plan = plan_delete(&live::read(&self.http, set.clone(), None).await?);
        let shared = parent::read(&self.http, &plan.shared).await?;
        self.remove(&plan, shared).await?;
        if let Some(lock) = self.locks.pop() {
            lock.release().await;
        }
        Ok(())
    }

    /// Asks the server about each write.
    async fn rehearse(&mut self, plan: &Plan) -> Result<(), ClusterError> {
        for step in plan.steps.iter().filter(|step| step.is_write()) {
            match (&step.action, &step.object) {
                (Action::Delete, _) => {
                    self.http.delete(&step.key, step.uid.as_deref(), true).await?;
                    self.tell(ApplyEvent::Deleted { object: step.key.clone() });
                }
                (_, Some(object)) => {
                    self.write(plan, step, object).await?;
                    self.tell(ApplyEvent::Written { object: step.key.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn write_all(&mut self, plan: &Plan) -> Result<(), ClusterError> {
        for step in plan.contributions.iter().filter(|step| matches!(step.action, ContributionAction::Set { .. })) {
            self.contribute(step, Some(&step.value), plan).await?;
        }
        for blocked in plan.contributions.iter().filter_map(|step| match &step.action {
            ContributionAction::Blocked { reason } => Some((step.target.to_string(), reason.clone())),
            _ => None,
        }) {
            self.block(blocked.0, vec![blocked.1]);
        }
        for phase in [Phase::Foundation, Phase::Gateways, Phase::Policies] {
            if phase == Phase::Policies {
                for secret in &plan.secrets {
                    self.write_secret(plan, secret).await?;
                }
                if plan.secrets.iter().any(|secret| matches!(secret.action, crate::plan::SecretAction::Create)) {
                    tokio::time::sleep(SEEN).await;
                }
            }
            for step in plan.steps.iter().filter(|step| step.phase == phase) {
                self.write_step(plan, step).await?;
            }
        }
        let routes = || plan.steps.iter().filter(|step| step.phase == Phase::Routes);
        for step in routes().filter(|step| step.gate.is_none()) {
            self.write_step(plan, step).await?;
        }
        let gated: Vec<(&Step, &GateStep)> = routes().filter_map(|step| Some((step, step.gate.as_ref()?))).collect();
        self.open(plan, &gated).await
    }

    async fn write_step(&mut self, plan: &Plan, step: &Step) -> Result<(), ClusterError> {
        let Some(object) = &step.object else { return Ok(()) };
        if !step.is_write() || matches!(step.action, Action::Delete) {
            return Ok(());
        }
        self.write(plan, step, object).await?;
        self.tell(ApplyEvent::Written { object: step.key.clone() });
        Ok(())
    }

    /// Writes an object of a step and checks that the server has kept it.
    async fn write(&mut self, plan: &Plan, step: &Step, object: &Object) -> Result<Value, ClusterError> {
        let set = if step.membership == Membership::Shared { &plan.shared } else { &plan.set };
        if matches!(step.action, Action::Create) {
            self.check_absent(&step.key, &set.id()).await?;
        }
        let force = matches!(step.action, Action::Adopt { .. }) || plan.adopt && step.contested().next().is_some();
        self.put(object, set, force).await
    }

    async fn put(&mut self, object: &Object, set: &SetIdentity, force: bool) -> Result<Value, ClusterError> {
        self.put_value(&object.to_value(), &object.key(), set, force).await
    }

    async fn put_value(
        &mut self,
        sent: &Value,
        key: &ObjectKey,
        owner: &SetIdentity,
        force: bool,
    ) -> Result<Value, ClusterError> {
        self.check_locks()?;
        let mode = ApplyMode { manager: &owner.field_manager(), force, dry_run: self.options.dry_run };
        let returned = self.http.apply(sent, mode).await?;
        self.outcome.writes += 1;
        let fields = lost_fields(sent, &returned);
        if !fields.is_empty() {
            return Err(ClusterError::Lost { object: key.to_string(), fields });
        }
        if let Some(generation) = returned["metadata"]["generation"].as_i64() {
            self.generations.insert(Identity::from(key), generation);
        }
        Ok(returned)
    }

    /// Nothing of others has appeared where we are about to create; one of ours that is going has gone.
    async fn check_absent(&self, key: &ObjectKey, set: &str) -> Result<(), ClusterError> {
        let end = Instant::now() + self.options.delete_timeout;
        loop {
            let Some(found) = self.http.get(key).await? else { return Ok(()) };
            let metadata = &found["metadata"];
            if metadata["deletionTimestamp"].is_null() {
                // Ours: an earlier apply was ended between its request and the answer.
                let ours = metadata["labels"][LABEL_PART_OF] == set;
                return if ours { Ok(()) } else { Err(ClusterError::Appeared { object: key.to_string() }) };
            }
            if self.options.dry_run {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(terminating(key, metadata));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn write_secret(&mut self, plan: &Plan, step: &SecretStep) -> Result<(), ClusterError> {
        if let crate::plan::SecretAction::Blocked { reason } = &step.action {
            self.block(step.key.to_string(), vec![reason.clone()]);
            return Ok(());
        }
        if !step.is_write() {
            return Ok(());
        }
        if matches!(step.action, crate::plan::SecretAction::Create) {
            self.check_absent(&step.key, &plan.set.id()).await?;
        }
        let source = ObjectKey { name: step.source.clone(), ..step.key.clone() };
        let Some(content) = self.http.get(&source).await? else {
            self.block(step.key.to_string(), vec![format!("{source} is no longer there; create it, then apply again")]);
            return Ok(());
        };
        let derived = derive::derive(&step.object, &content, &step.transform)?;
        drop(content);
        // A changed derived Secret is always ours to mend: its content is nobody else's.
        let force = matches!(step.action, crate::plan::SecretAction::Update { .. });
        self.put_value(&derived, &step.key, &plan.set, force).await?;
        self.tell(ApplyEvent::Written { object: step.key.clone() });
        Ok(())
    }

    async fn contribute(
        &mut self,
        step: &ContributionStep,
        value: Option<&str>,
        plan: &Plan,
    ) -> Result<(), ClusterError> {
        let expected = match &step.action {
            ContributionAction::Set { before } => before.clone(),
            _ => Some(step.value.clone()),
        };
        for _ in 0..5 {
            self.check_locks()?;
            let Some(target) = self.http.get(&step.target).await? else {
                if value.is_some() {
                    self.block(step.target.to_string(), vec!["it is no longer there".to_owned()]);
                }
                return Ok(());
            };
            let Some(patch) = contribution_patch(&target, &step.field, value, expected.as_deref()) else {
                return Err(ClusterError::Outdated { object: step.target.to_string() });
            };
            match self.http.json_patch(&step.target, &patch, &plan.set.field_manager(), false).await {
                Ok(_) => {
                    self.outcome.writes += 1;
                    self.tell(ApplyEvent::Contributed { target: step.target.clone(), field: step.field.to_string() });
                    return Ok(());
                }
                Err(ClusterError::Outdated { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ClusterError::Outdated { object: step.target.to_string() })
    }

    async fn withdraw(&mut self, plan: &Plan) -> Result<(), ClusterError> {
        for step in &plan.contributions {
            if let ContributionAction::Withdraw { restore } = &step.action {
                match self.contribute(step, restore.as_deref(), plan).await {
                    // Somebody has changed or removed the field since: it is theirs now.
                    Ok(()) | Err(ClusterError::Outdated { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Closes, waits, opens.
    async fn open(&mut self, plan: &Plan, gated: &[(&Step, &GateStep)]) -> Result<(), ClusterError> {
        let mut waiting = Vec::new();
        for (step, gate) in gated {
            if gate.opening == Opening::Steady && !step.is_write() {
                continue;
            }
            let mut prior = false;
            if let Opening::CloseThenOpen { .. } = gate.opening {
                for policy in &gate.policies {
                    prior |= self.reason(policy).await?.is_none();
                }
                self.write(plan, step, &gate.closed).await?;
                self.tell(ApplyEvent::Closed { route: step.key.clone() });
            }
            waiting.push(Gated { step, gate, prior, told: Vec::new(), acknowledged: None });
        }
        let end = Instant::now() + self.options.gate_timeout + plan.in_force_after;
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for mut gated in waiting {
                let mut reasons = self.reasons(&gated).await?;
                let since = gated.acknowledged.filter(|_| reasons.is_empty()).unwrap_or_else(Instant::now);
                gated.acknowledged = reasons.is_empty().then_some(since);
                if reasons.is_empty() && since.elapsed() < plan.in_force_after {
                    let needs = plan.in_force_after.as_secs_f32();
                    reasons.push(format!("acknowledged; the gateway's proxies need {needs:.1} s for it"));
                }
                if reasons.is_empty() {
                    self.tell(ApplyEvent::Acknowledged { route: gated.step.key.clone() });
                    self.write_open(plan, &gated).await?;
                } else {
                    if reasons != gated.told {
                        self.tell(ApplyEvent::Waiting { route: gated.step.key.clone(), reasons: reasons.clone() });
                        gated.told = reasons;
                    }
                    still.push(gated);
                }
            }
            waiting = still;
            if Instant::now() >= end {
                break;
            }
            if !waiting.is_empty() {
                self.check_locks()?;
                tokio::time::sleep(POLL).await;
            }
        }
        for gated in waiting {
            self.block(gated.step.key.to_string(), gated.told);
        }
        Ok(())
    }

    async fn write_open(&mut self, plan: &Plan, gated: &Gated<'_>) -> Result<(), ClusterError> {
        let closed = matches!(gated.gate.opening, Opening::CloseThenOpen { .. });
        let Some(object) = &gated.step.object else { return Ok(()) };
        if closed || gated.step.is_write() {
            let set = &plan.set;
            let force = matches!(gated.step.action, Action::Adopt { .. })
                || plan.adopt && gated.step.contested().next().is_some();
            self.put(object, set, force).await?;
            self.tell(ApplyEvent::Opened { route: gated.step.key.clone() });
        }
        Ok(())
    }

    /// What a route waits for.
    async fn reasons(&mut self, gated: &Gated<'_>) -> Result<Vec<String>, ClusterError> {
        let mut reasons = Vec::new();
        for policy in &gated.gate.policies {
            if let Some(reason) = self.reason(policy).await? {
                reasons.push(format!("{}: {reason}", policy.object));
            }
        }
        if gated.prior && reasons.is_empty() {
            let controllers: BTreeSet<&str> =
                gated.gate.policies.iter().map(|policy| policy.controller.as_str()).collect();
            let route = self.http.get(&gated.step.key).await?.unwrap_or_default();
            for controller in controllers {
                if !acknowledge::route_observed(&route, controller) {
                    reasons.push(format!("{}: {controller} has not seen it yet", gated.step.key));
                }
            }
        }
        Ok(reasons)
    }

    async fn reason(&self, policy: &GatePolicy) -> Result<Option<String>, ClusterError> {
        let Some(object) = self.http.get(&policy.object).await? else {
            return Ok(Some("it is not there".to_owned()));
        };
        let written = self.generations.get(&Identity::from(&policy.object)).copied();
        Ok(acknowledge::effective(policy, &object, written).err())
    }

    /// Deletes what is no longer wanted: routes (closed first where they were protected), then the rest, and last what others have
    /// named.
    async fn prune(&mut self, plan: &Plan) -> Result<(), ClusterError> {
        let deletes: Vec<&Step> = plan.steps.iter().filter(|step| matches!(step.action, Action::Delete)).collect();
        // An open route whose new policies are not acknowledged may still stand on old ones.
        let blocked = !self.outcome.is_complete();
        for phase in [Phase::Routes, Phase::Policies, Phase::Gateways, Phase::Foundation] {
            let of_phase: Vec<&&Step> = deletes.iter().filter(|step| step.phase == phase).collect();
            if blocked && phase != Phase::Routes {
                for step in of_phase {
                    let reason = "something is blocked, and may still need it".to_owned();
                    self.tell(ApplyEvent::Kept { object: step.key.clone(), reason });
                }
                continue;
            }
            if phase == Phase::Foundation && plan.release.is_some() && !of_phase.is_empty() {
                tokio::time::sleep(UNUSED).await;
            }
            for step in of_phase.iter().filter(|step| step.object.is_some()) {
                self.close_for_deletion(plan, step).await?;
            }
            for step in &of_phase {
                self.check_locks()?;
                self.http.delete(&step.key, step.uid.as_deref(), false).await?;
                self.outcome.writes += 1;
            }
            for step in of_phase {
                self.wait_gone(step).await?;
                self.tell(ApplyEvent::Deleted { object: step.key.clone() });
            }
        }
        Ok(())
    }

    async fn close_for_deletion(&mut self, plan: &Plan, step: &Step) -> Result<(), ClusterError> {
        let Some(closed) = &step.object else { return Ok(()) };
        let controllers = |route: &Value| -> BTreeSet<String> {
            let parents = route["status"]["parents"].as_array().into_iter().flatten();
            parents.filter_map(|parent| parent["controllerName"].as_str().map(ToOwned::to_owned)).collect()
        };
        let Some(live) = self.http.get(&step.key).await? else { return Ok(()) };
        let watching = controllers(&live);
        match self.put(closed, &plan.set, true).await {
            Ok(_) => self.tell(ApplyEvent::Closed { route: step.key.clone() }),
            // What cannot be closed any more (its schema has changed, say) is deleted all the same.
            Err(
                error @ (ClusterError::Invalid { .. } | ClusterError::FieldUnknown { .. } | ClusterError::Lost { .. }),
            ) => {
                tracing::warn!(%error, "the route is deleted without being closed first");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let end = Instant::now() + CLOSING;
        while !watching.is_empty() && Instant::now() < end {
            let Some(route) = self.http.get(&step.key).await? else { return Ok(()) };
            if watching.iter().all(|controller| acknowledge::route_observed(&route, controller)) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn wait_gone(&self, step: &Step) -> Result<(), ClusterError> {
        let end = Instant::now() + self.options.delete_timeout;
        loop {
            match self.http.get_metadata(&step.key).await? {
                None => return Ok(()),
                Some(found) => {
                    let metadata = &found["metadata"];
                    if step.uid.as_deref().is_some_and(|uid| metadata["uid"] != uid) {
                        return Ok(());
                    }
                    if Instant::now() >= end {
                        return Err(terminating(&step.key, metadata));
                    }
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn check_locks(&self) -> Result<(), ClusterError> {
        self.locks.iter().try_for_each(Lock::check)
    }

    fn block(&mut self, object: String, reasons: Vec<String>) {
        let blocked = Blocked { object, reasons };
        self.tell(ApplyEvent::Blocked { blocked: blocked.clone() });
        self.outcome.blocked.push(blocked);
    }

    fn tell(&self, event: ApplyEvent) {
        tracing::debug!(?event, "apply");
        // The receiver goes together with this future.
        let _ = self.events.unbounded_send(Ok(event));
    }
}

fn terminating(key: &ObjectKey, metadata: &Value) -> ClusterError {
    let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<String> = finalizers.filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect();
    ClusterError::Terminating { object: key.to_string(), finalizers }
}
