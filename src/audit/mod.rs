//! How sparse a checkpoint is, and in which ways: zeros, N:M patterns, empty channels, and what that would save.
//!
//! ```
//! use secateur::{Checkpoint, Progress, audit};
//!
//! let model = Checkpoint::open("examples/data/cnn.safetensors")?;
//! let options = audit::Options { pattern: Some("2:4".parse()?), ..Default::default() };
//! let summary = audit::audit(&model, &options, &Progress::default(), &mut |entry| {
//!     assert!(entry.bytes.without_empty_channels <= entry.bytes.dense);
//!     Ok(())
//! })?;
//! let verdict = summary.verdict.expect("a pattern was asked for");
//! assert!(verdict.failed > 0, "these weights are dense");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod count;
mod entry;
mod fold;
mod tiles;

pub use entry::{Bytes, Entry, Judgement, Summary, Total, Verdict};

use std::num::NonZeroUsize;
use std::time::Instant;

use rayon::prelude::*;

use crate::checkpoint::{Checkpoint, Selection, Tensor};
use crate::cpu::CpuEngine;
use crate::prune::{NofM, left_out};
use crate::stats::Skipped;
use crate::{Float, Progress, Result};
use count::{Counted, Scratch};
use fold::Fold;
use tiles::{Grid, Tile};

/// The patterns that are always looked for: those of 50 % that hardware or kernels run, and sparser ones.
pub const COMMON: [NofM; 10] = [
    of::<1, 2>(),
    of::<1, 4>(),
    of::<2, 4>(),
    of::<3, 4>(),
    of::<1, 8>(),
    of::<2, 8>(),
    of::<4, 8>(),
    of::<2, 16>(),
    of::<4, 16>(),
    of::<8, 16>(),
];

/// A pattern that is right when compiling.
const fn of<const KEPT: u8, const OF: u8>() -> NofM {
    const { NofM::new(KEPT, OF).expect("1 ≤ N < M ≤ 32") }
}

/// What to audit, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which tensors.
    pub selection: Selection,
    /// Whether they were chosen by name: then those that pruning leaves out by itself are judged, too.
    pub named: bool,
    /// The pattern that every eligible tensor is to satisfy, if any.
    pub pattern: Option<NofM>,
    /// Bound on what is held at once, in bytes.
    pub memory_bytes: u64,
    /// Threads, or one for each core.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            named: false,
            pattern: None,
            memory_bytes: crate::stats::Options::DEFAULT_MEMORY_BYTES,
            threads: None,
        }
    }
}

/// Bytes of a tile: it and a byte for each of its weights stay in a core's own cache.
const MOST_PIECE_BYTES: u64 = 256 << 10;
const LEAST_PIECE_BYTES: u64 = 16 << 10;
/// Tiles between two folds.
const BATCH_TILES: usize = 512;

/// Audits the floating tensors of `checkpoint` that `options` select, each read once, and gives one entry for each to
/// `sink`, in natural order of their names. NaN counts as not zero.
///
/// With a pattern, a tensor is judged where `secateur prune` would prune it and M divides its input axis.
///
/// # Errors
/// A file that cannot be read, threads that the operating system does not give, or whatever `sink` returns. That a tensor
/// fails the pattern is no error: see [`Summary::verdict`].
pub fn audit(
    checkpoint: &Checkpoint,
    options: &Options,
    progress: &Progress,
    sink: &mut dyn FnMut(Entry) -> Result<()>,
) -> Result<Summary> {
    let start = Instant::now();
    let cpu = CpuEngine::new(options.threads)?;
    let mut tensors = Vec::new();
    let mut skipped = Vec::new();
    for tensor in checkpoint.tensors().iter().filter(|t| options.selection.includes(t.name())) {
        match tensor.float() {
            Some(float) => tensors.push((tensor, float)),
            None => skipped.push(Skipped::new(tensor)),
        }
    }
    let bytes = tensors.iter().map(|(tensor, _)| tensor.bytes()).sum();
    progress.expect(bytes);
    let mut audit = Audit {
        checkpoint,
        options,
        progress,
        piece_bytes: (options.memory_bytes / 16 / cpu.threads() as u64).clamp(LEAST_PIECE_BYTES, MOST_PIECE_BYTES),
        jobs: Vec::new(),
        folds: Vec::new(),
        total: Total::default(),
        verdict: options.pattern.map(Verdict::new),
        sink,
    };
    for (tensor, float) in tensors {
        audit.add(tensor, float, &cpu)?;
    }
    audit.flush(&cpu, true)?;
    let (total, verdict) = (audit.total, audit.verdict);
    Ok(Summary { total, skipped, verdict, bytes, seconds: start.elapsed().as_secs_f64() })
}

/// Tiles waiting to be counted, and the tensors that they are of.
struct Audit<'a, 's> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    progress: &'a Progress,
    piece_bytes: u64,
    /// A tile, its grid, and its tensor's place in `folds`.
    jobs: Vec<(usize, Grid, Tile)>,
    /// Tensors without an entry yet, in order.
    folds: Vec<(&'a Tensor, Float, Fold)>,
    total: Total,
    verdict: Option<Verdict>,
    sink: &'s mut dyn FnMut(Entry) -> Result<()>,
}

impl<'a> Audit<'a, '_> {
    fn add(&mut self, tensor: &'a Tensor, float: Float, cpu: &CpuEngine) -> Result<()> {
        let fold = Fold::new(tensor, float, self.options.pattern, self.piece_bytes);
        let grid = fold.grid;
        self.folds.push((tensor, float, fold));
        for (grid, tile) in grid.into_iter().flat_map(|grid| grid.tiles().map(move |tile| (grid, tile))) {
            if self.jobs.len() == BATCH_TILES {
                self.flush(cpu, false)?;
            }
            self.jobs.push((self.folds.len() - 1, grid, tile));
        }
        // Tensors without elements bring no tiles.
        if self.folds.len() > BATCH_TILES { self.flush(cpu, false) } else { Ok(()) }
    }

    /// Counts what is waiting, and gives out every entry but the last one's, unless `all` are complete.
    fn flush(&mut self, cpu: &CpuEngine, all: bool) -> Result<()> {
        let jobs = std::mem::take(&mut self.jobs);
        let work = |scratch: &mut Scratch, (place, grid, tile): &(usize, Grid, Tile)| -> Result<Counted> {
            let (tensor, float, fold) = &self.folds[*place];
            grid.load(self.checkpoint, tensor, *float, tile, self.progress, &mut scratch.bytes)?;
            Ok(scratch.count(*float, tile, &fold.sizes, &fold.most))
        };
        let counted: Vec<Result<Counted>> =
            cpu.pool().install(|| jobs.par_iter().map_init(Scratch::default, work).collect());
        for ((place, _, tile), counted) in jobs.iter().zip(counted) {
            self.folds[*place].2.add(tile, &counted?);
        }
        let complete = self.folds.len() - usize::from(!all && !self.folds.is_empty());
        for (tensor, float, fold) in self.folds.drain(..complete) {
            let asked = self.options.pattern.map(|pattern| {
                let (selection, named) = (&self.options.selection, self.options.named);
                let reason = left_out(tensor, selection, named).or_else(|| pattern.unfit(tensor));
                (pattern, reason)
            });
            let entry = fold.finish(tensor, float, asked);
            self.total.add(&entry);
            if let Some(verdict) = &mut self.verdict {
                verdict.add(&entry);
            }
            (self.sink)(entry)?;
        }
        Ok(())
    }
}
