//! Container images of one layer from files of this machine, without a registry.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Error;

/// What an image holds.
pub(super) struct Image<'a> {
    /// As manifests name it.
    pub(super) name: &'a str,
    pub(super) entrypoint: &'a [&'a str],
    /// Path in the image and file of this machine.
    pub(super) files: &'a [(&'a str, &'a Path)],
}

/// Writes the archive that `ctr image import` reads, unless it is there and no older than its files.
pub(super) fn write(image: &Image<'_>, archive: &Path) -> Result<(), Error> {
    let age = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if let Ok(written) = age(archive)
        && image.files.iter().all(|(_, file)| age(file).is_ok_and(|time| time <= written))
    {
        return Ok(());
    }
    let parent = archive.parent().unwrap_or(Path::new("."));
    let folder = tempfile::tempdir_in(parent).map_err(Error::io("make a folder in", parent))?;
    let root = folder.path().join("root");
    // Programs expect a folder for temporary files.
    fs::create_dir_all(root.join("tmp")).map_err(Error::io("make", &root))?;
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).map_err(Error::io("change", &root))?;
    for (target, source) in image.files {
        let target = root.join(target.trim_start_matches('/'));
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
        "config": {"Entrypoint": image.entrypoint, "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [image.name], "Layers": ["layer.tar"]}]);
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

    use super::{Image, write};

    #[test]
    fn an_archive_names_its_image_and_holds_its_files() {
        let folder = tempfile::tempdir().expect("folder");
        let program = folder.path().join("program");
        fs::write(&program, "#!").expect("written");
        let archive = folder.path().join("image.tar");
        let image = Image { name: "lab.invalid/a:b", entrypoint: &["/bin/a"], files: &[("/bin/a", &program)] };
        write(&image, &archive).expect("packed");
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
        write(&image, &archive).expect("there already");
        assert_eq!(fs::metadata(&archive).and_then(|metadata| metadata.modified()).expect("time"), before);
    }
}
