//! Watches on one cluster: CRDs, GatewayClasses, and what was applied.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, channel::mpsc::UnboundedSender};
use gateway_modules::core::{object::GroupVersionKind, plan::LABEL_PART_OF};
use kube::{
    ResourceExt,
    api::Api,
    core::{DynamicObject, GroupVersionKind as Gvk, PartialObjectMeta},
    discovery::pinned_kind,
};
use kube_runtime::{WatchStreamExt, watcher};
use tokio::task::{AbortHandle, JoinSet};

use crate::{rights, site::Site};

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const CRD: GroupVersionKind = GroupVersionKind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
/// Watched from the start, as soon as they are served; what else a plane emits is watched once it does.
const WATCHED: &[GroupVersionKind] =
    &[GroupVersionKind::of(GATEWAY_API, "v1", "GatewayClass"), GroupVersionKind::of(GATEWAY_API, "v1", "Gateway")];

/// Watches on one cluster; they end when this is dropped.
pub(crate) struct Watches {
    pub(crate) site: Arc<Site>,
    trigger: UnboundedSender<()>,
    kinds: Arc<Mutex<BTreeMap<GroupVersionKind, Option<AbortHandle>>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Watches {
    pub(crate) fn start(site: Arc<Site>, trigger: UnboundedSender<()>) -> Self {
        let watches = Self { site, trigger, kinds: Arc::default(), tasks: Mutex::default() };
        watches.spawn(watches.definitions());
        watches
    }

    /// A CRD that comes, changes or goes: what is known of them is read again, and watches of kinds that are gone end.
    fn definitions(&self) -> impl Future<Output = ()> + Send + 'static {
        let (site, trigger, kinds) = (Arc::clone(&self.site), self.trigger.clone(), Arc::clone(&self.kinds));
        async move {
            let gvk = Gvk::gvk(&CRD.group, &CRD.version, &CRD.kind);
            let resource = kube::core::ApiResource::from_gvk(&gvk);
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(site.client.clone(), &resource);
            let mut stream = std::pin::pin!(watcher::watcher(api, watcher::Config::default()).default_backoff());
            while let Some(event) = stream.next().await {
                match event {
                    // The start; each is told again below if it changes.
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => continue,
                    Ok(watcher::Event::InitDone | watcher::Event::Apply(_)) => {}
                    Ok(watcher::Event::Delete(definition)) => {
                        let name = definition.name_any();
                        let group = name.split_once('.').map_or("", |(_, group)| group);
                        kinds.lock().unwrap_or_else(PoisonError::into_inner).retain(|kind, task| {
                            let goes = kind.group == group;
                            if goes && let Some(task) = task {
                                task.abort();
                            }
                            !goes
                        });
                    }
                    Err(error) => {
                        let missing = rights::missing_for_a_watch(&site.client, &resource).await;
                        let error = missing.map_or_else(|| error.to_string(), |missing| missing.to_string());
                        tracing::warn!(error, "the watch of CRDs is taken up again");
                        continue;
                    }
                }
                site.forget_definitions().await;
                let _ = trigger.unbounded_send(());
            }
        }
    }

    /// Watches what every plane needs, and these kinds, as far as they are served and not watched yet.
    pub(crate) async fn watch(&self, kinds: impl IntoIterator<Item = &GroupVersionKind>) {
        for kind in WATCHED.iter().chain(kinds) {
            self.watch_kind(kind).await;
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<GroupVersionKind, Option<AbortHandle>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our objects of a kind, and all GatewayClasses; metadata is enough, since status moves it too.
    async fn watch_kind(&self, kind: &GroupVersionKind) {
        // Secrets of a cluster are not read for the sake of an event; the resync finds what was changed.
        if kind.kind == "Secret" || self.known().contains_key(kind) {
            return;
        }
        self.known().insert(kind.clone(), None);
        let gvk = Gvk::gvk(&kind.group, &kind.version, &kind.kind);
        let resource = match pinned_kind(&self.site.client, &gvk).await {
            Ok((resource, _)) => resource,
            Err(error) => {
                tracing::debug!(kind = %kind.kind, %error, "not served yet, and not watched");
                self.known().remove(kind);
                return;
            }
        };
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.site.client.clone(), &resource);
        let config = if kind.kind == "GatewayClass" {
            watcher::Config::default()
        } else {
            watcher::Config::default().labels(LABEL_PART_OF)
        };
        let (trigger, client) = (self.trigger.clone(), self.site.client.clone());
        let name = kind.kind.to_string();
        let task = self.spawn(async move {
            let mut stream = std::pin::pin!(watcher::watcher(api, config).default_backoff().touched_objects());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(_) => drop(trigger.unbounded_send(())),
                    Err(error) => {
                        let missing = rights::missing_for_a_watch(&client, &resource).await;
                        let error = missing.map_or_else(|| error.to_string(), |missing| missing.to_string());
                        tracing::warn!(kind = name, error, "a watch is taken up again");
                    }
                }
            }
        });
        self.known().insert(kind.clone(), Some(task));
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task)
    }
}
