//! Histograms of weights where they lie.

use super::Weights;
use super::window::{Span, Window, part};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::bin_counts;
use crate::kernels::select::View;
use crate::{Error, Result};

/// Counts of the finite weights between edges, exact, by the kernel `bin_counts`.
#[derive(Debug)]
pub struct HistogramPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    counts: wgpu::Buffer,
    bins: usize,
    tensors: usize,
}

/// Elements of a workgroup.
const TILE: u64 = 16 << 10;

impl HistogramPass {
    /// A pass that counts, of each of `weights`, those from each of its ascending `edges` up to the next: the last bin holds
    /// its upper edge, too. What lies beyond the outer edges is counted in the outer bins.
    ///
    /// # Errors
    /// Edges that do not ascend, fewer than two, or not as many for each tensor; a device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights], edges: &[Vec<f64>]) -> Result<Self> {
        let each = edges.first().map_or(2, Vec::len);
        let ascend = |edges: &Vec<f64>| edges.len() == each && edges.is_sorted_by(|a, b| a < b);
        if edges.len() != weights.len() || each < 2 || !edges.iter().all(ascend) {
            return Err(Error::Device(
                "a histogram takes two or more ascending edges, as many for each tensor".to_owned(),
            ));
        }
        use wgpu::BufferUsages as Usage;
        let bins = each - 1;
        let keys = weights.iter().zip(edges).flat_map(|(weights, edges)| {
            let float = weights.float();
            edges[1..bins].iter().map(move |edge| float.first_key(false, |x| x >= *edge) as u32)
        });
        // One bin has no inner edge, and still something to bind.
        let keys: Vec<u32> = keys.chain([u32::MAX]).collect();
        let keys = gpu.filled("thresholds", bytemuck::cast_slice(&keys), Usage::STORAGE)?;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let counts = gpu.buffer("counts", (weights.len() * bins * 4) as u64, usage)?;
        let tiles = |(tensor, weights): (usize, &Weights)| {
            let all = weights.elements();
            let span = move |first| Span { tensor, first, elements: TILE.min(all - first) };
            (0..all).step_by(TILE as usize).map(span).collect::<Vec<_>>()
        };
        let spans: Vec<Span> = weights.iter().enumerate().flat_map(tiles).collect();
        let mut dispatches = Vec::new();
        for window in Window::cover(gpu, weights, &spans, |_| 0)? {
            let view = |span: &Span| {
                let of = &weights[span.tensor];
                let (start, length) = (window.element(of, span.first), span.elements as u32);
                View { start, length, run: length, stride: length, group: span.tensor as u32 }
            };
            let views: Vec<View> = spans[window.spans.clone()].iter().map(view).collect();
            let list = gpu.filled("views", bytemuck::cast_slice(&views), Usage::STORAGE)?;
            let list = part(&list, 0..list.size());
            let others = [list, keys.as_entire_buffer_binding(), counts.as_entire_buffer_binding()];
            let buffers: Vec<_> = [window.binding()].into_iter().chain(others).collect();
            let kernel = bin_counts::kernel(gpu, window.float, false, bins - 1)?;
            dispatches.push(kernel.prepare(gpu, &buffers, views.len() as u32)?);
        }
        Ok(Self { gpu: gpu.clone(), dispatches, counts, bins, tensors: weights.len() })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.counts, 0, None);
        kernel::record(encoder, "histogram", &self.dispatches);
    }

    /// Where the counts of the last encoding are: a u32 for each bin, tensor after tensor.
    pub fn counts(&self) -> &wgpu::Buffer {
        &self.counts
    }

    /// Records the counts' way to the host: those of each tensor.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Vec<u64>>>> {
        let (bins, tensors) = (self.bins, self.tensors);
        Pending::record(&self.gpu, encoder, &self.counts, (tensors * bins * 4) as u64, move |bytes| {
            let count = |b: &[u8; 4]| u64::from(u32::from_le_bytes(*b));
            Ok(bytes.chunks_exact(bins * 4).map(|row| row.as_chunks().0.iter().map(count).collect()).collect())
        })
    }

    /// Encodes and submits.
    ///
    /// # Errors
    /// A device that is out of memory or refuses the commands.
    pub fn run(&self) -> Result<Pending<Vec<Vec<u64>>>> {
        self.gpu.run("histogram", |encoder| {
            self.encode(encoder);
            self.read(encoder)
        })
    }
}
