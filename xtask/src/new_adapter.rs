//! `cargo xtask new-adapter NAME`: an adapter in this work tree, from the templates of `gwm new-adapter`.

use std::{fs, path::Path};

use clap::Args;

use crate::error::Error;

/// An adapter in `adapters/NAME`: a feature of the facade, registered, with expected objects and a README.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask new-adapter acme --controller acme.example/gateway")]
pub(crate) struct Arguments {
    /// Name of the module: lower-case letters, digits and dashes.
    name: String,
    /// `GatewayClass.spec.controllerName` of the gateway. Absent: `example.com/NAME`.
    #[arg(long, value_name = "DOMAIN/PATH")]
    controller: Option<String>,
}

/// What differs from a crate of its own: where each file goes, and its template.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../templates/adapter/Cargo.toml.template")),
    ("README.md", include_str!("../templates/adapter/README.md")),
    ("tests/expected/README.md", include_str!("../templates/adapter/expected/README.md")),
    ("tests/expected/header-modification.yaml", include_str!("../templates/adapter/expected/header-modification.yaml")),
];

/// What a crate of its own has and the work tree has once for all: ignored files, CI, the contract suite and the behaviour suite
/// (`tests/tests/contract.rs` and `behaviour.rs` run them over every module).
const NOT_HERE: &[&str] = &[".gitignore", ".github", "tests/behaviour.rs", "tests/contract.rs"];

#[expect(clippy::print_stdout, reason = "the next steps go to the terminal")]
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let name = &arguments.name;
    let folder = format!("adapters/{name}");
    let controller = arguments.controller.iter().flat_map(|controller| ["--controller", controller]);
    // It checks the names too.
    let gwm = ["run", "--quiet", "--package", "gwm", "--", "new-adapter", name, "--path", &folder];
    cargo(&root, gwm.into_iter().chain(controller))?;
    for path in NOT_HERE {
        let path = root.join(&folder).join(path);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io("remove", &path))?;
    }
    for (path, template) in FILES {
        let path = root.join(&folder).join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        }
        fs::write(&path, template.replace("example-gateway", name)).map_err(Error::io("write", &path))?;
    }
    register(&root, name)?;
    cargo(&root, ["fmt", "--all"])?;
    println!("{folder} is a module now: feature `{name}` of gateway-modules. Next:");
    println!(
        "  GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-testkit --test documents   # tables of the documents"
    );
    println!("  cargo test -p gateway-modules-testkit --test contract --test expected");
    println!(
        "  INSTA_UPDATE=always cargo test -p gateway-modules-testkit --test golden           # read what it writes"
    );
    println!("and a line in README.md and CHANGELOG.md.");
    Ok(())
}

fn cargo<'a>(root: &Path, words: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let mut cargo = gateway_modules_testkit::cargo();
    let status = cargo.current_dir(root).args(words).status();
    let status = status.map_err(|error| Error::Message(format!("cargo could not be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(Error::Message(format!("{cargo:?} failed ({status})"))) }
}

/// Makes the adapter known: to the workspace, as a feature of the facade, and to what names all features.
fn register(root: &Path, name: &str) -> Result<(), Error> {
    let identifier = name.replace('-', "_");
    let package = format!("gateway-module-{name}");
    let dependency = |line: &str, _: &str| line.starts_with("gateway-module-");
    let cfg = format!("#[cfg(feature = \"{name}\")]");

    edit(root, "Cargo.toml", |text| {
        let version = "0.1.0";
        sorted(text, &format!("{package} = {{ path = \"adapters/{name}\", version = \"{version}\" }}"), dependency)
    })?;
    edit(root, "modules/Cargo.toml", |text| {
        let text = listed(text, "all = ", name)?;
        let feature = format!("{name} = [\"dep:{package}\"]");
        let text = sorted(&text, &feature, |line, _| line.contains("= [\"dep:"))?;
        sorted(&text, &format!("{package} = {{ workspace = true, optional = true }}"), dependency)
    })?;
    edit(root, "modules/src/lib.rs", |text| {
        let export = format!("{cfg}\npub use gateway_module_{identifier} as {identifier};");
        let text = sorted(text, &export, |_, next| next.starts_with("pub use gateway_module_"))?;
        let call = format!("    {cfg}\n    {identifier}::register(&mut registry)?;");
        sorted(&text, &call, |_, next| next.ends_with("::register(&mut registry)?;"))
    })?;
    edit(root, "modules/tests/features.rs", |text| {
        let text = listed(text, "const KNOWN", name)?;
        let line = format!("        (\"{name}\", cfg!(feature = \"{name}\")),");
        sorted(&text, &line, |line, _| line.contains("cfg!(feature = ") && line.starts_with("        (\""))
    })?;
    edit(root, "core/src/module/registry.rs", |text| listed(text, "const FEATURES", name))
}

fn edit(root: &Path, path: &str, change: impl FnOnce(&str) -> Option<String>) -> Result<(), Error> {
    let full = root.join(path);
    let text = fs::read_to_string(&full).map_err(Error::io("read", &full))?;
    let changed = change(&text)
        .ok_or_else(|| Error::Message(format!("{path} does not look as expected: add the adapter by hand")))?;
    fs::write(&full, changed).map_err(Error::io("write", &full))
}

/// The text with lines more, in their place among entries of as many lines each; an entry is known by its first line and the
/// next one. `None` when there is no entry, or the new one is there.
fn sorted(text: &str, new: &str, entry: impl Fn(&str, &str) -> bool) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = new.lines().next()?;
    let entries: Vec<usize> =
        (0..lines.len()).filter(|at| entry(lines[*at], lines.get(at + 1).copied().unwrap_or_default())).collect();
    if entries.iter().any(|at| lines[*at] == first) {
        return None;
    }
    let after_last = entries.last()? + new.lines().count();
    let at = entries.iter().copied().find(|at| lines[*at] > first).unwrap_or(after_last);
    let (before, after) = lines.split_at_checked(at)?;
    Some([before, &[new], after].concat().join("\n") + "\n")
}

/// The text with a name more in the sorted list that is assigned at `start`.
fn listed(text: &str, start: &str, name: &str) -> Option<String> {
    let (before, rest) = text.split_at_checked(text.find(start)?)?;
    let (assigned, rest) = rest.split_at_checked(rest.find("= ")?)?;
    let (open, rest) = rest.split_at_checked(rest.find('[')? + 1)?;
    let (names, after) = rest.split_at_checked(rest.find(']')?)?;
    let quoted = format!("\"{name}\"");
    let mut names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.contains(&quoted.as_str()) {
        return None;
    }
    names.push(&quoted);
    names.sort_unstable();
    Some([before, assigned, open, &names.join(", "), after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On copies of the real files: what they look like is what this relies on.
    #[test]
    fn an_adapter_becomes_known_everywhere_and_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let copy = tempfile::tempdir().expect("a folder");
        let copy = copy.path();
        let files = [
            ("Cargo.toml", 1),
            ("modules/Cargo.toml", 3),
            ("modules/src/lib.rs", 2),
            ("modules/tests/features.rs", 2),
            ("core/src/module/registry.rs", 1),
        ];
        for (path, _) in files {
            fs::create_dir_all(copy.join(path).parent().expect("a folder")).expect("made");
            fs::copy(root.join(path), copy.join(path)).expect("copied");
        }
        // Between others, and after the last.
        for name in ["acme-edge", "zeta"] {
            register(copy, name).expect("registered");
            for (path, wanted) in files {
                let text = fs::read_to_string(copy.join(path)).expect("read");
                let lines = text
                    .lines()
                    .filter(|line| line.contains(&format!("\"{name}\"")) || line.contains(&format!("{name} =")));
                assert!(lines.count() >= wanted, "{path}: {text}");
            }
            assert!(register(copy, name).is_err(), "twice");
        }
        let lib = fs::read_to_string(copy.join("modules/src/lib.rs")).expect("read");
        let place = |text: &str| lib.find(text).unwrap_or_else(|| panic!("{text} is not in {lib}"));
        assert!(place("as acme_edge;") < place("as cilium;") && place("as traefik;") < place("as zeta;"));
        let closes = lib.get(place("zeta::register(&mut registry)?;")..).expect("rest");
        assert!(closes.starts_with("zeta::register(&mut registry)?;\n    Ok(registry)"), "{closes}");
    }
}
