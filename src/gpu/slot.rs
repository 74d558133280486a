//! A ring of buffers between files and kernels: while the device works on one slot, threads fill the next.

use std::sync::PoisonError;

use rayon::prelude::*;

use super::GpuEngine;
use super::chunk::{Chunk, Work};
use crate::scan::{Buffer, Source};
use crate::{Error, Result};

/// Slots of a ring: one being filled, one on its way, one being read back.
pub(crate) const SLOTS: usize = 3;

/// The buffers of one chunk. Each grows to what is asked of it and is then kept. `staging` is there where the device has memory
/// of its own.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    staging: Option<wgpu::Buffer>,
    pub(crate) data: Option<wgpu::Buffer>,
    pub(crate) work: Option<wgpu::Buffer>,
    pub(crate) out: Option<wgpu::Buffer>,
    pub(crate) readback: Option<wgpu::Buffer>,
}

/// A part of mapped memory that one thread writes.
struct Part<'a>(wgpu::WriteOnly<'a, [u8]>);

// SAFETY: a `WriteOnly` is a unique reference, as `&mut [u8]` is, and bytes may be sent; wgpu implements `Send` for
// sized targets only.
unsafe impl Send for Part<'_> {}

impl Part<'_> {
    fn write(mut self, bytes: &[u8]) {
        self.0.copy_from_slice(bytes);
    }
}

/// Bytes that a kernel may read beyond the last weight: the rest of an aligned window.
pub(crate) const PADDING: u64 = 16 << 10;

impl GpuEngine {
    /// A slot that is free, with the buffers that it has grown.
    pub(crate) fn slot(&self) -> Slot {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a slot back whose work is done: as many stay as one ring has.
    pub(crate) fn keep(&self, slot: Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() < SLOTS {
            slots.push(slot);
        }
    }

    /// A buffer of at least `bytes`, the one that is there where it is large enough.
    pub(crate) fn at_least<'a>(
        &self,
        buffer: &'a mut Option<wgpu::Buffer>,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<&'a wgpu::Buffer> {
        if buffer.as_ref().is_some_and(|b| b.size() < bytes) {
            *buffer = None;
        }
        match buffer {
            Some(buffer) => Ok(buffer),
            None => {
                let mapped = usage.contains(wgpu::BufferUsages::MAP_WRITE);
                let size = bytes.max(256).next_multiple_of(256);
                Ok(buffer.insert(self.gpu.make("a chunk", size, usage, mapped)?))
            }
        }
    }

    /// Fills a slot with a chunk and its worklists, and room for results that starts as zeros. On a device that shares the
    /// processor's memory threads write where kernels read; on others into a buffer that is copied there.
    pub(crate) fn fill(
        &self,
        slot: &mut Slot,
        encoder: &mut wgpu::CommandEncoder,
        source: &dyn Source,
        chunk: &Chunk,
        Work { words, out_bytes, .. }: &Work,
    ) -> Result<()> {
        use wgpu::BufferUsages as Usage;
        let work_bytes = (words.len() as u64).next_multiple_of(4);
        let staged = chunk.data_bytes.next_multiple_of(4);
        if self.shares_memory {
            let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::MAP_WRITE;
            let data = self.at_least(&mut slot.data, staged + PADDING, usage)?;
            self.write(data, source, chunk, None)?;
            let work = self.at_least(&mut slot.work, work_bytes, usage)?;
            self.write(work, source, &Chunk::default(), Some((0, words)))?;
        } else {
            let usage = Usage::MAP_WRITE | Usage::COPY_SRC;
            let staging = self.at_least(&mut slot.staging, staged + work_bytes, usage)?;
            self.write(staging, source, chunk, Some((staged, words)))?;
            let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
            let data = self.at_least(&mut slot.data, staged + PADDING, usage)?;
            encoder.copy_buffer_to_buffer(staging, 0, data, 0, staged);
            let work = self.at_least(&mut slot.work, work_bytes, usage)?;
            encoder.copy_buffer_to_buffer(staging, staged, work, 0, work_bytes);
        }
        let out = self.at_least(&mut slot.out, *out_bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        encoder.clear_buffer(out, 0, None);
        Ok(())
    }

    /// Writes the pieces of a chunk to a mapped buffer, by all threads, and worklists from a byte on; then unmaps it.
    fn write(
        &self,
        buffer: &wgpu::Buffer,
        source: &dyn Source,
        chunk: &Chunk,
        words: Option<(u64, &Vec<u8>)>,
    ) -> Result<()> {
        {
            let mut view = buffer
                .get_mapped_range_mut(..)
                .map_err(|e| Error::Device(format!("{}: cannot map a buffer: {e:?}", self.name)))?;
            if let Some((start, words)) = words {
                view.slice(start as usize..start as usize + words.len()).copy_from_slice(words);
            }
            let mut rest = view.slice(..chunk.data_bytes as usize);
            let mut parts = Vec::with_capacity(chunk.pieces.len());
            let mut at = 0;
            for (piece, offset) in &chunk.pieces {
                let (_, after) = rest.split_at((offset - at) as usize);
                let (part, after) = after.split_at(piece.bytes() as usize);
                rest = after;
                at = offset + piece.bytes();
                parts.push((piece, Part(part)));
            }
            // Through a buffer that stays in cache: mapped memory may be write-combined, and is written once, in order.
            self.pool.install(|| {
                parts.into_par_iter().try_for_each_init(Buffer::default, |buffer, (piece, part)| {
                    part.write(source.load(piece, buffer)?);
                    Ok::<(), Error>(())
                })
            })?;
        }
        buffer.unmap();
        Ok(())
    }

    /// Records the copy of a slot's results to where the host can read them.
    pub(crate) fn record_readback(
        &self,
        slot: &mut Slot,
        encoder: &mut wgpu::CommandEncoder,
        bytes: u64,
    ) -> Result<()> {
        use wgpu::BufferUsages as Usage;
        let readback = self.at_least(&mut slot.readback, bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        if let Some(out) = slot.out.as_ref().filter(|_| bytes > 0) {
            encoder.copy_buffer_to_buffer(out, 0, readback, 0, bytes.next_multiple_of(4));
        }
        Ok(())
    }

    /// Submits, and asks for the slot's host buffers to be mapped when the work is done.
    pub(crate) fn submit(&self, slot: &Slot, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        let submission = self.gpu.queue().submit([encoder.finish()]);
        // Failures show as an unmapped buffer when it is read.
        let written = if self.shares_memory { [&slot.data, &slot.work] } else { [&slot.staging, &None] };
        for buffer in written.into_iter().flatten() {
            buffer.map_async(wgpu::MapMode::Write, .., |_| ());
        }
        if let Some(readback) = &slot.readback {
            readback.map_async(wgpu::MapMode::Read, .., |_| ());
        }
        submission
    }

    /// Waits for a submission and gives the first `bytes` of its results to `read`.
    pub(crate) fn read<T>(
        &self,
        slot: &Slot,
        submission: wgpu::SubmissionIndex,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        self.wait(submission)?;
        let Some(readback) = slot.readback.as_ref() else { return Ok(read(&[])) };
        let result = {
            let view = readback
                .slice(..bytes.max(4).next_multiple_of(4))
                .get_mapped_range()
                .map_err(|e| Error::Device(format!("{}: cannot read results: {e:?}", self.name)))?;
            read(&view[..bytes as usize])
        };
        readback.unmap();
        Ok(result)
    }

    /// What `buffer` holds, which is zero from then on.
    pub(crate) fn download(&self, buffer: &wgpu::Buffer) -> Result<Vec<u8>> {
        let mut slot = Slot { out: Some(buffer.clone()), ..Slot::default() };
        let mut encoder = self.gpu.encoder();
        self.record_readback(&mut slot, &mut encoder, buffer.size())?;
        encoder.clear_buffer(buffer, 0, None);
        let submission = self.submit(&slot, encoder);
        self.read(&slot, submission, buffer.size(), <[u8]>::to_vec)
    }
}
