//! Files and folders, within limits.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Loader, MAX_INPUT_BYTES};
use crate::intent::codes;

/// A named input.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Deepest folder below one that is given.
const MAX_FOLDERS: usize = 64;

/// Reads at most one byte more than an input may have; the rest is of no use.
pub(super) fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_INPUT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds a path to the loader: a file whatever its name, a folder with the files in it.
pub(super) fn collect(path: &Path, loader: &mut Loader) {
    let name = path.display().to_string();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let known = loader.looked_at.len();
            folder(path, 0, &mut BTreeSet::new(), loader);
            if loader.looked_at.len() == known {
                loader.looked_at.push(name);
            }
        }
        Ok(_) => file(path, loader),
        Err(error) => {
            loader.looked_at.push(name.clone());
            let help = match error.kind() {
                io::ErrorKind::NotFound => "check the path",
                _ => "check the rights to read it",
            };
            loader.fail(&name, codes::UNREADABLE, format!("cannot be read: {error}"), Some(help.to_owned()));
        }
    }
}

fn file(path: &Path, loader: &mut Loader) {
    let name = path.display().to_string();
    match File::open(path).and_then(read_limited) {
        Ok(bytes) => loader.add(&name, bytes),
        Err(error) => {
            loader.looked_at.push(name.clone());
            loader.fail(&name, codes::UNREADABLE, format!("cannot be read: {error}"), None);
        }
    }
}

fn folder(path: &Path, depth: usize, seen: &mut BTreeSet<PathBuf>, loader: &mut Loader) {
    let name = path.display().to_string();
    // A folder is read once, by whatever links it is reached.
    match fs::canonicalize(path) {
        Ok(real) if depth <= MAX_FOLDERS => {
            if !seen.insert(real) {
                return;
            }
        }
        Ok(_) => return loader.fail(&name, codes::UNREADABLE, "folders are nested too deep".to_owned(), None),
        Err(error) => return loader.fail(&name, codes::UNREADABLE, format!("cannot be read: {error}"), None),
    }
    let mut entries: Vec<PathBuf> =
        match fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()) {
            Ok(entries) => entries,
            Err(error) => return loader.fail(&name, codes::UNREADABLE, format!("cannot be read: {error}"), None),
        };
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        let wanted = entry
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
        match fs::metadata(&entry) {
            Ok(metadata) if metadata.is_dir() => folder(&entry, depth + 1, seen, loader),
            // A pipe or a device in a folder would block or never end.
            Ok(metadata) if metadata.is_file() && wanted => file(&entry, loader),
            Err(error) if wanted => {
                let name = entry.display().to_string();
                loader.fail(
                    &name,
                    codes::UNREADABLE,
                    format!("cannot be read: {error}"),
                    Some("remove the dangling link".to_owned()),
                );
            }
            _ => {}
        }
    }
}
