//! What the processor and the disk can do at all.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;

use crate::kernels::sum::sum_words;
use crate::{Error, Result};

/// Bytes that a thread takes at a time, as the engine does.
const PIECE: usize = 128 << 10;

/// Every word loaded and added, on all threads of the current pool.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    bytes.par_chunks(PIECE).map(sum_words).reduce(|| 0, u32::wrapping_add)
}

/// Every byte copied, on all threads of the current pool.
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    from.par_chunks(PIECE).zip(to.par_chunks_mut(PIECE)).for_each(|(from, to)| to.copy_from_slice(from));
}

/// A file read once into buffers that are used again, on all threads of the current pool: the number of bytes.
pub(super) fn read(path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let bytes = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let piece = |buffer: &mut Vec<u8>, start: u64| {
        buffer.resize(PIECE, 0);
        let part = &mut buffer[..(bytes - start).min(PIECE as u64) as usize];
        crate::checkpoint::positioned::read_exact_at(&file, part, start).map_err(|e| Error::io(path, e))?;
        black_box(part);
        Ok(())
    };
    let starts: Vec<u64> = (0..bytes).step_by(PIECE).collect();
    starts.into_par_iter().try_for_each_init(Vec::new, piece)?;
    Ok(bytes)
}

/// A file copied and synced, as `cp` and `sync` do.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).map_err(|e| Error::io(to, e))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|e| Error::io(to, e))
}

/// Seconds that `work` takes.
pub(super) fn seconds(work: impl FnOnce() -> Result<Option<f64>>) -> Result<(f64, Option<f64>)> {
    let start = Instant::now();
    let kernel = work()?;
    Ok((start.elapsed().as_secs_f64(), kernel))
}
