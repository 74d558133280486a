//! Which file of a folder is the model.

use super::{foreign, natural};
use crate::{Error, Result, escape};
use std::fs;
use std::path::{Path, PathBuf};

const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weight files a folder holds, by name, hidden ones left out.
#[derive(Debug, Default)]
struct Listing {
    files: Vec<String>,
    indexes: Vec<String>,
    /// The first file of another format, and what to do about it.
    foreign: Option<(String, &'static str)>,
}

/// The index or safetensors file that stands for `folder`: see [`Checkpoint::open`](super::Checkpoint::open).
pub(super) fn choose(folder: &Path) -> Result<PathBuf> {
    let listing = list(folder)?;
    pick(&listing).map(|name| folder.join(name)).map_err(|message| Error::format(folder, message))
}

/// Refuses a folder whose index leaves out a file that other programs would load instead of the index's shards.
pub(super) fn check_unambiguous(folder: &Path, index: &Path, shards: &[String]) -> Result<()> {
    if shards.iter().any(|shard| shard == FILE) || !folder.join(FILE).exists() {
        return Ok(());
    }
    let index = index.file_name().unwrap_or_default().to_string_lossy();
    let message = format!("holds both {FILE} and {}, which does not list it: name one of them", escape(&index));
    Err(Error::format(folder, message))
}

fn list(folder: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        // A name that is not Unicode can still be opened by naming it.
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Hidden files are caches and the shadows some systems leave (`._model.safetensors`). A dangling link counts:
        // opening it says what is wrong.
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        let lower = name.to_ascii_lowercase();
        if lower.ends_with(".safetensors") {
            listing.files.push(name.to_owned());
        } else if lower.contains(".safetensors.index.") && lower.ends_with(".json") {
            listing.indexes.push(name.to_owned());
        } else if let Some(message) = foreign::by_extension(&path) {
            let first = listing.foreign.as_ref().is_none_or(|(seen, _)| natural::compare(name, seen).is_lt());
            if first {
                listing.foreign = Some((name.to_owned(), message));
            }
        }
    }
    listing.files.sort_by(|a, b| natural::compare(a, b));
    listing.indexes.sort_by(|a, b| natural::compare(a, b));
    Ok(listing)
}

fn pick(listing: &Listing) -> Result<&str, String> {
    let standard = |names: &[String], name: &str| names.iter().any(|n| n == name);
    match (listing.indexes.as_slice(), listing.files.as_slice()) {
        (indexes, _) if standard(indexes, INDEX) => Ok(INDEX),
        ([index], _) => Ok(index),
        ([], files) if standard(files, FILE) => Ok(FILE),
        ([], [file]) => Ok(file),
        ([], []) => Err(match &listing.foreign {
            Some((name, message)) => format!("no .safetensors file in this folder; {} is {message}", escape(name)),
            None => "no .safetensors file in this folder: check the path".into(),
        }),
        ([], files) => Err(format!("several .safetensors files and no index: name one of them ({})", some_of(files))),
        (indexes, _) => Err(format!("several indexes: name one of them ({})", some_of(indexes))),
    }
}

/// The first few names, for a message.
fn some_of(names: &[String]) -> String {
    let mut text = names.iter().take(4).map(|name| escape(name)).collect::<Vec<_>>().join(", ");
    if names.len() > 4 {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_folder() {
        /// Files, indexes, and the one that is picked or a part of the message.
        type Case<'a> = (&'a [&'a str], &'a [&'a str], Result<&'a str, &'a str>);
        let cases: [Case<'_>; 11] = [
            (&[], &[], Err("no .safetensors file")),
            (&["a.safetensors"], &[], Ok("a.safetensors")),
            (&["model.safetensors"], &[], Ok(FILE)),
            (&["a.safetensors", "b.safetensors"], &[], Err("name one of them (a.safetensors, b.safetensors)")),
            (&["consolidated.safetensors", "model.safetensors"], &[], Ok(FILE)),
            (&["model.fp16.safetensors", "model.safetensors"], &[], Ok(FILE)),
            (&["consolidated.safetensors", "model-1.safetensors"], &[INDEX], Ok(INDEX)),
            (&["a-1.safetensors", "a-2.safetensors"], &["a.safetensors.index.json"], Ok("a.safetensors.index.json")),
            (&[], &["a.safetensors.index.json", "b.safetensors.index.json"], Err("several indexes")),
            (&[], &["consolidated.safetensors.index.json", INDEX], Ok(INDEX)),
            (&[], &[INDEX, "model.safetensors.index.fp16.json"], Ok(INDEX)),
        ];
        for (files, indexes, expected) in cases {
            let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let listing = Listing { files: owned(files), indexes: owned(indexes), foreign: None };
            match (pick(&listing), expected) {
                (Ok(name), Ok(wanted)) => assert_eq!(name, wanted),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (got, wanted) => panic!("{files:?} {indexes:?}: {got:?}, not {wanted:?}"),
            }
        }
    }
}
