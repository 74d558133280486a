//! The CPU engine: the kernels' twins over pieces, on all threads of a pool, in a fixed order.

mod cut;
mod gather;
mod piece;
mod sums;
mod survey;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::kernels::bin_counts::{BinTable, bin_of};
use crate::kernels::bit_histogram::count_digits;
use crate::kernels::select::select;
use crate::order::bits_at;
use crate::scan::{
    Buffer, Compute, Counts, CutCounts, Gather, GroupAnswer, GroupRequest, Job, MomentSink, Piece, Request, Source,
};
use crate::stats::Moments;
use crate::stats::layout::View;
use crate::{Error, Float, Result};

#[cfg(feature = "gpu")]
pub(crate) use piece::COUNTED;
pub(crate) use piece::Scratch;

/// Pieces between two folds: enough to keep every thread busy, few enough that their results are a small thing.
const BATCH_PIECES: usize = 2048;
/// Tables of counts that are held at once: beyond, two threads take turns, for as long as a piece takes.
const MOST_TABLES: usize = 16;
/// Runs between two folds.
const BATCH_RUNS: u64 = 1 << 17;

/// Threads, and what their processor can do.
#[derive(Debug)]
pub(crate) struct CpuEngine {
    pool: Arc<ThreadPool>,
}

impl CpuEngine {
    /// An engine of `threads` threads, or of one for each core.
    ///
    /// # Errors
    /// Where the operating system gives no threads.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Self> {
        ThreadPoolBuilder::new()
            .num_threads(threads.map_or(0, NonZeroUsize::get))
            .thread_name(|i| format!("secateur-{i}"))
            .build()
            .map(|pool| Self { pool: Arc::new(pool) })
            .map_err(|e| Error::Device(format!("cannot start threads: {e} (try fewer with --threads)")))
    }

    /// An engine of threads that are there.
    #[cfg(feature = "gpu")]
    pub(crate) fn with_pool(pool: Arc<ThreadPool>) -> Self {
        Self { pool }
    }

    /// Such as `AVX2, 8 threads`.
    pub(crate) fn name(&self) -> String {
        let level = format!("{:?}", fearless_simd::Level::new());
        let level = level.split(['(', ' ']).next().unwrap_or_default();
        let threads = self.threads();
        format!("{}, {threads} thread{}", level.to_uppercase(), if threads == 1 { "" } else { "s" })
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Tables that threads count into before they are added up: one for each thread, but that many threads share.
    pub(crate) fn tables(&self) -> usize {
        self.threads().min(MOST_TABLES)
    }

    pub(crate) fn pool(&self) -> &Arc<ThreadPool> {
        &self.pool
    }

    /// Loads every piece once and gives it to `each`, with its companion and the index of the thread that does so.
    pub(crate) fn for_each<T: Send + Sync>(
        &self,
        source: &dyn Source,
        pieces: &mut dyn Iterator<Item = (Piece, T)>,
        each: impl Fn(usize, &Piece, &T, &[u8]) + Sync,
    ) -> Result<()> {
        loop {
            let batch: Vec<(Piece, T)> = pieces.take(BATCH_PIECES).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let work = |buffer: &mut Buffer, (piece, companion): &(Piece, T)| -> Result<()> {
                let bytes = source.load(piece, buffer)?;
                each(rayon::current_thread_index().unwrap_or(0), piece, companion, bytes);
                Ok(())
            };
            let init = Buffer::default;
            self.pool.install(|| batch.par_iter().map_init(init, work).collect::<Result<()>>())?;
        }
    }
}

/// The pieces that come next between two folds.
fn next_batch(pieces: &mut dyn Iterator<Item = Piece>) -> Vec<Piece> {
    let (mut batch, mut runs) = (Vec::new(), 0);
    while batch.len() < BATCH_PIECES && runs < BATCH_RUNS {
        let Some(piece) = pieces.next() else { break };
        runs += piece.runs();
        batch.push(piece);
    }
    batch
}

/// What one thread keeps between pieces.
#[derive(Default)]
struct Worker {
    buffer: Buffer,
    scratch: Scratch,
}

impl Compute for CpuEngine {
    fn scan(
        &self,
        source: &dyn Source,
        pieces: &mut dyn Iterator<Item = Piece>,
        request: &Request,
        counts: &mut Counts,
        sink: MomentSink,
    ) -> Result<()> {
        let tables: Vec<_> = request.bins.map_or_else(Vec::new, |thresholds| {
            Float::ALL.iter().map(|f| (*f, std::sync::LazyLock::new(move || BinTable::new(*f, thresholds)))).collect()
        });
        let partial: Vec<Mutex<Counts>> =
            (0..self.tables()).map(|_| Mutex::new(Counts::for_request(request))).collect();
        let mut pieces = pieces.peekable();
        while pieces.peek().is_some() {
            let batch = next_batch(&mut pieces);
            let work = |worker: &mut Worker, piece: &Piece| -> Result<Vec<Moments>> {
                let bytes = source.load(piece, &mut worker.buffer)?;
                if request.digits.is_some() || request.bins.is_some() {
                    let thread = rayon::current_thread_index().unwrap_or(0);
                    let mut counts =
                        partial[thread % partial.len()].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    if let Some(digits) = &request.digits {
                        count_digits(piece.float, bytes, digits, &mut counts.digits);
                    }
                    if let Some((_, table)) = tables.iter().find(|(float, _)| *float == piece.float) {
                        table.count(bytes, &mut counts.bins);
                    }
                }
                Ok(match request.moments {
                    Some(values) => worker.scratch.moments(piece, bytes, values),
                    None => Vec::new(),
                })
            };
            let found: Vec<Result<Vec<Moments>>> =
                self.pool.install(|| batch.par_iter().map_init(Worker::default, work).collect());
            for (piece, moments) in batch.iter().zip(found) {
                sink(piece, &moments?)?;
            }
        }
        for part in partial {
            counts.add(&part.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()));
        }
        Ok(())
    }

    fn groups(&self, source: &dyn Source, pieces: &[Piece], request: &GroupRequest) -> Result<GroupAnswer> {
        let firsts = pieces.iter().scan(0, |next, piece| {
            let first = *next;
            *next += piece.layout.views(piece.region).count();
            Some(first)
        });
        let jobs: Vec<(usize, &Piece)> = firsts.zip(pieces).collect();
        let work = |(buffer, keys): &mut (Buffer, Vec<u64>), (first, piece): &(usize, &Piece)| -> Result<GroupAnswer> {
            let bytes = source.load(piece, buffer)?;
            let mut answer = GroupAnswer::default();
            for (group, view) in (*first..).zip(piece.layout.views(piece.region)) {
                answer_group(piece.float, bytes, view, group, request, keys, &mut answer);
            }
            Ok(answer)
        };
        let parts: Vec<Result<GroupAnswer>> =
            self.pool.install(|| jobs.par_iter().map_init(Default::default, work).collect());
        let mut whole = GroupAnswer::default();
        for part in parts {
            let part = part?;
            whole.keys.extend(part.keys);
            whole.bins.extend(part.bins);
        }
        Ok(whole)
    }

    fn cut(&self, jobs: &mut [Job], budgets: &mut [u64], _memory_bytes: u64) -> Result<Vec<CutCounts>> {
        self.cut_jobs(jobs, budgets)
    }

    fn gather(&self, jobs: &mut [Gather], _memory_bytes: u64) -> Result<()> {
        self.gather_jobs(jobs);
        Ok(())
    }

    fn group_elements(&self) -> u64 {
        1 << 18
    }

    fn prefixes_at_once(&self) -> usize {
        usize::MAX
    }
}

/// Appends what is asked of one group, the `group`th of the request.
fn answer_group(
    float: Float,
    bytes: &[u8],
    view: View,
    group: usize,
    request: &GroupRequest,
    keys: &mut Vec<u64>,
    answer: &mut GroupAnswer,
) {
    let starts = (0..view.length / view.run.max(1)).map(|i| (view.start + i * view.stride) as usize);
    let elements = starts.flat_map(|start| start..start + view.run as usize).map(|i| bits_at(float, bytes, i));
    if request.ranks_each > 0 {
        let ranks = &request.ranks[group * request.ranks_each..][..request.ranks_each];
        let counted = |size: u64| size < float.non_finite() && !(request.magnitude && size == 0);
        keys.clear();
        keys.extend(elements.clone().filter_map(|bits| {
            let size = bits & (float.sign() - 1);
            counted(size).then_some(if request.magnitude { size } else { float.key(bits) })
        }));
        match keys.len() as u64 {
            0 => answer.keys.extend(ranks.iter().map(|_| 0)),
            n => {
                let ranks: Vec<u64> = ranks.iter().map(|rank| (*rank).min(n - 1)).collect();
                select(keys, float.bits(), &ranks, &mut answer.keys);
            }
        }
    }
    if let Some(each) = request.thresholds_each {
        let thresholds = &request.thresholds[group * each..][..each];
        let first = answer.bins.len();
        answer.bins.resize(first + each + 1, 0);
        for bits in elements {
            if let Some(bin) = bin_of(float, bits, thresholds, request.magnitude) {
                answer.bins[first + bin as usize] += 1;
            }
        }
    }
}
