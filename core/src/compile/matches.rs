//! Conditions of rules, as Gateway API writes them.

use serde_json::{Map, Value, json};

use super::{
    compilation::Compilation,
    draft::{self, RuleDraft},
};
use crate::{
    capability::{
        CapabilityName,
        names::{gateway_api, project},
    },
    intent::{EndpointType, FieldRef, Match, PathMatch, ValueMatch},
    module::{Difference, PathExpressions, Verdict},
    resolve::RouteTopology,
    types::RegularExpression,
};

/// Longest value of a path match (CRD HTTPRoute, `matches[].path.value`).
const MAX_PATH_VALUE: usize = 1024;

/// Writes the matches of a rule, with a verdict for each condition.
pub(super) fn write(compilation: &mut Compilation<'_>, route: &RouteTopology, draft: &mut RuleDraft<'_>) {
    let place = draft::place(route, draft.rule);
    let grpc = route.kind == EndpointType::Grpc;
    for (index, (item, field)) in draft.rule.matches.iter().enumerate() {
        let at = format!("/matches/{index}");
        let mut value = Map::new();
        let mut write = Writer { compilation, draft, place: &place, field: field.as_ref() };
        if grpc {
            write.grpc(item, &at, &mut value);
        } else {
            write.http(route, item, &at, &mut value);
        }
        let name = if grpc { gateway_api::GRPC_ROUTE } else { gateway_api::HTTP_ROUTE };
        let regular = if grpc { project::GRPC_HEADER_REGULAR_EXPRESSION } else { project::HEADER_REGULAR_EXPRESSION };
        let plain = if grpc { project::GRPC_HEADER_MATCHING } else { name };
        write.headers(item, &at, &mut value, &plain, &regular);
        draft.matches.push(Value::Object(value));
    }
}

struct Writer<'w, 'a, 'c, 'd> {
    compilation: &'w mut Compilation<'c>,
    draft: &'w mut RuleDraft<'d>,
    place: &'a str,
    field: Option<&'a FieldRef>,
}

impl Writer<'_, '_, '_, '_> {
    /// Claims a condition, refusing it when the gateway lacks the feature.
    fn claim(&mut self, name: &str, pointer: String, needed: &CapabilityName, what: &str) {
        self.claim_as(name, pointer, needed, what, Verdict::Exact);
    }

    fn claim_as(&mut self, name: &str, pointer: String, needed: &CapabilityName, what: &str, verdict: Verdict) {
        let Some(field) = self.field.map(|field| field.at(name)) else { return };
        let missing = self.compilation.lacking(std::slice::from_ref(needed));
        if missing.is_empty() {
            let claim = self.compilation.ledger.claim(field, self.place, verdict);
            self.draft.cites.push((claim, pointer));
        } else {
            let (reason, alternatives) = self.compilation.lack_text(what, &missing);
            self.compilation.refuse(&field, self.place, reason, alternatives);
        }
    }

    /// The expression as the gateway needs it to be held to the whole path, and how near that comes.
    fn expression(&self, pattern: &RegularExpression) -> (String, Verdict) {
        let text = pattern.as_str();
        match self.compilation.input.module.path_expressions() {
            PathExpressions::Whole => (text.to_owned(), Verdict::Exact),
            PathExpressions::Part => {
                let anchored = format!("^(?:{text})$");
                let verdict = if anchored.len() > MAX_PATH_VALUE {
                    Verdict::Unsupported {
                        reason: format!("with its anchors the expression has more than {MAX_PATH_VALUE} characters"),
                        alternatives: vec!["a shorter expression".to_owned()],
                    }
                } else {
                    Verdict::Exact
                };
                (anchored, verdict)
            }
            PathExpressions::PartWithoutAnchors => {
                let difference = Difference {
                    name: "path/part-of-the-path".to_owned(),
                    text: "a path that has the expression in it matches too, whatever stands before and after"
                        .to_owned(),
                    stricter: false,
                };
                (text.to_owned(), Verdict::Approximate { differences: vec![difference] })
            }
        }
    }

    fn http(&mut self, route: &RouteTopology, item: &Match, at: &str, value: &mut Map<String, Value>) {
        if let Some(path) = &item.path {
            match path {
                PathMatch::Exact(path) => {
                    value.insert("path".into(), json!({"type": "Exact", "value": path.as_str()}));
                    self.claim("/path", format!("{at}/path"), &gateway_api::HTTP_ROUTE, "HTTPRoute");
                }
                PathMatch::Prefix(path) => {
                    value.insert("path".into(), json!({"type": "PathPrefix", "value": path.as_str()}));
                    self.claim("/path", format!("{at}/path"), &gateway_api::HTTP_ROUTE, "HTTPRoute");
                }
                PathMatch::RegularExpression(pattern) => {
                    let (text, verdict) = self.expression(pattern);
                    value.insert("path".into(), json!({"type": "RegularExpression", "value": text}));
                    let (needed, what) = (&project::PATH_REGULAR_EXPRESSION, "matching of paths by regular expression");
                    self.claim_as("/path", format!("{at}/path"), needed, what, verdict);
                }
            }
            if let Some((_, field)) = &route.base_path
                && self.draft.rule.implied_rewrite.is_none()
            {
                let claim = self.compilation.ledger.claim(field.clone(), self.place, Verdict::Exact);
                self.draft.cites.push((claim, format!("{at}/path/value")));
            }
        }
        if let Some(method) = &item.method {
            value.insert("method".into(), method.as_str().into());
            self.claim(
                "/method",
                format!("{at}/method"),
                &gateway_api::HTTP_ROUTE_METHOD_MATCHING,
                "matching of methods",
            );
        }
        if !item.query_params.is_empty() {
            let params: Vec<Value> =
                item.query_params.iter().map(|param| condition(param.name.as_str(), &param.value)).collect();
            value.insert("queryParams".into(), params.into());
            for (index, param) in item.query_params.iter().enumerate() {
                let needed = match param.value {
                    ValueMatch::Exact(_) => gateway_api::HTTP_ROUTE_QUERY_PARAM_MATCHING,
                    ValueMatch::RegularExpression(_) => project::QUERY_REGULAR_EXPRESSION,
                };
                self.claim(
                    &format!("/queryParams/{index}"),
                    format!("{at}/queryParams/{index}"),
                    &needed,
                    "matching of query parameters",
                );
            }
        }
    }

    fn grpc(&mut self, item: &Match, at: &str, value: &mut Map<String, Value>) {
        let Some(method) = &item.grpc else { return };
        let mut body = Map::new();
        body.insert("type".into(), "Exact".into());
        if let Some(service) = &method.service {
            body.insert("service".into(), service.as_str().into());
            self.claim(
                "/grpc/service",
                format!("{at}/method/service"),
                &project::GRPC_METHOD_MATCHING,
                "matching of gRPC methods",
            );
        }
        if let Some(name) = &method.method {
            body.insert("method".into(), name.as_str().into());
            self.claim(
                "/grpc/method",
                format!("{at}/method/method"),
                &project::GRPC_METHOD_MATCHING,
                "matching of gRPC methods",
            );
        }
        value.insert("method".into(), Value::Object(body));
    }

    fn headers(
        &mut self,
        item: &Match,
        at: &str,
        value: &mut Map<String, Value>,
        plain: &CapabilityName,
        regular: &CapabilityName,
    ) {
        if item.headers.is_empty() {
            return;
        }
        let headers: Vec<Value> =
            item.headers.iter().map(|header| condition(header.name.as_str(), &header.value)).collect();
        value.insert("headers".into(), headers.into());
        for (index, header) in item.headers.iter().enumerate() {
            let needed = match header.value {
                ValueMatch::Exact(_) => plain,
                ValueMatch::RegularExpression(_) => regular,
            };
            self.claim(
                &format!("/headers/{index}"),
                format!("{at}/headers/{index}"),
                needed,
                "matching of headers this way",
            );
        }
    }
}

fn condition(name: &str, value: &ValueMatch) -> Value {
    let (kind, text) = match value {
        ValueMatch::Exact(value) => ("Exact", value.as_str()),
        ValueMatch::RegularExpression(pattern) => ("RegularExpression", pattern.as_str()),
    };
    json!({"name": name, "type": kind, "value": text})
}
