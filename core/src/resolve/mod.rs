//! Planes and visibilities become Gateways; hosts, names and effective policies are settled. Vendor-free.

mod collisions;
mod effective;
mod gateways;
mod hostnames;
mod routes;
mod rules;
mod topology;

pub use topology::{
    BackendTopology, Binding, DataPlaneTopology, Effective, EffectivePolicies, GatewayTopology, ImpliedRewrite, Layer,
    Overridden, Provenance, RouteTopology, RuleTopology,
};

use crate::{
    diagnostic::{Category, Diagnostic, Diagnostics, Severity},
    intent::{
        Component, ComponentSpec, DataPlane, DataPlanePicker, DataPlaneSpec, DocumentId, FieldRef, Intent, Metadata,
    },
    types::DnsLabel,
};

/// Name of the plane that is there when no document declares one.
pub const IMPLICIT_PLANE: &str = "default";

/// Settles everything that does not depend on the gateway: one topology per data plane, in the order of their names.
///
/// # Errors
/// What contradicts itself or cannot be told apart: hosts, paths, listeners or names that collide (both owners are named),
/// references that lead nowhere, references between namespaces that the platform has not allowed.
pub fn resolve(intent: &Intent) -> Result<Vec<DataPlaneTopology>, Diagnostics> {
    let mut resolution = Resolution { intent, diagnostics: Diagnostics::default() };
    let implicit = implicit_plane();
    let planes: Vec<&DataPlane> = match (&implicit, intent.data_planes.is_empty()) {
        (Some(plane), true) => vec![plane],
        _ => {
            let mut planes: Vec<_> = intent.data_planes.iter().collect();
            planes.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            planes
        }
    };
    let mut components: Vec<_> = intent.components.iter().collect();
    components.sort_by_key(|component| component.id());
    let topologies = planes.iter().map(|plane| resolution.plane(plane, &planes, &components)).collect();
    resolution.diagnostics.sort();
    if resolution.diagnostics.has_errors() { Err(resolution.diagnostics) } else { Ok(topologies) }
}

fn implicit_plane() -> Option<DataPlane> {
    let name = DnsLabel::new(IMPLICIT_PLANE).ok()?;
    let metadata = Metadata { name, namespace: None, labels: Default::default(), annotations: Default::default() };
    Some(DataPlane::from_value(metadata, DataPlaneSpec::default()))
}

/// The planes that serve a component: what its picker says, or the only plane there is.
fn picked<'a>(component: &ComponentSpec, planes: &[&'a DataPlane]) -> Vec<&'a DataPlane> {
    match &component.data_planes {
        None if planes.len() == 1 => planes.to_vec(),
        None => Vec::new(),
        Some(DataPlanePicker::Names(names)) => {
            planes.iter().copied().filter(|plane| names.contains(&plane.metadata.name)).collect()
        }
        Some(DataPlanePicker::MatchLabels(labels)) => planes
            .iter()
            .copied()
            .filter(|plane| labels.iter().all(|(key, value)| plane.metadata.labels.get(key) == Some(value)))
            .collect(),
    }
}

/// State of one resolution.
struct Resolution<'a> {
    intent: &'a Intent,
    diagnostics: Diagnostics,
}

impl Resolution<'_> {
    fn error(&mut self, code: &'static str, field: &FieldRef, message: String, help: impl Into<Option<String>>) {
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            category: Category::Invalid,
            document: field.document.to_string(),
            pointer: field.pointer.clone(),
            origin: self.intent.origin(field),
            message,
            help: help.into(),
        });
    }

    fn plane(&mut self, plane: &DataPlane, planes: &[&DataPlane], components: &[&Component]) -> DataPlaneTopology {
        let declared = !self.intent.data_planes.is_empty();
        let mut topology = DataPlaneTopology {
            name: plane.metadata.name.to_string(),
            document: plane.id(),
            declared,
            gateway: plane.spec.gateway.clone(),
            gateways: gateways::gateways(plane),
            routes: Vec::new(),
            overridden: Vec::new(),
            decisions: Vec::new(),
            accepted: Vec::new(),
            allowed_references: Vec::new(),
            allowed_namespaces: Vec::new(),
        };
        for (index, allowance) in plane.spec.allowed_references.iter().enumerate() {
            let field = plane.field(&format!("/spec/allowedReferences/{index}"));
            topology.allowed_references.push((allowance.from.to_string(), allowance.to.to_string(), field));
        }
        for (index, namespace) in plane.spec.allowed_namespaces.iter().enumerate() {
            let field = plane.field(&format!("/spec/allowedNamespaces/{index}"));
            topology.allowed_namespaces.push((namespace.to_string(), field));
        }
        for (index, name) in plane.spec.accept.iter().enumerate() {
            topology.accepted.push((None, name.to_string(), plane.field(&format!("/spec/accept/{index}"))));
        }
        for component in components {
            let served = picked(&component.spec, planes);
            if served.is_empty() {
                let names: Vec<_> = planes.iter().map(|plane| plane.metadata.name.as_str()).collect();
                self.error(
                    "GWM0301",
                    &component.field("/spec/dataPlanes"),
                    "no data plane serves the component".to_owned(),
                    format!("name one of: {}", names.join(", ")),
                );
            }
            if served.iter().any(|served| served.metadata.name == plane.metadata.name) {
                self.component(&mut topology, plane, component);
            }
        }
        let used: std::collections::BTreeSet<String> =
            topology.routes.iter().map(|route| route.binding.visibility.clone()).collect();
        // A Gateway that no document asks for is made only where an endpoint needs it.
        topology.gateways.retain(|gateway| !plane.spec.visibilities.is_empty() || used.contains(&gateway.visibility));
        collisions::find(self, &topology);
        topology
    }

    fn component(&mut self, topology: &mut DataPlaneTopology, plane: &DataPlane, component: &Component) {
        topology.decisions.extend(steering_fields(component, plane));
        for (index, endpoint) in component.spec.endpoints.iter().enumerate() {
            let field = component.field(&format!("/spec/endpoints/{index}"));
            for (item, name) in endpoint.accept.iter().enumerate() {
                let place = field.at(&format!("/accept/{item}"));
                topology.accepted.push((Some(field.clone()), name.to_string(), place));
            }
            routes::endpoint(self, topology, plane, component, index);
        }
    }
}

/// Fields of a component that choose planes and endpoints, and become no bytes of their own.
fn steering_fields(component: &Component, plane: &DataPlane) -> Vec<(FieldRef, String)> {
    let mut fields = vec![(component.field("/spec/dataPlanes"), "which data planes serve the component".to_owned())];
    for (index, plane_override) in component.spec.overrides.iter().enumerate() {
        let field = component.field(&format!("/spec/overrides/{index}"));
        if plane_override.data_plane == plane.metadata.name {
            fields.push((field.child("dataPlane"), "the data plane on which the endpoints differ".to_owned()));
            for item in 0..plane_override.endpoints.len() {
                let name = field.at(&format!("/endpoints/{item}/name"));
                fields.push((name, "the endpoint that differs".to_owned()));
            }
        } else {
            fields.push((field, format!("differs on data plane {} only", plane_override.data_plane)));
        }
    }
    fields
}

/// Identity of a component as `namespace/name`.
pub(crate) fn owner(document: &DocumentId) -> String {
    match document {
        DocumentId::Component { namespace, name } => format!("{namespace}/{name}"),
        DocumentId::DataPlane { name } => name.clone(),
    }
}
