//! What kube-apiserver and kube-controller-manager read at start, and their arguments. The same for every form.

use serde_json::json;

use super::kubeconfig;
use super::options::Options;
use super::pki::{self, Authority};
use crate::Error;

/// The user as whom [stand-ins](crate::stand_in) write; its polling is left out of the audit log.
pub(crate) const STAND_IN_USER: &str = "gateway-stand-in";

/// The addresses of one control plane, as its components see them.
pub(crate) struct Addresses<'a> {
    /// The folder with the files.
    pub(crate) folder: &'a str,
    /// etcd's client port and peer port, always on loopback.
    pub(crate) etcd: [u16; 2],
    /// Where the API server listens.
    pub(crate) bind: &'a str,
    /// The API server's port.
    pub(crate) port: u16,
    /// Where the audit log goes: a path, or `-` for standard output.
    pub(crate) audit: &'a str,
}

/// The files by name, to be put into one folder that only the user can read.
pub(crate) fn write(authority: &Authority, port: u16) -> Result<Vec<(&'static str, String)>, Error> {
    let server = authority.server()?;
    let (signing_key, verifying_key) = pki::service_account_keys()?;
    let controller_manager = controller_manager_kubeconfig(authority, port)?;
    Ok(vec![
        ("ca.crt", authority.certificate()),
        ("server.crt", server.certificate),
        ("server.key", server.key),
        ("service-account.key", signing_key),
        ("service-account.pub", verifying_key),
        ("controller-manager.kubeconfig", controller_manager),
        ("audit-policy.json", audit_policy().to_string()),
    ])
}

fn controller_manager_kubeconfig(authority: &Authority, port: u16) -> Result<String, Error> {
    let user = authority.user("system:kube-controller-manager", None)?;
    let server = format!("https://127.0.0.1:{port}");
    Ok(kubeconfig::of_user(&authority.certificate(), &server, "controller-manager", &user).to_string())
}

pub(crate) fn etcd(addresses: &Addresses<'_>) -> Vec<String> {
    let [client, peer] = addresses.etcd.map(|port| format!("http://127.0.0.1:{port}"));
    vec![
        format!("--data-dir={}/etcd", addresses.folder),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // Nothing survives a crash of the machine, and nothing has to.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

pub(crate) fn api_server(addresses: &Addresses<'_>, options: &Options) -> Vec<String> {
    let folder = addresses.folder;
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", addresses.etcd[0]),
        format!("--bind-address={}", addresses.bind),
        format!("--secure-port={}", addresses.port),
        // The API server refuses a loopback address here; nobody publishes or dials this one.
        "--advertise-address=192.0.2.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--client-ca-file={folder}/ca.crt"),
        format!("--tls-cert-file={folder}/server.crt"),
        format!("--tls-private-key-file={folder}/server.key"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={folder}/service-account.pub"),
        format!("--service-account-signing-key-file={folder}/service-account.key"),
        "--allow-privileged=true".to_owned(),
    ];
    if options.audit {
        arguments.push(format!("--audit-policy-file={folder}/audit-policy.json"));
        arguments.push(format!("--audit-log-path={}", addresses.audit));
        // Megabytes. A log that is rotated away in the middle of a suite would look like missing writes.
        arguments.push("--audit-log-maxsize=4000".to_owned());
    }
    if !options.admission_plugins.is_empty() {
        arguments.push(format!("--enable-admission-plugins={}", options.admission_plugins.join(",")));
    }
    // Last, because the last of a repeated flag wins.
    arguments.extend(options.api_server_args.iter().cloned());
    arguments
}

pub(crate) fn controller_manager(addresses: &Addresses<'_>) -> Vec<String> {
    let folder = addresses.folder;
    vec![
        format!("--kubeconfig={folder}/controller-manager.kubeconfig"),
        format!("--service-account-private-key-file={folder}/service-account.key"),
        format!("--root-ca-file={folder}/ca.crt"),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        // Serves nothing: one port less to find.
        "--secure-port=0".to_owned(),
    ]
}

/// Bodies of all writes, the fact of all reads, and none of what Kubernetes does for itself.
fn audit_policy() -> serde_json::Value {
    let reads = json!(["get", "list", "watch"]);
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {"level": "None", "users": ["system:apiserver"]},
            {"level": "None", "nonResourceURLs": ["/healthz*", "/readyz*", "/livez*", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*", "/version"]},
            {"level": "None", "resources": [{"group": "", "resources": ["events"]}, {"group": "events.k8s.io"}, {"group": "coordination.k8s.io"}]},
            {"level": "None", "users": ["system:kube-controller-manager", STAND_IN_USER], "verbs": reads},
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": reads},
            {"level": "Metadata", "verbs": reads},
            {"level": "Request"},
        ],
    })
}
