//! The Services behind the gateways: `api`, `other`, `shadow` and `many` (two replicas) echo, `authorization`
//! decides, and `issuer` signs tokens; all on port 8080. `secure` echoes on port 8443, with TLS, and
//! `garbage` answers with what no client of HTTP understands.

use kube::Client;

use super::{artifacts::BACKENDS_IMAGE, certificates, gateways, manifests};
use crate::Error;

/// Their namespace.
pub const NAMESPACE: &str = "shop";

/// Starts them and waits until they are ready.
///
/// # Errors
/// When the API server refuses one, or one is not ready after a minute.
pub async fn install(client: &Client) -> Result<(), Error> {
    certificates::install(client).await?;
    manifests::apply(client, &include_str!("backends.yaml").replace("IMAGE", BACKENDS_IMAGE)).await?;
    for name in ["api", "other", "shadow", "authorization", "issuer", "many", "secure"] {
        gateways::ready(client, NAMESPACE, name).await?;
    }
    Ok(())
}
