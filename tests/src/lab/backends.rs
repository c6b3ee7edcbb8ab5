//! The Services behind the gateways: `api`, `other`, `shadow` and `many` (two replicas) echo, `authorization`
//! decides; all on port 8080.

use kube::Client;

use super::{artifacts::BACKENDS_IMAGE, gateways, manifests};
use crate::Error;

/// Their namespace.
pub const NAMESPACE: &str = "shop";

/// Starts them and waits until they are ready.
///
/// # Errors
/// When the API server refuses one, or one is not ready after a minute.
pub async fn install(client: &Client) -> Result<(), Error> {
    manifests::apply(client, &include_str!("backends.yaml").replace("IMAGE", BACKENDS_IMAGE)).await?;
    for name in ["api", "other", "shadow", "authorization", "many"] {
        gateways::ready(client, NAMESPACE, name).await?;
    }
    Ok(())
}
