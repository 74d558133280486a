//! All that a survey asks of tensors, in one read: the spread of their channels, and how often each value occurs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::sums::{Sums, sums};
use super::{CpuEngine, Scratch, Worker, next_batch};
use crate::kernels::bit_histogram::upper_bits;
use crate::kernels::moments::BLOCK;
use crate::scan::{Piece, Source, SurveySink, Values};
use crate::stats::Moments;
use crate::stats::layout::{Kind, Run};
use crate::survey::{Spread, ValueCounts};
use crate::{Float, Result};

/// Values of the upper 16 bits.
const UPPER: usize = 1 << 16;
/// Elements up to which a piece is sorted instead of counted: going through a table that is nearly empty takes longer.
const FEW: u64 = 2048;

/// How often the upper bits occur in what one thread has seen of one tensor since it last handed them in.
struct Table {
    counts: Box<[u32; UPPER]>,
    /// Which tensor, and how many of its elements.
    of: Option<(usize, u64)>,
}

/// Bytes that stay in a core's innermost cache while they are counted and summed.
const NEAR_BYTES: usize = 8 << 10;

type Cells = Vec<(u16, u64)>;

/// Counts that threads have handed in, by tensor.
#[derive(Default)]
struct HandedIn(BTreeMap<usize, Cells>);

impl Table {
    fn new() -> Self {
        // By way of a vector: an array of this size is no thing for a stack.
        let counts = vec![0; UPPER].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0; UPPER]));
        Self { counts, of: None }
    }

    /// What a piece of at most 2^32 elements is to be counted in; what was counted of another tensor is handed in first.
    fn open(&mut self, piece: &Piece, handed_in: &Mutex<HandedIn>) -> &mut [u32; UPPER] {
        let elements = piece.region.elements();
        if self.of.is_none_or(|(tensor, so_far)| tensor != piece.tensor || so_far + elements > u64::from(u32::MAX)) {
            self.hand_in(handed_in);
            self.of = Some((piece.tensor, 0));
        }
        if let Some((_, so_far)) = &mut self.of {
            *so_far += elements;
        }
        &mut self.counts
    }

    fn hand_in(&mut self, handed_in: &Mutex<HandedIn>) {
        let Some((tensor, _)) = self.of.take() else { return };
        let counted = (0..=u16::MAX).zip(self.counts.iter_mut()).filter(|(_, count)| **count > 0);
        let cells = counted.map(|(bits, count)| (bits, u64::from(std::mem::take(count)))).collect();
        add(handed_in, tensor, cells);
    }
}

fn add(handed_in: &Mutex<HandedIn>, tensor: usize, cells: Cells) {
    lock(handed_in).0.entry(tensor).or_default().extend(cells);
}

/// The cells of a piece of few elements.
fn sorted(float: Float, bytes: &[u8]) -> Cells {
    let mut upper = Vec::new();
    upper_bits(float, bytes, |bits| upper.push(bits));
    upper.sort_unstable();
    upper.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect()
}

impl CpuEngine {
    /// Passes over `pieces`, tensors in order, once. `sink` hears of pieces in order, and of a tensor's counts after its last
    /// piece.
    pub(crate) fn survey(
        &self,
        source: &dyn Source,
        pieces: &mut dyn Iterator<Item = Piece>,
        sink: &mut dyn SurveySink,
    ) -> Result<()> {
        let tables: Vec<Mutex<Table>> = (0..self.threads()).map(|_| Mutex::new(Table::new())).collect();
        let handed_in = Mutex::new(HandedIn::default());
        let mut pieces = pieces.peekable();
        while pieces.peek().is_some() {
            let batch = next_batch(&mut pieces);
            let work = |worker: &mut Worker, piece: &Piece| -> Result<(Moments, Vec<Spread>)> {
                let bytes = source.load(piece, &mut worker.buffer)?;
                if piece.region.elements() <= FEW {
                    add(&handed_in, piece.tensor, sorted(piece.float, bytes));
                    return Ok(worker.scratch.survey(piece, bytes, |_, _| ()));
                }
                let thread = rayon::current_thread_index().unwrap_or(0);
                let mut table = lock(&tables[thread % tables.len()]);
                let counts = table.open(piece, &handed_in);
                Ok(worker.scratch.survey(piece, bytes, |float, part| {
                    upper_bits(float, part, |bits| counts[usize::from(bits)] += 1);
                }))
            };
            let found: Vec<Result<_>> =
                self.pool.install(|| batch.par_iter().map_init(Worker::default, work).collect());
            for (piece, found) in batch.iter().zip(found) {
                let (moments, channels) = found?;
                sink.piece(piece, &moments, &channels)?;
            }
            // Complete are all tensors of which no piece is left.
            let unfinished = pieces.peek().map(|piece| piece.tensor);
            for table in &tables {
                let mut table = lock(table);
                if table.of.is_some_and(|(tensor, _)| Some(tensor) != unfinished) {
                    table.hand_in(&handed_in);
                }
            }
            let mut found = lock(&handed_in);
            let rest = unfinished.map(|tensor| found.0.split_off(&tensor)).unwrap_or_default();
            for (tensor, cells) in std::mem::replace(&mut found.0, rest) {
                let float = batch.iter().find(|piece| piece.tensor == tensor).map_or(Float::F32, |piece| piece.float);
                sink.counts(tensor, ValueCounts::new(float, cells))?;
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scratch {
    /// The moments of a piece, where values are not known exactly by their counts, and the spread of each of its runs, where
    /// runs are of channels. `count` sees every weight once, in parts.
    fn survey(&mut self, piece: &Piece, bytes: &[u8], mut count: impl FnMut(Float, &[u8])) -> (Moments, Vec<Spread>) {
        let (float, kind) = (piece.float, piece.layout.kind);
        let by_counts = float.bits() <= 16;
        let (mut whole, mut channels) = (Moments::default(), Vec::new());
        match (by_counts, kind) {
            (true, Kind::Whole) => count(float, bytes),
            (true, Kind::Rows) => {
                // A few rows are counted and summed while they are in the innermost cache.
                let mut counted = 0;
                for run in piece.layout.runs(piece.region) {
                    let range = range(run, float);
                    if range.end - counted >= NEAR_BYTES || range.end == bytes.len() {
                        count(float, &bytes[counted..range.end]);
                        counted = range.end;
                    }
                    channels.push(self.spread(float, &bytes[range]));
                }
            }
            _ => {
                count(float, bytes);
                let found = self.moments(piece, bytes, Values::Weights);
                if kind != Kind::Whole {
                    channels.extend(found.iter().map(Spread::from));
                }
                if !by_counts {
                    found.iter().for_each(|moments| whole.combine(moments));
                }
            }
        }
        (whole, channels)
    }

    fn spread(&mut self, float: Float, bytes: &[u8]) -> Spread {
        let mut total = Spread::default();
        for block in bytes.chunks(BLOCK * float.bytes()) {
            total.combine(&match sums(float, block) {
                Some(Sums { mean, m2, abs_max }) => {
                    let count = (block.len() / float.bytes()) as u64;
                    Spread { count, finite: count, mean, m2, abs_max }
                }
                None => Spread::from(&self.contiguous(float, block, Values::Weights)),
            });
        }
        total
    }
}

/// Where a run lies in its piece's bytes.
fn range(run: Run, float: Float) -> std::ops::Range<usize> {
    run.start as usize * float.bytes()..(run.start + run.length) as usize * float.bytes()
}
