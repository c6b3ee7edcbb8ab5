//! Test programs as cargo builds them, to be run without cargo: while they run, nothing that another cargo does can reach them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gateway_modules_testkit::cargo;
use serde_json::Value;

use crate::error::Error;

/// A test program.
pub(crate) struct TestProgram {
    /// The package that it tests.
    package: String,
    /// `--lib`, `--bin NAME` or `--test NAME`.
    target: String,
    executable: PathBuf,
    /// Where cargo runs it: the package's folder.
    folder: PathBuf,
}

impl TestProgram {
    /// What runs it alone.
    pub(crate) fn told(&self) -> String {
        format!("cargo test -p {} {}", self.package, self.target)
    }

    /// Whether it is the suite of this name, in whichever package.
    pub(crate) fn is_suite(&self, name: &str) -> bool {
        self.target.strip_prefix("--test ") == Some(name)
    }

    /// To run it as cargo would.
    pub(crate) fn command(&self) -> Command {
        self.place(Command::new(&self.executable))
    }

    /// As [`command`](Self::command), on what other programs leave of the processors, where the system has that.
    pub(crate) fn yielding(&self) -> Command {
        if !cfg!(unix) {
            return self.command();
        }
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(&self.executable);
        self.place(command)
    }

    fn place(&self, mut command: Command) -> Command {
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// Builds the programs that `cargo test` would run with these words.
pub(crate) fn build(words: &[&str]) -> Result<Vec<TestProgram>, Error> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(words);
    let output = command.stderr(Stdio::inherit()).output().map_err(Error::io("start", "cargo"))?;
    if !output.status.success() {
        return Err(Error::Message(format!("the tests could not be built ({})", output.status)));
    }
    let programs: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(program).collect();
    if programs.is_empty() {
        return Err(Error::Message(format!("cargo has built no test program of {}", words.join(" "))));
    }
    Ok(programs)
}

/// The test program that a message of cargo is about.
fn program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // `path+file:///…/core#gateway-modules-core@0.1.0`, or `path+file:///…/xtask#0.1.0` where the folder has the name.
    let (place, identity) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package = match identity.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next()?,
    };
    let name = message["target"]["name"].as_str()?;
    let target = match message["target"]["kind"][0].as_str()? {
        "test" => format!("--test {name}"),
        "bin" => format!("--bin {name}"),
        _ => "--lib".to_owned(),
    };
    Some(TestProgram { package: package.to_owned(), target, executable, folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(package: &str, kind: &str, test: bool) -> String {
        json!({
            "reason": "compiler-artifact", "package_id": package, "manifest_path": "/work/core/Cargo.toml",
            "target": {"kind": [kind], "name": "load"}, "profile": {"test": test}, "executable": "/target/load-1",
        })
        .to_string()
    }

    #[test]
    fn a_test_program_is_known_by_what_runs_it_alone() {
        let named = |package: &str, kind: &str| program(&message(package, kind, true)).map(|program| program.told());
        let core = "path+file:///work/core#gateway-modules-core@0.1.0";
        assert_eq!(named(core, "test").as_deref(), Some("cargo test -p gateway-modules-core --test load"));
        assert_eq!(named("path+file:///work/xtask#0.1.0", "bin").as_deref(), Some("cargo test -p xtask --bin load"));
        assert_eq!(named(core, "lib").as_deref(), Some("cargo test -p gateway-modules-core --lib"));
        assert!(program(&message(core, "lib", false)).is_none());
        assert!(program("no message").is_none());
    }
}
