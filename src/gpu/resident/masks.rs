//! Masks on the device.

use super::Weights;
use crate::gpu::{Gpu, Pending};
use crate::{Error, Result};

/// Masks of some tensors in one GPU buffer: one bit a weight, 1 = kept; bit i of a tensor is bit i % 32 of its u32 word
/// i / 32, and bits beyond the last weight are 0. Clones are handles to the same buffer.
///
/// Each tensor's words start at a multiple of 256 bytes, so that they can be bound by themselves.
#[derive(Clone, Debug)]
pub struct Masks {
    buffer: wgpu::Buffer,
    /// Where the first tensor's words start, in bytes.
    start: u64,
    /// Bytes of all of them.
    bytes: u64,
    /// Of each tensor, where its words start, in bytes, and its elements.
    tensors: Vec<(u64, u64)>,
}

/// What the start of a tensor's words is a multiple of: as large as any device's alignment.
pub(super) const ALIGNMENT: u64 = 256;

impl Masks {
    /// Room for the masks of `weights`, all 0: everything cut.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights]) -> Result<Self> {
        let elements = weights.iter().map(Weights::elements);
        let (tensors, bytes) = places(elements);
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        Ok(Self { buffer: gpu.buffer("masks", bytes, usage)?, start: 0, bytes, tensors })
    }

    /// Masks of `weights` in a buffer of the host's, from byte `offset` on: each tensor's words at the next multiple of 256
    /// bytes.
    ///
    /// # Errors
    /// An offset that is no multiple of 256, masks that do not lie in the buffer, or a buffer without
    /// `BufferUsages::STORAGE`, `COPY_SRC` and `COPY_DST`.
    pub fn in_buffer(buffer: &wgpu::Buffer, offset: u64, weights: &[Weights]) -> Result<Self> {
        let (tensors, bytes) = places(weights.iter().map(Weights::elements));
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= buffer.size());
        if !offset.is_multiple_of(ALIGNMENT) || !fits || !buffer.usage().contains(usage) {
            return Err(Error::Device(format!(
                "masks of {bytes} bytes at byte {offset} of a buffer of {}: they start at a multiple of {ALIGNMENT}, lie \
                 inside, and the buffer can be bound as storage and copied from and to",
                buffer.size()
            )));
        }
        Ok(Self { buffer: buffer.clone(), start: offset, bytes, tensors })
    }

    /// The masks of `weights` out of words that the host has, such as those of a file that `secateur prune --mask` wrote.
    ///
    /// # Errors
    /// Another number of words than a tensor's ⌈elements / 32⌉, or a device that is out of memory.
    pub fn upload(gpu: &Gpu, weights: &[Weights], words: &[&[u32]]) -> Result<Self> {
        let (tensors, bytes) = places(weights.iter().map(Weights::elements));
        let mut all = vec![0u8; bytes as usize];
        let fits = |((_, elements), words): (&(u64, u64), &&[u32])| words.len() as u64 == elements.div_ceil(32);
        if tensors.len() != words.len() || !tensors.iter().zip(words).all(fits) {
            return Err(Error::Device("a mask takes one word for every 32 weights of its tensor".to_owned()));
        }
        for ((start, elements), words) in tensors.iter().zip(words) {
            let target = &mut all[*start as usize..][..words.len() * 4];
            target.copy_from_slice(bytemuck::cast_slice(words));
            let rest = (elements % 32) as u32;
            if let Some(last) = target.last_chunk_mut::<4>().filter(|_| rest > 0) {
                *last = (u32::from_le_bytes(*last) & !(u32::MAX << rest)).to_le_bytes();
            }
        }
        use wgpu::BufferUsages as Usage;
        let buffer = gpu.filled("masks", &all, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        Ok(Self { buffer, start: 0, bytes, tensors })
    }

    /// The buffer.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Where the words of the tensor of that index start, in bytes; `None` where there is none.
    pub fn offset(&self, tensor: usize) -> Option<u64> {
        self.tensors.get(tensor).map(|(start, _)| self.start + start)
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records a copy of these masks into `other`, made for the same tensors.
    ///
    /// # Errors
    /// Masks of other tensors.
    pub fn encode_copy(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) -> Result<()> {
        if self.tensors != other.tensors {
            return Err(Error::Device("masks are of other tensors".to_owned()));
        }
        encoder.copy_buffer_to_buffer(&self.buffer, self.start, &other.buffer, other.start, self.bytes);
        Ok(())
    }

    /// Records the masks' way to the host: the words of each tensor.
    ///
    /// # Errors
    /// A device that is out of memory.
    pub fn read(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Result<Pending<Vec<Vec<u32>>>> {
        let tensors = self.tensors.clone();
        Pending::record_from(gpu, encoder, &self.buffer, self.start, self.bytes, move |bytes| {
            let words = |(start, elements): &(u64, u64)| {
                let bytes = &bytes[*start as usize..][..elements.div_ceil(32) as usize * 4];
                bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
            };
            Ok(tensors.iter().map(words).collect())
        })
    }

    /// Whether these are masks of `weights`.
    pub(super) fn check(&self, weights: &[Weights]) -> Result<()> {
        if self.tensors.iter().map(|(_, elements)| *elements).eq(weights.iter().map(Weights::elements)) {
            return Ok(());
        }
        Err(Error::Device("the masks are of other tensors than the weights".to_owned()))
    }
}

/// Where the words of tensors start, in bytes, with their elements; and the bytes of all.
fn places(elements: impl Iterator<Item = u64>) -> (Vec<(u64, u64)>, u64) {
    let mut end = 0u64;
    let tensors = elements.map(|elements| {
        let start = end.next_multiple_of(ALIGNMENT);
        end = start + elements.div_ceil(32) * 4;
        (start, elements)
    });
    let tensors = tensors.collect();
    (tensors, end.max(ALIGNMENT))
}
