//! The control plane in one container: the same binary, in an image that holds nothing else.
//!
//! The container runs for as long as this process holds a connection to it, and Docker removes it when it ends
//! (`--rm`), so that a killed test leaves nothing here either. Ports are published on 127.0.0.1 only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::core::{BuildImageOptions, IntoContainerPort};
use testcontainers::runners::{AsyncBuilder, AsyncRunner};
use testcontainers::{ContainerAsync, GenericBuildableImage, GenericImage, ImageExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::binaries;
use super::files::{self, Addresses};
use super::kubeconfig::{self, Access};
use super::options::Options;
use super::pki::Authority;
use super::ready::Waiting;
use crate::{Error, go_program};

const IMAGE: &str = "gateway-modules-control-plane";
const DOCKERFILE: &str = r#"FROM scratch
WORKDIR /tmp
WORKDIR /state
COPY gw-control-plane /gw-control-plane
ENTRYPOINT ["/gw-control-plane"]
"#;
const FOLDER: &str = "/state";
const API_PORT: u16 = 6443;
const HOLD_PORT: u16 = 7000;

pub(crate) struct Container {
    container: ContainerAsync<GenericImage>,
    /// The container ends when this closes.
    _hold: TcpStream,
}

impl Container {
    pub(crate) async fn start(options: &Options) -> Result<(Self, Access), Error> {
        let image = image().await?;
        let authority = Authority::new()?;
        let addresses = Addresses {
            folder: FOLDER,
            etcd: [2379, 2380],
            bind: "0.0.0.0",
            port: API_PORT,
            // All else goes to standard error.
            audit: "-",
        };
        let mut request = image
            // Docker publishes only what is exposed too.
            .with_exposed_port(API_PORT.tcp())
            .with_exposed_port(HOLD_PORT.tcp())
            .with_cmd(["together", &format!("0.0.0.0:{HOLD_PORT}"), &format!("{FOLDER}/commands.json")])
            .with_host_config_modifier(publish)
            .with_startup_timeout(options.timeout)
            .with_copy_to(format!("{FOLDER}/commands.json"), commands(&addresses, options).into_bytes());
        for (name, text) in files::write(&authority, API_PORT)? {
            request = request.with_copy_to(format!("{FOLDER}/{name}"), text.into_bytes());
        }
        let container = request.start().await.map_err(docker("start the container of the control plane"))?;
        let port = published(&container, API_PORT).await?;
        let hold = hold(published(&container, HOLD_PORT).await?, options.timeout).await?;
        let access = Access::new(authority, format!("https://127.0.0.1:{port}"));
        let started = Self { container, _hold: hold };
        started.wait(&access, options).await?;
        Ok((started, access))
    }

    async fn wait(&self, access: &Access, options: &Options) -> Result<(), Error> {
        let client = kubeconfig::client(access.admin()?).await?;
        let waiting = Waiting::new(options.timeout);
        let mut result = waiting.api_server(&client, || Ok(())).await;
        if result.is_ok() && options.controller_manager {
            result = waiting.controllers(&client, || Ok(())).await;
        }
        match result {
            Err(Error::NotReady { waiting_for, seconds, last, .. }) => {
                let log = self.container.stderr_to_vec().await.unwrap_or_default();
                Err(Error::NotReady { waiting_for, seconds, last, log: binaries::last_lines(&log) })
            }
            result => result,
        }
    }

    pub(crate) async fn audit_text(&self) -> Result<Vec<u8>, Error> {
        self.container.stdout_to_vec().await.map_err(docker("read the audit log of the container"))
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        // Before the connection closes: a container that is being removed cannot be removed.
        self.container.rm().await.map_err(docker("remove the container of the control plane"))
    }
}

/// Built once for each version of the sources; the daemon keeps it.
async fn image() -> Result<GenericImage, Error> {
    let binary = tokio::task::spawn_blocking(binaries::build_for_linux).await??;
    let tag = format!("{}-{}", binaries::KUBERNETES_VERSION, go_program::fingerprint(&binaries::SOURCES));
    GenericBuildableImage::new(IMAGE, tag)
        .with_dockerfile_string(DOCKERFILE)
        .with_file(binary, "gw-control-plane")
        .build_image_with(BuildImageOptions::new().with_skip_if_exists(true))
        .await
        .map_err(docker("build the image of the control plane"))
}

fn commands(addresses: &Addresses<'_>, options: &Options) -> String {
    let mut commands =
        vec![("etcd", files::etcd(addresses)), ("kube-apiserver", files::api_server(addresses, options))];
    if options.controller_manager {
        commands.push(("kube-controller-manager", files::controller_manager(addresses)));
    }
    let commands: Vec<Vec<String>> =
        commands.into_iter().map(|(name, arguments)| [vec![name.to_owned()], arguments].concat()).collect();
    serde_json::json!(commands).to_string()
}

/// testcontainers publishes on all addresses; tests stay on this machine.
fn publish(config: &mut HostConfig) {
    let binding = |port: u16| {
        let loopback = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some("0".to_owned()) };
        (format!("{port}/tcp"), Some(vec![loopback]))
    };
    config.publish_all_ports = Some(false);
    config.port_bindings = Some(HashMap::from([binding(API_PORT), binding(HOLD_PORT)]));
    config.auto_remove = Some(true);
}

async fn published(container: &ContainerAsync<GenericImage>, port: u16) -> Result<u16, Error> {
    container.get_host_port_ipv4(port.tcp()).await.map_err(docker("find the published port of the container"))
}

/// Docker's proxy accepts before the process in the container does, so that a connection counts once it has answered.
async fn hold(port: u16, timeout: Duration) -> Result<TcpStream, Error> {
    let attempt = async || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"h").await?;
        stream.read_u8().await?;
        Ok::<_, std::io::Error>(stream)
    };
    let start = Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_secs(5), attempt()).await {
            Ok(Ok(stream)) => return Ok(stream),
            _ if start.elapsed() < timeout => tokio::time::sleep(Duration::from_millis(50)).await,
            Ok(Err(error)) => {
                return Err(Error::Docker { action: "connect to the container", reason: error.to_string() });
            }
            Err(_) => {
                return Err(Error::Docker { action: "connect to the container", reason: "no answer".to_owned() });
            }
        }
    }
}

fn docker(action: &'static str) -> impl FnOnce(testcontainers::TestcontainersError) -> Error {
    move |error| {
        // The outermost message alone hides what Docker said.
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Error::Docker { action, reason }
    }
}
