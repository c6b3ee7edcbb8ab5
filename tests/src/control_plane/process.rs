//! Processes that end with the process that started them, however that one ends.
//!
//! Two helpers of the system's shell wait on pipes whose other ends this process holds. The kernel closes them
//! when it ends, by return, panic or SIGKILL. The *leader* then kills its process group, which all components
//! join before they run; the *janitor* removes the folder. A parent-death signal would do the first, but needs
//! unsafe code, and it does not exist outside Linux.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::Builder;

use super::binaries;
use crate::Error;

const LEADER: &str = "cat >/dev/null; kill -KILL 0";

/// Waits for the group to be gone (3 s at most: an unreaped zombie counts as there), so that nothing writes into the folder while it is removed.
const JANITOR: &str = r#"cat >/dev/null; i=0
while [ "$i" -lt 30 ] && kill -0 -- "-$1" 2>/dev/null; do i=$((i+1)); sleep 0.1; done
rm -rf -- "$2""#;

/// A group of processes with a folder; dropping it kills the processes and removes the folder.
pub(crate) struct Group {
    folder: PathBuf,
    id: i32,
    leader: Helper,
    janitor: Helper,
    members: Vec<Member>,
}

struct Helper {
    child: Child,
    /// Closing it is the signal.
    line: Option<ChildStdin>,
}

struct Member {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Group {
    /// An empty group with a new folder that only this user can read.
    pub(crate) fn new() -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let folder = Builder::new()
            .prefix("gateway-modules-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(Error::io("make a folder in", &parent))?;
        let leader = Helper::start(LEADER, &[])?;
        // Process ids fit: the kernel's own type is this one.
        let id = i32::try_from(leader.child.id()).unwrap_or(i32::MAX);
        let path = folder.path().to_string_lossy().into_owned();
        let janitor = Helper::start(JANITOR, &[&id.to_string(), &path])?;
        Ok(Self { folder: folder.keep(), id, leader, janitor, members: Vec::new() })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a component in the group; its output goes to `NAME.log` in the folder.
    pub(crate) fn spawn(&mut self, name: &'static str, mut command: Command) -> Result<(), Error> {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::io("write", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(Error::io("write", &log))?)
            .stderr(file)
            // Joined between fork and exec: there is no moment at which the component runs outside the group.
            .process_group(self.id)
            .spawn()
            .map_err(|source| Error::Spawn { program: command.get_program().to_string_lossy().into_owned(), source })?;
        self.members.push(Member { name, child, log });
        Ok(())
    }

    /// An error when a component has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        for member in &mut self.members {
            if let Ok(Some(status)) = member.child.try_wait() {
                return Err(Error::Exited {
                    component: member.name,
                    status: status.to_string(),
                    log: binaries::tail(&member.log),
                });
            }
        }
        Ok(())
    }

    /// The last lines that a component wrote.
    pub(crate) fn log(&self, name: &str) -> String {
        binaries::tail(&self.folder.join(format!("{name}.log")))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.leader.finish();
        for member in &mut self.members {
            // The leader has killed it, unless somebody has killed the leader.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
        self.janitor.finish();
    }
}

impl Helper {
    fn start(script: &str, arguments: &[&str]) -> Result<Self, Error> {
        let mut child = Command::new("sh")
            .args(["-c", script, "gateway-modules-testkit"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: a Ctrl-C in the terminal must not end it before its work.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { program: "sh".to_owned(), source })?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    fn finish(&mut self) {
        drop(self.line.take());
        let _ = self.child.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.finish();
    }
}
