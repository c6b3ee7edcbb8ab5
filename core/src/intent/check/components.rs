//! Components: their data planes, overrides, and what an endpoint needs of a plane.

use super::{
    endpoints,
    place::{At, Checker, names, near},
    policies,
};
use crate::intent::{
    Component, DataPlane, DataPlanePicker, Endpoint, EndpointType, Intent, Listener, ListenerProtocol, PlaneOverride,
    Visibility, codes,
    policies::{Policies, PolicyKind},
};

/// Name of the plane that is there when none is written.
const IMPLICIT_PLANE: &str = "default";
/// Visibilities that are there when a plane writes none.
const IMPLICIT_VISIBILITIES: [&str; 2] = ["external", "internal"];

/// A plane as a component sees it; without a document it is the implicit one.
#[derive(Clone, Copy)]
struct Plane<'a> {
    name: &'a str,
    document: Option<&'a DataPlane>,
}

pub(super) fn check(checker: &mut Checker<'_>) {
    for component in &checker.intent.components {
        let at = At::component(component);
        let planes = planes_of(checker, &at, component);
        for plane in &planes {
            allowed(checker, &at, component, plane);
        }
        overrides(checker, &at.field("spec/overrides"), component, &planes);
        let list = at.field("spec/endpoints");
        checker.unique(
            "endpoint",
            component
                .spec
                .endpoints
                .iter()
                .enumerate()
                .map(|(index, endpoint)| (list.item(index).field("name"), endpoint.name.as_str())),
        );
        for (index, endpoint) in component.spec.endpoints.iter().enumerate() {
            let at = list.item(index);
            endpoints::check(checker, &at, endpoint);
            for plane in &planes {
                on_plane(checker, component, endpoint, &at, plane);
            }
        }
    }
}

fn known_planes(intent: &Intent) -> Vec<Plane<'_>> {
    if intent.data_planes.is_empty() {
        return vec![Plane { name: IMPLICIT_PLANE, document: None }];
    }
    intent.data_planes.iter().map(|plane| Plane { name: plane.metadata.name.as_str(), document: Some(plane) }).collect()
}

fn plane_names(planes: &[Plane<'_>]) -> String {
    names(planes.iter().map(|plane| plane.name))
}

/// The planes that serve a component; what cannot be found is an error and left out.
fn planes_of<'a>(checker: &mut Checker<'a>, at: &At<'_>, component: &'a Component) -> Vec<Plane<'a>> {
    let known = known_planes(checker.intent);
    match &component.spec.data_planes {
        None => {
            let distinct: std::collections::BTreeSet<&str> = known.iter().map(|plane| plane.name).collect();
            if distinct.len() > 1 {
                checker.error(
                    &at.field("spec"),
                    codes::DATA_PLANE_NOT_CHOSEN,
                    format!("there are several data planes, and the component names none: {}", plane_names(&known)),
                    "add `dataPlanes: { names: [...] }` or `dataPlanes: { matchLabels: {...} }`",
                );
                return Vec::new();
            }
            known.into_iter().take(1).collect()
        }
        Some(DataPlanePicker::Names(wanted)) => {
            let at = at.field("spec/dataPlanes/names");
            let mut found = Vec::new();
            for (index, name) in wanted.iter().enumerate() {
                match known.iter().find(|plane| plane.name == name.as_str()) {
                    Some(plane) => found.push(*plane),
                    None => unknown_plane(checker, &at.item(index), name.as_str(), &known),
                }
            }
            found
        }
        Some(DataPlanePicker::MatchLabels(labels)) => {
            let found: Vec<Plane<'_>> = known
                .iter()
                .copied()
                .filter(|plane| {
                    plane.document.is_some_and(|document| {
                        labels.iter().all(|(key, value)| document.metadata.labels.get(key) == Some(value))
                    })
                })
                .collect();
            if found.is_empty() {
                checker.error(
                    &at.field("spec/dataPlanes/matchLabels"),
                    codes::NO_DATA_PLANE_MATCHES,
                    "no data plane carries all of these labels",
                    format!("there are the data planes {}; look at their `metadata.labels`", plane_names(&known)),
                );
            }
            found
        }
    }
}

fn unknown_plane(checker: &mut Checker<'_>, at: &At<'_>, name: &str, known: &[Plane<'_>]) {
    let help =
        format!("{}the data planes are {}", near(name, known.iter().map(|plane| plane.name)), plane_names(known));
    checker.error(at, codes::UNKNOWN_DATA_PLANE, format!("there is no data plane `{name}`"), help);
}

fn allowed(checker: &mut Checker<'_>, at: &At<'_>, component: &Component, plane: &Plane<'_>) {
    let Some(document) = plane.document else { return };
    let allowed = &document.spec.allowed_namespaces;
    if allowed.is_empty() {
        return;
    }
    let help = format!("use one of {}, or have the platform add it to `allowedNamespaces`", names(allowed));
    let own = component.namespace();
    if !allowed.iter().any(|namespace| namespace.as_str() == own) {
        let message = format!("the data plane `{}` does not admit components of the namespace `{own}`", plane.name);
        checker.error(&at.field("metadata/namespace"), codes::NAMESPACE_NOT_ALLOWED, message, help.clone());
    }
    if let Some(target) = &component.spec.target.namespace
        && !allowed.contains(target)
    {
        let message = format!("the data plane `{}` does not admit the target namespace `{target}`", plane.name);
        checker.error(&at.field("spec/target/namespace"), codes::NAMESPACE_NOT_ALLOWED, message, help);
    }
}

fn overrides<'a>(checker: &mut Checker<'a>, at: &At<'a>, component: &'a Component, planes: &[Plane<'_>]) {
    let all = &component.spec.overrides;
    checker.unique(
        "override of the data plane",
        all.iter().enumerate().map(|(index, over)| (at.item(index).field("dataPlane"), over.data_plane.as_str())),
    );
    let known = known_planes(checker.intent);
    for (index, over) in all.iter().enumerate() {
        let at = at.item(index);
        let name = over.data_plane.as_str();
        if !known.iter().any(|plane| plane.name == name) {
            unknown_plane(checker, &at.field("dataPlane"), name, &known);
        } else if !planes.is_empty() && !planes.iter().any(|plane| plane.name == name) {
            checker.error(
                &at.field("dataPlane"),
                codes::OVERRIDE_WITHOUT_EFFECT,
                format!("the data plane `{name}` does not serve this component"),
                format!(
                    "it is served by {}; add the plane to `dataPlanes`, or remove the override",
                    plane_names(planes)
                ),
            );
        }
        override_endpoints(checker, &at.field("endpoints"), component, over);
    }
}

fn override_endpoints<'a>(checker: &mut Checker<'a>, at: &At<'a>, component: &Component, over: &'a PlaneOverride) {
    checker.unique(
        "override of the endpoint",
        over.endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| (at.item(index).field("name"), endpoint.name.as_str())),
    );
    for (index, change) in over.endpoints.iter().enumerate() {
        let at = at.item(index);
        endpoints::unique_texts(
            checker,
            &at,
            change.visibilities.as_deref().unwrap_or_default(),
            change.hostnames.as_deref().unwrap_or_default(),
        );
        policies::check(checker, &at.field("policies"), &change.policies);
        let Some(endpoint) = component.spec.endpoints.iter().find(|endpoint| endpoint.name == change.name) else {
            let known = || component.spec.endpoints.iter().map(|endpoint| &endpoint.name);
            let help = format!("{}its endpoints are {}", near(change.name.as_str(), known()), names(known()));
            let message = format!("the component has no endpoint `{}`", change.name);
            checker.error(&at.field("name"), codes::UNKNOWN_ENDPOINT, message, help);
            continue;
        };
        policies::belong(checker, &at.field("policies"), &change.policies, endpoint.kind);
        if change.hostnames.is_some() {
            endpoints::hostnames_belong(checker, &at, endpoint.kind);
        }
    }
}

/// What an endpoint needs of one plane.
fn on_plane(checker: &mut Checker<'_>, component: &Component, endpoint: &Endpoint, at: &At<'_>, plane: &Plane<'_>) {
    let change = component.spec.overrides.iter().enumerate().find_map(|(index, over)| {
        let position = over.endpoints.iter().position(|change| change.name == endpoint.name)?;
        (over.data_plane.as_str() == plane.name).then(|| (index, position, &over.endpoints[position]))
    });
    let component_at = At::component(component);
    let change_at = change
        .map(|(index, position, _)| component_at.field("spec/overrides").item(index).field("endpoints").item(position));
    let replaced = change.and_then(|(_, _, change)| change.visibilities.as_deref());
    let (list, list_at) = match (replaced, &change_at) {
        (Some(list), Some(change_at)) => (list, change_at.field("visibilities")),
        _ => (endpoint.visibilities.as_slice(), at.field("visibilities")),
    };
    for (index, name) in list.iter().enumerate() {
        let explicit = plane.document.map(|document| &document.spec.visibilities).filter(|map| !map.is_empty());
        let visibility = match explicit {
            Some(map) => map.get(name),
            None => None,
        };
        let exists = match explicit {
            Some(_) => visibility.is_some(),
            None => IMPLICIT_VISIBILITIES.contains(&name.as_str()),
        };
        if exists {
            listener(checker, endpoint, at, &list_at.item(index), plane.name, name.as_str(), visibility);
            continue;
        }
        let known: Vec<&str> = match explicit {
            Some(map) => map.keys().map(crate::types::DnsLabel::as_str).collect(),
            None => IMPLICIT_VISIBILITIES.to_vec(),
        };
        let help = format!("{}its visibilities are {}", near(name.as_str(), &known), names(&known));
        let message = format!("the data plane `{}` has no visibility `{name}`", plane.name);
        checker.error(&list_at.item(index), codes::UNKNOWN_VISIBILITY, message, help);
    }
    let over = change.map(|(_, _, change)| &change.policies).zip(change_at.map(|at| at.field("policies")));
    claims(checker, endpoint, at, over.as_ref(), plane);
}

/// The listener that an endpoint uses in a visibility.
fn listener(
    checker: &mut Checker<'_>,
    endpoint: &Endpoint,
    at: &At<'_>,
    visibility_at: &At<'_>,
    plane: &str,
    name: &str,
    visibility: Option<&Visibility>,
) {
    let written = visibility.map_or(&[][..], |visibility| visibility.listeners.as_slice());
    if written.is_empty() && visibility.is_some_and(|visibility| visibility.gateway_ref.is_some()) {
        // An existing Gateway: its listeners are in the cluster.
        return;
    }
    let protocols: &[ListenerProtocol] = match endpoint.kind {
        EndpointType::Tls => &[ListenerProtocol::Tls],
        EndpointType::Tcp => &[ListenerProtocol::Tcp],
        EndpointType::Udp => &[ListenerProtocol::Udp],
        _ => &[ListenerProtocol::Http, ListenerProtocol::Https],
    };
    let whereabouts = format!("the visibility `{name}` of the data plane `{plane}`");
    let fits = |listener: &&Listener| protocols.contains(&listener.protocol) && listener.redirect_to.is_none();
    let fitting: Vec<&Listener> = written.iter().filter(fits).collect();
    let kind = endpoint.kind.as_str();
    if protocols.contains(&ListenerProtocol::Http) {
        if fitting.is_empty() && !written.is_empty() {
            checker.error(
                visibility_at,
                codes::LISTENER_PROTOCOL,
                format!("{whereabouts} has no HTTP or HTTPS listener that carries endpoints"),
                "expose the endpoint in another visibility, or have the platform add a listener",
            );
        }
        return;
    }
    match &endpoint.listener {
        Some(wanted) => match written.iter().find(|listener| listener.name == *wanted) {
            Some(found) if fits(&found) => {}
            Some(found) => checker.error(
                &at.field("listener"),
                codes::LISTENER_PROTOCOL,
                format!(
                    "the listener `{wanted}` of {whereabouts} is {}, and the endpoint is {kind}",
                    found.protocol.as_str()
                ),
                format!("its {kind} listeners: {}", names(fitting.iter().map(|listener| &listener.name))),
            ),
            None => {
                let known = || written.iter().map(|listener| &listener.name);
                checker.error(
                    &at.field("listener"),
                    codes::UNKNOWN_LISTENER,
                    format!("{whereabouts} has no listener `{wanted}`"),
                    format!(
                        "{}its {kind} listeners: {}",
                        near(wanted.as_str(), known()),
                        names(fitting.iter().map(|listener| &listener.name))
                    ),
                );
            }
        },
        None => match fitting.as_slice() {
            [] => checker.error(
                visibility_at,
                codes::LISTENER_PROTOCOL,
                format!("{whereabouts} has no {kind} listener"),
                format!("have the platform add one to its `listeners` (`protocol: {kind}`)"),
            ),
            [_] => {}
            several if endpoint.kind != EndpointType::Tls => checker.error(
                at,
                codes::UNKNOWN_LISTENER,
                format!("{whereabouts} has several {kind} listeners, and the endpoint names none"),
                format!("add `listener:` with one of {}", names(several.iter().map(|listener| &listener.name))),
            ),
            _ => {}
        },
    }
}

/// `claimsAuthorization` needs a verified token wherever it is in force. Layers as in [`Policies`]: an override of the
/// plane, the rule, the component's override for the plane, the endpoint, a default of the plane.
fn claims(
    checker: &mut Checker<'_>,
    endpoint: &Endpoint,
    at: &At<'_>,
    over: Option<&(&Policies, At<'_>)>,
    plane: &Plane<'_>,
) {
    let plane_layer = |name: &str| {
        plane.document.map(|document| {
            let policies = match name {
                "overrides" => &document.spec.policies.overrides,
                _ => &document.spec.policies.defaults,
            };
            (policies, At::data_plane(document).field("spec/policies").field(name))
        })
    };
    let rules: Vec<Option<(&Policies, At<'_>)>> = if endpoint.rules.is_empty() {
        vec![None]
    } else {
        let list = at.field("rules");
        endpoint
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| Some((&rule.policies, list.item(index).field("policies"))))
            .collect()
    };
    for rule in rules {
        let own = Some((&endpoint.policies, at.field("policies")));
        let layers: Vec<(&Policies, At<'_>)> =
            [plane_layer("overrides"), rule, over.cloned(), own, plane_layer("defaults")]
                .into_iter()
                .flatten()
                .collect();
        let Some((_, claims)) = layers.iter().find(|(policies, _)| policies.claims_authorization.is_some()) else {
            continue;
        };
        if layers.iter().all(|(policies, _)| policies.jwt.is_none()) {
            checker.error(
                &claims.field(PolicyKind::ClaimsAuthorization.field()),
                codes::CLAIMS_WITHOUT_JWT,
                format!(
                    "claims are required of `{}` on the data plane `{}`, where no `jwt` verifies a token",
                    endpoint.name, plane.name
                ),
                "add `jwt` to the endpoint, or to the policies of the data plane",
            );
        }
    }
}
