//! One pass of the suite: a process in the network of the lab's clients.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{Options, TestResult};
use crate::{
    Error,
    control_plane::binaries::tail,
    go,
    lab::{artifacts, image::Image},
};

/// How long the suite waits for what may never come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As it comes.
    Usual,
    /// What is not declared fails most of the time, and every failure is a wait; one that passes late is missed.
    Short,
}

/// Seconds, by the names of `conformance/utils/config/timeout.go`.
const SHORT: &str = "GatewayMustHaveAddress:20;GatewayMustHaveCondition:20;GatewayStatusMustHaveListeners:15;\
    GatewayListenersMustHaveConditions:15;ListenerSetMustHaveCondition:15;ListenerSetListenersMustHaveConditions:15;\
    HTTPRouteMustHaveCondition:15;HTTPRouteMustNotHaveParents:15;TLSRouteMustHaveCondition:15;TCPRouteMustHaveCondition:15;\
    UDPRouteMustHaveCondition:15;RouteMustHaveParents:15;MaxTimeToConsistency:5;LatestObservedGenerationSet:15;\
    DefaultTestTimeout:15;NamespacesMustBeReady:10";

/// One run of the suite's program.
pub(super) struct Pass {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) class: &'static str,
    pub(super) module: &'static str,
    pub(super) version: &'static str,
    pub(super) features: Vec<String>,
    pub(super) skip: Vec<String>,
    pub(super) patience: Patience,
}

impl Pass {
    /// Runs it to its end, with the network of the calling thread. Failed tests are results and no errors.
    pub(super) async fn run(&self, options: &Options<'_>, name: &str) -> Result<Vec<TestResult>, Error> {
        let folder = &options.folder;
        fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        let path = |end: &str| folder.join(format!("{name}{end}"));
        let (results, log_path) = (results(folder, name), path(".log"));
        fs::write(&results, "").map_err(Error::io("write", &results))?;
        let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
        let mut child = self
            .command(options, &results, &path("-report.yaml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::io("write", &log_path))?)
            .stderr(log)
            .spawn()
            .map_err(|source| Error::Spawn { program: self.program.display().to_string(), source })?;
        let (start, mut told) = (Instant::now(), 0);
        loop {
            let ended = child.try_wait().map_err(Error::io("wait for", &self.program))?;
            let seen = read(&results)?;
            seen.iter().skip(told).for_each(options.progress);
            told = seen.len();
            match ended {
                Some(status) if ended_well(status.code(), &seen) && finished(&log_path) => return Ok(seen),
                Some(status) => {
                    let tail = tail(&log_path);
                    return Err(Error::Lab(format!("the conformance suite ended with {status}:\n{tail}")));
                }
                None if start.elapsed() > options.limit => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = options.limit.as_secs();
                    let (seen, log) = (seen.len(), log_path.display());
                    return Err(Error::Lab(format!(
                        "the conformance suite was stopped after {seconds} s and {seen} tests; --limit gives it more (log: {log})"
                    )));
                }
                None => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    fn command(&self, options: &Options<'_>, results: &Path, report: &Path) -> Command {
        // It goes when this process does, however that one ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("CONFORMANCE_RESULTS", results)
            .args(["-test.run=^TestConformance$", "-test.v", "-test.timeout=0"])
            // One after the other: some gateways have one proxy for all of their Gateways.
            .arg("-test.parallel=1")
            .arg(format!("--gateway-class={}", self.class))
            .arg(format!("--supported-features={}", self.features.join(",")))
            .arg(format!("--skip-tests={}", self.skip.join(",")))
            // A second pass finds them; they go with the lab.
            .arg("--cleanup-base-resources=false")
            .arg(format!("--conformance-profiles={}", self.profiles().join(",")))
            .args(["--organization=lab", "--url=https://lab.invalid", "--contact=lab"])
            .arg(format!("--project={}", self.module))
            .arg(format!("--version=v{}", self.version))
            .arg(format!("--report-output={}", report.display()));
        if let Some(test) = options.only {
            command.arg(format!("--run-test={test}"));
        }
        if self.patience == Patience::Short {
            command.arg(format!("--timeout-config-overrides={SHORT}"));
        }
        command
    }

    /// A profile is about a kind of route.
    fn profiles(&self) -> Vec<&'static str> {
        let all = [
            ("HTTPRoute", "GATEWAY-HTTP"),
            ("GRPCRoute", "GATEWAY-GRPC"),
            ("TLSRoute", "GATEWAY-TLS"),
            ("TCPRoute", "GATEWAY-TCP"),
            ("UDPRoute", "GATEWAY-UDP"),
        ];
        all.iter().filter(|(kind, _)| self.features.iter().any(|own| own == kind)).map(|(_, name)| *name).collect()
    }
}

/// 1 is the end of every suite with a failed test, and of no other.
fn ended_well(code: Option<i32>, seen: &[TestResult]) -> bool {
    let failed = seen.iter().any(|test| !test.passed);
    code == Some(i32::from(failed))
}

/// Where a pass records the end of each test.
pub(super) fn results(folder: &Path, pass: &str) -> PathBuf {
    folder.join(format!("{pass}.jsonl"))
}

/// Whether all tests were run: a suite that cannot begin ends as one with a failed test does.
fn finished(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains("kind: ConformanceReport"))
}

/// The tests that have ended.
pub(super) fn read(results: &Path) -> Result<Vec<TestResult>, Error> {
    let text = fs::read_to_string(results).map_err(Error::io("read", results))?;
    // The last line may not be whole yet.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse =
        |line: &str| serde_json::from_str(line).map_err(|error| Error::Lab(format!("no result: {error}: {line}")));
    whole.lines().map(parse).collect()
}

/// The suite's manifests name them; what they name is given what its own Go module builds.
pub(super) fn images() -> Result<Vec<PathBuf>, Error> {
    let names = image_names(&go::conformance_module()?)?;
    let of = |image: &str| -> Vec<&str> {
        names.iter().map(String::as_str).filter(|name| name.contains(&format!("/{image}:"))).collect()
    };
    let (_, echo) = go::conformance()?;
    let coredns = artifacts::coredns()?;
    let (echo_names, coredns_names) = (of("echo-basic"), of("coredns"));
    let echo = Image::named("conformance-echo", &echo_names, &["/echo-basic"]).file("/echo-basic", &echo);
    let coredns = Image::named("conformance-coredns", &coredns_names, &["/coredns"]).file("/coredns", &coredns);
    [echo, coredns].iter().map(artifacts::image).collect()
}

fn image_names(module: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for folder in ["base", "tests"] {
        let folder = module.join(folder);
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
                let images =
                    text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image:"));
                names.extend(images.map(|name| name.trim().trim_matches('"').to_owned()));
            }
        }
    }
    Ok(names)
}
