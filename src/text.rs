//! Small text files that a user names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// The most that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The text of a file, which is `what` to whoever reads the message.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Format`] where it is no regular file, larger than 16 MiB, or no UTF-8.
pub(crate) fn read(path: &Path, what: &str) -> Result<String> {
    let failed = |error| Error::io(path, error);
    // Before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::format(path, format!("this is no regular file, as {what} is")));
    }
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::format(path, format!("this is not {what}: it is larger than 16 MiB")));
    }
    String::from_utf8(text).map_err(|_| Error::format(path, "this is no TOML: it is not UTF-8"))
}
