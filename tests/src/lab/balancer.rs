//! Addresses for Services of type LoadBalancer, which a cloud would give.

use std::{collections::BTreeSet, time::Duration};

use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// TEST-NET-3: kube-proxy serves these inside of the lab, and nobody has them outside.
fn address(number: u8) -> String {
    format!("203.0.113.{number}")
}

/// Gives each Service without an address the first free one, for as long as it is polled.
pub(super) async fn run(client: Client) {
    let services = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Service"), "services");
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &services);
    loop {
        // A failed round is repeated by the next one.
        if let Ok(list) = all.list(&ListParams::default()).await {
            let balanced =
                list.items.iter().filter(|service| service.data.pointer("/spec/type") == Some(&json!("LoadBalancer")));
            let mut without = BTreeSet::new();
            let mut taken = BTreeSet::new();
            for service in balanced {
                match service.data.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str) {
                    Some(address) => drop(taken.insert(address.to_owned())),
                    None => {
                        let metadata = &service.metadata;
                        without.insert((
                            metadata.namespace.clone().unwrap_or_default(),
                            metadata.name.clone().unwrap_or_default(),
                        ));
                    }
                }
            }
            for (namespace, name) in without {
                let Some(free) = (10..250).map(address).find(|address| !taken.contains(address)) else { continue };
                let of_namespace: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &services);
                let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": free}]}}});
                let patched = of_namespace.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
                if patched.is_ok() {
                    taken.insert(free);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
