//! Small buffers that go to and fro between host and device, used again and again.

use std::sync::{Arc, Mutex, PoisonError};

use super::Gpu;
use crate::{Error, Result};

/// Buffers of one direction that are free, smallest first: mapped, for what is sent; unmapped, for what comes back.
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<wgpu::Buffer>>>,
    mode: wgpu::MapMode,
}

impl Pool {
    pub(crate) fn new(mode: wgpu::MapMode) -> Self {
        Self { free: Arc::default(), mode }
    }

    /// A free buffer of at least `bytes`, or a new one.
    pub(crate) fn take(&self, gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
        use wgpu::BufferUsages as Usage;
        let fitting = || {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let index = free.iter().position(|buffer| buffer.size() >= bytes)?;
            Some(free.remove(index))
        };
        if let Some(buffer) = fitting() {
            return Ok(buffer);
        }
        // Those on their way may be back, if anybody looks.
        gpu.scoped("polling", || gpu.device().poll(wgpu::PollType::Poll).is_ok())?;
        if let Some(buffer) = fitting() {
            return Ok(buffer);
        }
        let size = bytes.max(256).next_power_of_two();
        match self.mode {
            wgpu::MapMode::Write => gpu.make("uploads", size, Usage::MAP_WRITE | Usage::COPY_SRC, true),
            wgpu::MapMode::Read => gpu.make("results", size, Usage::MAP_READ | Usage::COPY_DST, false),
        }
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, buffer: wgpu::Buffer) {
        give(&self.free, buffer);
    }

    /// Records the copy of `bytes` to `target`. The buffer that carries them is free again when the commands have run.
    pub(crate) fn send(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        bytes: &[u8],
        target: &wgpu::Buffer,
    ) -> Result<()> {
        let buffer = self.take(gpu, bytes.len() as u64)?;
        gpu.scoped("uploads", || {
            let view = buffer.get_mapped_range_mut(..(bytes.len() as u64).next_multiple_of(8));
            let written = view.map(|mut view| view.slice(..bytes.len()).copy_from_slice(bytes));
            buffer.unmap();
            written
        })?
        .map_err(|e| Error::Device(format!("cannot write what is sent to the device: {e:?}")))?;
        encoder.copy_buffer_to_buffer(&buffer, 0, target, 0, (bytes.len() as u64).next_multiple_of(4));
        let (free, again) = (Arc::clone(&self.free), buffer.clone());
        encoder.map_buffer_on_submit(&buffer, self.mode, .., move |mapped| {
            if mapped.is_ok() {
                give(&free, again);
            }
        });
        Ok(())
    }
}

fn give(free: &Mutex<Vec<wgpu::Buffer>>, buffer: wgpu::Buffer) {
    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
    let index = free.partition_point(|other| other.size() < buffer.size());
    free.insert(index, buffer);
}
