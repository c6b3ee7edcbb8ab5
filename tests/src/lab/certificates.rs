//! Certificates of a lab: those of the gateways' listeners, of the backend that speaks TLS and of clients, and who signs them.

use kube::Client;
use serde_json::{Value, json};

use super::{backends, manifests};
use crate::{Error, control_plane::pki::Authority};

/// Namespace of the listeners' certificate.
pub const GATEWAYS: &str = "gateways";
/// Secret with the certificate of all listeners, for [`HOSTS`].
pub const LISTENER: &str = "listeners";
/// Hosts of the listeners' certificate.
pub const HOSTS: [&str; 2] = ["*.lab.example.com", "*.internal.example.com"];
/// Name in the backend's certificate.
pub const BACKEND: &str = "secure.backend.example.com";
/// Another, by which no route leads to it.
pub const UNROUTED: &str = "unrouted.backend.example.com";
/// ConfigMap, beside the backends, with the authority that has signed all of them.
pub const AUTHORITY: &str = "authority";
/// ConfigMap with an authority that has signed none.
pub const STRANGER: &str = "stranger";
/// ConfigMap, beside the Gateways, with the authority of clients.
pub const CLIENTS: &str = "clients";
/// Secrets, beside the backends, with certificates of clients: one that the authority of clients has signed, one that it has
/// signed and that has expired, and one of another authority.
pub const CLIENT_CERTIFICATES: [&str; 3] = ["client", "client-expired", "client-of-another"];

/// Makes the namespaces and, once in the life of a cluster, the certificates.
///
/// # Errors
/// When the API server refuses one of them.
pub async fn install(client: &Client) -> Result<(), Error> {
    for name in [backends::NAMESPACE, GATEWAYS] {
        manifests::apply_one(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await?;
    }
    if authority(client, AUTHORITY).await.is_ok() {
        return Ok(());
    }
    let (authority, stranger, clients) = (Authority::new()?, Authority::new()?, Authority::new()?);
    let listener = authority.serving("listeners", &HOSTS)?;
    let backend = authority.serving("secure", &[BACKEND, UNROUTED])?;
    let secret = |namespace: &str, name: &str, pair: crate::control_plane::pki::Pair| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}})
    };
    let trust = |namespace: &str, name: &str, authority: &Authority| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace},
            "data": {"ca.crt": authority.certificate()}})
    };
    let [right, expired, other] = CLIENT_CERTIFICATES;
    // The authority comes last: it says that all are there.
    for object in [
        secret(GATEWAYS, LISTENER, listener),
        secret(backends::NAMESPACE, "secure", backend),
        secret(backends::NAMESPACE, right, clients.user(right, None)?),
        secret(backends::NAMESPACE, expired, clients.expired_user(expired)?),
        secret(backends::NAMESPACE, other, stranger.user(other, None)?),
        trust(GATEWAYS, CLIENTS, &clients),
        trust(backends::NAMESPACE, STRANGER, &stranger),
        trust(backends::NAMESPACE, AUTHORITY, &authority),
    ] {
        manifests::apply_one(client, object).await?;
    }
    Ok(())
}

/// The certificate of an authority ([`AUTHORITY`], [`STRANGER`]), as PEM.
///
/// # Errors
/// When it is not there.
pub async fn authority(client: &Client, name: &str) -> Result<String, Error> {
    let api = manifests::api(client, "v1", "ConfigMap", Some(backends::NAMESPACE));
    let found = api.get(name).await.map_err(Error::kube("read the lab's authority"))?;
    let text = found.data.pointer("/data/ca.crt").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Error::Lab("the lab's authority has no certificate".to_owned()))
}
