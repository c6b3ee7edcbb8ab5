//! Policy mapping: one `KongPlugin` per kind and route target, named by a filter of exactly the rules that are meant; one
//! `KongUpstreamPolicy` per Service, named by an annotation of the Service; single annotations of the Service.
//!
//! Kong has one instance of a plugin type per route, and takes the most specific one whole: nothing is merged.

mod observability;
mod plugin;
mod resilience;
mod security;
mod service;
mod traffic;
mod upstream;

use gateway_modules_core::{
    intent::policies::PolicyKind,
    module::{Context, Mapping, PolicyTarget, RouteScope, Scope},
};

use self::plugin::Draft;

/// What the mapping of one kind needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) target: &'a PolicyTarget<'a>,
    pub(crate) cx: &'a Context<'a>,
}

impl Job<'_> {
    /// A name for an object of this target.
    pub(crate) fn name(&self, suffix: &str) -> String {
        self.target.name(self.cx, &[suffix])
    }
}

pub(crate) fn map(target: &PolicyTarget<'_>, cx: &Context<'_>) -> Mapping {
    let job = Job { target, cx };
    let mut mapping = match &target.scope {
        Scope::Route(route) if route.route.kind.is_http() => map_route(job, route),
        Scope::Backend(backend) => service::map(job, backend),
        _ => Mapping::new(),
    };
    refuse_the_rest(job, &mut mapping);
    mapping
}

fn map_route(job: Job<'_>, route: &RouteScope<'_>) -> Mapping {
    let mut draft = Draft::new(job, route);
    traffic::route(&mut draft);
    resilience::route(&mut draft);
    security::route(&mut draft);
    observability::route(&mut draft);
    draft.mapping
}

/// A kind that nothing above has looked at is refused with a reason, never dropped.
fn refuse_the_rest(job: Job<'_>, mapping: &mut Mapping) {
    for (kind, field) in job.target.unanswered(mapping) {
        let (reason, alternatives): (String, &[&str]) = match (kind, &job.target.scope) {
            (PolicyKind::UrlRewrite, Scope::Route(route)) if route.route.kind.is_http() => (
                "Kong rewrites by the standard filter only, which has no regular expression".to_owned(),
                &["path.replacePrefixMatch", "module kgateway or traefik"],
            ),
            (_, Scope::Route(route)) => {
                let what = route.route.kind.as_str();
                (format!("Kong attaches plugins to HTTPRoute, not to {what} endpoints"), &["an endpoint of type HTTP"])
            }
            (_, Scope::Backend(_)) => (format!("Kong has no {kind} for a Service"), &[]),
            _ => (format!("Kong has no {kind} for a Gateway"), &[]),
        };
        mapping.unsupported(field, reason, alternatives);
    }
}
