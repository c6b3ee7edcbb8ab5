//! The gateways of the lab: one file each for those that can run here, and the reason for those that cannot.

mod charts;
mod envoy_gateway;
mod istio;
mod kgateway;
mod kong;
mod nginx_gateway_fabric;
mod traefik;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use gateway_modules_core::{capability::CapabilityName, module::GatewayModule};
use kube::{
    Client,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::{ClusterProvider, conformance::Conformance};
use crate::Error;

/// A gateway as the lab has it.
pub struct Gateway {
    /// The module that maps to it.
    pub module: &'static str,
    /// The version that runs, or would.
    pub version: &'static str,
    /// What this stand cannot show, so that nobody reads more into a result.
    pub limits: &'static [&'static str],
    /// What is declared and this suite cannot show here, with its parts, and the reason.
    pub unshown: &'static [(CapabilityName, &'static str)],
    /// How it comes into the lab, or why it does not.
    pub stand: Stand,
}

/// Starts the limit of a stand that is not what its vendor releases.
pub const STAND_IN: &str = "stand-in: ";

/// Makes archives of images where they are not there yet, and says where they are.
pub type MakeImages = fn() -> Result<Vec<PathBuf>, Error>;

/// Whether a gateway can run here.
pub enum Stand {
    /// It runs.
    Runs {
        /// `spec.gateway` of data planes for this installation.
        gateway: fn() -> Value,
        /// Its images; absent: the cluster pulls them.
        images: Option<MakeImages>,
        /// How it is installed.
        install: Install,
        /// Folders of definitions besides Gateway API.
        definitions: &'static [&'static str],
        /// Deployment that is ready when the gateway is: namespace and name.
        deployment: (&'static str, &'static str),
        /// How long after the status what was applied may not be in force yet.
        settles: Settles,
        /// Answer to a request that is for no route.
        unknown: u16,
        /// Where clients reach it.
        services: Services,
        /// Its proxies: namespace and label selector of their pods.
        proxies: (&'static str, &'static str),
        /// How the upstream conformance suite meets it, where it does.
        conformance: Option<Conformance>,
    },
    /// It cannot, for this reason.
    Absent(&'static str),
}

/// How long after its status a change may not be in force yet.
#[derive(Clone, Copy, Debug)]
pub struct Settles {
    /// Of routes and their filters.
    pub usually: Duration,
    /// Of how proxies speak to backends: connections, their limits and balance, health, TLS.
    pub backends: Duration,
}

impl Settles {
    /// Whatever has changed.
    pub const fn always(time: Duration) -> Self {
        Self { usually: time, backends: time }
    }
}

/// How a gateway is installed.
pub enum Install {
    /// It is there already.
    There,
    /// By manifests.
    Manifests(fn() -> String),
    /// As `gwm install` does, with the vendor's charts and images from where the vendor has them.
    Vendor,
    /// As `gwm install` does, from charts of this machine.
    Charts {
        /// Packed charts.
        folder: fn() -> Result<PathBuf, Error>,
        /// Registry and path that manifests name images by.
        registry: &'static str,
        /// Values of the user, by chart.
        values: fn() -> Vec<(&'static str, Value)>,
    },
}

/// The Services of a gateway.
pub enum Services {
    /// From its installation: visibility, namespace and name of each.
    Fixed(&'static [(&'static str, &'static str, &'static str)]),
    /// Made for each Gateway, in this namespace and with this label, whose value is the Gateway's name.
    OfGateways(&'static str, &'static str),
    /// The addresses and listeners of the Gateways themselves, in this namespace.
    InStatus(&'static str),
}

/// The data plane that suites make in a lab. Names of its Gateways start with it and their visibility.
pub const PLANE: &str = "lab";

/// A busy machine needs its time; a second is usual.
const ADDRESS: Duration = Duration::from_mins(2);
const READY: Duration = Duration::from_mins(5);

/// All that the project has modules for.
pub const ALL: &[Gateway] = &[
    traefik::TRAEFIK,
    istio::ISTIO,
    absent("cilium", "1.20", "its Envoy and its agent are in no public package registry, only images"),
    absent("kgateway", kgateway::VERSION, NO_IMAGES),
    absent("kong", kong::VERSION, NO_IMAGES),
    absent("nginx-gateway-fabric", nginx_gateway_fabric::VERSION, NO_IMAGES),
];

const NO_IMAGES: &str = "its Go module is not served by the module proxy, and its images are in no package registry; `cargo \
    xtask lab test NAME --kubeconfig FILE` asks it in a cluster whose nodes can have them";

/// Gateways that do not run in a lab, as a cluster has them whose nodes can have their images.
pub const ELSEWHERE: &[Gateway] = &[kgateway::KGATEWAY, kong::KONG, nginx_gateway_fabric::NGINX_GATEWAY_FABRIC];

/// The gateway of a module as that cluster can have it.
pub fn find_for(provider: &dyn ClusterProvider, module: &str) -> Option<&'static Gateway> {
    let elsewhere = ELSEWHERE.iter().filter(|_| provider.has_images_of_vendors());
    elsewhere.chain(ALL).chain(COMMUNITY).find(|gateway| gateway.module == module)
}

/// Gateways whose modules are not of this workspace; whoever has the module installs it ([`install`]).
pub const COMMUNITY: &[Gateway] = &[envoy_gateway::ENVOY_GATEWAY];

/// The gateway of a module, in this workspace or not.
pub fn find(module: &str) -> Option<&'static Gateway> {
    ALL.iter().chain(COMMUNITY).find(|gateway| gateway.module == module)
}

const fn absent(module: &'static str, version: &'static str, reason: &'static str) -> Gateway {
    Gateway { module, version, limits: &[], unshown: &[], stand: Stand::Absent(reason) }
}

impl Gateway {
    /// Why the suite cannot show here what is declared.
    pub(crate) fn unshown(&self, capability: &CapabilityName) -> Option<&'static str> {
        let whole = |own: &CapabilityName| capability.as_str().strip_prefix(own.as_str());
        let meant = |own| whole(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.unshown.iter().find(|(own, _)| meant(own)).map(|(_, reason)| *reason)
    }

    /// Archives of its images, made where they are not there yet.
    ///
    /// # Errors
    /// When it cannot run here, or an image cannot be made.
    pub fn images(&self) -> Result<Vec<PathBuf>, Error> {
        match &self.stand {
            Stand::Runs { images: Some(images), .. } => images(),
            Stand::Runs { images: None, .. } => Ok(Vec::new()),
            Stand::Absent(_) => Err(self.absent()),
        }
    }

    /// Makes all that its installation takes: images, charts, and Helm. It is for before the network of a lab, from which nothing can
    /// be fetched.
    ///
    /// # Errors
    /// As [`images`](Self::images), and when charts or Helm cannot be made.
    pub fn prepare(&self) -> Result<(), Error> {
        self.images()?;
        if let Stand::Runs { install, .. } = &self.stand {
            match install {
                Install::There | Install::Manifests(_) => {}
                Install::Charts { folder, .. } => {
                    folder()?;
                    crate::go::helm()?;
                }
                Install::Vendor => {
                    crate::go::helm()?;
                }
            }
        }
        Ok(())
    }

    fn absent(&self) -> Error {
        Error::Lab(format!("{} does not run in a lab", self.module))
    }
}

/// Installs a gateway in a cluster, and waits until it is ready. `module` is what the adapter says of its charts.
///
/// # Errors
/// When it cannot run here, a manifest is refused, or it is not ready in time.
pub async fn install(
    client: &Client,
    provider: &dyn ClusterProvider,
    gateway: &Gateway,
    module: Arc<dyn GatewayModule>,
    schemas: &Path,
) -> Result<(), Error> {
    let Stand::Runs { install, definitions, deployment: (namespace, name), .. } = &gateway.stand else {
        return Err(gateway.absent());
    };
    provider.import(&gateway.images()?)?;
    crate::crds::install_gateway_api(client, schemas, crate::Channel::Standard).await?;
    for folder in *definitions {
        crate::crds::install_vendor(client, schemas, folder).await?;
    }
    match install {
        Install::There => {}
        Install::Manifests(manifests) => super::manifests::apply(client, &manifests()).await?,
        Install::Charts { folder, registry, values } => {
            let (folder, registry) = (Some(folder()?), Some(*registry));
            let stand = charts::Stand { version: gateway.version, folder, registry, values: values() };
            charts::install(client, provider, module, stand).await?;
        }
        Install::Vendor => {
            let stand = charts::Stand { version: gateway.version, folder: None, registry: None, values: Vec::new() };
            charts::install(client, provider, module, stand).await?;
        }
    }
    ready(client, namespace, name).await
}

/// Removes what [`install`] has installed by charts; its definitions stay.
///
/// # Errors
/// When Helm fails, or an object cannot be deleted.
pub async fn uninstall(
    client: &Client,
    provider: &dyn ClusterProvider,
    gateway: &Gateway,
    module: &dyn GatewayModule,
) -> Result<(), Error> {
    charts::uninstall(client, provider, module, gateway.version).await
}

/// Waits until all replicas of a Deployment are ready.
///
/// # Errors
/// When they are not in time.
pub async fn ready(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let api = super::manifests::api(client, "apps/v1", "Deployment", Some(namespace));
    let start = Instant::now();
    while start.elapsed() < READY {
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
    Err(Error::Lab(format!("Deployment {namespace}/{name} is not ready after {} s", READY.as_secs())))
}

/// Where a visibility is reached: address and port of each port of its Service, by the port's name.
///
/// # Errors
/// When there is no address in time.
pub async fn addresses(
    client: &Client,
    gateway: &Gateway,
    visibility: &str,
) -> Result<Vec<(String, SocketAddr)>, Error> {
    let Stand::Runs { services, .. } = &gateway.stand else { return Err(gateway.absent()) };
    let start = Instant::now();
    while start.elapsed() < ADDRESS {
        let found = match services {
            Services::InStatus(namespace) => in_status(client, namespace, visibility).await?,
            _ => service(client, services, visibility).await?.and_then(|service| reached(&service.data)),
        };
        if let Some(addresses) = found {
            return Ok(addresses);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(Error::Lab(format!("{} has no address for visibility {visibility}", gateway.module)))
}

/// What the status of a Gateway says, and its listeners by their names.
async fn in_status(
    client: &Client,
    namespace: &str,
    visibility: &str,
) -> Result<Option<Vec<(String, SocketAddr)>>, Error> {
    let api = super::manifests::api(client, "gateway.networking.k8s.io/v1", "Gateway", Some(namespace));
    let list = api.list(&ListParams::default()).await.map_err(Error::kube(format!("list Gateways in {namespace}")))?;
    let start = format!("{PLANE}-{visibility}-");
    let own = list.items.iter().find(|own| own.metadata.name.as_deref().is_some_and(|name| name.starts_with(&start)));
    Ok(own.and_then(|gateway| listeners(&gateway.data)))
}

fn listeners(gateway: &Value) -> Option<Vec<(String, SocketAddr)>> {
    let address = gateway.pointer("/status/addresses/0/value")?.as_str()?.parse().ok()?;
    let listeners = gateway.pointer("/spec/listeners")?.as_array()?.iter();
    let port = |listener: &Value| {
        let number = u16::try_from(listener["port"].as_u64()?).ok()?;
        Some((listener["protocol"].as_str()?.to_lowercase(), SocketAddr::new(address, number)))
    };
    Some(listeners.filter_map(port).collect())
}

/// Where each ready proxy of a visibility takes what comes for a port of its Service; none where the Service is not known.
///
/// # Errors
/// When the API server does not answer.
pub async fn replicas(
    client: &Client,
    gateway: &Gateway,
    visibility: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Error> {
    let Stand::Runs { services, .. } = &gateway.stand else { return Err(gateway.absent()) };
    let Some(service) = service(client, services, visibility).await? else { return Ok(Vec::new()) };
    let namespace = service.metadata.namespace.as_deref();
    let name = service.metadata.name.unwrap_or_default();
    let ports = service.data.pointer("/spec/ports").and_then(Value::as_array);
    let meant = ports.into_iter().flatten().find(|own| own["port"] == port).map(|own| own["name"].clone());
    let api = super::manifests::api(client, "discovery.k8s.io/v1", "EndpointSlice", namespace);
    let parameters = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = api.list(&parameters).await.map_err(Error::kube(format!("list EndpointSlices of {name}")))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for slice in &slices.items {
        let Some(port) = list(&slice.data["ports"]).iter().find(|own| Some(&own["name"]) == meant.as_ref()).cloned()
        else {
            continue;
        };
        let ready = |endpoint: &Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) == Some(true);
        for endpoint in list(&slice.data["endpoints"]).iter().filter(|endpoint| ready(endpoint)) {
            let address = endpoint.pointer("/addresses/0").and_then(Value::as_str).and_then(|text| text.parse().ok());
            let number = port["port"].as_u64().and_then(|number| u16::try_from(number).ok());
            found.extend(address.zip(number).map(|(address, number)| SocketAddr::new(address, number)));
        }
    }
    Ok(found)
}

async fn service(client: &Client, services: &Services, visibility: &str) -> Result<Option<DynamicObject>, Error> {
    let (namespace, parameters) = match services {
        Services::Fixed(all) => {
            let Some((_, namespace, name)) = all.iter().find(|(own, ..)| *own == visibility) else { return Ok(None) };
            (namespace, ListParams::default().fields(&format!("metadata.name={name}")))
        }
        Services::OfGateways(namespace, label) => (namespace, ListParams::default().labels(label)),
        Services::InStatus(_) => return Ok(None),
    };
    let api = super::manifests::api(client, "v1", "Service", Some(namespace));
    let list = api.list(&parameters).await.map_err(Error::kube(format!("list Services in {namespace}")))?;
    // The name of a Gateway has a hash at its end.
    let start = format!("{PLANE}-{visibility}-");
    let meant = |service: &DynamicObject| match services {
        Services::Fixed(_) | Services::InStatus(_) => true,
        Services::OfGateways(_, label) => {
            let gateway = service.metadata.labels.as_ref().and_then(|labels| labels.get(*label));
            gateway.is_some_and(|gateway| gateway.starts_with(&start))
        }
    };
    Ok(list.items.into_iter().find(meant))
}

/// Addresses and ports that it has; none as long as it has no address.
fn reached(service: &Value) -> Option<Vec<(String, SocketAddr)>> {
    let balanced = service.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    let place = if balanced { "/status/loadBalancer/ingress/0/ip" } else { "/spec/clusterIP" };
    let address = service.pointer(place)?.as_str()?.parse().ok()?;
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let port = |port: &Value| {
        let number = u16::try_from(port["port"].as_u64()?).ok()?;
        Some((port["name"].as_str()?.to_owned(), SocketAddr::new(address, number)))
    };
    Some(ports.filter_map(port).collect())
}

#[cfg(test)]
mod tests {
    use gateway_modules_core::{installation::InstallationOptions, module::ModuleVersion};
    use serde_json::json;

    use super::{ALL, ELSEWHERE, Stand, listeners};

    #[test]
    fn a_gateway_that_does_not_run_here_has_an_entry_for_elsewhere() {
        for gateway in ELSEWHERE {
            let here = ALL.iter().find(|own| own.module == gateway.module).expect("in the list");
            assert!(matches!(here.stand, Stand::Absent(_)) && matches!(gateway.stand, Stand::Runs { .. }));
            assert_eq!(here.version, gateway.version);
            let module = gateway_modules::registry().expect("modules").get(gateway.module).expect("a module");
            let version = ModuleVersion::new(gateway.version).expect("a version");
            module.installation(&version, &InstallationOptions::default()).expect("it can be installed");
        }
    }

    #[test]
    fn a_gateway_is_reached_where_its_status_says() {
        let spec = json!({"listeners": [{"name": "a", "protocol": "HTTP", "port": 80},
            {"name": "b", "protocol": "HTTPS", "port": 443}]});
        assert_eq!(listeners(&json!({"spec": spec})), None);
        let found = listeners(&json!({"spec": spec, "status": {"addresses": [{"value": "192.0.2.7"}]}}));
        let found = found.expect("an address");
        assert_eq!(found[1], ("https".to_owned(), "192.0.2.7:443".parse().expect("an address")));
    }
}
