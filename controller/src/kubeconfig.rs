//! A kubeconfig out of a Secret: only what it holds itself, nothing that runs a program or reads a file of the controller.

use std::time::Duration;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// Keys of the Secret, in order: the one that this project names, and the one of Cluster API and Flux.
pub(crate) const KEYS: [&str; 2] = ["kubeconfig", "value"];
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
const OF_CLUSTERS: &[&str] =
    &["server", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions"];
const OF_USERS: &[&str] = &[
    "token",
    "client-certificate-data",
    "client-key-data",
    "username",
    "password",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "extensions",
];

/// Why a kubeconfig is not used. Names fields, never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Refused(String),
}

impl Unusable {
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "KubeconfigInvalid",
            Self::Refused(_) => "KubeconfigRefused",
        }
    }
}

/// A client of the current context.
pub(crate) async fn client(text: &str) -> Result<Client, Unusable> {
    let kubeconfig = checked(text)?;
    // What the parsers say may quote the text.
    let invalid = |what: &str| Unusable::Invalid(format!("the kubeconfig cannot be used: {what}"));
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|_| invalid("current-context, its cluster or its user is missing, or a certificate is no base64"))?;
    config.connect_timeout = Some(CONNECT);
    Client::try_from(config).map_err(|_| invalid("its certificates or its key cannot be read"))
}

fn checked(text: &str) -> Result<Kubeconfig, Unusable> {
    let invalid = || Unusable::Invalid("it is no kubeconfig: not YAML, or without clusters and users".to_owned());
    let value: Value = serde_saphyr::from_str(text).map_err(|_| invalid())?;
    for (list, entry, allowed) in [("clusters", "cluster", OF_CLUSTERS), ("users", "user", OF_USERS)] {
        for item in value[list].as_array().ok_or_else(invalid)? {
            for (field, content) in item[entry].as_object().into_iter().flatten() {
                let off = content.is_null() || *content == Value::Bool(false);
                if !off && !allowed.contains(&field.as_str()) {
                    return Err(Unusable::Refused(refusal(entry, field)));
                }
            }
            if entry == "cluster"
                && !item[entry]["server"].as_str().is_some_and(|server| server.starts_with("https://"))
            {
                return Err(Unusable::Refused("cluster.server must be an https address".to_owned()));
            }
        }
    }
    serde_json::from_value(value).map_err(|_| invalid())
}

fn refusal(entry: &str, field: &str) -> String {
    let why = match field {
        "exec" | "auth-provider" => {
            "would run a program in the controller's pod; put a token or a client certificate of a ServiceAccount into it"
        }
        "tokenFile" | "client-certificate" | "client-key" | "certificate-authority" => {
            "names a file of the controller's pod; put its content into the field that ends with -data (or into token)"
        }
        "insecure-skip-tls-verify" => {
            "would send the credentials to whoever answers; put the authority into certificate-authority-data"
        }
        "proxy-url" => "is not supported; name an address that the controller reaches",
        _ => "is not known",
    };
    format!("{entry}.{field} {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(cluster: Value, user: Value) -> Result<Kubeconfig, Unusable> {
        let mut file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        for (name, value) in cluster.as_object().into_iter().flatten() {
            file["clusters"][0]["cluster"][name] = value.clone();
        }
        for (name, value) in user.as_object().into_iter().flatten() {
            file["users"][0]["user"][name] = value.clone();
        }
        checked(&file.to_string())
    }

    #[test]
    fn programs_files_and_blind_trust_are_refused_by_name() {
        assert!(with(json!({}), json!({})).is_ok());
        for (cluster, user, says) in [
            (json!({}), json!({"exec": {"command": "aws"}}), "user.exec"),
            (json!({}), json!({"auth-provider": {"name": "gcp"}}), "user.auth-provider"),
            (json!({}), json!({"tokenFile": "/var/run/secrets/token"}), "user.tokenFile"),
            (json!({}), json!({"client-key": "key.pem"}), "user.client-key"),
            (json!({"certificate-authority": "ca.pem"}), json!({}), "cluster.certificate-authority"),
            (json!({"insecure-skip-tls-verify": true}), json!({}), "insecure-skip-tls-verify"),
            (json!({"server": "http://192.0.2.1"}), json!({}), "https"),
            (json!({}), json!({"something": "new"}), "user.something"),
        ] {
            let refused = with(cluster, user).err();
            assert!(
                matches!(&refused, Some(Unusable::Refused(message)) if message.contains(says)),
                "{says}: {refused:?}"
            );
        }
        assert!(matches!(checked("{{"), Err(Unusable::Invalid(_))));
    }
}
