//! The process that holds a lab, and everything that it starts: control plane, container runtime, node agents.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use kube::Client;
use rustix::{
    mount::mount_bind,
    process::{Pid, WaitOptions, wait},
};
use serde_json::{Value, json};

use super::{
    CLIENT_ADDRESSES, NODE_ADDRESS, State,
    artifacts::{self, Artifacts, COREDNS_IMAGE},
    balancer, manifests,
};
use crate::{
    Error, Options,
    control_plane::{
        binaries::tail,
        files::{self, Addresses},
        kubeconfig::{self, Access, MASTERS},
        local::write_private,
        pki::Authority,
    },
};

const START: Duration = Duration::from_secs(90);
const NODE: &str = "node";
/// The API server's certificate names the first address of this range.
const CLUSTER_DNS: &str = "10.0.0.53";
/// Where clients are, as `ip netns` names it.
pub(super) const CLIENT_NETWORK: &str = "clients";
const POD_RANGE: &str = "10.244.0.0/24";
const API_PORT: u16 = 6443;

/// Starts a lab and holds it until this process is killed or a component ends.
///
/// To be called in new process, mount and network namespaces (`unshare --pid --mount --net --fork --kill-child
/// --mount-proc`), as their first process: it says no farewell to anything, since the kernel ends all the rest with it.
///
/// # Errors
/// When the lab does not start, or a component ends.
pub fn hold(state: &State, artifacts: &Artifacts) -> Result<(), Error> {
    if std::process::id() != 1 {
        return Err(Error::Lab("a lab is held by the first process of its namespaces".to_owned()));
    }
    let lock = state.open_lock()?;
    lock.try_lock().map_err(|_| Error::Lab(format!("lab `{}` runs already", state.name())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::io("start", "a runtime"))?;
    let mut node = Node { folder: state.folder(), components: Vec::new() };
    let start = Instant::now();
    private_folders(state.folder())?;
    network()?;
    let client = runtime.block_on(node.start(state, artifacts))?;
    runtime.spawn(balancer::run(client));
    let seconds = start.elapsed().as_secs_f32();
    fs::write(state.ready(), format!("{seconds:.1}")).map_err(Error::io("write", state.ready()))?;
    node.watch()
}

/// Folders of the system that node programs write to: this lab's own ones are laid over them.
fn private_folders(folder: &Path) -> Result<(), Error> {
    for target in ["/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"] {
        let own = folder.join("system").join(target.trim_start_matches('/'));
        fs::create_dir_all(&own).map_err(Error::io("make", &own))?;
        fs::create_dir_all(target).map_err(Error::io("make", target))?;
        mount_bind(&own, target).map_err(|errno| Error::io("mount over", target)(errno.into()))?;
    }
    Ok(())
}

/// The node's interface leads to a network of clients, which is all that the lab has of a world outside. A client on the
/// node itself would not do: kube-proxy hides the addresses of those.
fn network() -> Result<(), Error> {
    let ip = |arguments: &str| {
        let mut command = Command::new("ip");
        command.args(arguments.split_whitespace());
        artifacts::run(command, "set up the lab's network")
    };
    ip(&format!("netns add {CLIENT_NETWORK}"))?;
    ip("link set lo up")?;
    ip(&format!("link add node0 type veth peer name client0 netns {CLIENT_NETWORK}"))?;
    ip(&format!("address add {NODE_ADDRESS}/24 dev node0"))?;
    ip("link set node0 up")?;
    let client = |arguments: &str| ip(&format!("-n {CLIENT_NETWORK} {arguments}"));
    client("link set lo up")?;
    client("address add 192.0.2.1/24 dev client0")?;
    for address in CLIENT_ADDRESSES {
        client(&format!("address add {address}/32 dev client0"))?;
    }
    client("link set client0 up")?;
    client(&format!("route replace default via {NODE_ADDRESS} dev client0"))?;
    ip("route replace default via 192.0.2.1 dev node0")?;
    let forward = "/proc/sys/net/ipv4/ip_forward";
    fs::write(forward, "1").map_err(Error::io("write", forward))
}

struct Node<'a> {
    folder: &'a Path,
    components: Vec<(Pid, &'static str)>,
}

impl Node<'_> {
    async fn start(&mut self, state: &State, artifacts: &Artifacts) -> Result<Client, Error> {
        let authority = Authority::new()?;
        self.write_files(&authority, state)?;
        let access = Access::new(authority, format!("https://{NODE_ADDRESS}:{API_PORT}"));
        let kubeconfig = access.admin()?;
        let text = serde_json::to_string_pretty(&kubeconfig).map_err(|error| Error::Lab(error.to_string()))?;
        write_private(&state.kubeconfig(), &text)?;

        let folder = self.folder.to_string_lossy().into_owned();
        let addresses = Addresses { folder: &folder, etcd: [2379, 2380], bind: "0.0.0.0", port: API_PORT, audit: "-" };
        let kubernetes = |component: &str, arguments: Vec<String>| {
            let mut command = Command::new(&artifacts.node);
            command.arg(component).args(arguments);
            command
        };
        self.spawn("containerd", {
            let mut command = Command::new("containerd");
            command.arg("--config").arg(self.folder.join("containerd.toml"));
            command
        })?;
        self.spawn("etcd", kubernetes("etcd", files::etcd(&addresses)))?;
        self.spawn(
            "kube-apiserver",
            kubernetes("kube-apiserver", files::api_server(&addresses, &api_server_options(&folder))),
        )?;
        self.import(state, &artifacts.images)?;

        let client = kubeconfig::client(kubeconfig).await?;
        let start = Instant::now();
        while client.request_text(ready_request()?).await.is_err() {
            self.check(start, "the API server")?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let own = format!("--kubeconfig={}", state.kubeconfig().display());
        let list = |arguments: &[&str]| arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>();
        self.spawn(
            "kube-controller-manager",
            kubernetes("kube-controller-manager", files::controller_manager(&addresses)),
        )?;
        self.spawn("kube-scheduler", kubernetes("kube-scheduler", list(&[&own, "--leader-elect=false"])))?;
        let kubelet = list(&[
            &own,
            &format!("--config={folder}/kubelet.json"),
            &format!("--root-dir={folder}/kubelet"),
            &format!("--node-ip={NODE_ADDRESS}"),
            &format!("--hostname-override={NODE}"),
        ]);
        self.spawn("kubelet", kubernetes("kubelet", kubelet))?;
        let proxy = list(&[
            &own,
            "--proxy-mode=nftables",
            "--cluster-cidr=10.244.0.0/16",
            &format!("--hostname-override={NODE}"),
            // It may not write these settings of the kernel.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ]);
        self.spawn("kube-proxy", kubernetes("kube-proxy", proxy))?;
        manifests::apply(&client, &coredns()).await?;
        let start = Instant::now();
        while !coredns_ready(&client).await {
            self.check(start, "the node and its name server")?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(client)
    }

    fn write_files(&self, authority: &Authority, state: &State) -> Result<(), Error> {
        let folder = self.folder.to_string_lossy();
        for (name, text) in files::write(authority, API_PORT)? {
            write_private(&self.folder.join(name), &text)?;
        }
        // With it the API server reads logs.
        let client = authority.user("kube-apiserver", Some(MASTERS))?;
        write_private(&self.folder.join("kubelet-client.crt"), &client.certificate)?;
        write_private(&self.folder.join("kubelet-client.key"), &client.key)?;
        write_private(&self.folder.join("containerd.toml"), &containerd(&folder))?;
        write_private(&self.folder.join("kubelet.json"), &kubelet(&folder, &state.control_group()).to_string())?;
        let network = self.folder.join("network");
        fs::create_dir_all(&network).map_err(Error::io("make", &network))?;
        write_private(&network.join("10-lab.conflist"), &pod_network(&folder).to_string())
    }

    fn import(&self, state: &State, images: &[std::path::PathBuf]) -> Result<(), Error> {
        let socket = state.container_runtime();
        let start = Instant::now();
        while !socket.exists() {
            self.check(start, "containerd")?;
            sleep(Duration::from_millis(50));
        }
        artifacts::import(&socket, images)
    }

    fn spawn(&mut self, name: &'static str, mut command: Command) -> Result<(), Error> {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::io("write", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(Error::io("write", &log))?)
            .stderr(file)
            .current_dir(self.folder)
            .spawn()
            .map_err(|source| Error::Spawn { program: command.get_program().to_string_lossy().into_owned(), source })?;
        if let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            self.components.push((process, name));
        }
        Ok(())
    }

    fn check(&self, start: Instant, waiting_for: &'static str) -> Result<(), Error> {
        for (process, name) in &self.components {
            let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                return Err(self.ended(name));
            }
        }
        if start.elapsed() > START {
            let logs: Vec<String> = self
                .components
                .iter()
                .map(|(_, name)| format!("--- {name}\n{}", tail(&self.folder.join(format!("{name}.log")))))
                .collect();
            let seconds = START.as_secs();
            return Err(Error::Lab(format!("still waiting for {waiting_for} after {seconds} s\n{}", logs.join("\n"))));
        }
        Ok(())
    }

    fn ended(&self, name: &str) -> Error {
        let log = tail(&self.folder.join(format!("{name}.log")));
        Error::Lab(format!("{name} ended; its last lines:\n{log}"))
    }

    /// Buries the processes that have lost their parents, which the first process of a namespace must, until a
    /// component is among the dead.
    fn watch(&self) -> Result<(), Error> {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((process, _))) => {
                    if let Some((_, name)) = self.components.iter().find(|(own, _)| *own == process) {
                        return Err(self.ended(name));
                    }
                }
                _ => sleep(Duration::from_millis(200)),
            }
        }
    }
}

fn ready_request() -> Result<http::Request<Vec<u8>>, Error> {
    http::Request::get("/readyz").body(Vec::new()).map_err(|error| Error::Lab(error.to_string()))
}

fn api_server_options(folder: &str) -> Options {
    Options::default()
        .audit(false)
        .api_server_arg(format!("--advertise-address={NODE_ADDRESS}"))
        // Pods reach the API server by the Service that this keeps.
        .api_server_arg("--endpoint-reconciler-type=lease")
        .api_server_arg(format!("--kubelet-client-certificate={folder}/kubelet-client.crt"))
        .api_server_arg(format!("--kubelet-client-key={folder}/kubelet-client.key"))
        .api_server_arg("--kubelet-preferred-address-types=InternalIP")
}

fn containerd(folder: &str) -> String {
    format!(
        r#"version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/network"
"#,
        image = artifacts::PAUSE_IMAGE,
    )
}

fn kubelet(folder: &str, control_group: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": false}, "x509": {"clientCAFile": format!("{folder}/ca.crt")}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        // Labs run side by side: each keeps to its own group, and none divides the machine's resources.
        "cgroupRoot": format!("/{control_group}"),
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{folder}/containerd.sock"),
        "failSwapOn": false,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        // Gateways and routes come and go quickly here.
        "nodeStatusReportFrequency": "10s",
        "syncFrequency": "10s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "resolvConf": "/dev/null",
        "registerNode": true,
    })
}

/// One routed pair of interfaces per pod: with a bridge, replies would pass by the translation of addresses.
fn pod_network(folder: &str) -> Value {
    json!({"cniVersion": "1.0.0", "name": "lab", "plugins": [{
        "type": "ptp",
        "ipMasq": false,
        "ipam": {
            "type": "host-local",
            "dataDir": format!("{folder}/addresses"),
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }]})
}

fn coredns() -> String {
    include_str!("coredns.yaml").replace("IMAGE", COREDNS_IMAGE).replace("ADDRESS", CLUSTER_DNS)
}

async fn coredns_ready(client: &Client) -> bool {
    let api = manifests::api(client, "apps/v1", "Deployment", Some("kube-system"));
    let found = api.get("coredns").await;
    found.is_ok_and(|found| found.data.pointer("/status/readyReplicas").and_then(Value::as_u64) == Some(1))
}
