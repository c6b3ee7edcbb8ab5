//! Endpoints and their rules, without regard to a plane.

use super::{
    place::{At, Checker},
    policies::{self, path, regular_expression},
};
use crate::{
    intent::{Endpoint, EndpointType, Match, PathMatch, Rule, ValueMatch, codes},
    types::{DnsLabel, Hostname, HttpPath},
};

pub(super) fn check<'a>(checker: &mut Checker<'a>, at: &At<'a>, endpoint: &'a Endpoint) {
    let kind = endpoint.kind;
    unique_texts(checker, at, &endpoint.visibilities, &endpoint.hostnames);
    if !endpoint.hostnames.is_empty() {
        hostnames_belong(checker, at, kind);
    }
    if let Some(base) = &endpoint.base_path {
        path(checker, &at.field("basePath"), base);
        if !kind.is_http() {
            not_for(checker, &at.field("basePath"), "basePath", kind, "HTTP, WebSocket and GraphQL endpoints have it");
        }
    }
    if endpoint.listener.is_some() && (kind.is_http() || kind == EndpointType::Grpc) {
        let help = "TLS, TCP and UDP endpoints have it; the others use all HTTP and HTTPS listeners of the visibility";
        not_for(checker, &at.field("listener"), "listener", kind, help);
    }
    if endpoint.subscriptions && kind != EndpointType::GraphQL {
        not_for(checker, &at.field("subscriptions"), "subscriptions", kind, "GraphQL endpoints have it");
    }
    policies::check(checker, &at.field("policies"), &endpoint.policies);
    policies::belong(checker, &at.field("policies"), &endpoint.policies, kind);
    rules(checker, &at.field("rules"), endpoint);
}

/// No visibility and no host twice.
pub(super) fn unique_texts<'a>(
    checker: &mut Checker<'a>,
    at: &At<'a>,
    visibilities: &[DnsLabel],
    hostnames: &[Hostname],
) {
    let list = at.field("visibilities");
    checker
        .unique("visibility", visibilities.iter().enumerate().map(|(index, name)| (list.item(index), name.as_str())));
    let list = at.field("hostnames");
    checker.unique("host name", hostnames.iter().enumerate().map(|(index, name)| (list.item(index), name.as_str())));
}

/// Host names are for protocols that carry one.
pub(super) fn hostnames_belong(checker: &mut Checker<'_>, at: &At<'_>, kind: EndpointType) {
    if matches!(kind, EndpointType::Tcp | EndpointType::Udp) {
        not_for(
            checker,
            &at.field("hostnames"),
            "hostnames",
            kind,
            "the protocol carries no host name; clients use the address and port of the listener",
        );
    }
}

fn not_for(checker: &mut Checker<'_>, at: &At<'_>, field: &str, kind: EndpointType, why: &str) {
    let message = format!("`{field}` has no meaning for an endpoint of type {}", kind.as_str());
    checker.error(at, codes::FIELD_NOT_FOR_TYPE, message, format!("remove it; {why}"));
}

fn rules<'a>(checker: &mut Checker<'a>, at: &At<'a>, endpoint: &'a Endpoint) {
    let kind = endpoint.kind;
    let layer_four = !kind.is_http() && kind != EndpointType::Grpc;
    checker.unique(
        "rule",
        endpoint
            .rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((at.item(index).field("name"), rule.name.as_ref()?.as_str()))),
    );
    if layer_four && endpoint.rules.len() > 1 {
        let message = format!(
            "an endpoint of type {} has {} rules, and nothing tells them apart",
            kind.as_str(),
            endpoint.rules.len()
        );
        checker.error(&at.item(1), codes::FIELD_NOT_FOR_TYPE, message, "keep one rule; it may have several backends");
    }
    for (index, rule) in endpoint.rules.iter().enumerate() {
        let at = at.item(index);
        policies::check(checker, &at.field("policies"), &rule.policies);
        policies::belong(checker, &at.field("policies"), &rule.policies, kind);
        backends(checker, &at, rule, endpoint);
        if layer_four && !rule.matches.is_empty() {
            not_for(checker, &at.field("matches"), "matches", kind, "nothing of a request can be read there");
            continue;
        }
        for (index, condition) in rule.matches.iter().enumerate() {
            matches(checker, &at.field("matches").item(index), condition, kind);
        }
    }
}

fn backends(checker: &mut Checker<'_>, at: &At<'_>, rule: &Rule, endpoint: &Endpoint) {
    if rule.backends.is_empty() {
        return;
    }
    let own = &rule.policies;
    let inherited = &endpoint.policies;
    let answer = if own.redirect.is_some() || inherited.redirect.is_some() {
        Some("redirect")
    } else if own.direct_response.is_some() || inherited.direct_response.is_some() {
        Some("directResponse")
    } else {
        None
    };
    if let Some(answer) = answer {
        checker.error(
            &at.field("backends"),
            codes::CONTRADICTING_ANSWERS,
            format!("the rule has `backends`, and `{answer}` answers without asking one"),
            format!("remove `backends`, or keep `{answer}` for other rules"),
        );
    } else if rule.backends.iter().all(|backend| backend.weight.get() == 0) {
        checker.warning(
            &at.field("backends"),
            codes::NO_TRAFFIC,
            "all backends have the weight 0, so requests are answered with 500",
            "give one of them a weight above 0, or use `directResponse` to close the rule on purpose",
        );
    }
}

fn matches(checker: &mut Checker<'_>, at: &At<'_>, condition: &Match, kind: EndpointType) {
    if *condition == Match::default() {
        let help = "write a condition, or remove the item; a rule without `matches` takes every request";
        checker.error(at, codes::EMPTY_POLICY, "the match has no condition", help);
    }
    match &condition.path {
        Some(PathMatch::Exact(value)) => odd(checker, &at.field("path/exact"), value),
        Some(PathMatch::Prefix(value)) => odd(checker, &at.field("path/prefix"), value),
        Some(PathMatch::RegularExpression(value)) => {
            regular_expression(checker, &at.field("path/regularExpression"), value.as_str());
        }
        None => {}
    }
    let headers = condition
        .headers
        .iter()
        .map(|header| &header.value)
        .enumerate()
        .map(|(index, value)| ("headers", index, value));
    let params = condition
        .query_params
        .iter()
        .map(|param| &param.value)
        .enumerate()
        .map(|(index, value)| ("queryParams", index, value));
    for (list, index, value) in headers.chain(params) {
        if let ValueMatch::RegularExpression(value) = value {
            let at = at.field(list).item(index).field("value/regularExpression");
            regular_expression(checker, &at, value.as_str());
        }
    }
    if kind == EndpointType::Grpc {
        let only_http = "gRPC calls are matched by `grpc: { service, method }` and by headers";
        for (field, set) in [
            ("path", condition.path.is_some()),
            ("method", condition.method.is_some()),
            ("queryParams", !condition.query_params.is_empty()),
        ] {
            if set {
                not_for(checker, &at.field(field), field, kind, only_http);
            }
        }
    } else if condition.grpc.is_some() {
        not_for(
            checker,
            &at.field("grpc"),
            "grpc",
            kind,
            "endpoints of type GRPC have it; others match by `path` and `method`",
        );
    }
    if let Some(grpc) = &condition.grpc
        && grpc.service.is_none()
        && grpc.method.is_none()
    {
        checker.error(
            &at.field("grpc"),
            codes::EMPTY_POLICY,
            "`grpc` names neither a service nor a method",
            "write `service`, `method` or both",
        );
    }
}

fn odd(checker: &mut Checker<'_>, at: &At<'_>, value: &HttpPath) {
    path(checker, at, value);
}
