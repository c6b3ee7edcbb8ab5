//! Requests to the API server: discovery of resources, retries, time-outs, typed errors.
//!
//! Requests are made as JSON over the caller's [`kube::Client`], so that every kind is served alike and the server's own
//! words (conflict causes, `Retry-After`) reach the error.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{Method, Request, header};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::ClusterError;
use crate::object::{GroupKind, GroupVersionKind, ObjectKey};

/// How long to wait for the API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For one request.
    pub(crate) request: Duration,
    /// For one request and its retries.
    pub(crate) total: Duration,
}

/// A resource of the API server.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    kind: String,
    plural: String,
    pub(crate) namespaced: bool,
}

type Discovered = HashMap<(String, String), Arc<Vec<Resource>>>;

pub(crate) struct Http {
    client: kube::Client,
    patience: Patience,
    resources: Mutex<Discovered>,
}

/// What a request is about, for errors.
struct About {
    verb: &'static str,
    group: String,
    resource: String,
    namespace: Option<String>,
    /// `Kind namespace/name`, or what is listed.
    object: String,
    /// Nothing that the server says about a Secret is passed on.
    secret: bool,
}

struct Call {
    method: Method,
    uri: String,
    body: Option<(&'static str, Vec<u8>)>,
    accept: &'static str,
    about: About,
}

/// A failed request, before it is decided whether it is tried again.
struct Failure {
    error: ClusterError,
    transient: bool,
    not_found: bool,
    after: Option<Duration>,
}

const JSON: &str = "application/json";
/// Asks for the metadata alone, so that the content of a Secret does not travel.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const APPLY: &str = "application/apply-patch+yaml";
const PATCH: &str = "application/json-patch+json";

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApplyMode<'a> {
    pub(crate) manager: &'a str,
    /// Take over fields of other managers.
    pub(crate) force: bool,
    /// The server answers as if it had written.
    pub(crate) dry_run: bool,
}

impl Http {
    pub(crate) fn new(client: kube::Client, patience: Patience) -> Self {
        Self { client, patience, resources: Mutex::new(HashMap::new()) }
    }

    /// One object; `None` when it is not there.
    pub(crate) async fn get(&self, key: &ObjectKey) -> Result<Option<Value>, ClusterError> {
        self.get_as(key, JSON).await
    }

    /// The metadata of one object; `None` when it is not there.
    pub(crate) async fn get_metadata(&self, key: &ObjectKey) -> Result<Option<Value>, ClusterError> {
        Ok(self.get_as(key, METADATA).await?.map(|value| with_kind(value, &key.kind)))
    }

    async fn get_as(&self, key: &ObjectKey, accept: &'static str) -> Result<Option<Value>, ClusterError> {
        let (uri, about) = self.address(key, "get").await?;
        match self.send(&Call { method: Method::GET, uri, body: None, accept, about }).await {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.not_found => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    /// All objects of a kind, by label, in one namespace or everywhere; the metadata alone on request.
    pub(crate) async fn list(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        labels: &str,
        metadata_only: bool,
    ) -> Result<Vec<Value>, ClusterError> {
        let resource = self.resource(kind).await?;
        let namespace = namespace.filter(|_| resource.namespaced);
        let path = path(kind, &resource, namespace);
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut uri = format!("{path}?limit=500");
            if !labels.is_empty() {
                uri.push_str("&labelSelector=");
                uri.push_str(&encode(labels));
            }
            if !token.is_empty() {
                uri.push_str("&continue=");
                uri.push_str(&encode(&token));
            }
            let about = About {
                verb: "list",
                group: kind.group.to_string(),
                resource: resource.plural.clone(),
                namespace: namespace.map(ToOwned::to_owned),
                object: resource.plural.clone(),
                secret: false,
            };
            let accept = if metadata_only { METADATA_LIST } else { JSON };
            let call = Call { method: Method::GET, uri, body: None, accept, about };
            let mut page = match self.send(&call).await {
                Ok(page) => page,
                // A kind whose definition was deleted; that there is nothing of a kind is no error.
                Err(failure) if failure.not_found => return Err(self.forget(kind).await),
                Err(failure) => return Err(failure.error),
            };
            if let Some(Value::Array(page)) = page.get_mut("items").map(Value::take) {
                items.extend(page.into_iter().map(|item| with_kind(item, kind)));
            }
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut token),
                _ => return Ok(items),
            }
        }
    }

    /// Server-side apply with strict field validation; returns what the server keeps.
    pub(crate) async fn apply(&self, object: &Value, mode: ApplyMode<'_>) -> Result<Value, ClusterError> {
        let key = key_of(object)?;
        let (uri, about) = self.address(&key, "patch").await?;
        let manager = encode(mode.manager);
        let mut uri = format!("{uri}?fieldManager={manager}&fieldValidation=Strict&force={}", mode.force);
        if mode.dry_run {
            uri.push_str("&dryRun=All");
        }
        let body = Some((APPLY, object.to_string().into_bytes()));
        match self.send(&Call { method: Method::PATCH, uri, body, accept: JSON, about }).await {
            Ok(value) => Ok(value),
            // An apply finds or makes its object: what is missing is the kind.
            Err(Failure { error: ClusterError::Server { code: 404, .. }, .. }) => Err(self.forget(&key.kind).await),
            Err(failure) => Err(failure.error),
        }
    }

    /// Creates an object; [`ClusterError::Appeared`] when it is there.
    pub(crate) async fn create(&self, object: &Value, manager: &str) -> Result<Value, ClusterError> {
        let key = key_of(object)?;
        let (_, about) = self.address(&key, "create").await?;
        let resource = self.resource(&key.kind).await?;
        let path = path(&key.kind, &resource, key.namespace.as_deref());
        let uri = format!("{path}?fieldManager={}&fieldValidation=Strict", encode(manager));
        let body = Some((JSON, object.to_string().into_bytes()));
        self.send(&Call { method: Method::POST, uri, body, accept: JSON, about }).await.map_err(|failure| failure.error)
    }

    /// Replaces an object in the version that it carries; [`ClusterError::Outdated`] when it has changed.
    pub(crate) async fn replace(&self, object: &Value, manager: &str) -> Result<Value, ClusterError> {
        let key = key_of(object)?;
        let (uri, about) = self.address(&key, "update").await?;
        let uri = format!("{uri}?fieldManager={}&fieldValidation=Strict", encode(manager));
        let body = Some((JSON, object.to_string().into_bytes()));
        self.send(&Call { method: Method::PUT, uri, body, accept: JSON, about }).await.map_err(|failure| failure.error)
    }

    /// A JSON patch; [`ClusterError::Outdated`] when one of its tests fails.
    pub(crate) async fn json_patch(
        &self,
        key: &ObjectKey,
        patch: &Value,
        manager: &str,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let (uri, about) = self.address(key, "patch").await?;
        let mut uri = format!("{uri}?fieldManager={}&fieldValidation=Strict", encode(manager));
        if dry_run {
            uri.push_str("&dryRun=All");
        }
        let body = Some((PATCH, patch.to_string().into_bytes()));
        match self.send(&Call { method: Method::PATCH, uri, body, accept: JSON, about }).await {
            Ok(value) => Ok(value),
            Err(failure) => Err(match failure.error {
                ClusterError::Invalid { object, message } if message.contains("testing") => {
                    ClusterError::Outdated { object }
                }
                error => error,
            }),
        }
    }

    /// Deletes an object, if it is still the one with this uid; no error when it is not there.
    pub(crate) async fn delete(&self, key: &ObjectKey, uid: Option<&str>, dry_run: bool) -> Result<(), ClusterError> {
        let (mut uri, about) = self.address(key, "delete").await?;
        if dry_run {
            uri.push_str("?dryRun=All");
        }
        let mut options =
            serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(uid) = uid {
            options["preconditions"] = serde_json::json!({"uid": uid});
        }
        let body = Some((JSON, options.to_string().into_bytes()));
        match self.send(&Call { method: Method::DELETE, uri, body, accept: JSON, about }).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.not_found => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }

    /// The version of a kind that the server prefers.
    pub(crate) async fn preferred(&self, kind: &GroupKind) -> Result<GroupVersionKind, ClusterError> {
        if kind.group.is_empty() {
            return Ok(GroupVersionKind::from_api_version("v1", &kind.kind));
        }
        let missing = || kind_missing(&GroupVersionKind::from_api_version(&format!("{}/", kind.group), &kind.kind));
        let uri = format!("/apis/{}", encode(&kind.group));
        let group = match self.send(&discovery_call(uri, &kind.group)).await {
            Ok(group) => group,
            Err(failure) if failure.not_found => return Err(missing()),
            Err(failure) => return Err(failure.error),
        };
        let preferred = group["preferredVersion"]["version"].as_str();
        let others =
            group["versions"].as_array().into_iter().flatten().filter_map(|version| version["version"].as_str());
        for version in preferred.into_iter().chain(others) {
            let full = GroupVersionKind::from_api_version(&format!("{}/{version}", kind.group), &kind.kind);
            match self.resource(&full).await {
                Ok(_) => return Ok(full),
                Err(ClusterError::KindMissing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(missing())
    }

    /// The resource of a kind; what was found is remembered, what was missing is not.
    pub(crate) async fn resource(&self, kind: &GroupVersionKind) -> Result<Resource, ClusterError> {
        let group_version = (kind.group.to_string(), kind.version.to_string());
        let find = |resources: &[Resource]| resources.iter().find(|resource| resource.kind == kind.kind).cloned();
        let mut known = self.resources.lock().await;
        if let Some(found) = known.get(&group_version).and_then(|resources| find(resources)) {
            return Ok(found);
        }
        let uri = if kind.group.is_empty() {
            format!("/api/{}", encode(&kind.version))
        } else {
            format!("/apis/{}/{}", encode(&kind.group), encode(&kind.version))
        };
        let list = match self.send(&discovery_call(uri, &kind.api_version())).await {
            Ok(list) => list,
            Err(failure) if failure.not_found => return Err(kind_missing(kind)),
            Err(failure) => return Err(failure.error),
        };
        let resources: Vec<Resource> = list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|resource| {
                let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
                Some(Resource {
                    kind: resource["kind"].as_str()?.to_owned(),
                    plural: plural.to_owned(),
                    namespaced: resource["namespaced"].as_bool()?,
                })
            })
            .collect();
        let found = find(&resources).ok_or_else(|| kind_missing(kind));
        known.insert(group_version, Arc::new(resources));
        found
    }

    /// A kind is no longer served, against what was remembered.
    async fn forget(&self, kind: &GroupVersionKind) -> ClusterError {
        self.resources.lock().await.remove(&(kind.group.to_string(), kind.version.to_string()));
        kind_missing(kind)
    }

    /// What the server says about its version.
    pub(crate) async fn version(&self) -> Result<Value, ClusterError> {
        self.send(&discovery_call("/version".to_owned(), "version")).await.map_err(|failure| failure.error)
    }

    async fn address(&self, key: &ObjectKey, verb: &'static str) -> Result<(String, About), ClusterError> {
        let resource = self.resource(&key.kind).await?;
        let namespace = key.namespace.as_deref().filter(|_| resource.namespaced);
        let uri = format!("{}/{}", path(&key.kind, &resource, namespace), encode(&key.name));
        let about = About {
            verb,
            group: key.kind.group.to_string(),
            resource: resource.plural,
            namespace: namespace.map(ToOwned::to_owned),
            object: key.to_string(),
            secret: key.kind.group.is_empty() && key.kind.kind == "Secret",
        };
        Ok((uri, about))
    }

    async fn send(&self, call: &Call) -> Result<Value, Failure> {
        let end = Instant::now() + self.patience.total;
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            let failure = match self.send_once(call).await {
                Ok(value) => return Ok(value),
                Err(failure) if !failure.transient => return Err(failure),
                Err(failure) => failure,
            };
            let delay = delays.next().unwrap_or(Duration::from_secs(5)).max(failure.after.unwrap_or_default());
            if Instant::now() + delay >= end {
                return Err(failure);
            }
            tracing::debug!(action = %call.about.action(), ?delay, "trying again");
            tokio::time::sleep(delay).await;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Value, Failure> {
        let unreachable = |message: String| Failure {
            error: ClusterError::Unreachable { action: call.about.action(), message },
            transient: true,
            not_found: false,
            after: None,
        };
        let mut request = Request::builder().method(&call.method).uri(&call.uri).header(header::ACCEPT, call.accept);
        if let Some((content_type, _)) = &call.body {
            request = request.header(header::CONTENT_TYPE, *content_type);
        }
        let body = call.body.as_ref().map_or_else(Body::empty, |(_, body)| Body::from(body.clone()));
        let request = request.body(body).map_err(|error| Failure {
            transient: false,
            ..unreachable(format!("the request cannot be made: {error}"))
        })?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        let (parts, bytes) = match tokio::time::timeout(self.patience.request, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Self::no_answer(error, call)),
            Err(_) => {
                let error = ClusterError::Timeout { action: call.about.action(), after: self.patience.request };
                return Err(Failure { error, transient: true, not_found: false, after: None });
            }
        };
        let code = parts.status.as_u16();
        tracing::trace!(method = %call.method, action = %call.about.action(), code, "answer of the API server");
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if parts.status.is_success() {
            return Ok(value);
        }
        let after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(failure(call, code, &value, after.map(Duration::from_secs)))
    }

    fn no_answer(error: kube::Error, call: &Call) -> Failure {
        let action = call.about.action();
        let (error, transient) = match error {
            kube::Error::Auth(_) => (ClusterError::Unauthorized { action }, false),
            error => {
                let mut message = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    let text = cause.to_string();
                    if !message.contains(&text) {
                        message = format!("{message}: {text}");
                    }
                    source = cause.source();
                }
                (ClusterError::Unreachable { action, message }, true)
            }
        };
        Failure { error, transient, not_found: false, after: None }
    }
}

impl About {
    fn action(&self) -> String {
        format!("{} {}", self.verb, self.object)
    }
}

/// The verb that the server misses: an apply of what is not there yet needs `create` besides `patch`.
fn refused_verb(status: &Value) -> Option<&'static str> {
    let text = status["message"].as_str()?.split(" cannot ").nth(1)?;
    ["create", "patch", "update", "get", "list", "delete"]
        .into_iter()
        .find(|verb| text.starts_with(&format!("{verb} ")))
}

fn failure(call: &Call, code: u16, status: &Value, after: Option<Duration>) -> Failure {
    let about = &call.about;
    let reason = status["reason"].as_str().unwrap_or_default();
    let message = if about.secret {
        format!("({reason}; what the server says about a Secret is not shown)")
    } else {
        status["message"].as_str().unwrap_or_default().to_owned()
    };
    let object = about.object.clone();
    let causes = || status["details"]["causes"].as_array().into_iter().flatten();
    let after = after.or_else(|| status["details"]["retryAfterSeconds"].as_u64().map(Duration::from_secs));
    let mut transient = false;
    let mut not_found = false;
    // What cannot be merged by the schema is told as a 500.
    let unknown_field = message.contains("unknown field") || message.contains("field not declared in schema");
    let untyped = message.contains("failed to create typed patch object");
    let error = match code {
        401 => ClusterError::Unauthorized { action: about.action() },
        403 if causes().any(|cause| cause["reason"] == "NamespaceTerminating") => {
            ClusterError::NamespaceMissing { namespace: about.namespace.clone().unwrap_or_default() }
        }
        // Admission refuses with the same code as authorization, and no rule helps against it.
        403 if !status["message"].as_str().unwrap_or_default().contains(" cannot ") => {
            ClusterError::Invalid { object, message }
        }
        403 => ClusterError::Forbidden {
            verb: refused_verb(status).unwrap_or(about.verb),
            group: about.group.clone(),
            resource: about.resource.clone(),
            namespace: about.namespace.clone(),
            message,
        },
        404 if status["details"]["kind"] == "namespaces" && about.resource != "namespaces" => {
            not_found = matches!(call.method, Method::GET | Method::DELETE);
            ClusterError::NamespaceMissing { namespace: about.namespace.clone().unwrap_or_default() }
        }
        404 => {
            not_found = true;
            ClusterError::Server { action: about.action(), code, message }
        }
        409 if reason == "AlreadyExists" => ClusterError::Appeared { object },
        409 => {
            let owners: Vec<(String, String)> = causes()
                .filter(|cause| cause["reason"] == "FieldManagerConflict")
                .map(|cause| {
                    let text = cause["message"].as_str().unwrap_or_default();
                    let manager = text.split('"').nth(1).unwrap_or(text).to_owned();
                    (manager, cause["field"].as_str().unwrap_or_default().trim_start_matches('.').to_owned())
                })
                .collect();
            if owners.is_empty() {
                // An apply carries no version: the server itself has lost a race, and may try again.
                transient = call.body.as_ref().is_some_and(|(content_type, _)| *content_type == APPLY);
                ClusterError::Outdated { object }
            } else {
                ClusterError::Conflict { object, owners }
            }
        }
        400 | 422 | 500 if unknown_field => ClusterError::FieldUnknown { object, message },
        400 | 422 => ClusterError::Invalid { object, message },
        500 if untyped => ClusterError::Invalid { object, message },
        429 | 500..=599 => {
            transient = true;
            // An admission webhook that does not answer is told as a 500.
            ClusterError::Server { action: about.action(), code, message }
        }
        _ => ClusterError::Server { action: about.action(), code, message },
    };
    Failure { error, transient, not_found, after }
}

fn discovery_call(uri: String, what: &str) -> Call {
    let about = About {
        verb: "get",
        group: String::new(),
        resource: "API discovery".to_owned(),
        namespace: None,
        object: format!("API discovery of {what}"),
        secret: false,
    };
    Call { method: Method::GET, uri, body: None, accept: JSON, about }
}

fn kind_missing(kind: &GroupVersionKind) -> ClusterError {
    let hint = match kind.group.as_ref() {
        "gateway.networking.k8s.io" => {
            "install the Gateway API CRDs (`standard-install.yaml`, or `experimental-install.yaml` for the experimental channel)"
                .to_owned()
        }
        "" => "the API server is too old for it".to_owned(),
        group => format!("install the CRDs of {group}, which come with the gateway's own installation, in a release that serves it"),
    };
    ClusterError::KindMissing { kind: kind.to_string(), hint }
}

fn path(kind: &GroupVersionKind, resource: &Resource, namespace: Option<&str>) -> String {
    let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", encode(&kind.group)) };
    let namespace = match namespace {
        Some(namespace) if resource.namespaced => format!("/namespaces/{}", encode(namespace)),
        _ => String::new(),
    };
    format!("{root}/{}{namespace}/{}", encode(&kind.version), resource.plural)
}

/// Percent-encoding of everything that is not unreserved, so that no name can leave its place in a URI.
fn encode(text: &str) -> String {
    let dots = matches!(text, "." | "..");
    text.bytes()
        .map(|byte| match byte {
            b'.' if !dots => ".".to_owned(),
            b'-' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn key_of(object: &Value) -> Result<ObjectKey, ClusterError> {
    crate::object::Object::try_from(object.clone())
        .map(|object| object.key())
        .map_err(|error| ClusterError::Invalid { object: "object".to_owned(), message: error.to_string() })
}

/// Items of a list, and metadata alone, come without their kind.
fn with_kind(mut value: Value, kind: &GroupVersionKind) -> Value {
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.kind.as_ref().into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place_in_a_uri() {
        assert_eq!(encode("../x?y#z/é"), "..%2Fx%3Fy%23z%2F%C3%A9");
        assert_eq!(encode(".."), "%2E%2E");
        assert_eq!(encode("a-b.c_d"), "a-b.c_d");
    }
}
