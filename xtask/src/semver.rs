//! `cargo xtask semver`: the trait crate still has what adapters were built for.

use std::{fs, path::Path, process::Command as Process};

use clap::Args;
use gateway_modules_testkit::cargo;

use crate::error::Error;

/// The crate that adapters are built for.
const CRATE: &str = "gateway-modules-core";

/// Holds the commit with which the crate is compared, until there is a release.
const BASELINE: &str = "core/contract-baseline";

/// Compares the public API of the trait crate with that of the baseline (cargo-semver-checks): what adapters use must not go
/// away, and new methods of the trait must have defaults.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask semver\n  cargo xtask semver --baseline HEAD~1   # what the last commit broke"
)]
pub(crate) struct Arguments {
    /// Commit or tag to compare with. Absent: the newest tag `v*`, or the commit that `core/contract-baseline` names.
    #[arg(long, value_name = "REVISION")]
    baseline: Option<String>,
}

#[expect(clippy::print_stderr, reason = "progress goes to the terminal")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if output(cargo().args(["semver-checks", "--version"])).is_none_or(|out| out.is_empty()) {
        let install = "cargo install --locked cargo-semver-checks";
        return Err(Error::Message(format!("cargo-semver-checks is not installed: {install}")));
    }
    let baseline = match &arguments.baseline {
        Some(revision) => revision.clone(),
        None => default_baseline(&root)?,
    };
    if output(Process::new("git").current_dir(&root).args(["rev-parse", "--verify", &format!("{baseline}^{{commit}}")]))
        .is_none()
    {
        return Err(Error::Message(format!(
            "the baseline {baseline} is not in this clone: `git fetch --unshallow --tags`, or name another --baseline"
        )));
    }
    eprintln!("{CRATE} against {baseline}");
    // The release type is given because the version is that of the baseline until a release raises it. The contract is what
    // the default features have; `cluster` is for applications.
    let status = cargo()
        .current_dir(&root)
        .args(["semver-checks", "check-release", "--package", CRATE, "--baseline-rev", &baseline])
        .args(["--release-type", "minor", "--only-explicit-features"])
        .status()
        .map_err(|error| Error::Message(format!("cargo semver-checks could not be started: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Message(format!(
        "adapters that were built for {baseline} do not compile any more, as listed above. Give new methods defaults and keep \
         what is there, deprecated (docs/adapter-author/stability.md); or raise the major part of `Contract::CURRENT`, say in \
         CHANGELOG.md what authors must do, and name the commit in {BASELINE} in the next one"
    )))
}

/// The newest release; before the first one, the commit that the file names.
fn default_baseline(root: &Path) -> Result<String, Error> {
    let git = |words: &[&str]| output(Process::new("git").current_dir(root).args(words));
    if let Some(tag) = git(&["describe", "--tags", "--abbrev=0", "--match", "v*"]) {
        return Ok(tag);
    }
    let path = root.join(BASELINE);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let named = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    named.map(str::to_owned).ok_or_else(|| Error::Message(format!("{BASELINE} names no commit")))
}

/// What a command prints, when it succeeds.
fn output(command: &mut Process) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
