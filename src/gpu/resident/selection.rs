//! Selection on the device: exact order statistics, digit by digit, without the host.

use std::ops::Range;

use super::Weights;
use super::window::{Span, Window, part, room};
use crate::gpu::{Dispatch, Gpu, kernel, pool};
use crate::kernels::digit_counts::{self, Order, Pick, TABLE_BYTES, TILE, Tile};
use crate::kernels::digit_pick;
use crate::{Error, Result};

/// Picks whose counts are held at once: 16 KiB each.
const AT_ONCE: usize = 4096;
/// Bytes of a rank.
const RANK_BYTES: u64 = 8;

/// For each pick a rank is asked, and found by counting digits: a pass over its weights for each digit, three for f32, two for
/// 16 bits, one for 8.
#[derive(Debug)]
pub(super) struct Selection {
    asked: wgpu::Buffer,
    picks: wgpu::Buffer,
    /// Where each pick is among them.
    slots: Vec<usize>,
    dispatches: Vec<Dispatch>,
}

/// A pick: whose weights it is among, and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The tensors.
    pub(super) tensors: Range<usize>,
    /// The cuts that are made at it: those of these indices.
    pub(super) cuts: Range<usize>,
}

impl Selection {
    /// Selects by `order` (of each pick's own format unless that is wide). With `cuts`, the last digit of a pick writes those,
    /// and the budget of its own index in the second buffer.
    pub(super) fn new(
        gpu: &Gpu,
        weights: &[Weights],
        order: Order,
        asked: &[Asked],
        cuts: Option<(&wgpu::Buffer, &wgpu::Buffer)>,
    ) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let float = |asked: &Asked| weights[asked.tensors.start].float();
        let wide = matches!(order, Order::Magnitude { wide: true, .. });
        // Picks that share their kernels, as many as their counts have room for.
        let at_once = AT_ONCE.min((gpu.binding_bytes() / TABLE_BYTES) as usize).max(1);
        let mut batches: Vec<Range<usize>> = Vec::new();
        for (index, pick) in asked.iter().enumerate() {
            match batches.last_mut() {
                Some(last) if last.len() < at_once && (wide || float(&asked[last.start]) == float(pick)) => {
                    last.end = index + 1;
                }
                _ => batches.push(index..index + 1),
            }
        }
        // A batch's picks and ranks are bound by themselves, hence start where a binding may.
        let aligned = (gpu.alignment() / RANK_BYTES) as usize;
        let (mut slots, mut first) = (Vec::with_capacity(asked.len()), Vec::new());
        for batch in &batches {
            first.resize(first.len().next_multiple_of(aligned), Pick::default());
            for (index, asked) in batch.clone().zip(&asked[batch.clone()]) {
                slots.push(first.len());
                let (first_cut, cuts) = (asked.cuts.start as u32, asked.cuts.len() as u32);
                first.push(Pick { first_cut, cuts, budget: index as u32, ..Pick::default() });
            }
        }
        let picks = gpu.filled("picks", bytemuck::cast_slice(&first), usage)?;
        let ranks = gpu.buffer("ranks", first.len() as u64 * RANK_BYTES, Usage::STORAGE | Usage::COPY_DST)?;
        let most = batches.iter().map(Range::len).max().unwrap_or(0) as u64;
        let counts = gpu.buffer("counts", most * TABLE_BYTES, usage)?;
        let nothing = gpu.buffer("nothing", 64, Usage::STORAGE)?;
        let (cut_buffer, budgets) = cuts.unwrap_or((&nothing, &nothing));
        // A buffer is bound once for writing.
        let spare = gpu.buffer("nothing", 64, Usage::STORAGE)?;
        let budgets = if cuts.is_some() { budgets } else { &spare };
        let mut dispatches = Vec::new();
        for batch in batches {
            let of_batch = Batch::new(gpu, weights, asked, batch.clone(), wide)?;
            let (start, end) = (slots[batch.start] as u64, slots[batch.end - 1] as u64 + 1);
            let picks = part(&picks, start * size_of::<Pick>() as u64..end * size_of::<Pick>() as u64);
            let ranks = part(&ranks, start * RANK_BYTES..end * RANK_BYTES);
            let counts = part(&counts, 0..batch.len() as u64 * TABLE_BYTES);
            let float = float(&asked[batch.start]);
            for digit in order.digits(float) {
                for (window, list) in &of_batch.windows {
                    let kernel = digit_counts::kernel(gpu, order, window.float, &digit)?;
                    let tiles = ((list.end - list.start) / size_of::<Tile>() as u64) as u32;
                    let list = part(&of_batch.list, list.clone());
                    let buffers = [window.binding(), list, picks.clone(), counts.clone()];
                    dispatches.push(kernel.prepare(gpu, &buffers, tiles)?);
                }
                let kernel = digit_pick::kernel(gpu, order, float, &digit, cuts.is_some())?;
                let buffers = [
                    picks.clone(),
                    ranks.clone(),
                    counts.clone(),
                    cut_buffer.as_entire_buffer_binding(),
                    budgets.as_entire_buffer_binding(),
                ];
                dispatches.push(kernel.prepare(gpu, &buffers, batch.len() as u32)?);
            }
        }
        Ok(Self { asked: ranks, picks, slots, dispatches })
    }

    /// Records the selection of `ranks`, counted from 1; 0 for none.
    pub(super) fn encode(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, ranks: &[u64]) -> Result<()> {
        if ranks.len() != self.slots.len() {
            return Err(Error::Device(format!("{} ranks, where {} are asked", ranks.len(), self.slots.len())));
        }
        let mut placed = vec![0u64; self.slots.last().map_or(0, |last| last + 1)];
        self.slots.iter().zip(ranks).for_each(|(slot, rank)| placed[*slot] = *rank);
        pool::send(gpu, encoder, bytemuck::cast_slice(&placed), &self.asked, 0)?;
        kernel::record(encoder, "select", &self.dispatches);
        Ok(())
    }

    /// Where the picks are, after a selection, and at which index each of them.
    pub(super) fn picks(&self) -> (&wgpu::Buffer, &[usize]) {
        (&self.picks, &self.slots)
    }
}

/// Picks whose digits are counted together.
struct Batch {
    windows: Vec<(Window, Range<u64>)>,
    list: wgpu::Buffer,
}

impl Batch {
    fn new(gpu: &Gpu, weights: &[Weights], asked: &[Asked], range: Range<usize>, wide: bool) -> Result<Self> {
        let mut spans = Vec::new();
        let mut picks = Vec::new();
        for (pick, asked) in asked[range].iter().enumerate() {
            for tensor in asked.tensors.clone() {
                let width = weights[tensor].float().bytes() as u64;
                let most = (room(gpu) / width / TILE).max(1) * TILE;
                spans.extend(Span::parts(tensor, weights[tensor].elements(), most));
                picks.resize(spans.len(), pick as u32);
            }
        }
        debug_assert!(wide || spans.windows(2).all(|s| weights[s[0].tensor].float() == weights[s[1].tensor].float()));
        let windows = Window::cover(gpu, weights, &spans, |_| 0)?;
        let (mut entries, mut placed): (Vec<u8>, _) = (Vec::new(), Vec::with_capacity(windows.len()));
        for window in windows {
            entries.resize(entries.len().next_multiple_of(gpu.alignment() as usize), 0);
            let list = entries.len() as u64;
            for (span, pick) in spans[window.spans.clone()].iter().zip(&picks[window.spans.clone()]) {
                let of = &weights[span.tensor];
                for at in (0..span.elements).step_by(TILE as usize) {
                    entries.extend_from_slice(bytemuck::bytes_of(&Tile {
                        start: window.element(of, span.first + at),
                        length: TILE.min(span.elements - at) as u32,
                        pick: *pick,
                    }));
                }
            }
            placed.push((window, list..entries.len() as u64));
        }
        let list = gpu.filled("digit tiles", &entries, wgpu::BufferUsages::STORAGE)?;
        Ok(Self { windows: placed, list })
    }
}
