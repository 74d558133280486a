//! From a checkpoint to its statistics.

use std::time::Instant;

use super::distribution::Distributions;
use super::entry::{Skipped, Summary};
use super::fold::{EntrySink, Groups, Total, entry, statistics};
use super::layout::{Kind, Layout, Region};
use super::{Grouping, Moments, Options, Transform};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::scan::{Compute, Counts, DIGIT_VALUES, File, Piece, Request, Values};
use crate::{Engine, Entry, Error, Float, Progress, Result};

/// Analyses the tensors of `checkpoint` that `options` select, and gives one entry for each group to `sink`: tensors in
/// natural order of their names, groups by index. Entries are not kept: a model may have any number of them.
///
/// Moments take one read of the file. Exact quantiles and histograms take no further read for tensors that fit in
/// `options.memory_bytes` or have at most 16 bits, and one more otherwise (one for the edges, too).
///
/// # Errors
/// A file that cannot be read, an option that cannot be honoured, a GPU that fails, or whatever `sink` returns.
///
/// ```
/// use secateur::{Engine, Progress, checkpoint::Checkpoint, stats};
///
/// let model = Checkpoint::open("examples/data/cnn.safetensors")?;
/// let options = stats::Options { by: stats::Grouping::Output, ..Default::default() };
/// let summary = stats::analyse(&model, &Engine::cpu(None)?, &options, &Progress::default(), &mut |entry| {
///     if let Some(variance) = entry.statistics.variance {
///         assert!(variance >= 0.0);
///     }
///     Ok(())
/// })?;
/// assert_eq!(summary.total.count, 35_514);
/// # Ok::<(), secateur::Error>(())
/// ```
pub fn analyse(
    checkpoint: &Checkpoint,
    engine: &Engine,
    options: &Options,
    progress: &Progress,
    sink: &mut dyn FnMut(Entry) -> Result<()>,
) -> Result<Summary> {
    options.validate()?;
    run(checkpoint, engine, options, progress, sink)
}

/// [`analyse`], whatever the memory bound.
pub(super) fn run(
    checkpoint: &Checkpoint,
    engine: &Engine,
    options: &Options,
    progress: &Progress,
    sink: &mut dyn FnMut(Entry) -> Result<()>,
) -> Result<Summary> {
    let start = Instant::now();
    let mut tensors = Vec::new();
    let mut skipped = Vec::new();
    for tensor in checkpoint.tensors().iter().filter(|t| options.selection.includes(t.name())) {
        match Float::from_dtype(tensor.dtype()) {
            Some(_) => tensors.push(tensor),
            None => skipped.push(Skipped::new(tensor)),
        }
    }
    let bytes = tensors.iter().map(|t| t.bytes()).sum();
    progress.expect(bytes);
    let analysis =
        Analysis { tensors: &tensors, engine, options, file: File { checkpoint, tensors: &tensors, progress } };
    let total = if options.wants_distributions() {
        Distributions::new(&analysis).run(sink)?
    } else {
        let total = analysis.moments(sink)?;
        statistics(&total.moments, &total.moments, Transform::None)
    };
    // The total is of values that are transformed already, but what is undefined stays so.
    let total = match options.transform {
        Transform::Standardize => super::Statistics { zeros: None, l1: None, ..total },
        Transform::None | Transform::Log => total,
    };
    Ok(Summary { total, skipped, tensors: tensors.len() as u64, bytes, seconds: start.elapsed().as_secs_f64() })
}

impl Options {
    /// Whether more than moments is wanted.
    fn wants_distributions(&self) -> bool {
        !self.quantiles.is_empty() || self.histogram.is_some()
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if let Some(q) = self.quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(Error::Usage(format!("a quantile of {q}: give probabilities from 0 to 1")));
        }
        if self.histogram.is_some_and(|bins| bins == 0 || bins > Self::MAX_BINS) {
            return Err(Error::Usage(format!("a histogram has 1 to {} bins", Self::MAX_BINS)));
        }
        if self.memory_bytes < Self::MIN_MEMORY_BYTES {
            return Err(Error::Usage(format!("at least {} MiB of memory are needed", Self::MIN_MEMORY_BYTES >> 20)));
        }
        Ok(())
    }
}

/// Room for tables of digits that is always taken: a part of what a process takes beside the memory bound.
const LEAST_TABLE_BYTES: u64 = 64 << 20;

/// One analysis: what it is of, and what does it.
pub(crate) struct Analysis<'a> {
    pub(crate) tensors: &'a [&'a Tensor],
    pub(crate) engine: &'a Engine,
    pub(crate) options: &'a Options,
    pub(crate) file: File<'a>,
}

impl Analysis<'_> {
    pub(crate) fn float(&self, tensor: usize) -> Float {
        self.tensors[tensor].float().unwrap_or(Float::F32)
    }

    pub(crate) fn layout(&self, tensor: usize) -> Layout {
        Layout::new(self.tensors[tensor].shape(), self.options.by)
    }

    pub(crate) fn values(&self) -> Values {
        if self.options.transform == Transform::Log { Values::Logarithms } else { Values::Weights }
    }

    /// A request for nothing, within the memory bound.
    pub(crate) fn request<'r>(&self) -> Request<'r> {
        Request { memory_bytes: self.options.memory_bytes, ..Request::default() }
    }

    /// Prefixes whose tables can be held at once: those that threads count into, their sum, and what is added to it.
    /// Under `log` each rank has two.
    pub(crate) fn prefixes_at_once(&self, compute: &dyn Compute) -> usize {
        let room = (self.options.memory_bytes / 4).max(LEAST_TABLE_BYTES);
        let each = (self.engine.cpu_engine().tables() + 2) * DIGIT_VALUES * size_of::<u64>();
        let signs = if self.options.transform == Transform::Log { 2 } else { 1 };
        (usize::try_from(room).unwrap_or(usize::MAX) / each).min(compute.prefixes_at_once()) / signs
    }

    /// The pieces of a region of a tensor.
    pub(crate) fn pieces(&self, tensor: usize, layout: Layout, region: Region) -> impl Iterator<Item = Piece> + use<> {
        let float = self.float(tensor);
        layout.pieces(float, region).map(move |region| Piece { tensor, float, layout, region })
    }

    /// Whether the same engine computes both tensors.
    pub(crate) fn same_engine(&self, a: usize, b: usize) -> bool {
        let engine = |tensor| std::ptr::from_ref(self.engine.compute(self.float(tensor))).cast::<()>();
        engine(a) == engine(b)
    }

    /// The moments of a whole tensor, by a read of its own: the sums of its groups, folded as they are everywhere.
    pub(crate) fn whole(&self, tensor: usize) -> Result<Moments> {
        let layout = self.layout(tensor);
        let request = Request { moments: Some(self.values()), ..self.request() };
        let mixed = matches!(layout.kind, Kind::Columns(_));
        let mut held = Groups::new(0, if mixed { layout.groups() } else { 0 });
        let (mut group, mut so_far, mut whole) = (0, Moments::default(), Moments::default());
        self.file.progress.expect(self.tensors[tensor].bytes());
        self.engine.compute(self.float(tensor)).scan(
            &self.file,
            &mut self.pieces(tensor, layout, layout.all()),
            &request,
            &mut Counts::default(),
            &mut |piece, moments| {
                for (run, moments) in piece.layout.runs(piece.region).zip(moments) {
                    if mixed {
                        held.add(run.group, moments);
                    } else if run.group == group {
                        so_far.combine(moments);
                    } else {
                        whole.combine(&std::mem::replace(&mut so_far, *moments));
                        group = run.group;
                    }
                }
                Ok(())
            },
        )?;
        whole.combine(&so_far);
        held.iter().for_each(|(_, m)| whole.combine(m));
        Ok(whole)
    }

    /// Moments alone: one pass over all tensors, for as long as the same engine computes them.
    fn moments(&self, sink: EntrySink) -> Result<Total> {
        let mut fold = Fold { analysis: self, next: 0, current: None, total: Total::default(), sink };
        let indices: Vec<usize> = (0..self.tensors.len()).collect();
        // Standardised blocks are too many to hold until their tensor's moments are known.
        let alone = self.options.transform == Transform::Standardize && matches!(self.options.by, Grouping::Block(_));
        for run in indices.chunk_by(|a, b| !alone && self.same_engine(*a, *b)) {
            let request = Request { moments: Some(self.values()), ..self.request() };
            let mut pieces = run.iter().flat_map(|&tensor| {
                let layout = self.layout(tensor);
                self.pieces(tensor, layout, layout.all())
            });
            if alone {
                fold.finish_before(run[0])?;
                fold.begin(run[0], Some(self.whole(run[0])?));
            }
            let compute = self.engine.compute(self.float(run[0]));
            compute.scan(&self.file, &mut pieces, &request, &mut Counts::default(), &mut |piece, moments| {
                fold.take(piece, moments)
            })?;
        }
        fold.finish_before(self.tensors.len())?;
        Ok(fold.total)
    }
}

/// Turns the moments of runs, as they arrive, into entries as soon as their groups are complete.
struct Fold<'a, 'b> {
    analysis: &'a Analysis<'a>,
    /// The tensor to begin next.
    next: usize,
    current: Option<Current>,
    total: Total,
    sink: EntrySink<'b>,
}

struct Current {
    tensor: usize,
    layout: Layout,
    so_far: SoFar,
    /// Groups that have been given out, together.
    whole: Moments,
    /// The whole tensor, where it was needed before its groups.
    known: Option<Moments>,
}

enum SoFar {
    /// Groups arrive one after the other: the one being folded.
    Streaming(u64, Moments),
    /// Groups arrive mixed, or wait for the tensor's moments.
    Held(Groups),
}

impl Fold<'_, '_> {
    fn begin(&mut self, tensor: usize, known: Option<Moments>) {
        let layout = self.analysis.layout(tensor);
        let waits = self.analysis.options.transform == Transform::Standardize && known.is_none();
        let so_far = match layout.kind {
            Kind::Columns(_) | Kind::Empty(_) => SoFar::Held(Groups::new(0, layout.groups())),
            _ if waits => SoFar::Held(Groups::new(0, layout.groups())),
            _ => SoFar::Streaming(0, Moments::default()),
        };
        self.next = tensor + 1;
        self.current = Some(Current { tensor, layout, so_far, whole: Moments::default(), known });
    }

    /// Completes all tensors before `tensor`; those without elements have no pieces to announce them.
    fn finish_before(&mut self, tensor: usize) -> Result<()> {
        self.finish()?;
        while self.next < tensor {
            self.begin(self.next, None);
            self.finish()?;
        }
        Ok(())
    }

    fn take(&mut self, piece: &Piece, moments: &[Moments]) -> Result<()> {
        if self.current.as_ref().is_none_or(|c| c.tensor != piece.tensor) {
            self.finish_before(piece.tensor)?;
            self.begin(piece.tensor, None);
        }
        for (run, moments) in piece.layout.runs(piece.region).zip(moments) {
            let Some(current) = &mut self.current else { break };
            match &mut current.so_far {
                SoFar::Held(groups) => groups.add(run.group, moments),
                SoFar::Streaming(group, so_far) if *group == run.group => so_far.combine(moments),
                SoFar::Streaming(group, so_far) => {
                    let done = (std::mem::replace(group, run.group), std::mem::replace(so_far, *moments));
                    self.give(done.0, &done.1, None)?;
                }
            }
        }
        Ok(())
    }

    fn give(&mut self, group: u64, moments: &Moments, whole: Option<&Moments>) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.whole.combine(moments);
        let whole = whole.or(current.known.as_ref()).unwrap_or(moments);
        let found = statistics(moments, whole, self.analysis.options.transform);
        (self.sink)(entry(self.analysis.tensors[current.tensor], &current.layout, group, found))
    }

    fn finish(&mut self) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        match std::mem::replace(&mut current.so_far, SoFar::Held(Groups::new(0, 0))) {
            SoFar::Streaming(group, moments) => self.give(group, &moments, None)?,
            SoFar::Held(groups) => {
                let whole = groups.whole();
                groups.iter().try_for_each(|(group, moments)| self.give(group, moments, Some(&whole)))?;
            }
        }
        if let Some(current) = self.current.take() {
            self.total.add(current.tensor, &current.whole, self.analysis.options.transform);
        }
        Ok(())
    }
}
