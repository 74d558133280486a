//! Histograms of weights where they lie.

use super::Weights;
use super::groups::Groups;
use super::window::{Span, Window, part};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::bin_counts;
use crate::kernels::select::View;
use crate::stats::Grouping;
use crate::{Error, Result};

/// Counts of the finite weights between edges, exact, by the kernel `bin_counts`.
#[derive(Debug)]
pub struct HistogramPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    counts: wgpu::Buffer,
    bins: usize,
    groups: usize,
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
        let tiles = |(tensor, weights): (usize, &Weights)| {
            Span::parts(tensor, weights.elements(), TILE).map(move |span| {
                let (length, group) = (span.elements as u32, tensor as u32);
                (span, View { start: 0, length, run: length, stride: length, group })
            })
        };
        let views = weights.iter().enumerate().flat_map(tiles).collect();
        Self::over(gpu, weights, views, &vec![1; weights.len()], edges)
    }

    /// The same of each group of `weights`, one tensor after the other: each group has edges of its own.
    ///
    /// # Errors
    /// As [`new`](Self::new); a group that a kernel of this device does not see at once.
    pub fn by_group(gpu: &Gpu, weights: &[Weights], by: Grouping, edges: &[Vec<f64>]) -> Result<Self> {
        let groups = Groups::new(weights, by);
        Self::over(gpu, weights, groups.views, &groups.counts, edges)
    }

    fn over(
        gpu: &Gpu,
        weights: &[Weights],
        views: Vec<(Span, View)>,
        groups: &[u64],
        edges: &[Vec<f64>],
    ) -> Result<Self> {
        let each = edges.first().map_or(2, Vec::len);
        let ascend = |edges: &Vec<f64>| edges.len() == each && edges.is_sorted_by(|a, b| a < b);
        if edges.len() as u64 != groups.iter().sum::<u64>() || each < 2 || !edges.iter().all(ascend) {
            return Err(Error::Device(
                "a histogram takes two or more ascending edges, as many for each tensor or group".to_owned(),
            ));
        }
        use wgpu::BufferUsages as Usage;
        let bins = each - 1;
        let floats = weights.iter().zip(groups);
        let floats = floats.flat_map(|(weights, n)| std::iter::repeat_n(weights.float(), *n as usize));
        let keys = floats.zip(edges).flat_map(|(float, edges)| {
            edges[1..bins].iter().map(move |edge| float.first_key(false, |x| x >= *edge) as u32)
        });
        // One bin has no inner edge, and still something to bind.
        let keys: Vec<u32> = keys.chain([u32::MAX]).collect();
        let keys = gpu.filled("thresholds", bytemuck::cast_slice(&keys), Usage::STORAGE)?;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let counts = gpu.buffer("counts", (edges.len() * bins * 4) as u64, usage)?;
        let spans: Vec<Span> = views.iter().map(|(span, _)| *span).collect();
        let mut dispatches = Vec::new();
        for window in Window::cover(gpu, weights, &spans, |_| size_of::<View>() as u64)? {
            let placed = |(span, view): &(Span, View)| View {
                start: window.element(&weights[span.tensor], span.first),
                ..*view
            };
            let views: Vec<View> = views[window.spans.clone()].iter().map(placed).collect();
            let list = gpu.filled("views", bytemuck::cast_slice(&views), Usage::STORAGE)?;
            let list = part(&list, 0..list.size());
            let others = [list, keys.as_entire_buffer_binding(), counts.as_entire_buffer_binding()];
            let buffers: Vec<_> = [window.binding()].into_iter().chain(others).collect();
            let kernel = bin_counts::kernel(gpu, window.float, false, bins - 1)?;
            dispatches.push(kernel.prepare(gpu, &buffers, views.len() as u32)?);
        }
        Ok(Self { gpu: gpu.clone(), dispatches, counts, bins, groups: edges.len() })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.counts, 0, None);
        kernel::record(encoder, "histogram", &self.dispatches);
    }

    /// Where the counts of the last encoding are: a u32 for each bin, tensor after tensor, or group
    /// after group.
    pub fn counts(&self) -> &wgpu::Buffer {
        &self.counts
    }

    /// Records the counts' way to the host: those of each tensor or group.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Vec<u64>>>> {
        let (bins, groups) = (self.bins, self.groups);
        Pending::record(&self.gpu, encoder, &self.counts, (groups * bins * 4) as u64, move |bytes| {
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
