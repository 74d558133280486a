//! One open safetensors file.

use super::{foreign, header, positioned};
use crate::{Error, Result, Tensor};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The longest header safetensors allows, in bytes.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The header's length, a little-endian u64, comes first.
pub(super) const LENGTH_BYTES: u64 = 8;

/// A safetensors file that stays open for as long as its checkpoint.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Where the data starts: the size of the header, its length included, in bytes.
    pub(super) data_start: u64,
    /// The size of the whole file in bytes.
    pub(super) bytes: u64,
}

impl Shard {
    /// What the header's `__metadata__` says, if there is one.
    pub(super) fn metadata(&self) -> Result<Option<BTreeMap<String, String>>> {
        let header_bytes = self.data_start.saturating_sub(LENGTH_BYTES);
        let json = read_at(&self.path, &self.file, LENGTH_BYTES, header_bytes)?;
        header::metadata(&self.path, &json)
    }
}

/// Opens number `number` of a checkpoint's files and reads its header.
pub(super) fn open(path: &Path, number: usize) -> Result<(Shard, Vec<Tensor>)> {
    let (file, file_bytes) = open_regular(path)?;
    if let Some(message) = foreign::by_extension(path) {
        return Err(Error::format(path, message));
    }
    let start = read_at(path, &file, 0, file_bytes.min(foreign::SNIFFED_BYTES))?;
    // What a file really is says more than how it fails to be something else.
    let reject = |message: String| Error::format(path, foreign::by_content(&start).map_or(message, str::to_owned));

    if file_bytes == 0 {
        return Err(reject("is empty: download it again".into()));
    }
    let Some(length) = start.first_chunk() else {
        return Err(reject(format!("{file_bytes} bytes are too few for a safetensors file: download it again")));
    };
    let header_bytes = u64::from_le_bytes(*length);
    if header_bytes == 0 {
        return Err(reject("the header is empty, as in an unfinished download: download it again".into()));
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(reject(format!(
            "not a safetensors file: its first 8 bytes would mean a header of {header_bytes} bytes, and \
             {MAX_HEADER_BYTES} are allowed; check the path, or download it again"
        )));
    }
    if header_bytes > file_bytes - LENGTH_BYTES {
        return Err(reject(format!(
            "truncated, or not a safetensors file: its header of {header_bytes} bytes does not fit in {file_bytes}; \
             download it again"
        )));
    }
    let json = read_at(path, &file, LENGTH_BYTES, header_bytes)?;
    if json.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(reject("not a safetensors file: no JSON header; check the path, or download it again".into()));
    }
    let data_start = LENGTH_BYTES + header_bytes;
    let tensors = header::parse(path, &json, number, data_start, file_bytes - data_start)?;
    Ok((Shard { path: path.to_owned(), file, data_start, bytes: file_bytes }, tensors))
}

/// Opens an ordinary file and tells its size in bytes. Devices and pipes are refused before they are opened, as that
/// alone can wait forever.
pub(super) fn open_regular(path: &Path) -> Result<(File, u64)> {
    let refuse_special = |meta: &fs::Metadata| match meta.is_file() {
        true => Ok(()),
        false if meta.is_dir() => Err(Error::format(path, "is a folder where a file is needed")),
        false => Err(Error::format(path, "is a device, a pipe or a socket: copy it to a file first")),
    };
    refuse_special(&fs::metadata(path).map_err(|e| Error::io(path, e))?)?;
    let file = File::open(path).map_err(|e| match e.raw_os_error() {
        // EMFILE, on every Unix there is.
        Some(24) if cfg!(unix) => Error::format(path, "too many files are open: raise the limit (ulimit -n)"),
        _ => Error::io(path, e),
    })?;
    let meta = file.metadata().map_err(|e| Error::io(path, e))?;
    refuse_special(&meta)?;
    Ok((file, meta.len()))
}

/// `bytes` bytes from `offset` on; the caller has checked that the file is that long.
pub(super) fn read_at(path: &Path, file: &File, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(bytes).map_err(|_| Error::format(path, "too large for this machine's addresses"))?;
    let mut buf = vec![0; length];
    positioned::read_exact_at(file, &mut buf, offset).map_err(|e| Error::io(path, e))?;
    Ok(buf)
}
