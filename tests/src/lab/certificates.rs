//! Certificates of a lab: those of the gateways' listeners and of the backend that speaks TLS, and who signs them.

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
/// ConfigMap, beside the backends, with the authority that has signed all of them.
pub const AUTHORITY: &str = "authority";
/// ConfigMap with an authority that has signed none.
pub const STRANGER: &str = "stranger";

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
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let listener = authority.serving("listeners", &HOSTS)?;
    let backend = authority.serving("secure", &[BACKEND])?;
    let secret = |namespace: &str, name: &str, pair: crate::control_plane::pki::Pair| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}})
    };
    let trust = |name: &str, authority: &Authority| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": backends::NAMESPACE},
            "data": {"ca.crt": authority.certificate()}})
    };
    // The authority comes last: it says that all are there.
    for object in [
        secret(GATEWAYS, LISTENER, listener),
        secret(backends::NAMESPACE, "secure", backend),
        trust(STRANGER, &stranger),
        trust(AUTHORITY, &authority),
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
