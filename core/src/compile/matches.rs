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
    module::Verdict,
    resolve::RouteTopology,
};

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
        let Some(field) = self.field.map(|field| field.at(name)) else { return };
        let missing = self.compilation.lacking(std::slice::from_ref(needed));
        if missing.is_empty() {
            let claim = self.compilation.ledger.claim(field, self.place, Verdict::Exact);
            self.draft.cites.push((claim, pointer));
        } else {
            let (reason, alternatives) = self.compilation.lack_text(what, &missing);
            self.compilation.refuse(&field, self.place, reason, alternatives);
        }
    }

    fn http(&mut self, route: &RouteTopology, item: &Match, at: &str, value: &mut Map<String, Value>) {
        if let Some(path) = &item.path {
            let (kind, text, needed) = match path {
                PathMatch::Exact(path) => ("Exact", path.as_str(), gateway_api::HTTP_ROUTE),
                PathMatch::Prefix(path) => ("PathPrefix", path.as_str(), gateway_api::HTTP_ROUTE),
                PathMatch::RegularExpression(pattern) => {
                    ("RegularExpression", pattern.as_str(), project::PATH_REGULAR_EXPRESSION)
                }
            };
            value.insert("path".into(), json!({"type": kind, "value": text}));
            self.claim("/path", format!("{at}/path"), &needed, "matching of paths by regular expression");
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
