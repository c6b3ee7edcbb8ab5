//! Takes an installation away, and what the gateway leaves behind. Definitions stay, and with them everybody's objects.

use std::time::{Duration, Instant};

use gateway_modules_core::{
    cluster::Cluster,
    installation::{Installation, LeftoverPlace},
    module::GatewayModule,
    object::{GroupVersionKind, ObjectKey},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Backend, InstallError, Phase, Progress, Record, Refusal,
    checks::{GATEWAY_CLASS, key},
    plan::NAMESPACE,
};

/// What lives on a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependents {
    /// Gateways of its classes.
    pub gateways: Vec<String>,
    /// Routes on these Gateways.
    pub routes: Vec<String>,
}

impl Dependents {
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty() && self.routes.is_empty()
    }
}

/// What came of an uninstall.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UninstallOutcome {
    /// Whether anything was installed.
    pub was_installed: bool,
    /// Namespaces that stay because something of others is in them, with what that is.
    pub kept_namespaces: Vec<(String, Vec<String>)>,
}

const GATEWAY: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "Gateway");
const ROUTES: [GroupVersionKind; 5] = [
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "GRPCRoute"),
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "TLSRoute"),
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "TCPRoute"),
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "UDPRoute"),
];
/// Kinds whose objects in a namespace are somebody's, and not Kubernetes' own.
const CONTENT: [GroupVersionKind; 11] = [
    GroupVersionKind::of("", "v1", "Pod"),
    GroupVersionKind::of("", "v1", "Service"),
    GroupVersionKind::of("", "v1", "Secret"),
    GroupVersionKind::of("", "v1", "ConfigMap"),
    GroupVersionKind::of("", "v1", "PersistentVolumeClaim"),
    GroupVersionKind::of("apps", "v1", "Deployment"),
    GroupVersionKind::of("apps", "v1", "StatefulSet"),
    GroupVersionKind::of("apps", "v1", "DaemonSet"),
    GroupVersionKind::of("batch", "v1", "Job"),
    GATEWAY,
    GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute"),
];
const GONE: Duration = Duration::from_mins(2);

/// Gateways of a module's classes, and the routes on them.
///
/// # Errors
/// The cluster does not answer.
pub async fn dependents(cluster: &Cluster, module: &dyn GatewayModule) -> Result<Dependents, InstallError> {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let classes: Vec<String> = cluster
        .list_objects(&GATEWAY_CLASS, "")
        .await?
        .iter()
        .filter(|class| module.metadata().controllers.contains(&text(class, "/spec/controllerName").as_str()))
        .map(|class| text(class, "/metadata/name"))
        .collect();
    let mut found = Dependents::default();
    let mut names = Vec::new();
    for gateway in cluster.list_objects(&GATEWAY, "").await? {
        if classes.contains(&text(&gateway, "/spec/gatewayClassName")) {
            let name = (text(&gateway, "/metadata/namespace"), text(&gateway, "/metadata/name"));
            found.gateways.push(format!("Gateway {}/{}", name.0, name.1));
            names.push(name);
        }
    }
    for kind in &ROUTES {
        for route in cluster.list_objects(kind, "").await? {
            let own = text(&route, "/metadata/namespace");
            let parents = route.pointer("/spec/parentRefs").and_then(Value::as_array).cloned().unwrap_or_default();
            let attached = parents.iter().any(|parent| {
                let namespace = parent["namespace"].as_str().unwrap_or(&own).to_owned();
                let is_gateway = parent["kind"].as_str().is_none_or(|kind| kind == "Gateway");
                is_gateway && names.contains(&(namespace, parent["name"].as_str().unwrap_or_default().to_owned()))
            });
            if attached {
                found.routes.push(format!("{} {own}/{}", kind.kind, text(&route, "/metadata/name")));
            }
        }
    }
    Ok(found)
}

/// All that would be served by nobody without a module's gateway: data planes, Gateways and routes.
///
/// # Errors
/// The cluster does not answer.
pub async fn depending(cluster: &Cluster, module: &dyn GatewayModule) -> Result<Vec<String>, InstallError> {
    let planes = cluster.planes_of(module.metadata().name).await?;
    let live = dependents(cluster, module).await?;
    Ok(planes.iter().map(|plane| format!("data plane {plane}")).chain(live.gateways).chain(live.routes).collect())
}

/// Takes an installation away. Who calls has dealt with what is [`depending`] on it.
///
/// # Errors
/// A step fails; the next run goes on.
pub async fn uninstall(
    cluster: &Cluster,
    backend: &dyn Backend,
    module: &dyn GatewayModule,
    installation: Option<&Installation>,
    progress: &Progress,
) -> Result<UninstallOutcome, InstallError> {
    let name = module.metadata().name;
    let lock = cluster.lock_installation(name).await?;
    let result = carry_out(cluster, backend, module, installation, progress).await;
    lock.release().await;
    result
}

async fn carry_out(
    cluster: &Cluster,
    backend: &dyn Backend,
    module: &dyn GatewayModule,
    installation: Option<&Installation>,
    progress: &Progress,
) -> Result<UninstallOutcome, InstallError> {
    let name = module.metadata().name;
    let Some(mut record) = Record::read(cluster, name).await? else { return Ok(UninstallOutcome::default()) };
    if record.backend != backend.name() {
        return Err(InstallError::Refused(vec![Refusal::new(
            format!("module {name}"),
            format!("it was installed by {}", record.backend),
            format!("use --backend {}", record.backend),
        )]));
    }
    record.phase = Phase::Uninstalling;
    record.write(cluster).await?;
    if let Some(class) = &record.class {
        progress(&format!("GatewayClass {class}"));
        cluster.delete_object(&ObjectKey { kind: GATEWAY_CLASS, namespace: None, name: class.clone() }, None).await?;
    }
    for release in record.releases.iter().rev() {
        if release.definitions_only && backend.leaves_definitions() {
            progress(&format!("the definitions of {} stay, and the objects of their kinds", release.chart));
            continue;
        }
        progress(&format!("release {} in {}", release.release, release.namespace));
        backend.remove(cluster, release, progress).await?;
    }
    if let Some(installation) = installation {
        leftovers(cluster, module, installation, &record, progress).await?;
    }
    let mut outcome = UninstallOutcome { was_installed: true, ..UninstallOutcome::default() };
    for namespace in &record.namespaces {
        let content = content(cluster, namespace).await?;
        if content.is_empty() {
            progress(&format!("namespace {namespace}"));
            let key = ObjectKey { kind: NAMESPACE, namespace: None, name: namespace.clone() };
            cluster.delete_object(&key, None).await?;
            gone(cluster, &key).await?;
        } else {
            progress(&format!("namespace {namespace} stays: {}", content.join(", ")));
            outcome.kept_namespaces.push((namespace.clone(), content));
        }
    }
    Record::delete(cluster, name).await?;
    Ok(outcome)
}

/// What the gateway has made when it ran.
async fn leftovers(
    cluster: &Cluster,
    module: &dyn GatewayModule,
    installation: &Installation,
    record: &Record,
    progress: &Progress,
) -> Result<(), InstallError> {
    let namespaces: Vec<&str> = record.releases.iter().map(|release| release.namespace.as_str()).collect();
    for leftover in &installation.leftovers {
        let mut keys = Vec::new();
        match leftover.place {
            LeftoverPlace::Cluster => keys.push(key(leftover.api_version, leftover.kind, None, leftover.name)),
            LeftoverPlace::Own => {
                if let Some(namespace) = namespaces.last() {
                    keys.push(key(leftover.api_version, leftover.kind, Some(namespace), leftover.name));
                }
            }
            LeftoverPlace::Everywhere => {
                let kind = GroupVersionKind::from_api_version(leftover.api_version, leftover.kind);
                let all = cluster.list_objects(&kind, "").await?;
                let named = all.iter().filter(|object| object["metadata"]["name"] == leftover.name);
                keys.extend(named.filter_map(|object| {
                    let namespace = object["metadata"]["namespace"].as_str()?;
                    Some(key(leftover.api_version, leftover.kind, Some(namespace), leftover.name))
                }));
            }
        }
        for key in keys {
            let Some(live) = cluster.get_object(&key).await? else { continue };
            if leftover.kind == "GatewayClass" && !same_vendor(module, &live) {
                continue;
            }
            progress(&format!("{key}, which the gateway has made"));
            cluster.delete_object(&key, live["metadata"]["uid"].as_str()).await?;
        }
    }
    Ok(())
}

/// A class of the same name may be another vendor's; a vendor's controllers share their domain.
fn same_vendor(module: &dyn GatewayModule, class: &Value) -> bool {
    let domain = |controller: &str| controller.split('/').next().unwrap_or_default().to_owned();
    let live = class["spec"]["controllerName"].as_str().unwrap_or_default();
    module.metadata().controllers.iter().any(|controller| domain(controller) == domain(live))
}

/// What is in a namespace besides what Kubernetes puts into every one.
async fn content(cluster: &Cluster, namespace: &str) -> Result<Vec<String>, InstallError> {
    let mut found = Vec::new();
    for kind in &CONTENT {
        for object in cluster.list_objects(kind, "").await? {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default();
            let going = metadata["deletionTimestamp"].is_string() || metadata["ownerReferences"].is_array();
            let own = kind.kind == "ConfigMap" && name == "kube-root-ca.crt";
            if metadata["namespace"] == namespace && !going && !own {
                found.push(format!("{} {name}", kind.kind));
            }
        }
    }
    Ok(found)
}

async fn gone(cluster: &Cluster, key: &ObjectKey) -> Result<(), InstallError> {
    let start = Instant::now();
    while cluster.get_object(key).await?.is_some() {
        if start.elapsed() >= GONE {
            return Err(InstallError::Failed {
                action: format!("waiting for {key} to go"),
                message: "something in it has a finalizer that nobody serves".to_owned(),
                next: format!(
                    "see the conditions of `kubectl get namespace {} -o yaml`, then run this again",
                    key.name
                ),
            });
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
