//! The vendor's own chart comes as `gwm install` brings it, is seen, and goes without a trace but for its definitions.

use std::{path::Path, sync::Arc, time::Duration};

use gateway_modules_core::{
    cluster::{Cluster, ClusterOptions},
    module::{GatewayModule, Installed},
};
use gateway_modules_installation::{Condition, doctor};
use gateway_modules_testkit::{
    Channel, Error, Inventory, crds,
    lab::{
        Lab,
        gateways::{self, Gateway},
    },
};
use kube::Client;

/// How long what Kubernetes removes by itself may take: a namespace, with the pods in it.
const GONE: Duration = Duration::from_mins(2);

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Lab(error.to_string())
}

/// What `gwm doctor` finds.
async fn condition(cluster: &Cluster, module: &dyn GatewayModule) -> Result<Condition, Error> {
    let installed = Installed::read(&cluster.reader()).await.map_err(|error| failed(&error))?;
    doctor(cluster, module, &installed).await.map(|report| report.condition).map_err(|error| failed(&error))
}

/// Installs, looks, removes, and compares all objects of the cluster with those before.
pub async fn comes_and_goes(
    client: &Client,
    lab: &Lab,
    gateway: &'static Gateway,
    module: &Arc<dyn GatewayModule>,
    schemas: &Path,
) -> Result<(), Error> {
    let cluster = Cluster::new(client.clone(), ClusterOptions::default());
    crds::install_gateway_api(client, schemas, Channel::Standard).await?;
    let before = Inventory::take_settled(client, GONE).await?;
    let absent = condition(&cluster, module.as_ref()).await?;
    gateways::install(client, lab, gateway, Arc::clone(module), schemas).await?;
    let present = condition(&cluster, module.as_ref()).await?;
    gateways::uninstall(client, lab, gateway, module.as_ref()).await?;
    before.wait_until_again(client, GONE).await?;
    let after = condition(&cluster, module.as_ref()).await?;
    println!(
        "{} objects before and after; doctor: {}, {}, {}",
        before.len(),
        absent.as_str(),
        present.as_str(),
        after.as_str()
    );
    let seen = [absent, present, after];
    if seen != [Condition::NotInstalled, Condition::Installed, Condition::NotInstalled] {
        return Err(Error::Lab(format!("gwm doctor would say {seen:?}")));
    }
    Ok(())
}
