//! Parts of buffers that kernels see at once.

use std::ops::Range;

use super::Weights;
use crate::gpu::Gpu;
use crate::{Error, Float, Result};

/// Elements of one tensor that are not to be separated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Index of its tensor.
    pub(super) tensor: usize,
    /// First element.
    pub(super) first: u64,
    pub(super) elements: u64,
}

impl Span {
    /// The elements of a tensor in spans of `most`.
    pub(super) fn parts(tensor: usize, elements: u64, most: u64) -> impl Iterator<Item = Self> {
        let most = most.min(elements).max(1);
        (0..elements).step_by(most as usize).map(move |first| Self {
            tensor,
            first,
            elements: most.min(elements - first),
        })
    }
}

/// Bytes of weights that a window holds wherever they start and end.
pub(super) fn room(gpu: &Gpu) -> u64 {
    gpu.binding_bytes() - gpu.alignment() - 16
}

/// A part of a buffer, and the spans that lie in it: consecutive ones, of one format.
#[derive(Debug)]
pub(super) struct Window {
    buffer: wgpu::Buffer,
    bytes: Range<u64>,
    pub(super) float: Float,
    pub(super) spans: Range<usize>,
}

impl Window {
    /// As few windows as cover `spans` in their order, none larger than a binding, and none whose results are: `results` says
    /// how many bytes a span has of them.
    pub(super) fn cover(
        gpu: &Gpu,
        weights: &[Weights],
        spans: &[Span],
        results: impl Fn(usize) -> u64,
    ) -> Result<Vec<Self>> {
        let mut held = 0;
        let mut windows: Vec<Self> = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            let of = &weights[span.tensor];
            let width = of.float().bytes() as u64;
            let start = of.offset() + span.first * width;
            // Whole vectors where the buffer has them, else whole words.
            let end = (start + span.elements * width).next_multiple_of(16).min(of.buffer().size() & !3);
            let start = start / gpu.alignment() * gpu.alignment();
            if let Some(last) = windows.last_mut()
                && last.buffer == *of.buffer()
                && last.float == of.float()
            {
                let both = last.bytes.start.min(start)..last.bytes.end.max(end);
                held += results(index);
                if both.end - both.start <= gpu.binding_bytes() && held <= gpu.binding_bytes() {
                    (last.bytes, last.spans.end) = (both, index + 1);
                    continue;
                }
            }
            if end - start > gpu.binding_bytes() {
                return Err(Error::Device(format!(
                    "weights of shape {:?}: {} bytes have to be seen at once, and a kernel of this device sees {}",
                    of.shape(),
                    end - start,
                    gpu.binding_bytes()
                )));
            }
            held = results(index);
            if held > gpu.binding_bytes() {
                return Err(Error::Device(format!(
                    "weights of shape {:?}: results of {held} bytes at once are more than a kernel of this device sees (ask for \
                     larger groups)",
                    of.shape()
                )));
            }
            let (buffer, float) = (of.buffer().clone(), of.float());
            windows.push(Self { buffer, bytes: start..end, float, spans: index..index + 1 });
        }
        Ok(windows)
    }

    /// The part, to be bound.
    pub(super) fn binding(&self) -> wgpu::BufferBinding<'_> {
        let size = wgpu::BufferSize::new(self.bytes.end - self.bytes.start);
        wgpu::BufferBinding { buffer: &self.buffer, offset: self.bytes.start, size }
    }

    /// Where a tensor starts, in bytes of the window: before its start, where only a later part of it lies inside.
    pub(super) fn offset(&self, weights: &Weights) -> i64 {
        weights.offset() as i64 - self.bytes.start as i64
    }

    /// Where element `first` of a tensor is, in elements of the window, which holds it.
    pub(super) fn element(&self, weights: &Weights, first: u64) -> u32 {
        let start = self.offset(weights) / weights.float().bytes() as i64;
        start.saturating_add_unsigned(first) as u32
    }

    /// Whether it ends in the middle of a vector.
    pub(super) fn has_rest(&self) -> bool {
        !(self.bytes.end - self.bytes.start).is_multiple_of(16)
    }
}

/// A part of a buffer, to be bound.
pub(super) fn part(buffer: &wgpu::Buffer, bytes: Range<u64>) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { buffer, offset: bytes.start, size: wgpu::BufferSize::new(bytes.end - bytes.start) }
}
