//! Rules of a route before their places are settled: what adapters insert may still move them.

use serde_json::{Map, Value, json};

use super::ledger::ClaimId;
use crate::{
    intent::policies::PolicyKind,
    module::ClosedBackends,
    object::Object,
    resolve::{RouteTopology, RuleTopology},
};

/// A rule in the making.
#[derive(Clone, Debug)]
pub(super) struct RuleDraft<'a> {
    pub(super) rule: &'a RuleTopology,
    /// `matches`, as Gateway API writes them.
    pub(super) matches: Vec<Value>,
    /// Filters, sorted by the request-path order of their kinds when the rule is written.
    pub(super) filters: Vec<FilterDraft>,
    /// `backendRefs`, as Gateway API writes them.
    pub(super) backends: Vec<Value>,
    /// Other fields of the rule: `timeouts`, `retry`.
    pub(super) fields: Map<String, Value>,
    /// Claims about bytes of the rule, with pointers from the rule.
    pub(super) cites: Vec<(ClaimId, String)>,
    /// Whether the name is written (the gateway may ignore it).
    pub(super) named: bool,
}

/// A filter in the making.
#[derive(Clone, Debug)]
pub(super) struct FilterDraft {
    pub(super) kind: PolicyKind,
    pub(super) value: Value,
    /// Claims about bytes of the filter, with pointers from the filter.
    pub(super) cites: Vec<(ClaimId, String)>,
}

impl<'a> RuleDraft<'a> {
    pub(super) fn new(rule: &'a RuleTopology) -> Self {
        Self {
            rule,
            matches: Vec::new(),
            filters: Vec::new(),
            backends: Vec::new(),
            fields: Map::new(),
            cites: Vec::new(),
            named: false,
        }
    }

    pub(super) fn filter(&mut self, kind: PolicyKind, value: Value, cites: Vec<(ClaimId, String)>) {
        self.filters.push(FilterDraft { kind, value, cites });
    }

    /// The rule as Gateway API writes it, and all claims with pointers from the rule.
    pub(super) fn write(&self) -> (Value, Vec<(ClaimId, String)>) {
        let mut cites = self.cites.clone();
        let mut rule = Map::new();
        if self.named {
            rule.insert("name".into(), self.rule.name.clone().into());
        }
        if !self.matches.is_empty() {
            rule.insert("matches".into(), self.matches.clone().into());
        }
        let mut filters: Vec<_> = self.filters.iter().collect();
        // A stable sort: filters of one kind keep the order in which they were added.
        filters.sort_by_key(|filter| request_path_order(filter.kind));
        if !filters.is_empty() {
            rule.insert("filters".into(), filters.iter().map(|filter| filter.value.clone()).collect());
        }
        for (index, filter) in filters.iter().enumerate() {
            cites.extend(filter.cites.iter().map(|(claim, pointer)| (*claim, format!("/filters/{index}{pointer}"))));
        }
        if !self.backends.is_empty() {
            rule.insert("backendRefs".into(), self.backends.clone().into());
        }
        for (name, value) in &self.fields {
            rule.insert(name.clone(), value.clone());
        }
        (Value::Object(rule), cites)
    }

    /// The rule in the form that lets nothing through: it matches as ever, and its backend does not exist, so that the
    /// gateway answers 500. Filters go, since a redirect, a mirror or a fixed answer needs no backend; but those that name a
    /// security policy stay, since some controllers acknowledge a policy only while a route refers to it (`KongPlugin`).
    pub(super) fn write_closed(&self, backend_kind: Option<&str>) -> Value {
        let mut rule = Map::new();
        if self.named {
            rule.insert("name".into(), self.rule.name.clone().into());
        }
        if !self.matches.is_empty() {
            rule.insert("matches".into(), self.matches.clone().into());
        }
        let mut filters: Vec<_> = self.filters.iter().filter(|filter| names_security_policy(filter)).collect();
        filters.sort_by_key(|filter| request_path_order(filter.kind));
        if !filters.is_empty() {
            rule.insert("filters".into(), filters.iter().map(|filter| filter.value.clone()).collect());
        }
        let kind = backend_kind.unwrap_or("Service");
        rule.insert("backendRefs".into(), json!([{"group": "", "kind": kind, "name": CLOSED_BACKEND, "port": 1}]));
        Value::Object(rule)
    }
}

/// Names the backends of the open route in the closed one, in the way that this gateway takes: nothing is sent there, and the
/// controller sees that the policies of these backends are used.
pub(super) fn name_backends(closed: &mut Object, open: &Object, how: ClosedBackends) {
    let rules = |route: &Object| route.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut closed_rules = rules(closed);
    for (rule, open) in closed_rules.iter_mut().zip(rules(open)) {
        let mut backends = open["backendRefs"].as_array().cloned().unwrap_or_default();
        for backend in backends.iter_mut().filter_map(Value::as_object_mut) {
            backend.remove("filters");
            backend.remove("weight");
        }
        // A rule that leads nowhere keeps the backend that does not exist.
        if backends.is_empty() {
            continue;
        }
        match how {
            ClosedBackends::Unnamed => {}
            ClosedBackends::WithoutWeight => {
                if let Some(named) = rule["backendRefs"].as_array_mut() {
                    named.extend(backends.into_iter().map(|mut backend| {
                        backend["weight"] = 0.into();
                        backend
                    }));
                }
            }
            ClosedBackends::BehindMissingFilter { group, kind } => {
                let reference = json!({"group": group, "kind": kind, "name": CLOSED_BACKEND});
                let mut filters = rule["filters"].as_array().cloned().unwrap_or_default();
                filters.push(json!({"type": "ExtensionRef", "extensionRef": reference}));
                rule["filters"] = filters.into();
                rule["backendRefs"] = backends.into();
            }
        }
    }
    if let Some(place) = closed.pointer_mut("/spec/rules") {
        *place = closed_rules.into();
    }
}

fn names_security_policy(filter: &FilterDraft) -> bool {
    filter.kind.is_security() && filter.value["type"] == "ExtensionRef"
}

/// Name of a Service, or of a filter, that nobody makes. A rule whose only backend it is answers 500, one with that filter too.
pub const CLOSED_BACKEND: &str = "closed-until-policies-are-effective";

/// Order of the kinds on the way of a request: who may come in, how often, what is changed, where it goes.
fn request_path_order(kind: PolicyKind) -> u8 {
    match kind {
        PolicyKind::Cors => 0,
        PolicyKind::IpAccess => 1,
        PolicyKind::Jwt | PolicyKind::ApiKey | PolicyKind::BasicAuth => 2,
        PolicyKind::ExternalAuthorization => 3,
        PolicyKind::ClaimsAuthorization => 4,
        PolicyKind::RateLimitLocal | PolicyKind::RateLimitGlobal => 5,
        PolicyKind::FaultInjection => 6,
        PolicyKind::BodySizeLimit => 7,
        PolicyKind::HeaderModification => 8,
        PolicyKind::Mirror => 9,
        PolicyKind::UrlRewrite => 10,
        PolicyKind::Redirect | PolicyKind::DirectResponse => 11,
        _ => 12,
    }
}

/// A text for the report that says where a rule is.
pub(super) fn place(route: &RouteTopology, rule: &RuleTopology) -> String {
    if route.rules.len() > 1 { format!("{} rule {}", route.binding, rule.name) } else { route.binding.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupVersionKind;

    #[test]
    fn a_closed_route_names_backends_as_its_gateway_takes_it() {
        let kind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let route = |rules: Value| Object::new(&kind, Some("shop"), "route").with_spec(json!({ "rules": rules }));
        let nowhere = json!({"name": CLOSED_BACKEND, "port": 1});
        let open = route(json!([
            {"filters": [{"type": "RequestMirror"}], "backendRefs": [{"name": "secure", "port": 8443, "weight": 3, "filters": []}]},
            {"filters": [{"type": "RequestRedirect"}]},
        ]));
        let rules = |how| {
            let mut closed = route(json!([{"backendRefs": [nowhere]}, {"backendRefs": [nowhere]}]));
            name_backends(&mut closed, &open, how);
            let rules = closed.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
            assert_eq!(rules[1], json!({"backendRefs": [nowhere]}), "a rule without backends stays closed as it was");
            rules[0].clone()
        };
        assert_eq!(rules(ClosedBackends::Unnamed), json!({"backendRefs": [nowhere]}));
        let named = json!({"backendRefs": [nowhere, {"name": "secure", "port": 8443, "weight": 0}]});
        assert_eq!(rules(ClosedBackends::WithoutWeight), named);
        let reference = json!({"group": "example.com", "kind": "Filter", "name": CLOSED_BACKEND});
        let behind = ClosedBackends::BehindMissingFilter { group: "example.com", kind: "Filter" };
        let named = json!({
            "filters": [{"type": "ExtensionRef", "extensionRef": reference}],
            "backendRefs": [{"name": "secure", "port": 8443}],
        });
        assert_eq!(rules(behind), named);
    }
}
