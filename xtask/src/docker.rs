//! `cargo xtask docker`: a Docker daemon of our own, for machines that have the program and no running daemon.
//!
//! It shares nothing with a daemon of the system: its images, its state and its socket are in one folder. It changes
//! no firewall rule; published ports work through Docker's proxy.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;

const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_mins(1);
const BRIDGE: &str = "/sys/class/net/docker0";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts the daemon, or finds it running, and prints `DOCKER_HOST`: `eval "$(cargo xtask docker up)"`
    ///
    /// Needs root and dockerd (Debian: apt-get install docker.io).
    Up(Folder),
    /// Ends the daemon and its containers and removes its images and state.
    Down(Folder),
}

#[derive(Args)]
pub(crate) struct Folder {
    /// Where the daemon keeps everything [default: gateway-modules-docker in the folder for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(crate) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Up(folder) => up(&Daemon::of(folder)?),
        Command::Down(folder) => down(&Daemon::of(folder)?),
    }
}

struct Daemon {
    folder: PathBuf,
}

impl Daemon {
    fn of(folder: Folder) -> Result<Self, Error> {
        let folder = folder.folder.unwrap_or_else(|| std::env::temp_dir().join("gateway-modules-docker"));
        // Mount points are compared with it.
        let folder = std::path::absolute(&folder).map_err(Error::io("find", folder))?;
        Ok(Self { folder })
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Says that the bridge was not there before, so that it can go with the daemon.
    fn made_bridge(&self) -> PathBuf {
        self.folder.join("made-bridge")
    }

    /// The running daemon. Its command line has to name the folder: process ids are used again.
    fn process(&self) -> Option<Pid> {
        let id: i32 = fs::read_to_string(self.folder.join("pid")).ok()?.trim().parse().ok()?;
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        (line.contains("dockerd") && line.contains(self.folder.to_str()?)).then(|| Pid::from_raw(id))?
    }

    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.") && answer.contains(" 200 "))
        };
        ask().unwrap_or(false)
    }
}

fn up(daemon: &Daemon) -> Result<(), Error> {
    if daemon.process().is_some() && daemon.answers() {
        tell(daemon, "runs already");
        return Ok(());
    }
    remove(daemon)?;
    fs::create_dir_all(&daemon.folder).map_err(Error::io("make", &daemon.folder))?;
    if !Path::new(BRIDGE).exists() {
        let marker = daemon.made_bridge();
        fs::write(&marker, "").map_err(Error::io("write", marker))?;
    }
    let log_path = daemon.log();
    let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
    let mut process = Program::new(program()?)
        .arg("--data-root")
        .arg(daemon.folder.join("data"))
        .arg("--exec-root")
        .arg(daemon.folder.join("exec"))
        .arg("--pidfile")
        .arg(daemon.folder.join("pid"))
        .arg("--host")
        .arg(format!("unix://{}", daemon.socket().display()))
        .args(["--iptables=false", "--ip6tables=false", "--log-level=warn"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(Error::io("write", &log_path))?)
        .stderr(log)
        // A Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(Error::io("start", "dockerd"))?;
    let start = Instant::now();
    loop {
        if let Ok(Some(status)) = process.try_wait() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n");
            return Err(Error::Message(format!("dockerd ended ({status}); it needs root. Its last lines:\n{last}")));
        }
        if daemon.answers() {
            tell(daemon, &format!("runs after {:.1} s", start.elapsed().as_secs_f32()));
            return Ok(());
        }
        if start.elapsed() > START {
            let _ = process.kill();
            return Err(Error::Message(format!(
                "dockerd does not answer after {} s; see {}",
                START.as_secs(),
                log_path.display()
            )));
        }
        sleep(Duration::from_millis(100));
    }
}

/// The command for the shell on standard output, so that `eval` can take it.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's answer")]
fn tell(daemon: &Daemon, what: &str) {
    eprintln!("private Docker daemon {what}");
    println!("export DOCKER_HOST=unix://{}", daemon.socket().display());
}

/// Debian keeps it where only root's PATH looks.
fn program() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("dockerd"))
        .find(|program| program.is_file())
        .ok_or_else(|| Error::Message("dockerd is not installed; on Debian: apt-get install docker.io".to_owned()))
}

#[expect(clippy::print_stderr, reason = "the command's answer")]
fn down(daemon: &Daemon) -> Result<(), Error> {
    match daemon.process() {
        None => eprintln!("no private Docker daemon runs"),
        Some(process) => {
            kill_process(process, Signal::TERM)
                .map_err(|errno| Error::io("end process", process.to_string())(errno.into()))?;
            let start = Instant::now();
            while daemon.process().is_some() {
                if start.elapsed() > STOP {
                    return Err(Error::Message(format!("dockerd has not ended after {} s", STOP.as_secs())));
                }
                sleep(Duration::from_millis(100));
            }
            eprintln!("private Docker daemon has ended");
        }
    }
    remove(daemon)
}

/// Removes the folder, with what the daemon has left mounted in it, and the bridge if the daemon made it.
fn remove(daemon: &Daemon) -> Result<(), Error> {
    if !daemon.folder.exists() {
        return Ok(());
    }
    // Only what this program made may be removed.
    let ours = daemon.log().exists() || fs::read_dir(&daemon.folder).is_ok_and(|mut entries| entries.next().is_none());
    if !ours {
        return Err(Error::Message(format!(
            "{} holds something else: name an empty folder, or one of an earlier `docker up`",
            daemon.folder.display()
        )));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .rev()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| Path::new(at).starts_with(&daemon.folder));
    for at in below {
        unmount(at, UnmountFlags::DETACH).map_err(|errno| Error::io("unmount", at)(errno.into()))?;
    }
    if daemon.made_bridge().exists() && Path::new(BRIDGE).exists() {
        // Left where `ip` is missing: an unused bridge does no harm.
        let _ = Program::new("ip").args(["link", "delete", "docker0"]).stderr(Stdio::null()).status();
    }
    fs::remove_dir_all(&daemon.folder).map_err(Error::io("remove", &daemon.folder))
}
