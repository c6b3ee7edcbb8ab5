//! `gwm new-adapter NAME`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use gateway_modules::core::types::{DnsLabel, DnsSubdomain};

use crate::{Run, exit::Failure};

/// Files of a new adapter: where each goes, and its template. The templates are a crate that a test compiles.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/adapter/Cargo.toml.template")),
    (".gitignore", include_str!("../../templates/adapter/gitignore")),
    (".github/workflows/ci.yml", include_str!("../../templates/adapter/ci.yml")),
    ("README.md", include_str!("../../templates/adapter/README.md")),
    ("src/lib.rs", include_str!("../../templates/adapter/src/lib.rs")),
    ("src/capabilities.rs", include_str!("../../templates/adapter/src/capabilities.rs")),
    ("src/provisioning.rs", include_str!("../../templates/adapter/src/provisioning.rs")),
    ("src/policies/mod.rs", include_str!("../../templates/adapter/src/policies/mod.rs")),
    ("tests/behaviour.rs", include_str!("../../templates/adapter/tests/behaviour.rs")),
    ("tests/contract.rs", include_str!("../../templates/adapter/tests/contract.rs")),
];

/// Longest name: the crate's name stays within the 64 characters that crates.io takes.
const MAX_NAME: usize = 48;

/// Writes the crate of a new adapter, which compiles and keeps the contract.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gwm new-adapter acme --controller acme.example/gateway\n  gwm new-adapter acme --path adapters/acme"
)]
pub(crate) struct Args {
    /// Name of the module: lower-case letters, digits and dashes.
    name: String,
    /// `GatewayClass.spec.controllerName` of the gateway. Absent: `example.com/NAME`.
    #[arg(long, value_name = "DOMAIN/PATH")]
    controller: Option<String>,
    /// Folder to write; it must not exist or be empty. Absent: `gateway-module-NAME`.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Run {
    check_name(&args.name)?;
    let controller = args.controller.clone().unwrap_or_else(|| format!("example.com/{}", args.name));
    check_controller(&controller)?;
    let folder = args.path.clone().unwrap_or_else(|| format!("gateway-module-{}", args.name).into());
    check_folder(&folder)?;
    for (path, template) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        }
        fs::write(&path, fill(template, &args.name, &controller)).map_err(|error| failed(&path, &error))?;
    }
    anstream::println!("Wrote the crate gateway-module-{} to {}.", args.name, folder.display());
    anstream::println!("Next: cd {} && cargo test -- --nocapture", folder.display());
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

fn check_name(name: &str) -> Run {
    let letters = name.starts_with(|first: char| first.is_ascii_lowercase());
    if DnsLabel::new(name).is_err() || !letters || name.contains("--") || name.len() > MAX_NAME {
        return Err(Failure::Usage(format!(
            "{name:?} is no name of a module: a letter, then at most {} lower-case letters, digits and single dashes",
            MAX_NAME - 1
        )));
    }
    // A second crate of one of these names could not be registered beside it.
    if gateway_modules::registry().is_ok_and(|registry| registry.names().contains(&name)) {
        return Err(Failure::Usage(format!("{name:?} is a module of this project already; choose another name")));
    }
    Ok(())
}

/// GatewayController of Gateway API: a domain, a slash and a path.
fn check_controller(controller: &str) -> Run {
    let path = |path: &str| {
        !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c))
    };
    match controller.split_once('/') {
        Some((domain, rest)) if DnsSubdomain::new(domain).is_ok() && path(rest) => Ok(()),
        _ => {
            Err(Failure::Usage(format!("{controller:?} is no controller name: write for example acme.example/gateway")))
        }
    }
}

fn check_folder(folder: &Path) -> Run {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::Usage(format!("{} is not empty; nothing was written. Name another --path", folder.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(folder, &error)),
    }
}

/// The placeholders are what they stand for in the template's own crate, so the longer ones go first.
fn fill(template: &str, name: &str, controller: &str) -> String {
    template
        .replace("gateway_module_example_gateway", &format!("gateway_module_{}", name.replace('-', "_")))
        .replace("ExampleGatewayAdapter", &format!("{}Adapter", camel(name)))
        .replace("example-gateway", name)
        .replace("0.0.0-core", env!("CARGO_PKG_VERSION"))
        .replace("example.com/gateway-controller", controller)
}

fn camel(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, path: &Path) -> Run {
        run(&Args { name: name.to_owned(), controller: None, path: Some(path.to_owned()) })
    }

    #[test]
    fn nothing_is_overwritten_and_names_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("acme");
        new("acme", &path).expect("written");
        let again = new("other", &path).expect_err("refused").to_string();
        assert!(again.contains("not empty"), "{again}");
        assert!(fs::read_to_string(path.join("Cargo.toml")).expect("read").contains("gateway-module-acme"));
        for name in ["", "Acme", "a b", "1a", "-a", "a-", "a--b", "../a", "kgateway", &"a".repeat(49)] {
            assert!(new(name, &folder.path().join("none")).is_err(), "{name:?}");
        }
        assert!(!folder.path().join("none").exists());
        for controller in ["acme", "acme.example/", "/x", "acme.example/\"", "ACME/x"] {
            assert!(check_controller(controller).is_err(), "{controller:?}");
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        for (path, template) in FILES {
            let text = fill(template, "acme-edge", "acme.test/edge");
            for left in ["example-gateway", "ExampleGateway", "example_gateway", "0.0.0", "gateway-controller"] {
                assert!(!text.contains(left), "{path} has {left}");
            }
        }
        assert_eq!(camel("acme-edge2"), "AcmeEdge2");
    }
}
