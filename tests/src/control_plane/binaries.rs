//! The programs of the control plane: those of `KUBEBUILDER_ASSETS`, or one that is built from the Go sources
//! beside this crate, once, and kept in a cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{
    Error,
    go_program::{BUILD, GoProgram},
};

/// The version of Kubernetes that the Go sources pin.
pub const KUBERNETES_VERSION: &str = "1.34.4";

/// The folder with etcd and kube-apiserver, a convention of the Kubernetes world.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Overrides the folder in which built programs are kept.
pub const CACHE_VARIABLE: &str = "GATEWAY_MODULES_CACHE";

/// The file name of the built program.
const BUILT: &str = "gw-control-plane";

/// Embedded, so that the published crate can build them too.
pub(crate) const SOURCES: [(&str, &str); 4] = [
    ("go.mod", include_str!("../../control-plane/go.mod")),
    ("go.sum", include_str!("../../control-plane/go.sum")),
    ("main.go", include_str!("../../control-plane/main.go")),
    ("together.go", include_str!("../../control-plane/together.go")),
];

/// One component: an executable, and the argument that makes it this component where it can be several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    component: Option<&'static str>,
}

impl Program {
    /// The executable.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs the component; arguments follow.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.component);
        command
    }
}

/// The programs of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The store.
    pub etcd: Program,
    /// The API server.
    pub kube_apiserver: Program,
    /// The controllers; absent in many `KUBEBUILDER_ASSETS`.
    pub kube_controller_manager: Option<Program>,
}

/// Finds the programs: in the folder that `KUBEBUILDER_ASSETS` names, else in the cache, else by building them.
///
/// Building takes several minutes the first time and needs Go; this blocks, and tells on standard error.
///
/// # Errors
/// When a program is missing, or cannot be built.
pub fn find() -> Result<Binaries, Error> {
    match std::env::var_os(ASSETS_VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => in_folder(Path::new(&folder)),
        None => Ok(of_one(&build()?)),
    }
}

fn in_folder(folder: &Path) -> Result<Binaries, Error> {
    let find = |name: &'static str| {
        let path = folder.join(name);
        path.is_file().then_some(Program { path, component: None })
    };
    let need = |name| find(name).ok_or(Error::MissingBinary { name, folder: folder.to_owned(), hint: "" });
    Ok(Binaries {
        etcd: need("etcd")?,
        kube_apiserver: need("kube-apiserver")?,
        kube_controller_manager: find("kube-controller-manager"),
    })
}

fn of_one(path: &Path) -> Binaries {
    let program = |component| Program { path: path.to_owned(), component: Some(component) };
    Binaries {
        etcd: program("etcd"),
        kube_apiserver: program("kube-apiserver"),
        kube_controller_manager: Some(program("kube-controller-manager")),
    }
}

/// The folder for what is expensive to make: `GATEWAY_MODULES_CACHE`, else `gateway-modules` in the user's cache folder.
///
/// # Errors
/// When neither that variable nor `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache_folder() -> Result<PathBuf, Error> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable(CACHE_VARIABLE)
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("gateway-modules")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/gateway-modules")))
        .ok_or(Error::NoCacheFolder)
}

/// Builds the control plane from the embedded Go sources, or finds it in the cache; gives the executable.
///
/// Any number of processes may call this at once: one builds, the others wait. It blocks.
///
/// # Errors
/// When there is no Go tool chain or the build fails.
pub fn build() -> Result<PathBuf, Error> {
    build_for(None)
}

/// The same for Linux, whatever this machine runs: containers need it.
///
/// # Errors
/// As [`build`].
pub fn build_for_linux() -> Result<PathBuf, Error> {
    build_for((std::env::consts::OS != "linux").then_some("linux"))
}

fn build_for(system: Option<&str>) -> Result<PathBuf, Error> {
    let mut parts = KUBERNETES_VERSION.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // Without these flags the server calls itself v0.0.0, and clients that look at versions go wrong.
    let version = "-X k8s.io/component-base/version";
    let link_flags = format!(
        "-s -w {version}.gitVersion=v{KUBERNETES_VERSION} {version}.gitMajor={major} {version}.gitMinor={minor}"
    );
    let program = GoProgram {
        folder: "control-plane",
        name: BUILT,
        version: KUBERNETES_VERSION,
        how: BUILD,
        package: ".",
        link_flags: &link_flags,
        system,
        sources: &SOURCES,
        takes: "about ten minutes on two cores",
    };
    program.built()
}

/// Progress goes to standard error: minutes of silence in a test look like a hang.
#[expect(clippy::print_stderr, reason = "progress of a long build, for a person")]
pub(crate) fn tell(message: &str) {
    eprintln!("gateway-modules-testkit: {message}");
}

/// The last lines of a log file, for error messages.
pub(crate) fn tail(path: &Path) -> String {
    last_lines(&fs::read(path).unwrap_or_default())
}

/// The last lines of a log, for error messages.
pub(crate) fn last_lines(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
