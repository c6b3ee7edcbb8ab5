//! The audit log: what reached the API server, from whom, in which order and with what result.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// One request that the API server has answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// `ResponseComplete`, or `ResponseStarted` for a watch, or `Panic`.
    pub stage: String,
    /// The verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group; empty for core.
    pub group: String,
    /// The version that was asked for.
    pub version: String,
    /// The plural, such as `httproutes`; empty for requests that are not about a resource.
    pub resource: String,
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// The object's name; empty for lists.
    pub name: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Who asked; the impersonated user if there is one.
    pub user: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The HTTP status; 0 when none was sent.
    pub code: u16,
    /// The query parameters, such as `fieldManager`, `fieldValidation` and `force`.
    pub query: BTreeMap<String, String>,
    /// The body of a write.
    pub request_object: Option<Value>,
    /// When the request arrived.
    pub timestamp: Timestamp,
    /// Whether it was a server-side dry run: nothing was stored.
    pub dry_run: bool,
}

impl AuditEntry {
    /// Whether this asked to change something; a dry run does not.
    pub fn is_write(&self) -> bool {
        !self.dry_run
            && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
            // These only ask a question.
            && !matches!(self.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
    }

    /// Whether the API server did as it was asked (2xx).
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Reference,
    response_status: Option<Status>,
    request_object: Option<Value>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    api_group: String,
    api_version: String,
    resource: String,
    namespace: String,
    name: String,
    subresource: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Reads an audit log, one JSON event per line, in the order in which the requests were answered.
///
/// # Errors
/// When a whole line is no event. A last line that is not finished is being written and left out.
pub fn parse(log: &[u8]) -> Result<Vec<AuditEntry>, Error> {
    let finished = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    log[..finished]
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            serde_json::from_slice::<Event>(line)
                .map(AuditEntry::from)
                .map_err(|source| Error::Audit { line: index + 1, source })
        })
        .collect()
}

impl From<Event> for AuditEntry {
    fn from(event: Event) -> Self {
        let query = query(&event.request_uri);
        let reference = event.object_ref;
        let name_in_body = || {
            let name = event.request_object.as_ref()?.pointer("/metadata/name")?.as_str()?;
            (event.verb == "create").then(|| name.to_owned())
        };
        let name = if reference.name.is_empty() { name_in_body().unwrap_or_default() } else { reference.name };
        Self {
            stage: event.stage,
            group: reference.api_group,
            version: reference.api_version,
            resource: reference.resource,
            namespace: reference.namespace,
            name,
            subresource: reference.subresource,
            user: event.impersonated_user.unwrap_or(event.user).username,
            user_agent: event.user_agent,
            code: event.response_status.map_or(0, |status| status.code),
            // A delete carries it in its body.
            dry_run: query.contains_key("dryRun")
                || event.request_object.as_ref().is_some_and(|body| {
                    body["kind"] == "DeleteOptions" && body["dryRun"] == serde_json::json!(["All"])
                }),
            query,
            verb: event.verb,
            request_object: event.request_object,
            timestamp: event.request_received_timestamp,
        }
    }
}

fn query(uri: &str) -> BTreeMap<String, String> {
    let Some((_, query)) = uri.split_once('?') else { return BTreeMap::new() };
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","stage":"ResponseComplete","verb":"patch","requestURI":"/apis/g/v1/namespaces/n/things/a?fieldManager=gwm&fieldValidation=Strict&dryRun=All","user":{"username":"admin"},"impersonatedUser":{"username":"limited"},"objectRef":{"resource":"things","namespace":"n","name":"a","apiGroup":"g","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":409},"requestObject":{"kind":"Thing"},"requestReceivedTimestamp":"2026-11-23T05:00:00.123456Z","stageTimestamp":"2026-11-23T05:00:00.2Z"}"#;

    #[test]
    fn reads_an_event_and_leaves_out_an_unfinished_line() {
        let entries = parse(format!("{LINE}\n{}", &LINE[..50]).as_bytes()).unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.user.as_str(), entry.code, entry.dry_run), ("limited", 409, true));
        assert_eq!(entry.query["fieldValidation"], "Strict");
        assert!(!entry.is_write(), "a dry run changes nothing");
        assert!(!entry.succeeded());
    }

    #[test]
    fn names_the_line_that_is_no_event() {
        let error = parse(format!("{LINE}\nnonsense\n").as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Audit { line: 2, .. }), "{error}");
    }
}
