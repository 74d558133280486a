//! Moments of weights where they lie.

use std::sync::Arc;

use super::Weights;
use super::window::{Span, Window};
use crate::cpu::COUNTED;
use crate::gpu::chunk::{Lie, MomentWork, Work};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::scan::{Piece, Values};
use crate::stats::fold::Groups;
use crate::stats::layout::{Kind, Layout, TILE_ROWS};
use crate::stats::{Grouping, Moments};
use crate::{Error, Result};

/// The moments of the groups of some tensors, by the kernels `moments`, `strided_moments` and `byte_histogram`.
///
/// Each encoding looks at the weights as they are then. Its results are partial sums, which [`decode`](Self::decode) folds on the
/// host, in f64 and in a fixed order: the same bits as `secateur stats --engine gpu` gives, where tensors start at multiples of
/// 16 bytes; elsewhere the same up to rounding.
///
/// ```no_run
/// # fn main() -> secateur::Result<()> {
/// # let (device, queue): (wgpu::Device, wgpu::Queue) = unimplemented!();
/// # let buffer: wgpu::Buffer = unimplemented!();
/// use secateur::gpu::{Gpu, MomentsPass, Weights, wgpu};
/// use secateur::{Float, stats::Grouping};
///
/// let gpu = Gpu::from_wgpu(device, queue)?;
/// let weights = [Weights::new(&buffer, 0, Float::BF16, &[4096, 4096])?];
/// let pass = MomentsPass::new(&gpu, &weights, Grouping::Output)?;
///
/// // Among commands of one's own:
/// let mut encoder = gpu.device().create_command_encoder(&Default::default());
/// pass.encode(&mut encoder);
/// let found = pass.read(&mut encoder)?;
/// gpu.queue().submit([encoder.finish()]);
/// let tensors = found.wait()?;
/// assert_eq!(tensors[0].groups.len(), 4096);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MomentsPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    results: wgpu::Buffer,
    work: Arc<Decoder>,
}

/// What is known of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorMoments {
    /// The moments of each group, by its index: one group for [`Grouping::Tensor`] and for tensors under two dimensions.
    ///
    /// `None` where magnitudes lie outside 2^−100 … 2^120, for which a GPU's arithmetic cannot be relied on: such weights
    /// are to be read back and given to [`Moments::of`].
    pub groups: Vec<Option<Moments>>,
}

impl TensorMoments {
    /// The moments of the tensor: its groups folded in order.
    pub fn whole(&self) -> Option<Moments> {
        self.groups.iter().try_fold(Moments::default(), |mut whole, group| {
            whole.combine(group.as_ref()?);
            Some(whole)
        })
    }
}

/// Bytes of a partial result.
const RESULT_BYTES: u64 = 48;
/// Bytes of the counts of 8-bit weights.
const TABLE_BYTES: u64 = 1024;

/// How results are read.
struct Decoder {
    layouts: Vec<Layout>,
    windows: Vec<(Vec<(Piece, u64)>, MomentWork)>,
    bytes: u64,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl MomentsPass {
    /// A pass over `weights`, by groups of `by`.
    ///
    /// # Errors
    /// A device that is out of memory, or sees too little of a buffer at once: groups that do not follow each other need
    /// some 64 rows of their tensor in one binding.
    pub fn new(gpu: &Gpu, weights: &[Weights], by: Grouping) -> Result<Self> {
        Self::over(gpu, weights, by, Values::Weights)
    }

    /// A pass over ln|w| of `weights`, zeros left out and counted.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_logarithms(gpu: &Gpu, weights: &[Weights], by: Grouping) -> Result<Self> {
        Self::over(gpu, weights, by, Values::Logarithms)
    }

    fn over(gpu: &Gpu, weights: &[Weights], by: Grouping, values: Values) -> Result<Self> {
        let layouts: Vec<Layout> = weights.iter().map(|w| Layout::new(w.shape(), by)).collect();
        let pieces: Vec<Piece> = (0..)
            .zip(weights.iter().zip(&layouts))
            .filter(|(_, (weights, _))| weights.elements() > 0)
            .flat_map(|(tensor, (weights, layout))| {
                let (float, layout) = (weights.float(), *layout);
                layout.pieces(float, layout.all()).map(move |region| Piece { tensor, float, layout, region })
            })
            .collect();
        let span = |piece: &Piece| {
            let (cols, region) = (piece.layout.cols, piece.region);
            let first = region.row * cols + region.col;
            let elements = (region.rows - 1) * cols + region.cols;
            Span { tensor: piece.tensor, first, elements }
        };
        let spans: Vec<Span> = pieces.iter().map(span).collect();
        // A long column has several partial results.
        let results = |piece: usize| {
            let piece: &Piece = &pieces[piece];
            let counted = piece.float.bytes() == 1 && piece.layout.largest_group() >= COUNTED;
            let table = if counted { TABLE_BYTES } else { 0 };
            piece.runs() * ((1 + piece.region.rows / TILE_ROWS) * RESULT_BYTES).max(table)
        };
        let windows = Window::cover(gpu, weights, &spans, results)?;
        let mut work = Work::new(gpu);
        let mut works = Vec::with_capacity(windows.len());
        for window in &windows {
            let placed: Vec<(Piece, i64)> =
                pieces[window.spans.clone()].iter().map(|p| (*p, window.offset(&weights[p.tensor]))).collect();
            let moments = MomentWork::new(gpu, &placed, Lie::InTensor, window.has_rest(), values, &mut work)?;
            works.push((placed.into_iter().map(|(piece, _)| (piece, 0)).collect(), moments));
        }
        use wgpu::BufferUsages as Usage;
        let lists = Some(gpu.filled("worklists", &work.words, Usage::STORAGE)?);
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let out = Some(gpu.buffer("moments", work.out_bytes, usage)?);
        let mut dispatches = Vec::new();
        for (window, (_, moments)) in windows.iter().zip(&works) {
            dispatches.extend(moments.prepare(gpu, &window.binding(), &lists, &out)?);
        }
        let Some(results) = out else { return Err(Error::Device("no room for results".to_owned())) };
        let work = Arc::new(Decoder { layouts, windows: works, bytes: work.out_bytes });
        Ok(Self { gpu: gpu.clone(), dispatches, results, work })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        // Counts of bytes are added to what is there.
        encoder.clear_buffer(&self.results, 0, None);
        kernel::record(encoder, "moments", &self.dispatches);
    }

    /// Where the results of the last encoding are: bytes for [`decode`](Self::decode).
    pub fn results(&self) -> &wgpu::Buffer {
        &self.results
    }

    /// What the bytes of [`results`](Self::results) say, tensor by tensor.
    ///
    /// # Errors
    /// Fewer bytes than the pass writes.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<TensorMoments>> {
        self.work.decode(bytes)
    }

    /// Records the results' way to the host.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<TensorMoments>>> {
        let work = Arc::clone(&self.work);
        Pending::record(&self.gpu, encoder, &self.results, work.bytes, move |bytes| work.decode(bytes))
    }

    /// Encodes and submits the pass.
    ///
    /// # Errors
    /// A device that is out of memory or refuses the commands.
    pub fn run(&self) -> Result<Pending<Vec<TensorMoments>>> {
        self.gpu.run("moments", |encoder| {
            self.encode(encoder);
            self.read(encoder)
        })
    }
}

impl Decoder {
    fn decode(&self, bytes: &[u8]) -> Result<Vec<TensorMoments>> {
        if (bytes.len() as u64) < self.bytes {
            return Err(Error::Device(format!("{} bytes of moments, where {} are written", bytes.len(), self.bytes)));
        }
        let mut groups: Vec<Groups> = self.layouts.iter().map(|layout| Groups::new(0, layout.groups())).collect();
        let mut unreliable: Vec<Vec<u64>> = vec![Vec::new(); self.layouts.len()];
        for (pieces, work) in &self.windows {
            work.moments(pieces, bytes, |piece, found| {
                let runs = piece.layout.runs(piece.region);
                match found {
                    Some(found) => runs.zip(found).for_each(|(run, m)| groups[piece.tensor].add(run.group, m)),
                    None => unreliable[piece.tensor].extend(runs.map(|run| run.group)),
                }
                Ok(())
            })?;
        }
        let tensors = self.layouts.iter().zip(&groups).zip(&unreliable).map(|((layout, groups), unreliable)| {
            let mut found: Vec<_> = groups.iter().map(|(_, moments)| Some(*moments)).collect();
            unreliable.iter().for_each(|group| found[*group as usize] = None);
            debug_assert!(matches!(layout.kind, Kind::Empty(_)) || !found.is_empty());
            TensorMoments { groups: found }
        });
        Ok(tensors.collect())
    }
}
