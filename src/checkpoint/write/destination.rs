//! What OUT may be, and the temporary file or folder that becomes it.

use super::temporaries::Live;
use crate::checkpoint::Checkpoint;
use crate::{Error, Result, escape};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir, TempPath};

/// What temporary files and folders begin with.
pub(super) const PREFIX: &str = ".secateur-";

/// A destination that may be written, and what will be renamed to it; dropping it removes that.
#[derive(Debug)]
pub(super) struct Destination {
    /// As the user names it.
    shown: PathBuf,
    /// With symbolic links followed, so that a link stays one.
    path: PathBuf,
    temporary: Temporary,
    /// After what it stands for.
    live: Live,
    /// Whether there may be a file to replace.
    replace: bool,
}

#[derive(Debug)]
enum Temporary {
    File(TempPath),
    Folder(TempDir),
}

impl Temporary {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Folder(folder) => folder.path(),
        }
    }
}

impl Destination {
    /// Checks that `out` may be written from `source`, and makes the temporary file or folder beside it; of a file it
    /// gives the handle.
    ///
    /// A `folder` is written where the output takes the form of that one, else a file. What is made of no checkpoint has no
    /// source.
    pub(super) fn new(
        source: Option<&Checkpoint>,
        folder: Option<&Path>,
        out: &Path,
        force: bool,
    ) -> Result<(Self, Option<File>)> {
        let refuse = |message: &str| Err(Error::Usage(format!("{}: {message}", shown(out))));
        let is_folder = folder.is_some();
        if !is_folder && !out.is_dir() && out.to_string_lossy().ends_with(std::path::is_separator) {
            return refuse("ends in a separator as a folder's name does, and a file is written: name a file");
        }
        let path = match fs::metadata(out) {
            Ok(present) => {
                if let Some(message) = unfit(source, folder, out, &present, force) {
                    return refuse(message);
                }
                fs::canonicalize(out).map_err(|e| Error::io(out, e))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(out).is_ok() {
                    return refuse("a symbolic link to nothing: remove it");
                }
                if out.file_name().is_none() {
                    return refuse("not a name that can be written to");
                }
                out.to_owned()
            }
            Err(error) => return Err(Error::io(out, error)),
        };
        let parent = parent(&path);
        match fs::metadata(parent) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return refuse("what should be its folder is a file"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return refuse("its folder does not exist: make it first"),
            Err(error) => return Err(Error::io(out, error)),
        }
        // Of a file beside the output, too.
        if let Some(folder) = source.and_then(Checkpoint::folder) {
            let above = fs::canonicalize(parent).map_err(|e| Error::io(out, e))?;
            if above.ancestors().any(|ancestor| is_same(ancestor, folder)) {
                return refuse("lies inside the model's folder: name a place outside");
            }
        }
        let made = Live::make(|| temporary(parent, is_folder), |(temporary, _)| temporary.path());
        let ((temporary, file), live) = made.map_err(|e| Error::io(out, e))?;
        Ok((Self { shown: out.to_owned(), path, temporary, live, replace: force }, file))
    }

    /// As the user names it.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// The temporary file or folder.
    pub(super) fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives it its name. Its files are synced already.
    pub(super) fn rename(self) -> Result<()> {
        if let Temporary::Folder(temporary) = &self.temporary {
            sync_folders(temporary.path());
        }
        let rename = || match self.temporary {
            Temporary::File(temporary) if self.replace => temporary.persist(&self.path).map_err(|e| e.error),
            Temporary::File(temporary) => persist_new(temporary, &self.path),
            Temporary::Folder(temporary) => {
                // Elsewhere the rename takes the place of an empty folder by itself.
                if cfg!(windows) && self.path.exists() {
                    fs::remove_dir(&self.path)?;
                }
                fs::rename(temporary.path(), &self.path)?;
                // There is nothing left to remove.
                let _ = temporary.keep();
                Ok(())
            }
        };
        self.live.rename(rename).map_err(|error| Error::io(&self.shown, error))?;
        sync_folder(parent(&self.path));
        Ok(())
    }
}

/// An error where `out` is called something else than what is written to it.
pub(super) fn check_extension(out: &Path, is_onnx: bool) -> Result<()> {
    let named = |wanted| out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
    let refuse = |message: &str| Err(Error::Usage(format!("{}: {message}", shown(out))));
    if out.is_dir() {
        return Ok(());
    }
    if named("onnx") && !is_onnx {
        return refuse("what is written is safetensors: name it .safetensors");
    }
    if named("safetensors") && is_onnx {
        return refuse("what is written is ONNX, as the model is: name it .onnx");
    }
    Ok(())
}

/// Renames without replacing what may have appeared meanwhile.
fn persist_new(temporary: TempPath, path: &Path) -> io::Result<()> {
    temporary.persist_noclobber(path).or_else(|failure| match failure.error.kind() {
        io::ErrorKind::AlreadyExists => Err(failure.error),
        // Some file systems have no such operation.
        _ if fs::symlink_metadata(path).is_err() => failure.path.persist(path).map_err(|e| e.error),
        _ => Err(failure.error),
    })
}

/// Why `out`, which is `present`, may not be written.
fn unfit(
    source: Option<&Checkpoint>,
    folder: Option<&Path>,
    out: &Path,
    present: &Metadata,
    force: bool,
) -> Option<&'static str> {
    let is_of = |source: &Checkpoint| {
        let own = [Some(source.path()), source.folder(), source.index.as_deref()];
        own.into_iter().flatten().chain(source.files()).any(|path| is_same(path, out))
    };
    if source.is_some_and(is_of) {
        return Some("this is the model, or a file of it, which is never written: name another place");
    }
    if !present.is_dir() && !present.is_file() {
        return Some("this is a device, a pipe or a socket: name a file or a folder");
    }
    let Some(folder) = folder else {
        return match (present.is_dir(), force) {
            (true, _) if source.is_none() => Some("this is a folder, and a file is written: name a file in it"),
            (true, _) => Some("this is a folder, and the model is a file: name a file in it"),
            (false, false) => Some("exists already: add --force to replace it, or name another file"),
            (false, true) => None,
        };
    };
    if !present.is_dir() {
        return Some("this is a file, and the model is a folder: name a folder");
    }
    if fs::canonicalize(folder).is_ok_and(|folder| folder.ancestors().any(|ancestor| is_same(ancestor, out))) {
        return Some("the model lies inside this folder: name another");
    }
    // What cannot be listed cannot be known to be empty.
    if fs::read_dir(out).map_or(true, |mut entries| entries.next().is_some()) {
        return Some(
            "this folder has content, which is never replaced: name a new or an empty one, or remove it first",
        );
    }
    if is_same(out, Path::new(".")) || is_mount_point(out, present) {
        return Some("this folder cannot be replaced as a whole: name a new one in it");
    }
    None
}

fn temporary(parent: &Path, is_folder: bool) -> io::Result<(Temporary, Option<File>)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // The umask applies, as it does to any file that a shell redirects into; tempfile's default is private.
    #[cfg(unix)]
    {
        let mode = if is_folder { 0o777 } else { 0o666 };
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    }
    if is_folder {
        return builder.tempdir_in(parent).map(|folder| (Temporary::Folder(folder), None));
    }
    let (file, path) = builder.tempfile_in(parent).map(NamedTempFile::into_parts)?;
    Ok((Temporary::File(path), Some(file)))
}

/// The folder that holds `path`.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder and those in it, deepest first.
fn sync_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_folders(&entry.path());
        }
    }
    sync_folder(folder);
}

/// A name is durable once its folder is. Some network file systems cannot sync a folder: the files are safe.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

pub(super) fn shown(path: &Path) -> String {
    escape(&path.display().to_string())
}

/// Whether both are there and the same: names can differ by links, bind mounts and the case of letters.
#[cfg(unix)]
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
}

/// A folder on another file system than the one it is in: nothing can be renamed to it.
#[cfg(unix)]
fn is_mount_point(folder: &Path, meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(folder.join("..")).is_ok_and(|above| above.dev() != meta.dev())
}

#[cfg(not(unix))]
fn is_mount_point(_folder: &Path, _meta: &Metadata) -> bool {
    false
}
