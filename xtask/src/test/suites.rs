//! All test programs of the workspace, several at a time: cargo runs them one after the other, and most of the long ones wait
//! for a control plane. What a program prints is shown when it has ended, so that nothing is mixed.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::{cargo, program, tell};
use crate::error::Error;

/// The package whose suites take longest: they begin first, so that none of them is left alone at the end.
const LONGEST: &str = "gwm";

/// A test program.
struct Suite {
    package: String,
    /// `--lib`, `--bin NAME` or `--test NAME`.
    target: String,
    executable: PathBuf,
    /// Where cargo runs it: the package's folder.
    folder: PathBuf,
}

impl Suite {
    fn command(&self) -> String {
        format!("cargo test -p {} {}", self.package, self.target)
    }
}

/// Builds and runs all of them, and the examples in the documentation, and names all that fail.
pub(super) fn run(jobs: Option<usize>) -> Result<(), Error> {
    let all = build()?;
    let count = all.len();
    if count == 0 {
        return Err(Error::Message("cargo has built no test program".to_owned()));
    }
    // Here, where its progress is seen. A suite that does without says so itself.
    if let Err(error) = gateway_modules_testkit::binaries::find() {
        tell(&format!("there will be no control plane: {error}"));
    }
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let waiting = Mutex::new(VecDeque::from(all));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(suite) = next else { return };
                    if !passes(&suite) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(suite.command());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        return Err(Error::Message(format!("{} of {count} failed; alone: {}", failed.len(), failed.join("; "))));
    }
    cargo(&["test", "--workspace", "--doc"], &[])
}

fn build() -> Result<Vec<Suite>, Error> {
    let words = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    tell(&format!("cargo {}", words.join(" ")));
    let output = program().args(words).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Error::Message(format!("cargo could not be started: {error}")))?;
    if !output.status.success() {
        return Err(Error::Message(format!("the tests could not be built ({})", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut suites: Vec<Suite> = text.lines().filter_map(suite).collect();
    suites.sort_by_key(|suite| suite.package != LONGEST);
    Ok(suites)
}

/// The test program that a message of cargo is about.
fn suite(message: &str) -> Option<Suite> {
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
    Some(Suite { package: package.to_owned(), target, executable, folder })
}

fn passes(suite: &Suite) -> bool {
    let start = Instant::now();
    let mut command = std::process::Command::new(&suite.executable);
    command.current_dir(&suite.folder).env("CARGO_MANIFEST_DIR", &suite.folder).stdin(Stdio::null());
    let (passed, said) = match command.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, error.to_string()),
    };
    let word = if passed { "passed" } else { "FAILED" };
    tell(&format!("-- {}: {word} in {:.1} s\n{}", suite.command(), start.elapsed().as_secs_f32(), said.trim_end()));
    passed
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
        let named = |package: &str, kind: &str| suite(&message(package, kind, true)).map(|suite| suite.command());
        let core = "path+file:///work/core#gateway-modules-core@0.1.0";
        assert_eq!(named(core, "test").as_deref(), Some("cargo test -p gateway-modules-core --test load"));
        assert_eq!(named("path+file:///work/xtask#0.1.0", "bin").as_deref(), Some("cargo test -p xtask --bin load"));
        assert_eq!(named(core, "lib").as_deref(), Some("cargo test -p gateway-modules-core --lib"));
        assert!(suite(&message(core, "lib", false)).is_none());
        assert!(suite("no message").is_none());
    }
}
