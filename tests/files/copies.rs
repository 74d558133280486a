//! Copies of checkpoints, and what is in a folder.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use secateur::Result;
use secateur::checkpoint::{Checkpoint, Writer};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Copies every tensor of `source` to `out`.
pub(crate) fn copy(source: &Checkpoint, out: &Path, force: bool) -> Result<()> {
    let writer = Writer::same(source, out, force)?;
    source.tensors().iter().try_for_each(|tensor| writer.copy(source, tensor))?;
    writer.finish()
}

/// The names in a folder and its subfolders, with contents; a link counts as what it leads to.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder_in) = pending.pop() {
        for entry in fs::read_dir(&folder_in).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("inside").display().to_string();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}
