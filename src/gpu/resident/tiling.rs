//! The tiles of masks over weights where they lie, and the masks' own places.

use std::ops::Range;

use super::masks::ALIGNMENT as MASK_ALIGNMENT;
use super::window::{Span, Window, part, room};
use super::{Masks, Weights};
use crate::gpu::{Dispatch, Gpu, Kernel};
use crate::kernels::threshold_mask::{TILE, Tile};
use crate::{Error, Result};

/// Weights in windows, each in tiles with a word of the mask for each thread. A tile's cut is that of its tensor.
#[derive(Debug)]
pub(super) struct Tiling {
    pub(super) windows: Vec<TileWindow>,
    /// The worklists, one window after the other.
    list: wgpu::Buffer,
    /// Of each tensor, its tiles among all.
    pub(super) tiles: Vec<Range<u32>>,
    /// Number of all tiles.
    pub(super) total: u32,
}

/// The tiles of a window.
#[derive(Debug)]
pub(super) struct TileWindow {
    pub(super) window: Window,
    pub(super) spans: Vec<Span>,
    /// Its masks, in bytes.
    pub(super) masks: Range<u64>,
    /// Its part of the worklist, in bytes.
    list: Range<u64>,
    pub(super) tiles: Range<u32>,
}

impl Tiling {
    /// The tiles of `weights`, whose masks lie as `masks` says. `unit` elements of a tensor are not separated.
    pub(super) fn new(gpu: &Gpu, weights: &[Weights], masks: &Masks, unit: impl Fn(usize) -> u64) -> Result<Self> {
        masks.check(weights)?;
        apart(weights)?;
        if weights.iter().any(|weights| weights.buffer() == masks.buffer()) {
            let why = "masks and the weights that they cut are in one buffer, which cannot be read and written at once";
            return Err(Error::Device(why.to_owned()));
        }
        let mut spans = Vec::new();
        for (tensor, weights) in weights.iter().enumerate() {
            // Parts of whole units, whose masks can be bound, as large as a window can hold.
            let step = least_common_multiple(unit(tensor), MASK_ALIGNMENT * 8);
            let room = room(gpu) / weights.float().bytes() as u64;
            let most = step.map_or(u64::MAX, |step| (room / step).max(1) * step);
            spans.extend(Span::parts(tensor, weights.elements(), most));
        }
        // A window's masks are seen at once, too.
        let mask_bytes = |span: usize| (spans[span].elements.div_ceil(32) * 4).next_multiple_of(MASK_ALIGNMENT);
        let windows = Window::cover(gpu, weights, &spans, mask_bytes)?;
        let (mut entries, mut placed): (Vec<u8>, _) = (Vec::new(), Vec::with_capacity(windows.len()));
        let mut tiles: Vec<Range<u32>> = Vec::with_capacity(weights.len());
        let mut total = 0u64;
        for window in windows {
            let spans = spans[window.spans.clone()].to_vec();
            let words = |span: &Span| {
                let first = masks.offset(span.tensor).unwrap_or(0) + span.first / 8;
                first..first + span.elements.div_ceil(32) * 4
            };
            let masks = words(&spans[0]).start..words(&spans[spans.len() - 1]).end;
            entries.resize(entries.len().next_multiple_of(gpu.alignment() as usize), 0);
            let (list, first_tile) = (entries.len() as u64, total);
            for span in &spans {
                let of = &weights[span.tensor];
                tiles.resize(span.tensor + 1, total as u32..total as u32);
                for at in (0..span.elements).step_by(TILE as usize) {
                    entries.extend_from_slice(bytemuck::bytes_of(&Tile {
                        start: window.element(of, span.first + at),
                        length: TILE.min(span.elements - at) as u32,
                        mask: ((words(span).start - masks.start) / 4 + at / 32) as u32,
                        cut: span.tensor as u32,
                        index: total as u32,
                    }));
                    total += 1;
                }
                tiles[span.tensor].end = total as u32;
            }
            let (list, tiles) = (list..entries.len() as u64, first_tile as u32..total as u32);
            placed.push(TileWindow { window, spans, masks, list, tiles });
        }
        tiles.resize(weights.len(), total as u32..total as u32);
        let total = u32::try_from(total).map_err(|_| Error::Device("too many tiles for one pass".to_owned()))?;
        let list = gpu.filled("tiles", &entries, wgpu::BufferUsages::STORAGE)?;
        Ok(Self { windows: placed, list, tiles, total })
    }

    /// Bytes of the worklists.
    pub(super) fn list_bytes(&self) -> u64 {
        self.list.size()
    }

    /// A dispatch of `kernel` over the tiles of a window: its weights, its tiles, then `others`.
    pub(super) fn dispatch(
        &self,
        gpu: &Gpu,
        window: &TileWindow,
        kernel: &std::sync::Arc<Kernel>,
        others: &[wgpu::BufferBinding],
    ) -> Result<Dispatch> {
        kernel.prepare(gpu, &self.buffers(window, others), window.tiles.len() as u32)
    }

    /// The same by one workgroup.
    pub(super) fn dispatch_one(
        &self,
        gpu: &Gpu,
        window: &TileWindow,
        kernel: &std::sync::Arc<Kernel>,
        others: &[wgpu::BufferBinding],
    ) -> Result<Dispatch> {
        kernel.prepare(gpu, &self.buffers(window, others), 1)
    }

    fn buffers<'a>(
        &'a self,
        window: &'a TileWindow,
        others: &[wgpu::BufferBinding<'a>],
    ) -> Vec<wgpu::BufferBinding<'a>> {
        let first = [window.window.binding(), part(&self.list, window.list.clone())];
        first.into_iter().chain(others.iter().cloned()).collect()
    }
}

/// An error where weights overlap: both would be written.
pub(super) fn apart<'a>(weights: impl IntoIterator<Item = &'a Weights>) -> Result<()> {
    let mut sorted: Vec<&Weights> = weights.into_iter().filter(|weights| weights.elements() > 0).collect();
    sorted.sort_by(|a, b| a.buffer().cmp(b.buffer()).then(a.offset().cmp(&b.offset())));
    let overlap = |a: &Weights, b: &Weights| a.buffer() == b.buffer() && b.offset() < a.offset() + a.bytes();
    match sorted.windows(2).find(|pair| overlap(pair[0], pair[1])) {
        None => Ok(()),
        Some(pair) => Err(Error::Device(format!(
            "weights of shapes {:?} and {:?} overlap in their buffer: give what tensors share once",
            pair[0].shape(),
            pair[1].shape()
        ))),
    }
}

fn least_common_multiple(a: u64, b: u64) -> Option<u64> {
    let (mut x, mut y) = (a.max(1), b.max(1));
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a.max(1) / x).checked_mul(b)
}

#[cfg(test)]
mod tests {
    use super::least_common_multiple;

    #[test]
    fn multiples() {
        assert_eq!(least_common_multiple(12, 8192), Some(24_576));
        assert_eq!(least_common_multiple(1, 8192), Some(8192));
        assert_eq!(least_common_multiple(0, 8192), Some(8192));
        assert_eq!(least_common_multiple(u64::MAX, 8192), None);
    }
}
