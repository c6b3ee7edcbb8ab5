//! A real API server with the real CRDs takes, strictly, every object that any module gives for any sample: open and closed,
//! in both channels. What cannot be checked offline (rules that the offline validator does not know) is checked here.
#![allow(clippy::expect_used)] // helpers of a test

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gateway_modules::core::{channel::Channel, compile::Release, object::Object};
use gateway_modules_testkit::{
    Channel as Crds, ControlPlane, Options, contract::Bench, crds, create_namespace, samples,
};
use kube::{
    Client,
    api::{Api, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{ApiCapabilities, ApiResource, Discovery, Scope},
};

mod support;

/// Objects, open and closed, each once.
fn objects(release: &Release) -> Vec<Object> {
    let open = release.objects.iter().map(|object| object.object.clone());
    let closed = release.objects.iter().filter_map(|object| object.gate.as_ref().map(|gate| gate.closed.0.clone()));
    open.chain(closed).collect()
}

struct Server {
    control_plane: ControlPlane,
    client: Client,
    kinds: BTreeMap<(String, String, String), (ApiResource, ApiCapabilities)>,
}

impl Server {
    async fn start(schemas: &Path, channel: Crds, vendors: &[&str]) -> Self {
        let control_plane = ControlPlane::start(Options::default()).await.expect("a control plane");
        let client = control_plane.client().await.expect("a client");
        crds::install_gateway_api(&client, schemas, channel).await.expect("Gateway API");
        for vendor in vendors.iter().filter(|vendor| schemas.join(vendor).is_dir()) {
            crds::install_vendor(&client, schemas, vendor).await.expect("the vendor's CRDs");
        }
        let discovery = Discovery::new(client.clone()).run().await.expect("discovery");
        let resources = discovery.groups().flat_map(|group| {
            let versions: BTreeSet<&str> = group.versions().collect();
            versions.into_iter().flat_map(|version| group.versioned_resources(version)).collect::<Vec<_>>()
        });
        let kinds = resources
            .map(|(resource, capabilities)| {
                let key = (resource.group.clone(), resource.version.clone(), resource.kind.clone());
                (key, (resource, capabilities))
            })
            .collect();
        Self { control_plane, client, kinds }
    }

    async fn accepts(&self, object: &Object) -> Result<(), String> {
        let key = object.key();
        let kind = GroupVersionKind::gvk(&key.kind.group, &key.kind.version, &key.kind.kind);
        let (resource, capabilities) = self
            .kinds
            .get(&(kind.group.clone(), kind.version.clone(), kind.kind.clone()))
            .ok_or_else(|| "the server has no such kind".to_owned())?;
        let api: Api<DynamicObject> = match (&capabilities.scope, &key.namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client.clone(), namespace, resource),
            _ => Api::all_with(self.client.clone(), resource),
        };
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply("test").validation_strict() };
        let sent = api.patch(&key.name, &parameters, &Patch::Apply(object.to_value())).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

async fn everything_is_accepted(channel: Channel, crds: Crds) {
    let Some(schemas) = support::schemas() else { return };
    let registry = gateway_modules::registry().expect("registry");
    let names = registry.names();
    let server = Server::start(&schemas, crds, &names).await;
    let mut namespaces = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut refused = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (name, module, parameters) in support::modules(&registry) {
        for version in module.metadata().versions {
            let bench = Bench::new(module.as_ref(), version, channel, parameters.clone());
            for sample in samples::all() {
                let Ok((compiled, _)) = bench.compile_accepting(&sample.documents) else { continue };
                for object in compiled.release.iter().flat_map(objects) {
                    // The bytes of many objects are the same for several modules and samples.
                    if !seen.insert(object.to_value().to_string()) {
                        continue;
                    }
                    if let Some(namespace) = object.key().namespace.filter(|name| !namespaces.contains(name)) {
                        create_namespace(&server.client, &namespace).await.expect("a namespace");
                        namespaces.insert(namespace);
                    }
                    match server.accepts(&object).await {
                        Ok(()) => *counts.entry(name.clone()).or_default() += 1,
                        Err(error) => {
                            refused.push(format!("{}: {}: {}: {error}", bench.name(), sample.name(), object.key()))
                        }
                    }
                }
            }
        }
    }
    println!("accepted in the {channel} channel, each object once: {counts:?}");
    server.control_plane.stop().await.expect("stopped");
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(counts.values().sum::<usize>() > 100, "so few show nothing: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_objects_of_all_modules_are_accepted_in_the_standard_channel() {
    everything_is_accepted(Channel::Standard, Crds::Standard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_objects_of_all_modules_are_accepted_in_the_experimental_channel() {
    everything_is_accepted(Channel::Experimental, Crds::Experimental).await;
}
