//! Rules of an endpoint: absolute paths, stable names, backends.

use super::{BackendTopology, ImpliedRewrite};
use crate::{
    intent::{Backend, Endpoint, EndpointType, FieldRef, Match, PathMatch, Rule},
    names,
    types::{HttpPath, RegularExpression},
};

/// Matches of one rule with absolute paths, and the rewrite that goes with them.
#[allow(clippy::struct_field_names)] // `matches` is the word of Gateway API
pub(super) struct Matches {
    pub(super) matches: Vec<(Match, Option<FieldRef>)>,
    pub(super) rewrite: Option<ImpliedRewrite>,
    /// Distinguishes the parts when a rule had to be taken apart.
    pub(super) part: Option<String>,
}

/// Base path of an HTTP endpoint.
pub(super) fn base_path(endpoint: &Endpoint) -> HttpPath {
    match (&endpoint.base_path, endpoint.kind) {
        (Some(path), _) => path.clone(),
        (None, EndpointType::GraphQL) => HttpPath::new("/graphql").unwrap_or_else(|_| HttpPath::root()),
        (None, _) => HttpPath::root(),
    }
}

/// Makes the matches of a rule absolute. A rule is taken apart, one part per match, where a prefix is replaced (Gateway API
/// admits one match per such rule), and one part per path on a shared host (`prefix`), since a rewrite has one target.
///
/// # Errors
/// The match (absent: none is written) and the reason, when it cannot be had.
pub(super) fn matches(
    endpoint: &Endpoint,
    rule: Option<(&Rule, &FieldRef)>,
    prefix: Option<&HttpPath>,
    replaces_prefix: bool,
) -> Result<Vec<Matches>, (Option<FieldRef>, String)> {
    if matches!(endpoint.kind, EndpointType::Tls | EndpointType::Tcp | EndpointType::Udp) {
        return Ok(vec![Matches { matches: Vec::new(), rewrite: None, part: None }]);
    }
    let written: Vec<(Match, Option<FieldRef>)> = match rule {
        Some((rule, field)) if !rule.matches.is_empty() => rule
            .matches
            .iter()
            .enumerate()
            .map(|(index, item)| (item.clone(), Some(field.at(&format!("/matches/{index}")))))
            .collect(),
        _ => vec![(Match::default(), None)],
    };
    if endpoint.kind == EndpointType::Grpc {
        return Ok(vec![Matches { matches: written, rewrite: None, part: None }]);
    }
    let base = base_path(endpoint);
    let mut parts: Vec<Matches> = Vec::new();
    for (mut item, field) in written {
        let inner = item.path.clone().unwrap_or_else(|| PathMatch::Prefix(HttpPath::root()));
        let at_path = || field.as_ref().map(|field| field.child("path"));
        let (path, rewrite) = match (&inner, prefix) {
            (PathMatch::Exact(path), None) => (PathMatch::Exact(base.join(path)), None),
            (PathMatch::Prefix(path), None) => (PathMatch::Prefix(base.join(path)), None),
            (PathMatch::RegularExpression(pattern), None) => {
                (below(&base, pattern).map_err(|reason| (at_path(), reason))?, None)
            }
            (PathMatch::Exact(path), Some(prefix)) => {
                (PathMatch::Exact(prefix.join(path)), Some(ImpliedRewrite::Full(base.join(path))))
            }
            (PathMatch::Prefix(path), Some(prefix)) => {
                (PathMatch::Prefix(prefix.join(path)), Some(ImpliedRewrite::Prefix(base.join(path))))
            }
            (PathMatch::RegularExpression(_), Some(_)) => {
                let reason = "a regular expression cannot be rewritten to the base path on a shared host: give the endpoint \
                              `hostnames`, or match by prefix";
                return Err((at_path(), reason.to_owned()));
            }
        };
        item.path = Some(path);
        let alone = replaces_prefix || matches!(rewrite, Some(ImpliedRewrite::Prefix(_)));
        match parts.iter_mut().find(|part| !alone && part.rewrite == rewrite) {
            Some(part) => part.matches.push((item, field)),
            None => parts.push(Matches { matches: vec![(item, field)], rewrite, part: None }),
        }
    }
    if parts.len() > 1 {
        for part in &mut parts {
            let text: Vec<_> =
                part.matches.iter().map(|(item, _)| serde_json::to_string(item).unwrap_or_default()).collect();
            part.part = Some(names::hash(&text.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
    Ok(parts)
}

/// A pattern below a base path: the base path, taken literally, goes in front.
fn below(base: &HttpPath, pattern: &RegularExpression) -> Result<PathMatch, String> {
    if base.trimmed() == "/" {
        return Ok(PathMatch::RegularExpression(pattern.clone()));
    }
    let text = pattern.as_str();
    let (anchor, rest) = text.strip_prefix('^').map_or(("", text), |rest| ("^", rest));
    let joined = format!("{anchor}{}(?:{rest})", regex::escape(base.trimmed()));
    RegularExpression::new(joined)
        .map(PathMatch::RegularExpression)
        .map_err(|error| format!("with the base path in front, {error}"))
}

/// Name of a rule: what the user wrote, or made from what it matches, so that it stays when other rules come and go.
pub(super) fn name(rule: Option<&Rule>, matches: &Matches) -> String {
    let base = match rule.and_then(|rule| rule.name.as_ref()) {
        Some(name) => name.to_string(),
        None if rule.is_none_or(|rule| rule.matches.is_empty()) => "all".to_owned(),
        None => {
            let text: Vec<_> =
                matches.matches.iter().map(|(item, _)| serde_json::to_string(item).unwrap_or_default()).collect();
            return format!("rule-{}", names::hash(&text.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    };
    match &matches.part {
        Some(part) => names::injective(&[&base, part], names::Name::LABEL),
        None => base,
    }
}

/// Where the requests of a rule go.
pub(super) fn backends(
    endpoint: &Endpoint,
    endpoint_field: &FieldRef,
    rule: Option<(&Rule, &FieldRef)>,
    component: &str,
    namespace: &str,
) -> Vec<BackendTopology> {
    let service = endpoint.service.as_ref().map_or(component, |service| service.as_str());
    let topology = |backend: &Backend, source: FieldRef, declared: bool| BackendTopology {
        service: backend.service.as_ref().map_or(service, |service| service.as_str()).to_owned(),
        namespace: backend.namespace.as_ref().map_or(namespace, |namespace| namespace.as_str()).to_owned(),
        port: backend.port.unwrap_or(endpoint.port),
        weight: backend.weight,
        source,
        declared,
        endpoint_service: backend.service.is_none(),
        endpoint_port: backend.port.is_none(),
    };
    match rule {
        Some((rule, field)) if !rule.backends.is_empty() => rule
            .backends
            .iter()
            .enumerate()
            .map(|(index, backend)| topology(backend, field.at(&format!("/backends/{index}")), true))
            .collect(),
        _ => vec![topology(&Backend::default(), endpoint_field.clone(), false)],
    }
}
