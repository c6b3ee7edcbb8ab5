//! Whether a lab can run on this machine: each need is tried, and what is missing is told with what would help.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::fs::statvfs;

use super::artifacts;
use crate::{control_plane::binaries, schemas_or_explain};

/// What a cold start for one gateway takes, with Go's caches.
const FREE_BYTES: u64 = 5 << 30;
/// A node, a gateway and the backends: seen to take less than two thirds of it.
const FREE_MEMORY: u64 = 3 << 30;

/// One need, and what was found.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is needed.
    pub need: &'static str,
    /// What is there, or what is missing and how to get it.
    pub found: Result<String, String>,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Ok(found) => write!(f, "ok      {}: {found}", self.need),
            Err(missing) => write!(f, "MISSING {}: {missing}", self.need),
        }
    }
}

type Try = fn() -> Result<String, String>;

const CHECKS: [(&str, Try); 8] = [
    ("root", root),
    ("control groups", control_groups),
    ("namespaces and mounts", namespaces),
    ("network devices and packet filter", network),
    ("programs", programs),
    ("definitions", definitions),
    ("disk", disk),
    ("memory", memory),
];

/// Tries everything that a lab needs. Nothing is installed, and nothing is left behind.
pub fn preflight() -> Vec<Check> {
    CHECKS.iter().map(|(need, attempt)| Check { need, found: attempt() }).collect()
}

fn root() -> Result<String, String> {
    artifacts::check_machine()
        .map(|()| "this is Linux, and this user is root".to_owned())
        .map_err(|error| error.to_string())
}

/// The kubelet makes groups at the root of the hierarchies.
fn control_groups() -> Result<String, String> {
    let base = Path::new("/sys/fs/cgroup");
    let unified = base.join("cgroup.controllers").is_file();
    let mut place = if unified { base.to_owned() } else { base.join("memory") };
    place.push(format!("gateway-modules-check-{}", std::process::id()));
    let advice = "in a container, run it with --privileged and --cgroupns=host or with /sys/fs/cgroup mounted writable";
    fs::create_dir(&place).map_err(|error| format!("cannot make {}: {error}; {advice}", place.display()))?;
    fs::remove_dir(&place).map_err(|error| format!("cannot remove {}: {error}", place.display()))?;
    Ok(format!("version {}, writable", if unified { 2 } else { 1 }))
}

/// As a lab is started.
const UNSHARE: [&str; 9] =
    ["--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc", "--"];

/// Runs a script in namespaces of its own, which go with it.
fn inside(script: &str, advice: &str) -> Result<(), String> {
    let output = Command::new("unshare")
        .args(UNSHARE)
        .args(["sh", "-ec", script])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start unshare: {error}; it is in the Debian package util-linux"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}; {advice}", said.trim().replace('\n', "; ")))
}

fn namespaces() -> Result<String, String> {
    let advice = "the kernel and, in a container, its profile must allow unshare and mount: run it with --privileged";
    // Containers are mounted by overlay.
    let script = "mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir lower upper work merged; mount --bind lower merged; \
        umount merged; mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged";
    inside(script, advice)?;
    Ok("process, mount, network, host name and message queue; bind and overlay".to_owned())
}

fn network() -> Result<String, String> {
    if !Path::new("/usr/sbin/ip").exists() || !Path::new("/usr/sbin/nft").exists() {
        return Ok("not tried: ip and nft are not there yet".to_owned());
    }
    let advice =
        "the kernel needs the modules veth, bridge and nf_tables with nat (`modprobe veth nf_tables nft_chain_nat`)";
    let script = "ip link set lo up; ip link add one type veth peer name two; nft add table ip lab; \
        nft add chain ip lab after '{ type nat hook postrouting priority 100; }'; nft add rule ip lab after masquerade; \
        echo 1 > /proc/sys/net/ipv4/ip_forward";
    inside(script, advice)?;
    Ok("veth, nftables with masquerading, forwarding".to_owned())
}

fn programs() -> Result<String, String> {
    let on_path = |name: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
    };
    let missing: Vec<&str> =
        ["go", "python3", "tar", "setpriv", "nsenter", "ldd"].into_iter().filter(|name| !on_path(name)).collect();
    if !missing.is_empty() {
        return Err(format!("no {} on the PATH", missing.join(", ")));
    }
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        return Err("python3 has no pip: it is in the Debian package python3-pip".to_owned());
    }
    let packages = artifacts::missing_packages();
    if packages.is_empty() {
        return Ok("all there".to_owned());
    }
    if on_path("apt-get") {
        return Ok(format!("`lab build` installs {} by apt-get", packages.join(", ")));
    }
    Err(format!("install what Debian calls {}; there is no apt-get here that would", packages.join(", ")))
}

fn definitions() -> Result<String, String> {
    match schemas_or_explain() {
        Ok(Some(folder)) => Ok(folder.display().to_string()),
        Ok(None) => Err("no folder of custom resource definitions (above)".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn disk() -> Result<String, String> {
    let cache = binaries::cache_folder().map_err(|error| error.to_string())?;
    let there = |folder: &PathBuf| folder.exists();
    let place = cache.ancestors().map(Path::to_owned).find(there).unwrap_or_else(|| "/".into());
    let found = statvfs(&place).map_err(|errno| format!("cannot ask for the space at {}: {errno}", place.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} GiB free at {}", free >> 30, place.display());
    // With the programs there, a lab itself takes little: images once more, and what pods write.
    let needed = if cache.join("lab").is_dir() { FREE_BYTES / 2 } else { FREE_BYTES };
    if free >= needed { Ok(text) } else { Err(format!("{text}, and {} are needed", needed >> 30)) }
}

fn memory() -> Result<String, String> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| format!("cannot read /proc/meminfo: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or("/proc/meminfo does not say what is available")?;
    let text = format!("{} MiB available", kibibytes >> 10);
    if kibibytes << 10 >= FREE_MEMORY { Ok(text) } else { Err(format!("{text}, and {} are needed", FREE_MEMORY >> 20)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_inside_is_told_with_advice() {
        // Without root the namespaces themselves fail, which is told in the same way.
        let told = inside("echo no such thing >&2; exit 1", "try another").expect_err("fails");
        assert!(told.ends_with("; try another"), "{told}");
    }

    #[test]
    fn every_need_has_an_answer() {
        let checks = preflight();
        assert_eq!(checks.len(), CHECKS.len());
        assert!(checks.iter().all(|check| check.to_string().contains(check.need)));
    }
}
