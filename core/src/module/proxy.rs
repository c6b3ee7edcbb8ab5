//! What the proxies of most gateways have in common, for `provision`: parameters in the words of Kubernetes, their
//! citations, and what can never be promised of a Gateway that the plane does not manage.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::mapping::{FieldOutcome, ObjectHandle, Provisioned, Refusal, Verdict};
use crate::{
    intent::{Exposure, FieldRef},
    resolve::{DataPlaneTopology, GatewayTopology},
};

/// How a public Gateway is reached (Kubernetes `Service.spec.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// By a load balancer of the cluster's provider.
    LoadBalancer,
    /// By a port of each node.
    NodePort,
    /// By something of the platform that stands before it.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
}

impl ServiceType {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIp => "ClusterIP",
        }
    }

    /// The type for a Gateway of that exposure: what is asked for (absent: `LoadBalancer`) for public ones, always
    /// `ClusterIP` for others.
    pub fn for_exposure(asked: Option<Self>, exposure: Exposure) -> Self {
        if exposure == Exposure::Public { asked.unwrap_or(Self::LoadBalancer) } else { Self::ClusterIp }
    }
}

/// Resources of a container (Kubernetes `ResourceRequirements`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What it is given, by resource, as Kubernetes quantities (`500m`, `128Mi`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, String>,
    /// What it may not exceed, by resource, as Kubernetes quantities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, String>,
}

impl Resources {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// The field of a plane that holds the module's parameters.
pub fn parameters_field(plane: &DataPlaneTopology) -> FieldRef {
    FieldRef::new(plane.document.clone(), "/spec/gateway/parameters")
}

/// `gateway.parameters` of a plane, as the type of a module (its name is for the advice).
///
/// # Errors
/// They are not what the type says.
pub fn read_parameters<T: DeserializeOwned>(plane: &DataPlaneTopology, module: &str) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(plane.gateway.parameters.clone())).map_err(|error| {
        let advice = format!("`gwm modules {module}` shows them");
        Refusal::new(parameters_field(plane), error.to_string(), &[&advice])
    })
}

/// Refuses to promise that an existing Gateway is seen inside the cluster only: what its Service looks like, and who may
/// change it, is not the plane's to know, and visibility is a security policy.
pub fn refuse_existing(gateway: &GatewayTopology) -> Option<Refusal> {
    (gateway.existing.is_some() && gateway.exposure == Exposure::Cluster).then(|| {
        let reason = "nothing proves that an existing Gateway cannot be reached from outside the cluster";
        let alternatives = ["a Gateway that this plane manages", "exposure Public, if that is what it is"];
        Refusal::new(gateway.source.child("exposure"), reason, &alternatives)
    })
}

/// Objects with the parameters of Gateways, each made for one of them.
pub type ParameterObjects<'a> = [(&'a GatewayTopology, ObjectHandle)];

impl Provisioned {
    /// A parameter that was written is cited at this pointer of all objects that carry it (those of Gateways of one
    /// exposure, where it is given), or said to be without effect.
    pub fn parameter(
        &mut self,
        field: FieldRef,
        carriers: &ParameterObjects<'_>,
        exposure: Option<Exposure>,
        pointer: &str,
    ) {
        let carries = |gateway: &GatewayTopology| exposure.is_none_or(|exposure| gateway.exposure == exposure);
        let citations: Vec<_> =
            carriers.iter().filter(|(gateway, _)| carries(gateway)).map(|(_, handle)| handle.at(pointer)).collect();
        if !citations.is_empty() {
            return self.exact(field, citations);
        }
        let what = match exposure {
            Some(Exposure::Public) => "public Gateway",
            Some(Exposure::Cluster) => "Gateway inside the cluster",
            None => "Gateway",
        };
        let verdict = Verdict::Inactive { reason: format!("the plane manages no {what}") };
        self.outcomes.push(FieldOutcome { field, verdict, citations });
    }

    /// Both parts of a container's resources as [`Self::parameter`] does it, where they are written at that pointer in the
    /// form of Kubernetes.
    pub fn resources(
        &mut self,
        field: &FieldRef,
        resources: &Resources,
        carriers: &ParameterObjects<'_>,
        pointer: &str,
    ) {
        for (part, quantities) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            if !quantities.is_empty() {
                self.parameter(field.child(part), carriers, None, &format!("{pointer}/{part}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        intent::load::load_str,
        object::{GroupVersionKind, Object},
        resolve::resolve,
    };

    const PLANE: &str = "
apiVersion: gatewaymodules.dev/v1alpha1
kind: DataPlane
metadata: { name: default }
spec:
  gateway: { parameters: { replicas: 2 } }
  visibilities:
    external: { exposure: Public, listeners: [{ name: http, protocol: HTTP, port: 80 }] }
    internal: { exposure: Cluster, gatewayRef: { name: shared, namespace: edge } }
";

    fn plane() -> DataPlaneTopology {
        let loaded = load_str("plane.yaml", PLANE).unwrap_or_else(|problems| panic!("{problems:#?}"));
        resolve(&loaded.intent).unwrap_or_else(|problems| panic!("{problems:#?}")).remove(0)
    }

    fn gateway<'a>(plane: &'a DataPlaneTopology, visibility: &str) -> &'a GatewayTopology {
        plane.gateways.iter().find(|gateway| gateway.visibility == visibility).expect("a gateway")
    }

    #[test]
    fn what_is_not_public_is_never_given_another_type() {
        assert_eq!(ServiceType::for_exposure(None, Exposure::Public), ServiceType::LoadBalancer);
        assert_eq!(ServiceType::for_exposure(Some(ServiceType::NodePort), Exposure::Public).as_str(), "NodePort");
        for asked in [None, Some(ServiceType::LoadBalancer), Some(ServiceType::NodePort)] {
            assert_eq!(ServiceType::for_exposure(asked, Exposure::Cluster), ServiceType::ClusterIp);
        }
    }

    #[test]
    fn an_existing_gateway_inside_the_cluster_is_refused_and_no_other() {
        let plane = plane();
        let refusal = refuse_existing(gateway(&plane, "internal")).expect("a refusal");
        assert!(refusal.field.pointer.ends_with("/internal/exposure"), "{}", refusal.field);
        assert!(refuse_existing(gateway(&plane, "external")).is_none());
    }

    #[test]
    fn parameters_that_cannot_be_read_name_the_command_that_shows_them() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let refusal = read_parameters::<Nothing>(&plane(), "kgateway").expect_err("a refusal");
        assert_eq!(refusal.field.pointer, "/spec/gateway/parameters");
        assert_eq!(refusal.alternatives, ["`gwm modules kgateway` shows them"]);
    }

    #[test]
    fn only_resources_that_are_written_are_cited() {
        let plane = plane();
        let mut provisioned = Provisioned::with_class("class");
        let kind = GroupVersionKind::of("example.com", "v1", "Parameters");
        let resources = Resources { requests: [("cpu".to_owned(), "1".to_owned())].into(), ..Resources::default() };
        let written = Object::new(&kind, Some("edge"), "one").with_spec(json!({ "resources": resources }));
        let handle = provisioned.object(written);
        let field = parameters_field(&plane).child("resources");
        provisioned.resources(&field, &resources, &[(gateway(&plane, "external"), handle)], "/spec/resources");
        let cited: Vec<_> = provisioned.outcomes.iter().map(|outcome| outcome.field.pointer.as_str()).collect();
        assert_eq!(cited, ["/spec/gateway/parameters/resources/requests"]);
        assert_eq!(json!(resources), json!({ "requests": { "cpu": "1" } }));
        assert!(!resources.is_empty() && Resources::default().is_empty());
    }

    #[test]
    fn a_parameter_is_cited_where_it_is_carried_or_said_to_be_without_effect() {
        let plane = plane();
        let mut provisioned = Provisioned::with_class("class");
        let kind = GroupVersionKind::of("example.com", "v1", "Parameters");
        let handle = provisioned.object(Object::new(&kind, Some("edge"), "one").with_spec(json!({ "replicas": 2 })));
        let carriers = [(gateway(&plane, "external"), handle)];
        let field = parameters_field(&plane).child("replicas");
        for exposure in [None, Some(Exposure::Public), Some(Exposure::Cluster)] {
            provisioned.parameter(field.clone(), &carriers, exposure, "/spec/replicas");
        }
        let cited: Vec<_> = provisioned.outcomes.iter().map(|outcome| outcome.citations.len()).collect();
        assert_eq!(cited, [1, 1, 0]);
        assert!(
            matches!(&provisioned.outcomes[2].verdict, Verdict::Inactive { reason } if reason.contains("inside the cluster"))
        );
    }
}
