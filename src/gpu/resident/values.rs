//! How often each stored value occurs.

use super::Weights;
use super::window::{Span, Window, part};
use crate::Result;
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::{bit_histogram, byte_histogram, moments};

/// Counts of every value that 8- and 16-bit weights are stored as, and of the upper 16 bits of f32, exact, by the kernels
/// `byte_histogram` and `bit_histogram`. Any histogram, quantile or threshold of such weights follows from them.
#[derive(Debug)]
pub struct ValuesPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    counts: wgpu::Buffer,
    /// Of each tensor, where its counts start, in bytes, and how many there are.
    tables: Vec<(u64, usize)>,
}

impl ValuesPass {
    /// A pass over `weights`.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights]) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let values = |weights: &Weights| 1usize << (weights.float().bytes() * 8).min(16);
        let mut end = 0;
        let tables: Vec<(u64, usize)> = weights
            .iter()
            .map(|weights| {
                let start = end;
                end += values(weights) as u64 * 4;
                (start, values(weights))
            })
            .collect();
        let counts = gpu.buffer("counts of values", end, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        let prefixes = gpu.filled("prefixes", &[0; 4], Usage::STORAGE)?;
        // A tensor after the other, each with a table of its own, in parts that can be seen at once.
        let mut spans = Vec::new();
        for (tensor, weights) in weights.iter().enumerate() {
            let most = (gpu.binding_bytes() / 2 / weights.float().bytes() as u64).max(1);
            spans.extend(Span::parts(tensor, weights.elements(), most));
        }
        let mut dispatches = Vec::new();
        for window in Window::cover(gpu, weights, &spans, |_| 0)? {
            for span in &spans[window.spans.clone()] {
                let (of, (start, values)) = (&weights[span.tensor], tables[span.tensor]);
                let first = u64::from(window.element(of, span.first));
                let table = part(&counts, start..start + values as u64 * 4);
                let prepared = if of.float().bytes() == 1 {
                    let tiles: Vec<_> = byte_histogram::tiles(first, span.elements, 0).collect();
                    let list = gpu.filled("tiles", bytemuck::cast_slice(&tiles), Usage::STORAGE)?;
                    let buffers = [window.binding(), list.as_entire_buffer_binding(), table];
                    byte_histogram::kernel(gpu)?.prepare(gpu, &buffers, tiles.len() as u32)?
                } else {
                    let tiles: Vec<_> = moments::tiles(of.float(), first, span.elements).collect();
                    let list = gpu.filled("tiles", bytemuck::cast_slice(&tiles), Usage::STORAGE)?;
                    let whole = wgpu::Buffer::as_entire_buffer_binding;
                    let buffers = [window.binding(), whole(&list), whole(&prefixes), table];
                    bit_histogram::kernel(gpu, of.float(), 0)?.prepare(gpu, &buffers, tiles.len() as u32)?
                };
                dispatches.push(prepared);
            }
        }
        Ok(Self { gpu: gpu.clone(), dispatches, counts, tables })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.counts, 0, None);
        kernel::record(encoder, "count values", &self.dispatches);
    }

    /// Where the counts of the last encoding are: of each tensor a u32 for each value of its bits, 256 for 8-bit weights, else
    /// 65,536.
    pub fn counts(&self) -> &wgpu::Buffer {
        &self.counts
    }

    /// Records the counts' way to the host: those of each tensor, by the bits.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Vec<u64>>>> {
        let tables = self.tables.clone();
        let bytes = tables.last().map_or(0, |(start, values)| start + *values as u64 * 4);
        Pending::record(&self.gpu, encoder, &self.counts, bytes, move |bytes| {
            let table = |(start, values): &(u64, usize)| {
                let bytes = &bytes[*start as usize..][..values * 4];
                bytes.as_chunks().0.iter().map(|b| u64::from(u32::from_le_bytes(*b))).collect()
            };
            Ok(tables.iter().map(table).collect())
        })
    }

    /// Encodes and submits.
    ///
    /// # Errors
    /// A device that is out of memory or refuses the commands.
    pub fn run(&self) -> Result<Pending<Vec<Vec<u64>>>> {
        self.gpu.run("count values", |encoder| {
            self.encode(encoder);
            self.read(encoder)
        })
    }
}
