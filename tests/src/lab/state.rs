//! What a lab is known by: a folder, a lock that tells whether it runs, and its control groups.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, control_plane::binaries};

const STOP: Duration = Duration::from_secs(30);

/// One lab, running or not.
#[derive(Clone, Debug)]
pub struct State {
    name: String,
    folder: PathBuf,
}

impl State {
    /// The lab of a name: lower-case letters, digits and dashes.
    ///
    /// # Errors
    /// When the name does not fit or there is no cache folder.
    pub fn of(name: &str) -> Result<Self, Error> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(fits) {
            return Err(Error::Lab("a lab's name is 1 to 40 lower-case letters, digits and dashes".to_owned()));
        }
        Ok(Self { name: name.to_owned(), folder: Self::folder_of_all()?.join(name) })
    }

    /// All that run or have left something.
    ///
    /// # Errors
    /// When there is no cache folder.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all: Vec<Self> = fs::read_dir(Self::folder_of_all()?)
            .into_iter()
            .flatten()
            .filter_map(|entry| Self::of(entry.ok()?.file_name().to_str()?).ok())
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    fn folder_of_all() -> Result<PathBuf, Error> {
        Ok(binaries::cache_folder()?.join("lab/running"))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything that the lab writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A kubeconfig with all rights; its address is in the lab's network.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Where containerd listens.
    pub(super) fn container_runtime(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// The log of the process that holds the lab.
    pub fn log(&self) -> PathBuf {
        self.folder.join("lab.log")
    }

    /// Written when the lab is ready.
    pub fn ready(&self) -> PathBuf {
        self.folder.join("ready")
    }

    pub(super) fn open_lock(&self) -> Result<File, Error> {
        let path = self.folder.join("lock");
        File::options().create(true).append(true).open(&path).map_err(Error::io("open", path))
    }

    /// Where the number of the outer process is, as this machine counts.
    pub fn process_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// The process outside of the namespaces on which all others depend, while the lab runs.
    ///
    /// # Errors
    /// When the lock cannot be opened.
    pub fn holder(&self) -> Result<Option<Pid>, Error> {
        // The process number alone may be somebody else's by now.
        if !self.folder.exists() || self.open_lock()?.try_lock().is_ok() {
            return Ok(None);
        }
        let text = fs::read_to_string(self.process_file()).unwrap_or_default();
        Ok(text.trim().parse().ok().and_then(Pid::from_raw))
    }

    /// Whether this is what a lab has left that was killed; one that is about to start is not.
    ///
    /// # Errors
    /// When the lock cannot be opened.
    pub fn is_left_over(&self) -> Result<bool, Error> {
        let text = fs::read_to_string(self.process_file()).unwrap_or_default();
        let process: Option<u32> = text.trim().parse().ok();
        let gone = process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists());
        Ok(gone && self.holder()?.is_none())
    }

    /// The first process inside of the namespaces.
    ///
    /// # Errors
    /// When the lock cannot be opened.
    pub fn inside(&self) -> Result<Option<i32>, Error> {
        let Some(holder) = self.holder()? else { return Ok(None) };
        let holder = holder.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children")).unwrap_or_default();
        Ok(children.split_whitespace().next().and_then(|child| child.parse().ok()))
    }

    /// Ends the lab if it runs, and removes what is left of it.
    ///
    /// # Errors
    /// When it does not end, or its files cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        if let Some(holder) = self.holder()? {
            let failed = Error::io("end process", holder.to_string());
            kill_process(holder, Signal::KILL).map_err(|errno| failed(errno.into()))?;
        }
        let start = Instant::now();
        while self.folder.exists() && self.open_lock()?.try_lock().is_err() {
            if start.elapsed() > STOP {
                return Err(Error::Lab(format!("lab `{}` has not ended after {} s", self.name, STOP.as_secs())));
            }
            sleep(Duration::from_millis(50));
        }
        self.remove_control_groups();
        if self.folder.exists() {
            // The last files of killed processes may still be on their way out.
            let mut result = fs::remove_dir_all(&self.folder);
            while result.is_err() && start.elapsed() < STOP {
                sleep(Duration::from_millis(200));
                result = fs::remove_dir_all(&self.folder);
            }
            result.map_err(Error::io("remove", &self.folder))?;
        }
        Ok(())
    }

    /// The parent of all control groups of the lab's pods.
    pub(super) fn control_group(&self) -> String {
        format!("gateway-modules-lab-{}", self.name)
    }

    fn remove_control_groups(&self) {
        // Version 2 has one hierarchy, version 1 one for each controller.
        let folders = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in folders.chain([PathBuf::from("/sys/fs/cgroup")]) {
            remove_groups(&hierarchy.join(self.control_group()));
        }
    }
}

/// A control group goes by `rmdir`, the innermost first.
fn remove_groups(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn a_name_becomes_a_folder_and_a_control_group() {
        for name in ["default", "a-1", &"x".repeat(40)] {
            assert!(State::of(name).is_ok(), "{name}");
        }
        for name in ["", "../up", "Two", "a/b", "a b", &"x".repeat(41)] {
            assert!(State::of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_lab_that_never_was_does_not_run_and_goes_without_complaint() {
        let state = State::of("never-was").expect("name");
        assert!(state.holder().expect("asked").is_none());
        assert!(state.inside().expect("asked").is_none());
        state.remove().expect("nothing to remove");
        assert!(!state.folder().exists());
    }
}
