//! Reads what is live, as far as a plan needs to know it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{
    client::{ApplyMode, Http},
    error::ClusterError,
};
use crate::{
    compile::Release,
    object::{GroupKind, GroupVersionKind, Object, ObjectKey},
    plan::{
        Identity, LABEL_INSTALLATION, LABEL_PART_OF, LiveClass, LiveObject, LiveState, Membership, ParentState,
        SetIdentity, SourceSecret, Wanted, seems_to_differ, wanted,
    },
};

pub(crate) const CONFIG_MAP: GroupVersionKind = GroupVersionKind::of("", "v1", "ConfigMap");
const GATEWAY_CLASS: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GatewayClass");
const SECRET: GroupVersionKind = GroupVersionKind::of("", "v1", "Secret");
/// Requests at a time.
const CONCURRENCY: usize = 8;

/// All parents of the installation.
pub(crate) async fn parents(
    http: &Http,
    installation: &str,
    namespace: &str,
) -> Result<Vec<ParentState>, ClusterError> {
    let selector = format!("{LABEL_INSTALLATION}={installation}");
    let found = http.list(&CONFIG_MAP, Some(namespace), &selector, false).await?;
    found
        .iter()
        .map(|value| ParentState::from_config_map(value).map_err(|message| ClusterError::BadParent { message }))
        .collect()
}

/// Reads what is live for a release, or for the set alone.
pub(crate) async fn read(http: &Http, set: SetIdentity, release: Option<&Release>) -> Result<LiveState, ClusterError> {
    let shared = SetIdentity::shared(&set.installation, &set.namespace);
    let mut live = LiveState::empty(set, shared);
    for parent in parents(http, &live.set.installation, &live.set.namespace).await? {
        live.known_sets.insert(parent.set.id(), parent.set.clone());
        if parent.set == live.set {
            live.parent = Some(parent);
        } else if parent.set == live.shared {
            live.shared_parent = Some(parent);
        } else if release.is_some() && parent.set.data_plane == live.set.data_plane {
            live.former.push((parent, BTreeMap::new()));
        }
    }
    let objects: Vec<Wanted> = release
        .iter()
        .flat_map(|release| &release.objects)
        .map(|entry| wanted(entry, &live.set, &live.shared))
        .collect();
    let versions: BTreeMap<GroupKind, GroupVersionKind> =
        objects.iter().map(|wanted| (wanted.object.kind().group_kind(), wanted.object.kind())).collect();
    for parent in live.parent.iter().chain(&live.shared_parent) {
        live.objects.extend(members(http, parent, &versions).await?);
    }
    for (parent, found) in &mut live.former {
        *found = members(http, parent, &versions).await?;
    }
    if let Some(release) = release {
        read_wanted(http, &mut live, &objects).await?;
        read_sources(http, &mut live, release).await?;
        live.class = read_class(http, &release.module.class).await?;
    }
    read_targets(http, &mut live, release).await?;
    Ok(live)
}

/// Members of a set: by label, for each kind that its parent records.
pub(crate) async fn members(
    http: &Http,
    parent: &ParentState,
    versions: &BTreeMap<GroupKind, GroupVersionKind>,
) -> Result<BTreeMap<Identity, LiveObject>, ClusterError> {
    let selector = format!("{LABEL_PART_OF}={}", parent.set.id());
    let mut found = BTreeMap::new();
    for group_kind in &parent.group_kinds {
        let kind = match versions.get(group_kind) {
            Some(kind) => kind.clone(),
            None => match http.preferred(group_kind).await {
                Ok(kind) => kind,
                // The CRD is gone, and its objects with it.
                Err(ClusterError::KindMissing { .. }) => continue,
                Err(error) => return Err(error),
            },
        };
        let listed = match list_members(http, parent, &kind, &selector).await {
            Ok(listed) => listed,
            // It went while we looked.
            Err(ClusterError::KindMissing { .. }) => continue,
            Err(error) => return Err(error),
        };
        for value in listed {
            if let Ok(object) = Object::try_from(value.clone()) {
                found.insert(Identity::from(&object.key()), LiveObject::new(value));
            }
        }
    }
    Ok(found)
}

async fn list_members(
    http: &Http,
    parent: &ParentState,
    kind: &GroupVersionKind,
    selector: &str,
) -> Result<Vec<Value>, ClusterError> {
    if !http.resource(kind).await?.namespaced {
        return http.list(kind, None, selector, false).await;
    }
    let secret = is_secret(kind);
    let namespaces: BTreeSet<&String> = parent.namespaces.iter().chain([&parent.set.namespace]).collect();
    // One request for all namespaces where that is allowed and saves requests; Secrets always one by one.
    if namespaces.len() > 3 && !secret {
        match http.list(kind, None, selector, secret).await {
            Err(ClusterError::Forbidden { .. }) => {}
            listed => return listed,
        }
    }
    let mut all = Vec::new();
    for namespace in namespaces {
        all.extend(http.list(kind, Some(namespace), selector, secret).await?);
    }
    Ok(all)
}

fn is_secret(kind: &GroupVersionKind) -> bool {
    kind.group.is_empty() && kind.kind == "Secret"
}

/// What stands where the release wants to write; and a dry run for what seems to differ.
async fn read_wanted(http: &Http, live: &mut LiveState, objects: &[Wanted]) -> Result<(), ClusterError> {
    let (set, shared) = (live.set.clone(), live.shared.clone());
    let known = &live.objects;
    let read = stream::iter(objects.iter().cloned().map(|wanted| {
        let key = wanted.object.key();
        let identity = Identity::from(&key);
        // Of a Secret the list has only the metadata.
        let listed = known.get(&identity).filter(|_| !is_secret(&key.kind)).map(|found| found.value.clone());
        let (set, shared) = (&set, &shared);
        async move {
            let value = match listed {
                Some(value) => value,
                None => match http.get(&key).await? {
                    Some(value) => value,
                    None => return Ok(None),
                },
            };
            let preview = preview(http, &wanted, &value, set, shared).await;
            Ok::<_, ClusterError>(Some((identity, LiveObject { value, preview })))
        }
    }))
    .buffered(CONCURRENCY)
    .try_collect::<Vec<_>>()
    .await?;
    live.objects.extend(read.into_iter().flatten());
    Ok(())
}

/// What the server would make of an object that seems to differ. A plan works without it, so no error is one here: what
/// is refused now is refused, with its reason, when it is applied.
async fn preview(http: &Http, wanted: &Wanted, live: &Value, set: &SetIdentity, shared: &SetIdentity) -> Option<Value> {
    if !seems_to_differ(wanted, live, set, shared) {
        return None;
    }
    let manager = if wanted.membership == Membership::Shared { shared } else { set }.field_manager();
    let mode = ApplyMode { manager: &manager, force: false, dry_run: true };
    http.apply(&wanted.object.to_value(), mode).await.ok()
}

async fn read_sources(http: &Http, live: &mut LiveState, release: &Release) -> Result<(), ClusterError> {
    for derived in &release.derived_secrets {
        let key =
            |name: &str| ObjectKey { kind: SECRET, namespace: Some(derived.namespace.clone()), name: name.to_owned() };
        if let Some(source) = http.get_metadata(&key(&derived.source)).await? {
            let text = |name: &str| source["metadata"][name].as_str().unwrap_or_default().to_owned();
            let reference = SourceSecret { uid: text("uid"), resource_version: text("resourceVersion") };
            live.sources.insert((derived.namespace.clone(), derived.source.clone()), reference);
        }
        let key = key(&derived.name);
        let identity = Identity::from(&key);
        if !live.objects.contains_key(&identity)
            && let Some(found) = http.get_metadata(&key).await?
        {
            live.objects.insert(identity, LiveObject::new(found));
        }
    }
    Ok(())
}

async fn read_targets(http: &Http, live: &mut LiveState, release: Option<&Release>) -> Result<(), ClusterError> {
    let wanted = release.iter().flat_map(|release| &release.contributions).map(|contribution| &contribution.target);
    let recorded = live.parent.iter().flat_map(|parent| &parent.record.contributions).map(|record| &record.target);
    let targets: BTreeSet<ObjectKey> = wanted.chain(recorded).cloned().collect();
    for target in targets {
        match http.get(&target).await {
            Ok(Some(value)) => {
                live.targets.insert(target, value);
            }
            Ok(None) | Err(ClusterError::KindMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_class(http: &Http, class: &str) -> Result<LiveClass, ClusterError> {
    let key = ObjectKey { kind: GATEWAY_CLASS, namespace: None, name: class.to_owned() };
    match http.get(&key).await {
        Ok(Some(found)) => Ok(LiveClass::Present {
            controller: found["spec"]["controllerName"].as_str().unwrap_or_default().to_owned(),
        }),
        Ok(None) => {
            let listed = http.list(&GATEWAY_CLASS, None, "", false).await.unwrap_or_default();
            let available =
                listed.iter().filter_map(|class| class["metadata"]["name"].as_str().map(ToOwned::to_owned)).collect();
            Ok(LiveClass::Missing { available })
        }
        // Tenants may not read cluster-scoped classes; the Gateway's status will tell.
        Err(ClusterError::Forbidden { .. }) => Ok(LiveClass::Unread),
        Err(error) => Err(error),
    }
}
