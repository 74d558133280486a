//! The files of a model's folder beside its weights: carried over.

use super::destination::PREFIX;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Copies everything in `folder` to `target` but the files in `without`, relative paths both of them, and temporaries of
/// this program.
///
/// Symbolic links to files become files. Links to folders stay links, to the same folder: following them could go in
/// circles. Devices, pipes and sockets hold nothing and are left out. Each file is synced.
pub(super) fn over(folder: &Path, target: &Path, without: &BTreeSet<PathBuf>) -> Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(inner) = pending.pop() {
        let at = folder.join(&inner);
        for entry in fs::read_dir(&at).map_err(|e| Error::io(&at, e))? {
            let entry = entry.map_err(|e| Error::io(&at, e))?;
            let (name, from) = (inner.join(entry.file_name()), entry.path());
            if without.contains(&name) || entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let is_link = entry.file_type().map_err(|e| Error::io(&from, e))?.is_symlink();
            let kind = fs::metadata(&from).map_err(|e| match is_link {
                true => Error::format(&from, format!("a symbolic link to what cannot be read ({e}): remove it")),
                false => Error::io(&from, e),
            })?;
            let to = target.join(&name);
            // A folder is there already where a shard lies in it: then it is not to be linked, but filled.
            if kind.is_dir() && is_link && !to.exists() {
                link(&from, &to)?;
            } else if kind.is_dir() {
                fs::create_dir_all(&to).map_err(|e| Error::io(&to, e))?;
                pending.push(name);
            } else if kind.is_file() {
                copy(&from, &to)?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map_err(|e| Error::io(from, std::io::Error::new(e.kind(), format!("copying it failed: {e}"))))?;
    // What is read-only can be synced on Unix alone, which asks for no right to write.
    if cfg!(unix) {
        File::open(to).and_then(|file| file.sync_all()).map_err(|e| Error::io(to, e))?;
    }
    Ok(())
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    let folder = fs::canonicalize(from).map_err(|e| Error::io(from, e))?;
    std::os::unix::fs::symlink(folder, to).map_err(|e| Error::io(to, e))
}

#[cfg(not(unix))]
fn link(from: &Path, _to: &Path) -> Result<()> {
    Err(Error::format(from, "a link to a folder cannot be carried over: remove it, or copy the folder into its place"))
}
