//! Where results go: stdout, or a file that appears only when it is complete.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use secateur::checkpoint::Live;
use secateur::report::Look;
use secateur::{Error, Result};
use tempfile::NamedTempFile;

const STDOUT: &str = "<stdout>";
const BUFFER_BYTES: usize = 64 << 10;

/// How a table looks on stdout: as wide as COLUMNS or the terminal says, in full where there is neither.
pub(crate) fn look() -> Look {
    let stdout = io::stdout();
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0);
    let terminal = || terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
    let width = columns().or_else(|| if stdout.is_terminal() { terminal().or(Some(80)) } else { None });
    Look { width, colour: super::has_colour(&stdout) }
}

/// Where results go.
pub(crate) enum Output {
    /// As it comes.
    Stdout(BufWriter<io::Stdout>),
    /// Beside its destination until [`Output::finish`].
    File {
        /// What has been written so far.
        out: BufWriter<NamedTempFile>,
        /// What it will be named.
        path: PathBuf,
        /// After what it stands for.
        live: Live,
    },
}

impl Output {
    /// The standard output.
    pub(crate) fn stdout() -> Self {
        Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))
    }

    /// A file at `path` that is none of `inputs`. Symbolic links are followed, so that a link stays one.
    pub(crate) fn file<'p>(path: &Path, inputs: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let destination = match fs::metadata(path) {
            Ok(present) => {
                check(path, &present, inputs)?;
                fs::canonicalize(path).map_err(|source| Error::io(path, source))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(Error::io(path, error)),
        };
        let folder = match destination.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".secateur-");
        // The umask applies, as it does to any file that a shell redirects into; tempfile's default is private.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let made = Live::make(|| builder.tempfile_in(folder), NamedTempFile::path);
        let (out, live) = made.map_err(|source| Error::io(path, source))?;
        Ok(Self::File { out: BufWriter::with_capacity(BUFFER_BYTES, out), path: destination, live })
    }

    /// The writer to fill.
    pub(crate) fn writer(&mut self) -> Box<dyn Write + '_> {
        match self {
            Self::Stdout(out) => Box::new(out),
            Self::File { out, .. } => Box::new(out),
        }
    }

    /// The name to report errors with.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Stdout(_) => STDOUT.into(),
            Self::File { path, .. } => path.clone(),
        }
    }

    /// Writes what is buffered; a file is synced and gets its name. `written` is how the writing went: had it failed,
    /// no file appears.
    pub(crate) fn finish(self, written: io::Result<()>) -> Result<()> {
        let path = self.path();
        written.and_then(|()| self.complete()).map_err(|source| Error::io(path, source))
    }

    fn complete(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::File { out, path, live } => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                live.rename(|| file.persist(&path))?;
                sync_folder(&path)
            }
        }
    }
}

/// A rename is durable once the folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| cfg!(unix) && !folder.as_os_str().is_empty()) {
        // Some network file systems cannot sync a folder; the file itself is safe.
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).or(Ok(())),
        None => Ok(()),
    }
}

fn check<'p>(path: &Path, present: &Metadata, inputs: impl IntoIterator<Item = &'p Path>) -> Result<()> {
    if present.is_dir() {
        return Err(Error::Usage(format!("-o {}: this is a folder: name a file in it", path.display())));
    }
    if !present.is_file() {
        return Err(Error::Usage(format!(
            "-o {}: not a regular file: leave -o out and redirect stdout",
            path.display()
        )));
    }
    if inputs.into_iter().any(|input| is_same(path, present, input)) {
        return Err(Error::Usage(format!("-o {}: this is a file of the model: name another", path.display())));
    }
    Ok(())
}

#[cfg(unix)]
fn is_same(_path: &Path, present: &Metadata, input: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // Names can differ where the file is the same: links, bind mounts, case-insensitive file systems.
    fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (present.dev(), present.ino()))
}

#[cfg(not(unix))]
fn is_same(path: &Path, _present: &Metadata, input: &Path) -> bool {
    matches!((fs::canonicalize(path), fs::canonicalize(input)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "old").unwrap();

        let mut output = Output::file(&path, []).unwrap();
        output.writer().write_all(b"half").unwrap();
        assert!(output.finish(Err(io::Error::other("disk"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");

        let mut output = Output::file(&path, []).unwrap();
        output.writer().write_all(b"new").unwrap();
        output.finish(Ok(())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn what_must_not_be_replaced_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.safetensors");
        fs::write(&model, "weights").unwrap();
        assert!(matches!(Output::file(folder.path(), []), Err(Error::Usage(_))));
        assert!(matches!(Output::file(&model, [model.as_path()]), Err(Error::Usage(_))));
        #[cfg(unix)]
        {
            let link = folder.path().join("link.json");
            std::os::unix::fs::symlink(&model, &link).unwrap();
            assert!(matches!(Output::file(&link, [model.as_path()]), Err(Error::Usage(_))));
            assert!(matches!(Output::file(Path::new("/dev/null"), []), Err(Error::Usage(_))));
        }
        assert!(matches!(Output::file(&folder.path().join("none/out.csv"), []), Err(Error::Io { .. })));
        assert_eq!(fs::read_to_string(&model).unwrap(), "weights");
    }
}
