//! Several outputs of one run: none may replace another, nor what the run reads.

use super::destination::{is_same, shown};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A path, and what the user calls it, such as `--mask`.
pub type Named<'a> = (&'a str, &'a Path);

/// Checks, before any work, that no output of a run would destroy something.
///
/// `out` is the checkpoint that is written, which [`Writer`](super::Writer) checks further; `sides` are files beside it,
/// and `inputs` what is read besides the model.
///
/// # Errors
///
/// [`Error::Usage`] where two outputs are the same by whatever name, one is an input or a file of the model, or a side
/// file lies inside the model's folder or inside `out`.
pub fn check_outputs(
    model: &Checkpoint,
    out: Option<Named<'_>>,
    sides: &[Named<'_>],
    inputs: &[Named<'_>],
) -> Result<()> {
    // An ONNX file may bring a file of external data along.
    let data = out.filter(|_| model.is_onnx()).map(|(_, path)| data_path(path));
    let data = data.as_deref().map(|path| ("the output, for its external data,", path));
    let outputs: Vec<Named<'_>> = out.iter().chain(&data).chain(sides).copied().collect();
    check_apart(&outputs, inputs)?;
    for &named in sides {
        let at = place(named.1);
        if is_of(model, &at) {
            return refuse(named, "this is the model, or a file of it, which is never written: name another place");
        }
        let inside = |folder: &Path| at.ancestors().skip(1).any(|above| is_one(above, folder));
        if model.folder().is_some_and(|folder| inside(&place(folder))) {
            return refuse(named, "lies inside the model's folder: name a place outside");
        }
        if let Some((what, path)) = out
            && inside(&place(path))
        {
            return refuse(named, &format!("lies inside {what}, which is written as a whole: name a place beside it"));
        }
    }
    Ok(())
}

/// Checks that no two of `outputs` are the same file, by whatever name, and none is one of `inputs`.
///
/// # Errors
///
/// [`Error::Usage`] where they are.
pub(crate) fn check_apart(outputs: &[Named<'_>], inputs: &[Named<'_>]) -> Result<()> {
    let all: Vec<(Named<'_>, PathBuf)> = outputs.iter().map(|&named| (named, place(named.1))).collect();
    for (i, (named, at)) in all.iter().enumerate() {
        if let Some(((other, _), _)) = all[..i].iter().find(|(_, other)| is_one(other, at)) {
            return refuse(*named, &format!("{other} names it, too: name another file"));
        }
        if let Some((other, _)) = inputs.iter().find(|(_, input)| is_one(&place(input), at)) {
            return refuse(*named, &format!("{other} reads it, and what is read is never written: name another file"));
        }
    }
    Ok(())
}

fn refuse((what, path): Named<'_>, why: &str) -> Result<()> {
    Err(Error::Usage(format!("{what} {}: {why}", shown(path))))
}

/// Where the external data of an ONNX file `out` go.
pub(super) fn data_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".data");
    PathBuf::from(name)
}

/// Whether `path` is the model or a file beside its weights, by whatever link.
fn is_of(model: &Checkpoint, path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let beside = model.folder().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    [Some(model.path()), model.index.as_deref()].into_iter().flatten().chain(model.files()).any(|of| is_same(of, path))
        || beside.map(|entry| entry.path()).any(|of| is_same(&of, path))
}

fn is_one(one: &Path, other: &Path) -> bool {
    one == other || is_same(one, other)
}

/// Where a file of that name lies, there already or not.
fn place(path: &Path) -> PathBuf {
    let Ok(whole) = std::path::absolute(path) else { return path.to_owned() };
    let known = |above: &Path| Some((fs::canonicalize(above).ok()?, whole.strip_prefix(above).ok()?.to_owned()));
    match whole.ancestors().find_map(known) {
        // Joining nothing would add a separator.
        Some((found, rest)) if rest.as_os_str().is_empty() => found,
        Some((found, rest)) => found.join(rest),
        None => whole.clone(),
    }
}
