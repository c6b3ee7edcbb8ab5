//! The control plane as processes of this machine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use std::io::Write;

use kube::Client;

use super::binaries::{self, Binaries, Program};
use super::files::{self, Addresses};
use super::kubeconfig::{self, Access};
use super::options::Options;
use super::pki::Authority;
use super::process::Group;
use super::ready::Waiting;
use crate::Error;

/// Free ports can be taken by others between being found and being used.
const ATTEMPTS: usize = 4;

pub(crate) struct Local {
    group: Group,
    audit: PathBuf,
}

impl Local {
    pub(crate) async fn start(options: &Options) -> Result<(Self, Access), Error> {
        let binaries = tokio::task::spawn_blocking(binaries::find).await??;
        let mut attempt = 1;
        loop {
            match Self::attempt(&binaries, options).await {
                Err(Error::Exited { log, .. }) if attempt < ATTEMPTS && log.contains("address already in use") => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt(binaries: &Binaries, options: &Options) -> Result<(Self, Access), Error> {
        let controller_manager = if options.controller_manager { Some(controller_manager(binaries)?) } else { None };
        let mut group = Group::new()?;
        let [etcd_client, etcd_peer, port] = free_ports()?;
        let authority = Authority::new()?;
        let folder = group.folder().to_owned();
        for (name, text) in files::write(&authority, port)? {
            write_private(&folder.join(name), &text)?;
        }
        let access = Access::new(authority, format!("https://127.0.0.1:{port}"));
        let audit = folder.join("audit.log");
        let folder_text = folder.to_string_lossy();
        let audit_text = audit.to_string_lossy();
        let addresses = Addresses {
            folder: &folder_text,
            etcd: [etcd_client, etcd_peer],
            bind: "127.0.0.1",
            port,
            audit: &audit_text,
        };
        spawn(&mut group, "etcd", &binaries.etcd, files::etcd(&addresses))?;
        spawn(&mut group, "kube-apiserver", &binaries.kube_apiserver, files::api_server(&addresses, options))?;
        let client = kubeconfig::client(access.admin()?).await?;
        wait(&mut group, &client, controller_manager, &addresses, options).await?;
        Ok((Self { group, audit }, access))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.group.folder()
    }

    pub(crate) fn audit_text(&self) -> Result<Vec<u8>, Error> {
        match fs::read(&self.audit) {
            Ok(text) => Ok(text),
            // Written with the first event.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("read", &self.audit)(error)),
        }
    }
}

fn controller_manager(binaries: &Binaries) -> Result<&Program, Error> {
    binaries.kube_controller_manager.as_ref().ok_or_else(|| Error::MissingBinary {
        name: "kube-controller-manager",
        folder: binaries.etcd.path().parent().unwrap_or(Path::new(".")).to_owned(),
        hint: ", or start without it: Options::controller_manager(false)",
    })
}

async fn wait(
    group: &mut Group,
    client: &Client,
    controller_manager: Option<&Program>,
    addresses: &Addresses<'_>,
    options: &Options,
) -> Result<(), Error> {
    let waiting = Waiting::new(options.timeout);
    let result = waiting.api_server(client, || group.check()).await;
    with_log(result, group, "kube-apiserver")?;
    let Some(program) = controller_manager else { return Ok(()) };
    spawn(group, "kube-controller-manager", program, files::controller_manager(addresses))?;
    let result = waiting.controllers(client, || group.check()).await;
    with_log(result, group, "kube-controller-manager")
}

fn with_log(result: Result<(), Error>, group: &Group, component: &str) -> Result<(), Error> {
    result.map_err(|error| match error {
        Error::NotReady { waiting_for, seconds, last, .. } => {
            Error::NotReady { waiting_for, seconds, last, log: group.log(component) }
        }
        other => other,
    })
}

fn spawn(group: &mut Group, name: &'static str, program: &Program, arguments: Vec<String>) -> Result<(), Error> {
    let mut command = program.command();
    command.args(arguments).current_dir(group.folder());
    group.spawn(name, command)
}

/// All are held until all are found, so that they differ.
fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    let find = || {
        let listeners: Vec<TcpListener> =
            (0..N).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
        let mut ports = [0; N];
        for (port, listener) in ports.iter_mut().zip(&listeners) {
            *port = listener.local_addr()?.port();
        }
        Ok(ports)
    };
    find().map_err(Error::io("find a free port on", "127.0.0.1"))
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::io("write", path))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", path))
}
