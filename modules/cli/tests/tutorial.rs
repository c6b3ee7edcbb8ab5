//! The tutorial for adapter authors is what happens: its files are written and its commands run, in an empty folder outside the
//! work tree, and their outputs compared. `GATEWAY_MODULES_UPDATE=1` writes the outputs into it.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const TUTORIAL: &str = "docs/adapter-author/tutorial.md";
const ADAPTER: &str = "acme-edge";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the work tree")
}

/// A command of the tutorial, in the folder of the adapter as soon as there is one.
fn run(command: &str, folder: &Path) -> Output {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, arguments) = words.split_first().expect("a command");
    let adapter = folder.join(ADAPTER);
    let mut process = match *program {
        "gwm" => Command::new(env!("CARGO_BIN_EXE_gwm")),
        "cargo" => cargo(&adapter),
        program => Command::new(program),
    };
    process.env_remove("GATEWAY_MODULES_SCHEMAS");
    process.current_dir(if adapter.is_dir() { &adapter } else { folder });
    process.args(arguments).output().expect("the command runs")
}

/// With the crates of this work tree in the place of published ones, with its lock file, so without a network, and with its
/// target folder and profile, so that what is built already is not built again.
fn cargo(adapter: &Path) -> Command {
    let root = root();
    fs::copy(root.join("Cargo.lock"), adapter.join("Cargo.lock")).expect("the lock file");
    let mut cargo = gateway_modules_testkit::cargo();
    cargo.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", root.join("target"));
    // CI says another.
    if std::env::var_os("CARGO_PROFILE_DEV_DEBUG").is_none() {
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    }
    for (name, folder) in [("gateway-modules-core", "core"), ("gateway-modules-testkit", "tests")] {
        let path = root.join(folder).display().to_string();
        cargo.args(["--config", &format!("patch.crates-io.{name}.path={path:?}")]);
    }
    cargo
}

/// What a reader sees of it, without times and without the empty suites around the one that matters.
fn said(command: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if command.starts_with("find") {
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.ends_with("/Cargo.lock")).collect();
        lines.sort_unstable();
        return lines.join("\n");
    }
    let empty = |line: &str| line.is_empty() || line.contains("running 0 tests") || line.contains("ok. 0 passed");
    let without_time = |line: &str| match line.split_once("; finished in") {
        Some((result, _)) => result.to_owned(),
        None => line.to_owned(),
    };
    text.lines().filter(|line| !empty(line)).map(without_time).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tutorial_is_what_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let path = root().join(TUTORIAL);
    let text = fs::read_to_string(&path).expect("the tutorial");
    let mut made = String::new();
    let mut results = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (step, after) = after.split_once(" -->\n").expect("a step ends");
        let (language, after) = after.split_once('\n').expect("a block begins");
        let (block, after) = after.split_once("\n```\n").expect("a block ends");
        made.push_str(&format!("{before}<!-- {step} -->\n{language}\n"));
        let (kind, file) = step.split_once(' ').unwrap_or((step, ""));
        let file = folder.join(ADAPTER).join(file);
        match kind {
            "write" => fs::write(&file, format!("{block}\n")).expect("written"),
            "insert" => {
                let old = fs::read_to_string(&file).expect("read");
                let at = old.rfind("    capabilities\n}").expect("the last line of `declared`");
                fs::write(&file, format!("{}{block}\n{}", &old[..at], &old[at..])).expect("written");
            }
            "run" => {
                let command = block.lines().next().and_then(|line| line.strip_prefix("$ ")).expect("a command");
                let output = run(command, folder);
                let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!warnings.contains("warning: unused") && !warnings.contains("error[E"), "{warnings}");
                let said = said(command, &output);
                assert!(!said.is_empty(), "{command} says nothing: {warnings}");
                made.push_str(&format!("$ {command}\n{said}\n```\n"));
                results.push(output.status.success());
                rest = after;
                continue;
            }
            other => panic!("{other:?} is no step"),
        }
        made.push_str(&format!("{block}\n```\n"));
        rest = after;
    }
    made.push_str(rest);
    // gwm, the listing, a green suite, the over-claim, a green suite, the under-claim, a green suite.
    assert_eq!(results, [true, true, true, false, true, false, true], "{made}");
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        fs::write(&path, &made).expect("written");
    }
    assert!(
        fs::read_to_string(&path).expect("the tutorial") == made,
        "{TUTORIAL} is stale: run `GATEWAY_MODULES_UPDATE=1 cargo test -p gwm --test tutorial`; it is\n{made}"
    );
}
