//! Whether a route was ever open without its security policy, told from the audit log.

use std::collections::BTreeMap;

use serde_json::Value;

use super::files::STAND_IN_USER;
use crate::AuditEntry;

/// The backend of a route that is closed.
const CLOSED: &str = "closed-until-policies-are-effective";

#[derive(Default)]
struct Policy {
    spec: Value,
    /// Names of HTTPRoutes in the policy's namespace.
    targets: Vec<String>,
    acknowledged: bool,
}

/// Replays the writes to HTTPRoutes and TrafficPolicies (kgateway) and looks, after each, at every protected route: when it is
/// opened, a policy that names it is there and is acknowledged by the [stand-in](crate::stand_in) in its present form, and
/// one is there for as long as it stays open. Gives how often a protected route was opened.
///
/// `is_protected` is asked with what was written for a route.
///
/// # Errors
/// The first write after which a route was open without its policy.
pub fn protected_openings(log: &[AuditEntry], is_protected: impl Fn(&Value) -> bool) -> Result<usize, String> {
    let mut policies: BTreeMap<(String, String), Policy> = BTreeMap::new();
    let mut open: BTreeMap<(String, String), bool> = BTreeMap::new();
    let mut openings = 0;
    for (index, entry) in log.iter().enumerate().filter(|(_, entry)| entry.is_write() && entry.succeeded()) {
        let key = (entry.namespace.clone(), entry.name.clone());
        let mut opened = None;
        let body = entry.request_object.as_ref();
        match (entry.resource.as_str(), entry.subresource.as_str(), entry.verb.as_str()) {
            ("httproutes", "", "delete") => drop(open.remove(&key)),
            ("httproutes", "", "deletecollection") => open.clear(),
            ("trafficpolicies", "", "deletecollection") => policies.clear(),
            ("httproutes", "", _) => {
                let Some(body) = body.filter(|body| is_protected(body)) else { continue };
                let is_open = has_backend(body);
                if !open.insert(key.clone(), is_open).unwrap_or_default() && is_open {
                    openings += 1;
                    opened = Some(key);
                }
            }
            ("trafficpolicies", "", "delete") => drop(policies.remove(&key)),
            ("trafficpolicies", "", _) => {
                let Some(body) = body else { continue };
                let policy = policies.entry(key).or_default();
                if policy.spec != body["spec"] {
                    let targets = body["spec"]["targetRefs"].as_array().into_iter().flatten();
                    policy.targets = targets.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect();
                    policy.spec = body["spec"].clone();
                    policy.acknowledged = false;
                }
            }
            ("trafficpolicies", "status", _) if entry.user == STAND_IN_USER => {
                let ancestors = body.and_then(|body| body.pointer("/status/ancestors")?.as_array());
                if let Some(policy) = policies.get_mut(&key) {
                    policy.acknowledged = ancestors.is_some_and(|ancestors| !ancestors.is_empty());
                }
            }
            _ => continue,
        }
        for (key, _) in open.iter().filter(|(_, open)| **open) {
            let (namespace, route) = key;
            let ready = |policy: &Policy| policy.acknowledged || opened.as_ref() != Some(key);
            let covers = |((of, _), policy): (&(String, String), &Policy)| {
                of == namespace && policy.targets.contains(route) && ready(policy)
            };
            if !policies.iter().any(covers) {
                return Err(format!(
                    "HTTPRoute {namespace}/{route} is open without an acknowledged policy after entry {index}: {} {} {} by {}",
                    entry.verb, entry.resource, entry.name, entry.user
                ));
            }
        }
    }
    Ok(openings)
}

fn has_backend(route: &Value) -> bool {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten()).any(|backend| backend["name"] != CLOSED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(resource: &str, subresource: &str, name: &str, verb: &str, body: Value) -> AuditEntry {
        let user = if subresource == "status" { STAND_IN_USER } else { "controller" };
        let line = json!({
            "stage": "ResponseComplete", "verb": verb, "requestURI": "/", "user": {"username": user},
            "objectRef": {"resource": resource, "namespace": "shop", "name": name, "subresource": subresource},
            "responseStatus": {"code": 200}, "requestObject": body, "requestReceivedTimestamp": "2026-11-23T05:00:00Z",
        });
        crate::audit::parse(format!("{line}\n").as_bytes()).unwrap().remove(0)
    }

    fn route(backend: &str) -> AuditEntry {
        let body = json!({"spec": {"rules": [{"backendRefs": [{"name": backend}]}]}});
        entry("httproutes", "", "r", "patch", body)
    }

    #[test]
    fn an_early_opening_is_found() {
        let policy =
            || entry("trafficpolicies", "", "p", "patch", json!({"spec": {"targetRefs": [{"name": "r"}], "x": 1}}));
        let acknowledged = || entry("trafficpolicies", "status", "p", "patch", json!({"status": {"ancestors": [{}]}}));
        let all = |log: &[AuditEntry]| protected_openings(log, |_| true);
        assert_eq!(all(&[route(CLOSED), policy(), acknowledged(), route("shop")]), Ok(1));
        assert!(all(&[route(CLOSED), policy(), route("shop")]).is_err(), "not acknowledged");
        assert!(all(&[route("shop"), policy(), acknowledged()]).is_err(), "opened first");
        let gone = entry("trafficpolicies", "", "p", "delete", Value::Null);
        assert!(all(&[policy(), acknowledged(), route("shop"), gone]).is_err(), "the policy goes first");
        assert_eq!(protected_openings(&[route("shop")], |_| false), Ok(0), "a public route");
    }
}
