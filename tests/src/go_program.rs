//! Programs that are made of Go sources, once, and kept in the cache folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use sha2::{Digest, Sha256};

use crate::{
    Error,
    control_plane::binaries::{cache_folder, tail, tell},
};

/// A program is made by this; one of tests by `go test -c`.
pub(crate) const BUILD: &[&str] = &["build"];

/// Flags of a build. The linker leaves out what debuggers read, so that the compiler need not write it either: a tenth of the time.
pub(crate) const LEAN: [&str; 2] = ["-trimpath", "-gcflags=all=-dwarf=false"];

/// What is built, and how.
pub(crate) struct GoProgram<'a> {
    /// Folder in the cache.
    pub(crate) folder: &'a str,
    /// File name.
    pub(crate) name: &'a str,
    /// As people and folders call it.
    pub(crate) version: &'a str,
    /// Go's command, `build` or `test -c`.
    pub(crate) how: &'a [&'a str],
    /// Package of the program.
    pub(crate) package: &'a str,
    /// For Go's linker.
    pub(crate) link_flags: &'a str,
    /// The system that it is to run on, as Go names it (`linux`), where that is not this machine's.
    pub(crate) system: Option<&'a str>,
    /// Files of the main module: path in its folder, and text.
    pub(crate) sources: &'a [(&'a str, &'a str)],
    /// How long a build takes, for whoever waits.
    pub(crate) takes: &'a str,
}

impl GoProgram<'_> {
    /// The executable, from the cache or built. Any number of processes may call this at once: one builds, the others wait.
    ///
    /// # Errors
    /// When there is no Go tool chain or the build fails.
    pub(crate) fn built(&self) -> Result<PathBuf, Error> {
        let Self { name, version, .. } = self;
        let system = self.system.unwrap_or(std::env::consts::OS);
        let folder = cache_folder()?.join(self.folder).join(format!(
            "{version}-{}-{system}-{}",
            fingerprint(self.sources),
            std::env::consts::ARCH
        ));
        let binary = folder.join(name);
        if binary.is_file() {
            return Ok(binary);
        }
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(Error::io("open", &lock_path))?;
        if lock.try_lock().is_err() {
            tell(&format!("another process builds {name} ({}); waiting for it", folder.display()));
            lock.lock().map_err(Error::io("lock", &lock_path))?;
        }
        // Another process may have built it while this one waited.
        if !binary.is_file() {
            self.build(&folder, &binary)?;
        }
        Ok(binary)
    }

    fn build(&self, folder: &Path, binary: &Path) -> Result<(), Error> {
        let Self { name, version, .. } = self;
        let sources = folder.join("src");
        for (file, text) in self.sources {
            let path = sources.join(file);
            let parent = path.parent().unwrap_or(&sources);
            fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        let unfinished = folder.join("unfinished");
        let log_path = folder.join("build.log");
        let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
        let takes = self.takes;
        tell(&format!("building {name} {version} from source, once; {takes} (log: {})", log_path.display()));
        let start = Instant::now();
        let mut go = Command::new("go");
        go.args(self.how)
            .args(LEAN)
            .args(["-mod=readonly", "-ldflags", self.link_flags, "-o"])
            .arg(&unfinished)
            .arg(self.package)
            .current_dir(&sources)
            // Static, so that it runs in an image without anything else; a caller's settings must not change what is built.
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-buildvcs=false")
            .env("GOWORK", "off")
            .env_remove("GOOS")
            .envs(self.system.map(|system| ("GOOS", system)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::io("write", &log_path))?)
            .stderr(log);
        let status = go.status().map_err(|source| Error::NoGo { source })?;
        if !status.success() {
            return Err(Error::GoBuild { folder: sources, log: tail(&log_path) });
        }
        fs::rename(&unfinished, binary).map_err(Error::io("write", binary))?;
        tell(&format!("built {name} in {} s: {}", start.elapsed().as_secs(), binary.display()));
        Ok(())
    }
}

/// The sources decide: an edited source must not run an old binary.
pub(crate) fn fingerprint(sources: &[(&str, &str)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in sources {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
