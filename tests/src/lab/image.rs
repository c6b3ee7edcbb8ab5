//! Container images of one layer from files of this machine, without a registry.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::artifacts::Linked;
use crate::Error;

/// What an image holds.
pub(super) struct Image<'a> {
    /// Of its archive.
    pub(super) archive: &'a str,
    /// As manifests name it.
    names: Vec<&'a str>,
    entrypoint: &'a [&'a str],
    /// Path in the image and file of this machine.
    files: Vec<(PathBuf, &'a Path)>,
    user: &'a str,
}

impl<'a> Image<'a> {
    /// One without files.
    pub(super) fn new(archive: &'a str, name: &'a str, entrypoint: &'a [&'a str]) -> Self {
        Self::named(archive, &[name], entrypoint)
    }

    /// One without files, that manifests name in several ways.
    pub(super) fn named(archive: &'a str, names: &[&'a str], entrypoint: &'a [&'a str]) -> Self {
        Self { archive, names: names.to_vec(), entrypoint, files: Vec::new(), user: "" }
    }

    /// With a file of this machine.
    pub(super) fn file(mut self, target: impl Into<PathBuf>, source: &'a Path) -> Self {
        self.files.push((target.into(), source));
        self
    }

    /// With a program and what it is linked with.
    pub(super) fn linked(mut self, target: &str, linked: &'a Linked) -> Self {
        self.files.extend(linked.libraries.iter().map(|library| (library.clone(), library.as_path())));
        self.file(target, &linked.program)
    }

    /// As whom its program runs, by number; root otherwise.
    pub(super) const fn user(mut self, user: &'a str) -> Self {
        self.user = user;
        self
    }

    /// Writes the archive that `ctr image import` reads, unless it is there and no older than its files.
    pub(super) fn write(&self, archive: &Path) -> Result<(), Error> {
        let age = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        if let Ok(written) = age(archive)
            && self.files.iter().all(|(_, file)| age(file).is_ok_and(|time| time <= written))
        {
            return Ok(());
        }
        write(self, archive)
    }
}

fn write(image: &Image<'_>, archive: &Path) -> Result<(), Error> {
    let parent = archive.parent().unwrap_or(Path::new("."));
    let folder = tempfile::tempdir_in(parent).map_err(Error::io("make a folder in", parent))?;
    let root = folder.path().join("root");
    // Programs expect a folder for temporary files.
    fs::create_dir_all(root.join("tmp")).map_err(Error::io("make", &root))?;
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).map_err(Error::io("change", &root))?;
    for (target, source) in &image.files {
        let target = root.join(target.strip_prefix("/").unwrap_or(target));
        let parent = target.parent().unwrap_or(&root).to_owned();
        fs::create_dir_all(&parent).map_err(Error::io("make", &parent))?;
        fs::copy(source, &target).map_err(Error::io("copy", *source))?;
    }
    let layer = folder.path().join("layer.tar");
    tar(&root, &layer, ".")?;
    let bytes = fs::read(&layer).map_err(Error::io("read", &layer))?;
    let digest = Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"User": image.user, "Entrypoint": image.entrypoint, "Env": ["PATH=/usr/local/bin:/"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": image.names, "Layers": ["layer.tar"]}]);
    fs::remove_dir_all(&root).map_err(Error::io("remove", &root))?;
    for (name, value) in [("config.json", &config), ("manifest.json", &manifest)] {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).map_err(Error::io("write", path))?;
    }
    let unfinished = parent.join(format!("{}.unfinished", archive.file_name().unwrap_or_default().display()));
    tar(folder.path(), &unfinished, ".")?;
    fs::rename(&unfinished, archive).map_err(Error::io("write", archive))
}

fn tar(folder: &Path, archive: &Path, what: &str) -> Result<(), Error> {
    let mut names: Vec<PathBuf> = vec![what.into()];
    if folder.join("manifest.json").exists() {
        names = ["config.json", "layer.tar", "manifest.json"].map(PathBuf::from).to_vec();
    }
    let mut command = Command::new("tar");
    command.args(["--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--sort=name", "-cf"]).arg(archive);
    command.arg("-C").arg(folder).args(names);
    super::artifacts::run(command, "pack an image")
}

/// As Go and images name it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::Image;

    #[test]
    fn an_archive_names_its_image_and_holds_its_files() {
        let folder = tempfile::tempdir().expect("folder");
        let program = folder.path().join("program");
        fs::write(&program, "#!").expect("written");
        let archive = folder.path().join("image.tar");
        let image = Image::new("image", "lab.invalid/a:b", &["/bin/a"]).file("/bin/a", &program);
        image.write(&archive).expect("packed");
        let out = |arguments: &[&str]| {
            let output = Command::new("tar").args(arguments).current_dir(folder.path()).output().expect("tar");
            assert!(output.status.success());
            String::from_utf8(output.stdout).expect("text")
        };
        let manifest: serde_json::Value =
            serde_json::from_str(&out(&["-xOf", "image.tar", "manifest.json"])).expect("json");
        assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["lab.invalid/a:b"]));
        out(&["-xf", "image.tar", "layer.tar"]);
        let names = out(&["-tf", "layer.tar"]);
        assert!(names.contains("./bin/a\n") && names.contains("./tmp/\n"), "{names}");
        let before = fs::metadata(&archive).and_then(|metadata| metadata.modified()).expect("time");
        image.write(&archive).expect("there already");
        assert_eq!(fs::metadata(&archive).and_then(|metadata| metadata.modified()).expect("time"), before);
    }
}
