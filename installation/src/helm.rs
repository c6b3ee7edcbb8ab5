//! The Helm program. Versions 3 and 4 are spoken to alike.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use gateway_modules_core::module;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
};

use crate::{Progress, error::InstallError};

/// Which Helm, and how it reaches cluster and registries.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HelmOptions {
    /// The program; absent: `helm` on the PATH.
    pub program: Option<PathBuf>,
    /// Kubeconfig; absent: as Helm finds it.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Docker configuration with credentials of registries.
    pub registry_config: Option<PathBuf>,
    /// Authority of a registry's certificate.
    pub ca_file: Option<PathBuf>,
    /// The registry speaks no TLS.
    pub plain_http: bool,
}

/// A Helm that can be used.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    options: HelmOptions,
    /// Major version.
    major: u32,
}

/// A release, as Helm tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HelmRelease {
    /// `deployed`, `failed`, `pending-install`, …
    pub(crate) status: String,
    /// Number of the revision.
    pub(crate) revision: u64,
}

struct Ran {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Major version of a Helm that can be used. Helm 2 says `Client: v2.17.0…`; a build from source has no patch number.
fn known_major(text: &str) -> Option<u32> {
    let mut numbers = text.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    matches!((major, minor), (3, 8..) | (4, _)).then_some(major)
}

impl Helm {
    /// Finds the program and looks at its version.
    ///
    /// # Errors
    /// There is none, or it is another major version than those that are known.
    pub async fn find(options: HelmOptions) -> Result<Self, InstallError> {
        let program = options.program.clone().unwrap_or_else(|| PathBuf::from("helm"));
        let missing = |reason: String| InstallError::NoHelm { program: program.clone(), reason };
        let output = Command::new(&program)
            .args(["version", "--template", "{{.Version}}"])
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| missing(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() && text.is_empty() {
            return Err(missing(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let Some(major) = known_major(&text) else {
            let found = if text.is_empty() { "of unknown version".to_owned() } else { text };
            return Err(InstallError::HelmVersion { program, found });
        };
        Ok(Self { program, options, major })
    }

    fn command(&self, cluster: bool) -> Command {
        let mut command = Command::new(&self.program);
        // Who is cancelled gives the lock of the installation back, and then nothing of his may still be writing.
        command.stdin(Stdio::null()).env("NO_COLOR", "1").kill_on_drop(true);
        if cluster {
            if let Some(kubeconfig) = &self.options.kubeconfig {
                command.arg("--kubeconfig").arg(kubeconfig);
            }
            if let Some(context) = &self.options.context {
                command.arg("--kube-context").arg(context);
            }
        }
        if let Some(path) = &self.options.registry_config {
            command.arg("--registry-config").arg(path);
        }
        command
    }

    async fn run(
        &self,
        cluster: bool,
        arguments: Vec<OsString>,
        progress: Option<&Progress>,
    ) -> Result<Ran, InstallError> {
        let mut command = self.command(cluster);
        command.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        tracing::debug!(?arguments, "helm");
        let missing =
            |error: std::io::Error| InstallError::NoHelm { program: self.program.clone(), reason: error.to_string() };
        let mut child = command.spawn().map_err(missing)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr, status) = tokio::join!(collect(out, None), collect(err, progress), child.wait());
        Ok(Ran { success: status.map_err(missing)?.success(), stdout, stderr })
    }

    /// Fetches a chart into a folder; gives the digest that a registry tells.
    pub(crate) async fn pull(
        &self,
        chart: &str,
        version: &str,
        place: &Place,
        folder: &Path,
    ) -> Result<Option<String>, InstallError> {
        let mut arguments: Vec<OsString> = vec!["pull".into()];
        match place {
            Place::Registry(registry) => arguments.push(format!("{}/{chart}", registry.trim_end_matches('/')).into()),
            Place::Repository(url) => arguments.extend([chart.into(), "--repo".into(), url.into()]),
        }
        arguments.extend(["--version".into(), version.into(), "--destination".into(), folder.into()]);
        if let Some(path) = &self.options.ca_file {
            arguments.extend(["--ca-file".into(), path.into()]);
        }
        if self.options.plain_http {
            arguments.push("--plain-http".into());
        }
        let ran = self.run(false, arguments, None).await?;
        if ran.success {
            let told = ran.stdout.lines().chain(ran.stderr.lines());
            return Ok(told.filter_map(|line| line.trim().strip_prefix("Digest: ")).map(ToOwned::to_owned).next());
        }
        Err(not_pulled(chart, version, place.address(), &ran.stderr))
    }

    /// What a chart says about itself (`values`, `crds`, `chart`).
    pub(crate) async fn show(&self, what: &str, chart: &Path) -> Result<String, InstallError> {
        let ran = self.run(false, vec!["show".into(), what.into(), chart.into()], None).await?;
        if ran.success {
            return Ok(ran.stdout);
        }
        Err(InstallError::Unreadable { place: chart.display().to_string(), message: said(&ran.stderr) })
    }

    /// The objects that a chart makes of values, as YAML.
    pub(crate) async fn template(&self, release: &Target<'_>, kubernetes: (u32, u32)) -> Result<String, InstallError> {
        let mut arguments: Vec<OsString> = vec!["template".into(), release.name.into(), release.chart.into()];
        arguments.extend(["--namespace".into(), release.namespace.into(), "--values".into(), release.values.into()]);
        arguments.extend(["--include-crds".into(), "--kube-version".into(), format!("1.{}.0", kubernetes.1).into()]);
        // What a chart asks the cluster for, so that it does not take Gateway API to be absent.
        arguments.extend(["--api-versions".into(), "gateway.networking.k8s.io/v1/GatewayClass".into()]);
        let ran = self.run(false, arguments, None).await?;
        if ran.success {
            return Ok(ran.stdout);
        }
        Err(InstallError::ValuesRefused { chart: release.name.to_owned(), message: said(&ran.stderr) })
    }

    /// A release; `None` when there is none of that name.
    pub(crate) async fn status(&self, name: &str, namespace: &str) -> Result<Option<HelmRelease>, InstallError> {
        let arguments = ["status", name, "--namespace", namespace, "--output", "json"].map(Into::into).to_vec();
        let ran = self.run(true, arguments, None).await?;
        if !ran.success {
            if ran.stderr.contains("release: not found") {
                return Ok(None);
            }
            return Err(failed(format!("looking for release {name} in {namespace}"), &ran.stderr));
        }
        let unreadable = || InstallError::Unreadable {
            place: "helm status".to_owned(),
            message: "no status of a release".to_owned(),
        };
        let status: Value = serde_json::from_str(&ran.stdout).map_err(|_| unreadable())?;
        let text = status["info"]["status"].as_str().ok_or_else(unreadable)?;
        if text == "uninstalled" {
            return Ok(None);
        }
        Ok(Some(HelmRelease { status: text.to_owned(), revision: status["version"].as_u64().unwrap_or(1) }))
    }

    /// All values of a release that somebody has made: what it was installed with, over the chart's own.
    ///
    /// # Errors
    /// There is no such release, or it may not be read.
    pub async fn all_values(&self, release: &module::HelmRelease) -> Result<Value, InstallError> {
        self.get_values(&release.name, &release.namespace, &["--all"]).await
    }

    /// Values that a release was installed with.
    pub(crate) async fn values(&self, name: &str, namespace: &str) -> Result<Value, InstallError> {
        self.get_values(name, namespace, &[]).await
    }

    async fn get_values(&self, name: &str, namespace: &str, more: &[&str]) -> Result<Value, InstallError> {
        let arguments = ["get", "values", name, "--namespace", namespace, "--output", "json"];
        let arguments = arguments.iter().chain(more).map(Into::into).collect();
        let ran = self.run(true, arguments, None).await?;
        if !ran.success {
            return Err(failed(format!("reading the values of release {name}"), &ran.stderr));
        }
        Ok(serde_json::from_str(&ran.stdout).unwrap_or(Value::Null))
    }

    /// Installs or upgrades a release. Readiness is watched by who calls, not by Helm.
    pub(crate) async fn upgrade(
        &self,
        release: &Target<'_>,
        skip_crds: bool,
        progress: &Progress,
    ) -> Result<(), InstallError> {
        let mut arguments: Vec<OsString> = vec!["upgrade".into(), release.name.into(), release.chart.into()];
        arguments.extend(["--install".into(), "--namespace".into(), release.namespace.into()]);
        // Values are always written whole: those of an earlier revision must not come back.
        arguments.extend(["--reset-values".into(), "--values".into(), release.values.into()]);
        arguments.extend(["--timeout".into(), "5m".into(), "--history-max".into(), "5".into()]);
        if skip_crds {
            arguments.push("--skip-crds".into());
        }
        let ran = self.run(true, arguments, Some(progress)).await?;
        if ran.success {
            return Ok(());
        }
        let message = said(&ran.stderr);
        if message.contains("values don't meet the specifications of the schema") {
            return Err(InstallError::ValuesRefused { chart: release.name.to_owned(), message });
        }
        if message.contains("invalid ownership metadata") {
            return Err(InstallError::Refused(vec![crate::Refusal::new(
                format!("release {} in {}", release.name, release.namespace),
                message,
                "objects of the chart were made by somebody else: remove them, or install the gateway as they were installed",
            )]));
        }
        Err(failed(format!("installing release {} in {}", release.name, release.namespace), &ran.stderr))
    }

    /// Back to the revision before one that was interrupted.
    pub(crate) async fn roll_back(&self, name: &str, namespace: &str, progress: &Progress) -> Result<(), InstallError> {
        let arguments = ["rollback", name, "--namespace", namespace].map(Into::into).to_vec();
        let ran = self.run(true, arguments, Some(progress)).await?;
        if ran.success { Ok(()) } else { Err(failed(format!("rolling release {name} back"), &ran.stderr)) }
    }

    /// Removes a release; no error when it is not there.
    pub(crate) async fn uninstall(&self, name: &str, namespace: &str, progress: &Progress) -> Result<(), InstallError> {
        let arguments = ["uninstall", name, "--namespace", namespace, "--timeout", "5m"].map(Into::into).to_vec();
        let ran = self.run(true, arguments, Some(progress)).await?;
        if ran.success || ran.stderr.contains("not found") {
            return Ok(());
        }
        Err(failed(format!("removing release {name} in {namespace}"), &ran.stderr))
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        format!("Helm {} ({})", self.major, self.program.display())
    }
}

/// Where a chart is pulled from.
pub(crate) enum Place {
    Registry(String),
    Repository(String),
}

impl Place {
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Registry(address) | Self::Repository(address) => address,
        }
    }
}

/// A release that is to be.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) chart: &'a Path,
    pub(crate) values: &'a Path,
}

fn not_pulled(chart: &str, version: &str, place: &str, stderr: &str) -> InstallError {
    let message = said(stderr);
    // Neither a port 401 nor a host `credentials` says why.
    let authority =
        place.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default().to_lowercase();
    let text = message.to_lowercase();
    let text = if authority.is_empty() { text } else { text.replace(&authority, "registry") };
    let says = |words: &[&str]| words.iter().any(|word| has_words(&text, word));
    let (chart, place) = (chart.to_owned(), place.to_owned());
    if says(&["401", "403", "unauthorized", "denied", "authentication required", "credential", "credentials"]) {
        return InstallError::Credentials { chart, place, message };
    }
    if says(&["not found", "404", "manifest unknown", "name unknown", "no chart version found"]) {
        let next =
            "see which versions there are, and name one with --version (of the gateway) or --chart-version".to_owned();
        return InstallError::ChartNotFound { chart, version: version.to_owned(), place, message, next };
    }
    InstallError::Unreachable { chart, place, message }
}

/// Whether the words stand in a text by themselves, not as a part of others.
fn has_words(text: &str, words: &str) -> bool {
    let part_of_a_word = |letter: char| letter.is_alphanumeric() || letter == '-';
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(part_of_a_word) && !after.is_some_and(part_of_a_word)
    })
}

fn failed(action: String, stderr: &str) -> InstallError {
    let message = said(stderr);
    let next = if message.contains("another operation") {
        "another program changes the release: wait for it, then run this again"
    } else if message.to_lowercase().contains("unreachable") || message.contains("connection refused") {
        "see that the cluster answers (`kubectl version`), then run this again"
    } else {
        "mend what it says, then run this again: it goes on where it stopped"
    };
    InstallError::Failed { action, message, next: next.to_owned() }
}

/// What Helm says went wrong: its last error, without warnings.
fn said(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.iter().position(|line| line.starts_with("Error: ")).unwrap_or(0);
    let text = lines.get(from..).unwrap_or_default().join("\n");
    text.strip_prefix("Error: ").unwrap_or(&text).to_owned()
}

async fn collect(stream: Option<impl AsyncRead + Unpin>, progress: Option<&Progress>) -> String {
    let mut text = String::new();
    let Some(stream) = stream else { return text };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(progress) = progress
            && !line.trim().is_empty()
        {
            progress(&format!("helm: {line}"));
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_versions_are_spoken_to() {
        for (text, major) in [("v3.8.0", 3), ("v3.19.2", 3), ("v4.0.0", 4), ("v4.1", 4), ("v4.0.0-rc.1+g1", 4)] {
            assert_eq!(known_major(text), Some(major), "{text}");
        }
        for text in ["Client: v2.17.0", "v2.17.0", "v3.0.0", "v3.7.2", "v5.0.0", "v4", "v3.x", "", "helm"] {
            assert_eq!(known_major(text), None, "{text}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helm_whose_caller_is_dropped_ends_at_once() {
        use std::{os::unix::fs::PermissionsExt as _, time::Duration};

        let folder = tempfile::tempdir().expect("a folder");
        let (program, told) = (folder.path().join("helm"), folder.path().join("told"));
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = version ] && echo v4.0.0 && exit\necho begun > {told}\nsleep 2\necho wrote >> {told}\n",
            told = told.display()
        );
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let options = HelmOptions { program: Some(program), ..HelmOptions::default() };
        let helm = Helm::find(options).await.expect("found");
        let begun = async {
            while !told.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = helm.status("a", "b") => panic!("it ended by itself: {ended:?}"),
            () = begun => {}
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(std::fs::read_to_string(&told).expect("it had begun"), "begun\n");
    }

    #[test]
    fn refusals_of_registries_are_told_apart() {
        let error = |text: &str| not_pulled("a", "1.0.0", "oci://registry.test", text).code();
        assert_eq!(error("Error: failed to authorize: 401 Unauthorized"), "GWM0905");
        assert_eq!(error("Error: registry.test/a:1.0.0: not found"), "GWM0904");
        for address in ["127.0.0.1:44011", "127.0.0.1:401", "credential-mirror.test", "401.registry.test:4403"] {
            let text =
                format!("Error: failed to perform \"FetchReference\" on source: {address}/mirror/a:1.0.0: not found");
            assert_eq!(not_pulled("a", "1.0.0", &format!("oci://{address}/mirror"), &text).code(), "GWM0904", "{text}");
        }
        assert_eq!(error("Error: GET \"https://registry.test/v2/\": response status code 403: denied"), "GWM0905");
        assert_eq!(error("Error: chart \"a\" matching 1.0.0 not found in https://charts.test index"), "GWM0904");
        assert_eq!(error("Error: Get \"https://registry.test/\": dial tcp: connection refused"), "GWM0906");
    }

    #[test]
    fn the_error_is_taken_from_among_warnings() {
        assert_eq!(said("level=WARN msg=\"x\"\nError: a\nb\n"), "a\nb");
        assert_eq!(said("killed"), "killed");
    }
}
