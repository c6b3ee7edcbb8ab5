//! The gateways of the lab: one file each for those that can run here, and the reason for those that cannot.

mod traefik;

use std::{net::SocketAddr, path::Path, time::Duration};

use gateway_modules_core::intent::policies::PolicyKind;
use kube::Client;
use serde_json::Value;

use crate::Error;

/// A gateway as the lab has it.
pub struct Gateway {
    /// The module that maps to it.
    pub module: &'static str,
    /// The version that runs, or would.
    pub version: &'static str,
    /// What this stand cannot show, so that nobody reads more into a result.
    pub limits: &'static [&'static str],
    /// Policy kinds that are declared and that this suite cannot show here, with the reason.
    pub unshown: &'static [(PolicyKind, &'static str)],
    /// How it comes into the lab, or why it does not.
    pub stand: Stand,
}

/// Whether a gateway can run here.
pub enum Stand {
    /// It runs.
    Runs {
        /// `spec.gateway` of data planes for this installation.
        gateway: fn() -> Value,
        /// Manifests of the installation.
        manifests: fn() -> String,
        /// Folders of definitions besides Gateway API.
        definitions: &'static [&'static str],
        /// Deployment that is ready when the gateway is: namespace and name.
        deployment: (&'static str, &'static str),
        /// How long after the status what was applied may not be in force yet.
        settles: Duration,
        /// Services with the addresses of each visibility: visibility, namespace, name.
        services: &'static [(&'static str, &'static str, &'static str)],
    },
    /// It cannot, for this reason.
    Absent(&'static str),
}

/// All that the project has modules for.
pub const ALL: &[Gateway] = &[
    traefik::TRAEFIK,
    absent(
        "istio",
        "1.32",
        "its images are not built yet by this lab: pilot and agent from the Go module, Envoy from a wheel",
    ),
    absent(
        "envoy-gateway",
        "1.7",
        "its images are not built yet by this lab: the controller from the Go module, Envoy from a wheel",
    ),
    absent("cilium", "1.20", "its Envoy and its agent are in no public package registry, only images"),
    absent(
        "kgateway",
        "2.5",
        "its Go module is not served by the module proxy, and its images are in no package registry",
    ),
    absent(
        "kong",
        "3.5",
        "the operator's Go module is not served by the module proxy, and its images are in no package registry",
    ),
    absent(
        "nginx-gateway-fabric",
        "2.6",
        "its Go module is not served by the module proxy, and its images are in no package registry",
    ),
];

const fn absent(module: &'static str, version: &'static str, reason: &'static str) -> Gateway {
    Gateway { module, version, limits: &[], unshown: &[], stand: Stand::Absent(reason) }
}

/// Installs a gateway and waits until it is ready.
///
/// # Errors
/// When it cannot run here, a manifest is refused, or it is not ready in time.
pub async fn install(client: &Client, gateway: &Gateway, schemas: &Path) -> Result<(), Error> {
    let Stand::Runs { manifests, definitions, deployment: (namespace, name), .. } = &gateway.stand else {
        return Err(Error::Lab(format!("{} does not run in a lab", gateway.module)));
    };
    crate::crds::install_gateway_api(client, schemas, crate::Channel::Standard).await?;
    for folder in *definitions {
        crate::crds::install_vendor(client, schemas, folder).await?;
    }
    super::manifests::apply(client, &manifests()).await?;
    ready(client, namespace, name).await
}

/// Waits until all replicas of a Deployment are ready.
///
/// # Errors
/// When they are not after a minute.
pub async fn ready(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let api = super::manifests::api(client, "apps/v1", "Deployment", Some(namespace));
    for _ in 0..300 {
        let found = api.get(name).await.map_err(Error::kube(format!("read Deployment {name}")))?;
        let number = |pointer: &str| found.data.pointer(pointer).and_then(Value::as_u64);
        let wanted = number("/spec/replicas").unwrap_or(1);
        let seen =
            number("/status/observedGeneration") == found.metadata.generation.and_then(|it| u64::try_from(it).ok());
        if seen && number("/status/readyReplicas") == Some(wanted) && number("/status/updatedReplicas") == Some(wanted)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(Error::Lab(format!("Deployment {namespace}/{name} is not ready after a minute")))
}

/// Where a visibility is reached: address and port of each port of its Service, by the port's name.
///
/// # Errors
/// When the Service has no address after ten seconds.
pub async fn addresses(
    client: &Client,
    gateway: &Gateway,
    visibility: &str,
) -> Result<Vec<(String, SocketAddr)>, Error> {
    let none = || Error::Lab(format!("{} has no address for visibility {visibility}", gateway.module));
    let Stand::Runs { services, .. } = &gateway.stand else { return Err(none()) };
    let (_, namespace, name) = services.iter().find(|(own, ..)| *own == visibility).ok_or_else(none)?;
    let api = super::manifests::api(client, "v1", "Service", Some(namespace));
    for _ in 0..50 {
        let service = api.get(name).await.map_err(Error::kube(format!("read Service {name}")))?;
        let external = service.data.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
        let balanced = service.data.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
        let internal = service.data.pointer("/spec/clusterIP").and_then(Value::as_str);
        let address = if balanced { external } else { internal };
        if let Some(address) = address.and_then(|address| address.parse().ok()) {
            let ports = service.data.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
            return Ok(ports
                .filter_map(|port| {
                    let number = u16::try_from(port["port"].as_u64()?).ok()?;
                    Some((port["name"].as_str()?.to_owned(), SocketAddr::new(address, number)))
                })
                .collect());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(none())
}
