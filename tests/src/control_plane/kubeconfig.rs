//! Kubeconfigs of a test control plane. They carry their certificates, so that they work from anywhere.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::pki::{Authority, Pair};
use crate::Error;

/// How users are written into kubeconfigs of one control plane.
pub(crate) struct Access {
    authority: Authority,
    server: String,
}

pub(crate) const MASTERS: &str = "system:masters";

impl Access {
    pub(crate) fn new(authority: Authority, server: String) -> Self {
        Self { authority, server }
    }

    pub(crate) fn admin(&self) -> Result<Kubeconfig, Error> {
        self.user("admin", &[MASTERS])
    }

    pub(crate) fn user(&self, user: &str, groups: &[&str]) -> Result<Kubeconfig, Error> {
        match groups {
            [] => self.write(user, &credentials(&self.authority.user(user, None)?)),
            &[group] => self.write(user, &credentials(&self.authority.user(user, Some(group))?)),
            // A certificate of ours carries one group.
            several => {
                let mut credentials = credentials(&self.authority.user("admin", Some(MASTERS))?);
                credentials["as"] = json!(user);
                credentials["as-groups"] = json!(several);
                self.write(user, &credentials)
            }
        }
    }

    fn write(&self, user: &str, credentials: &Value) -> Result<Kubeconfig, Error> {
        let text = document(&self.authority.certificate(), &self.server, user, credentials);
        Ok(Kubeconfig::from_yaml(&text.to_string())?)
    }
}

/// A kubeconfig with one user who has a certificate. JSON, which is YAML as well.
pub(crate) fn of_user(authority: &str, server: &str, user: &str, pair: &Pair) -> Value {
    document(authority, server, user, &credentials(pair))
}

fn document(authority: &str, server: &str, user: &str, credentials: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(authority),
        }}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    })
}

fn credentials(pair: &Pair) -> Value {
    json!({
        "client-certificate-data": BASE64_STANDARD.encode(&pair.certificate),
        "client-key-data": BASE64_STANDARD.encode(&pair.key),
    })
}

/// A client for a kubeconfig's current context; proxies of the environment do not apply to loopback.
pub(crate) async fn client(kubeconfig: Kubeconfig) -> Result<Client, Error> {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Client::try_from(config).map_err(Error::kube("make a client for the control plane"))
}
