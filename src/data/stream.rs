//! The contents of a file, gz or not, from its beginning to its end.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

const BUFFER_BYTES: usize = 256 << 10;

/// A file's contents: what is in it where it is gz, which its first bytes tell, whatever its name.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Usage`] where it is a folder, a device or a pipe: it is read twice.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let failed = |error| Error::io(path, error);
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let shown = crate::escape(&path.display().to_string());
        return Err(Error::Usage(format!("{shown}: is no regular file, and is read twice: name a file")));
    }
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(failed)?);
    let is_gz = io::BufRead::fill_buf(&mut file).map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    if !is_gz {
        return Ok(Box::new(file));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file))))
}

/// How many bytes are left in `contents`, of which no more than `most` + 1 are counted and none is held: of what is
/// compressed nothing else tells the truth.
pub(super) fn count(path: &Path, contents: &mut dyn Read, most: u64) -> Result<u64> {
    io::copy(&mut contents.take(most.saturating_add(1)), &mut io::sink()).map_err(|error| failed(path, error))
}

/// An error of reading such contents: what is wrong with the compression is wrong with the file.
pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::format(path, "ends in the middle: download it again"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            let message = format!("its gz compression is damaged ({error}): download it again");
            Error::format(path, message)
        }
        _ => Error::io(path, error),
    }
}

/// What to do about a file that is an archive, by its first bytes.
pub(super) fn archive(head: &[u8]) -> Option<&'static str> {
    let tar = head.get(257..262) == Some(b"ustar");
    if tar {
        return Some("is a tar archive: unpack it (tar xf) and name the files in it");
    }
    head.starts_with(b"PK\x03\x04").then_some("is a zip archive: unpack it and name the files in it")
}

/// The first bytes, as many as [`archive`] looks at, or as there are.
pub(super) fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    open(path)?.take(512).read_to_end(&mut head).map_err(|error| failed(path, error))?;
    Ok(head)
}
