//! The Services behind the gateways: `api`, `other`, `shadow` and `many` (two replicas) echo, `authorization`
//! decides, `issuer` signs tokens, and `collector` takes traces (by OTLP on port 4317); all on port 8080. `secure` echoes on
//! port 8443, with TLS; `raw` gives bytes and datagrams back on port 9000, and `garbage` is the same where HTTP is expected.
//! `redis` is Valkey, which is Redis under another name.

use kube::Client;

use super::{
    artifacts::{BACKENDS_IMAGE, REDIS_IMAGE},
    certificates, gateways, manifests,
};
use crate::Error;

/// Their namespace.
pub const NAMESPACE: &str = "shop";

/// Starts them and waits until they are ready.
///
/// # Errors
/// When the API server refuses one, or one is not ready after a minute.
pub async fn install(client: &Client) -> Result<(), Error> {
    certificates::install(client).await?;
    let images = include_str!("backends.yaml").replace("IMAGE", BACKENDS_IMAGE).replace("REDIS", REDIS_IMAGE);
    manifests::apply(client, &images).await?;
    for name in ["api", "other", "shadow", "authorization", "issuer", "many", "secure", "collector", "redis"] {
        gateways::ready(client, NAMESPACE, name).await?;
    }
    Ok(())
}
