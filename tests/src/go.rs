//! What comes out of Go modules: the Helm program, and the charts that vendors keep in theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Error;
use crate::go_program::{BUILD, GoProgram};

/// Names a Helm program to use instead of building one.
pub const HELM_VARIABLE: &str = "GATEWAY_MODULES_HELM";

/// The version of Helm that the Go sources pin.
pub const HELM_VERSION: &str = "4.3.1";

/// Embedded, so that the published crate can build it too.
const HELM: [(&str, &str); 2] =
    [("go.mod", include_str!("../helm/go.mod")), ("go.sum", include_str!("../helm/go.sum"))];

const REGISTRY_VERSION: &str = "3.1.2";
const REGISTRY: [(&str, &str); 3] = [
    ("go.mod", include_str!("../registry/go.mod")),
    ("go.sum", include_str!("../registry/go.sum")),
    ("main.go", include_str!("../registry/main.go")),
];

/// The version of Flux's helm-controller.
const FLUX_VERSION: &str = "1.6.5";
const FLUX: [(&str, &str); 3] = [
    ("go.mod", include_str!("../flux/go.mod")),
    ("go.sum", include_str!("../flux/go.sum")),
    ("flux.go", include_str!("../flux/flux.go")),
];

/// The version of Gateway API's conformance suite that the Go sources pin: that of the definitions which suites install.
pub const CONFORMANCE_VERSION: &str = "1.6.1";
const CONFORMANCE: [(&str, &str); 3] = [
    ("go.mod", include_str!("../gateway-api/go.mod")),
    ("go.sum", include_str!("../gateway-api/go.sum")),
    ("conformance_test.go", include_str!("../gateway-api/conformance_test.go")),
];

/// The version of Cilium that the Go sources pin: the newest of its line that the module proxy serves.
pub const CILIUM_VERSION: &str = "1.20.2";
const CILIUM: [(&str, &str); 5] = [
    ("go.mod", include_str!("../cilium-operator/go.mod")),
    ("go.sum", include_str!("../cilium-operator/go.sum")),
    ("main.go", include_str!("../cilium-operator/main.go")),
    ("mcs-api/go.mod", include_str!("../cilium-operator/mcs-api/go.mod")),
    ("mcs-api/controllers.go", include_str!("../cilium-operator/mcs-api/controllers.go")),
];

/// The Helm program: the one that `GATEWAY_MODULES_HELM` names, else from the cache, else built from its Go module
/// (three minutes on two cores, once). It blocks; any number of processes may call it at once.
///
/// # Errors
/// When there is no Go tool chain or the build fails.
pub fn helm() -> Result<PathBuf, Error> {
    if let Some(program) = std::env::var_os(HELM_VARIABLE).filter(|program| !program.is_empty()) {
        return Ok(program.into());
    }
    tool("helm", HELM_VERSION, BUILD, "helm.sh/helm/v4/cmd/helm", &HELM)
}

/// The registry of the distribution project, for charts: from the cache, else built (a minute on two cores, once).
///
/// # Errors
/// As [`helm`].
pub fn registry() -> Result<PathBuf, Error> {
    tool("registry", REGISTRY_VERSION, BUILD, ".", &REGISTRY)
}

/// The definition of Flux's HelmRelease as YAML, generated from its Go types: the module that holds the file is not to be had
/// everywhere, that of its types is. Builds the generator the first time (a minute on two cores).
///
/// # Errors
/// As [`helm`], or the generator fails.
pub fn flux_helm_release() -> Result<String, Error> {
    let package = "sigs.k8s.io/controller-tools/cmd/controller-gen";
    let generator = tool("controller-gen", FLUX_VERSION, BUILD, package, &FLUX)?;
    let folder = generator.parent().unwrap_or(Path::new(".")).to_owned();
    let made = folder.join("helmreleases.yaml");
    if !made.is_file() {
        let output = Command::new(&generator)
            .args(["crd", "paths=github.com/fluxcd/helm-controller/api/v2", "output:stdout"])
            .current_dir(folder.join("src"))
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Spawn { program: generator.display().to_string(), source })?;
        if !output.status.success() {
            return Err(Error::GoBuild { folder, log: String::from_utf8_lossy(&output.stderr).into_owned() });
        }
        // Whole or not at all: another process may look.
        let unfinished = folder.join(format!("unfinished-{}", std::process::id()));
        fs::write(&unfinished, output.stdout).map_err(Error::io("write", &unfinished))?;
        fs::rename(&unfinished, &made).map_err(Error::io("write", &made))?;
    }
    fs::read_to_string(&made).map_err(Error::io("read", &made))
}

/// The folder of a Go module in Go's own cache, downloaded when it is not there. It is read-only.
///
/// # Errors
/// When there is no Go tool chain, or the module is not to be had.
pub fn module(path: &str, version: &str) -> Result<PathBuf, Error> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{path}@{version}")])
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::NoGo { source })?;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    match told["Dir"].as_str() {
        Some(folder) if output.status.success() => Ok(PathBuf::from(folder)),
        _ => Err(Error::GoModule {
            module: format!("{path}@{version}"),
            reason: told["Error"]
                .as_str()
                .map_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned(), ToOwned::to_owned),
        }),
    }
}

/// The conformance suite of Gateway API as a program that takes the suite's options, and the echo server that its backends run:
/// from the cache, else built (a minute on two cores, once).
///
/// # Errors
/// As [`helm`].
pub fn conformance() -> Result<(PathBuf, PathBuf), Error> {
    let suite = tool("conformance", CONFORMANCE_VERSION, &["test", "-c"], ".", &CONFORMANCE)?;
    let package = "sigs.k8s.io/gateway-api/conformance/echo-basic";
    Ok((suite, tool("echo-basic", CONFORMANCE_VERSION, BUILD, package, &CONFORMANCE)?))
}

/// The part of Cilium's operator that serves Gateway API, which writes status and CiliumEnvoyConfigs and serves nothing: from
/// the cache, else built (eleven minutes on two cores, once).
///
/// # Errors
/// As [`helm`].
pub fn cilium_operator() -> Result<PathBuf, Error> {
    tool("cilium-gateway-operator", CILIUM_VERSION, BUILD, ".", &CILIUM)
}

/// Where the Go sources of the conformance suite are, with the manifests that it applies.
///
/// # Errors
/// As [`module`].
pub fn conformance_module() -> Result<PathBuf, Error> {
    module("sigs.k8s.io/gateway-api/conformance", &format!("v{CONFORMANCE_VERSION}"))
}

fn tool(name: &str, version: &str, how: &[&str], package: &str, sources: &[(&str, &str)]) -> Result<PathBuf, Error> {
    let program = GoProgram {
        folder: name,
        name,
        version,
        how,
        package,
        link_flags: "-s -w",
        system: None,
        sources,
        takes: "a few minutes",
    };
    program.built()
}
