//! All that a picture of a model needs, in one read of its files: the statistics of every tensor, the spread of its channels,
//! and how often each value occurs, from which follows what a rate would cut where.

mod channels;
mod collect;
mod compare;
mod counts;
mod prospects;
mod spread;
mod store;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use channels::{ChannelCell, Channels};
pub use compare::{Change, Comparison, compare};
pub use counts::{Magnitudes, ValueCounts};
pub use prospects::{CutAt, Prospects, TensorProspects, prospects};
pub(crate) use spread::Spread;

use self::collect::{Collector, Target};
use self::store::Store;
use crate::checkpoint::Checkpoint;
use crate::scan::{Counts, DIGIT_VALUES, Digits, File, Piece, Request, SurveySink, Values};
use crate::stats::fold::statistics;
use crate::stats::layout::Kind;
use crate::stats::{Moments, Skipped, Transform};
use crate::{Engine, Entry, Progress, Result, Selection, stats};

/// Bytes from which on a tensor is surveyed on a GPU: each is a pass of its own there.
const GPU_BYTES: u64 = 8 << 20;

/// What is surveyed, within which memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which tensors.
    pub selection: Selection,
    /// Bound on what is held at once, in bytes, on the host and on the device each, beside what is known of each tensor: 8 KB
    /// at most, 1 KB in models of more than 5,000 tensors.
    pub memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { selection: Selection::default(), memory_bytes: stats::Options::DEFAULT_MEMORY_BYTES }
    }
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct SurveyedTensor {
    /// Its statistics, as [`stats::analyse`] gives them.
    pub entry: Entry,
    /// Its output channels, where it has any.
    pub channels: Option<Channels>,
    /// Bytes of its data.
    pub bytes: u64,
}

/// A model, surveyed.
#[derive(Debug)]
pub struct Survey {
    /// Its floating tensors, in natural order of their names.
    pub tensors: Vec<SurveyedTensor>,
    /// Over all of them.
    pub total: stats::Statistics,
    /// Tensors that were not analysed, and why.
    pub skipped: Vec<Skipped>,
    /// Bytes of the analysed tensors.
    pub bytes: u64,
    /// Wall-clock time.
    pub seconds: f64,
    store: Store,
}

impl Survey {
    /// How often each value of the tensor of that index occurs. They are in memory as far as the memory bound goes, and in a
    /// temporary file beyond.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where that file cannot be read.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn counts(&mut self, index: usize) -> Result<ValueCounts> {
        self.store.get(index)
    }

    /// The index of the tensor of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|tensor| tensor.entry.name == name)
    }
}

/// Surveys the floating tensors of `checkpoint` that `options` select, in one read.
///
/// Statistics of 8- and 16-bit tensors follow from their counts, and are the same bits on every engine.
///
/// # Errors
/// A file that cannot be read, a GPU that fails, too little memory, or a full disk under `TMPDIR`.
///
/// ```
/// use secateur::{Engine, Progress, checkpoint::Checkpoint, survey};
///
/// let model = Checkpoint::open("examples/data/cnn.safetensors")?;
/// let mut found = survey::survey(&model, &Engine::cpu(None)?, &survey::Options::default(), &Progress::default())?;
/// let conv = found.find("features.0.weight").expect("a convolution");
/// let channels = found.tensors[conv].channels.as_ref().expect("output channels");
/// assert_eq!(channels.count, found.tensors[conv].entry.shape[0]);
/// let weights: u64 = found.counts(conv)?.magnitudes().iter().map(|cell| cell.count).sum();
/// assert_eq!(weights, found.tensors[conv].entry.statistics.count);
/// # Ok::<(), secateur::Error>(())
/// ```
pub fn survey(checkpoint: &Checkpoint, engine: &Engine, options: &Options, progress: &Progress) -> Result<Survey> {
    stats::Options { memory_bytes: options.memory_bytes, ..Default::default() }.validate()?;
    let start = Instant::now();
    let (mut targets, mut skipped) = (Vec::new(), Vec::new());
    for tensor in checkpoint.tensors().iter().filter(|t| options.selection.includes(t.name())) {
        match tensor.float() {
            Some(float) => targets.push(Target::new(tensor, float)),
            None => skipped.push(Skipped::new(tensor)),
        }
    }
    let bytes = targets.iter().map(|target| target.tensor.bytes()).sum();
    progress.expect(bytes);
    let tensors: Vec<_> = targets.iter().map(|target| target.tensor).collect();
    let file = File { checkpoint, tensors: &tensors, progress };
    let mut collector = Collector::new(&targets, Store::new(options.memory_bytes / 4));
    let pass = Pass { targets: &targets, engine, file, memory_bytes: options.memory_bytes };
    let by_gpu = |target: &Target| engine.is_gpu_for(target.float) && target.tensor.bytes() >= GPU_BYTES;
    let indices: Vec<usize> = (0..targets.len()).collect();
    for run in indices.chunk_by(|a, b| !by_gpu(&targets[*a]) && !by_gpu(&targets[*b])) {
        if by_gpu(&targets[run[0]]) {
            pass.on_gpu(run[0], &mut collector)?;
        } else {
            let mut pieces = run.iter().flat_map(|tensor| pass.pieces(*tensor));
            engine.cpu_engine().survey(&pass.file, &mut pieces, &mut collector)?;
        }
    }
    collector.finish_before(targets.len())?;
    let Collector { tensors, store, total, .. } = collector;
    let total = statistics(&total, &total, Transform::None);
    Ok(Survey { tensors, total, skipped, bytes, seconds: start.elapsed().as_secs_f64(), store })
}

struct Pass<'a> {
    targets: &'a [Target<'a>],
    engine: &'a Engine,
    file: File<'a>,
    memory_bytes: u64,
}

impl Pass<'_> {
    fn pieces(&self, tensor: usize) -> impl Iterator<Item = Piece> + use<> {
        let Target { float, layout, .. } = self.targets[tensor];
        layout.pieces(float, layout.all()).map(move |region| Piece { tensor, float, layout, region })
    }

    /// One tensor: the moments of its channels and the digits of its weights, in one pass.
    fn on_gpu(&self, tensor: usize, collector: &mut Collector) -> Result<()> {
        let target = &self.targets[tensor];
        let digits = Digits { level: 0, prefixes: &[0], widen: false };
        let request = Request {
            moments: Some(Values::Weights),
            digits: Some(digits),
            memory_bytes: self.memory_bytes,
            ..Request::default()
        };
        let mut counts = Counts { digits: vec![0; DIGIT_VALUES], bins: Vec::new() };
        let by_channel = target.layout.kind != Kind::Whole;
        let (mut pieces, compute) = (self.pieces(tensor), self.engine.compute(target.float));
        compute.scan(&self.file, &mut pieces, &request, &mut counts, &mut |piece, moments| {
            let mut whole = Moments::default();
            moments.iter().for_each(|run| whole.combine(run));
            let channels = if by_channel { moments.iter().map(Spread::from).collect() } else { Vec::new() };
            collector.piece(piece, &whole, &channels)
        })?;
        collector.counts(tensor, ValueCounts::new(target.float, (0..=u16::MAX).zip(counts.digits).collect()))
    }
}
