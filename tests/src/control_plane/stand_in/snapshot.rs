//! What the stand-in sees at one moment.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::discovery;
use serde_json::Value;

use super::{GATEWAY_API, StandInOptions};
use crate::Error;

pub(crate) const ROUTES: [&str; 5] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"];

/// Stands for an absent field.
pub(crate) const NULL: &Value = &Value::Null;

/// An object with how to address it.
pub(crate) struct Item {
    pub(crate) resource: ApiResource,
    pub(crate) object: DynamicObject,
}

impl Item {
    pub(crate) fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    pub(crate) fn spec(&self) -> &Value {
        self.object.data.get("spec").unwrap_or(NULL)
    }

    pub(crate) fn status(&self) -> &Value {
        self.object.data.get("status").unwrap_or(NULL)
    }

    /// Kind, namespace, name.
    pub(crate) fn key(&self) -> (String, String, String) {
        (self.resource.kind.clone(), self.namespace().to_owned(), self.name().to_owned())
    }
}

/// The kinds that the API server serves, of those that matter.
#[derive(Default)]
pub(crate) struct Kinds(Vec<ApiResource>);

impl Kinds {
    pub(crate) async fn look_up(client: &Client, options: &StandInOptions) -> Result<Self, Error> {
        let groups: BTreeSet<&str> =
            options.policies.iter().map(|(group, _)| group.as_str()).chain([GATEWAY_API]).collect();
        let mut kinds = Vec::new();
        for group in groups {
            match discovery::group(client, group).await {
                Ok(group) => kinds.extend(group.resources_by_stability().into_iter().map(|(resource, _)| resource)),
                // Not installed (yet).
                Err(kube::Error::Discovery(_)) => {}
                Err(error) => return Err(Error::kube(format!("look up the kinds of {group}"))(error)),
            }
        }
        Ok(Self(kinds))
    }

    pub(crate) fn resource(&self, group: &str, kind: &str) -> Option<&ApiResource> {
        self.0.iter().find(|resource| resource.group == group && resource.kind == kind)
    }

    pub(crate) fn has_gateways(&self) -> bool {
        self.resource(GATEWAY_API, "Gateway").is_some() && self.resource(GATEWAY_API, "GatewayClass").is_some()
    }
}

/// All objects of one moment; classes and Gateways only where they are this controller's.
pub(crate) struct Snapshot {
    pub(crate) classes: Vec<Item>,
    pub(crate) gateways: Vec<Item>,
    pub(crate) routes: Vec<Item>,
    pub(crate) policies: Vec<Item>,
    grants: Vec<Item>,
    /// Also those of other controllers: a class that exists need not be made.
    class_names: BTreeSet<String>,
    services: BTreeSet<(String, String)>,
    secrets: BTreeSet<(String, String)>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl Snapshot {
    pub(crate) async fn take(client: &Client, kinds: &Kinds, options: &StandInOptions) -> Result<Self, Error> {
        let of = |wanted: &[(&str, &str)]| -> Vec<ApiResource> {
            wanted.iter().filter_map(|(group, kind)| kinds.resource(group, kind).cloned()).collect()
        };
        let core = |kind: &str| vec![ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))];
        let policies: Vec<(&str, &str)> =
            options.policies.iter().map(|(group, kind)| (group.as_str(), kind.as_str())).collect();
        let (all_classes, all_gateways, routes, policies, grants, services, secrets, namespaces) = tokio::try_join!(
            list(client, of(&[(GATEWAY_API, "GatewayClass")])),
            list(client, of(&[(GATEWAY_API, "Gateway")])),
            list(client, of(&ROUTES.map(|kind| (GATEWAY_API, kind)))),
            list(client, of(&policies)),
            list(client, of(&[(GATEWAY_API, "ReferenceGrant")])),
            list(client, core("Service")),
            list(client, core("Secret")),
            list(client, core("Namespace")),
        )?;
        let class_names: BTreeSet<String> = all_classes.iter().map(|class| class.name().to_owned()).collect();
        let classes: Vec<Item> = all_classes
            .into_iter()
            .filter(|class| class.spec()["controllerName"] == options.controller.as_str())
            .filter(|class| options.classes.is_empty() || options.classes.iter().any(|name| name == class.name()))
            .collect();
        let gateways = all_gateways
            .into_iter()
            .filter(|gateway| classes.iter().any(|class| gateway.spec()["gatewayClassName"] == class.name()))
            .collect();
        let keys = |items: Vec<Item>| -> BTreeSet<(String, String)> {
            items.iter().map(|item| (item.namespace().to_owned(), item.name().to_owned())).collect()
        };
        Ok(Self {
            classes,
            gateways,
            routes,
            policies,
            grants,
            class_names,
            services: keys(services),
            secrets: keys(secrets),
            namespaces: namespaces
                .into_iter()
                .map(|item| (item.name().to_owned(), item.object.metadata.labels.unwrap_or_default()))
                .collect(),
        })
    }

    pub(crate) fn missing_classes<'a>(&self, options: &'a StandInOptions) -> Vec<&'a str> {
        options.classes.iter().map(String::as_str).filter(|name| !self.class_names.contains(*name)).collect()
    }

    pub(crate) fn has_service(&self, namespace: &str, name: &str) -> bool {
        self.services.contains(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn has_secret(&self, namespace: &str, name: &str) -> bool {
        self.secrets.contains(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn gateway(&self, namespace: &str, name: &str) -> Option<&Item> {
        self.gateways.iter().find(|gateway| gateway.namespace() == namespace && gateway.name() == name)
    }

    /// Whether a namespace has all `matchLabels` of a selector and passes its `matchExpressions`.
    pub(crate) fn selects(&self, selector: &Value, namespace: &str) -> bool {
        let Some(labels) = self.namespaces.get(namespace) else { return false };
        let all_labels = selector["matchLabels"].as_object().is_none_or(|wanted| {
            wanted.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        });
        let all_expressions = selector["matchExpressions"].as_array().is_none_or(|wanted| {
            wanted.iter().all(|expression| {
                let value = expression["key"].as_str().and_then(|key| labels.get(key));
                let listed = value.is_some_and(|value| {
                    expression["values"].as_array().is_some_and(|values| values.iter().any(|one| one == value.as_str()))
                });
                match expression["operator"].as_str() {
                    Some("In") => listed,
                    Some("NotIn") => !listed,
                    Some("Exists") => value.is_some(),
                    Some("DoesNotExist") => value.is_none(),
                    _ => false,
                }
            })
        });
        all_labels && all_expressions
    }

    /// Whether an object of `from` may refer to `to`, in another namespace, by a `ReferenceGrant` there.
    pub(crate) fn permits(&self, from: (&str, &str, &str), to: (&str, &str, &str, &str)) -> bool {
        let (from_group, from_kind, from_namespace) = from;
        let (to_group, to_kind, to_namespace, to_name) = to;
        from_namespace == to_namespace
            || self.grants.iter().filter(|grant| grant.namespace() == to_namespace).any(|grant| {
                let any = |field: &str, check: &dyn Fn(&Value) -> bool| {
                    grant.spec()[field].as_array().is_some_and(|list| list.iter().any(check))
                };
                any("from", &|one| {
                    one["group"] == from_group && one["kind"] == from_kind && one["namespace"] == from_namespace
                }) && any("to", &|one| {
                    one["group"] == to_group
                        && one["kind"] == to_kind
                        && one["name"].as_str().is_none_or(|name| name == to_name)
                })
            })
    }
}

async fn list(client: &Client, resources: Vec<ApiResource>) -> Result<Vec<Item>, Error> {
    let lists = resources.into_iter().map(async |resource| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // From the API server's memory: this is asked many times a second.
        match api.list(&ListParams::default().match_any()).await {
            Ok(list) => {
                Ok(list.items.into_iter().map(|object| Item { resource: resource.clone(), object }).collect::<Vec<_>>())
            }
            // The definition has been removed since the kinds were looked up.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(Error::kube(format!("list {}", resource.plural))(error)),
        }
    });
    Ok(try_join_all(lists).await?.into_iter().flatten().collect())
}
