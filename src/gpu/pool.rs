//! Small buffers that go to and fro between host and device, used again and again.

use std::sync::{Mutex, PoisonError};

use super::Gpu;
use super::context::WeakGpu;
use crate::{Error, Result};

/// Buffers of one direction that are free, smallest first: mapped, for what is sent; unmapped, for what comes back.
pub(crate) struct Pool {
    free: Mutex<Vec<wgpu::Buffer>>,
    mode: wgpu::MapMode,
}

/// Free buffers that are kept, at most: beyond, the smallest goes.
const MOST: usize = 1024;

impl Pool {
    pub(crate) fn new(mode: wgpu::MapMode) -> Self {
        Self { free: Mutex::default(), mode }
    }

    /// A free buffer of at least `bytes`, or a new one.
    pub(crate) fn take(&self, gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
        use wgpu::BufferUsages as Usage;
        {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = free.iter().position(|buffer| buffer.size() >= bytes) {
                return Ok(free.remove(index));
            }
        }
        let most = gpu.limits().max_buffer_size & !7;
        let size = bytes.max(256).next_power_of_two().min(most).max(bytes);
        match self.mode {
            wgpu::MapMode::Write => gpu.make("uploads", size, Usage::MAP_WRITE | Usage::COPY_SRC, true),
            wgpu::MapMode::Read => gpu.make("results", size, Usage::MAP_READ | Usage::COPY_DST, false),
        }
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, buffer: wgpu::Buffer) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let index = free.partition_point(|other| other.size() < buffer.size());
        free.insert(index, buffer);
        if free.len() > MOST {
            free.remove(0);
        }
    }
}

/// Records the copy of `bytes` to `target`, from byte `offset` on. The buffer that carries them is free again when the
/// commands have run, or will never run.
pub(crate) fn send(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    bytes: &[u8],
    target: &wgpu::Buffer,
    offset: u64,
) -> Result<()> {
    let length = bytes.len() as u64;
    let buffer = gpu.uploads().take(gpu, length.next_multiple_of(8))?;
    gpu.scoped("uploads", || {
        let view = buffer.get_mapped_range_mut(..length.next_multiple_of(8));
        let written = view.map(|mut view| view.slice(..bytes.len()).copy_from_slice(bytes));
        buffer.unmap();
        written
    })?
    .map_err(|e| Error::Device(format!("cannot write what is sent to the device: {e:?}")))?;
    encoder.copy_buffer_to_buffer(&buffer, 0, target, offset, length.next_multiple_of(4));
    let way = WayBack { gpu: gpu.downgrade(), buffer: Some(buffer.clone()) };
    encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Write, .., move |mapped| way.arrived(mapped.is_ok()));
    Ok(())
}

/// A buffer that is on its way. If it is forgotten, since its commands were dropped, it comes back by itself.
struct WayBack {
    /// No strong handle: the device holds this, and would hold itself.
    gpu: WeakGpu,
    buffer: Option<wgpu::Buffer>,
}

impl WayBack {
    fn arrived(mut self, mapped: bool) {
        let (buffer, gpu) = (self.buffer.take().filter(|_| mapped), self.gpu.upgrade());
        if let (Some(buffer), Some(gpu)) = (buffer, gpu) {
            gpu.uploads().give(buffer);
        }
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        let (gpu, again) = (self.gpu.clone(), buffer.clone());
        if gpu.upgrade().is_none() {
            return;
        }
        // Unmapped, and not in use: it is mapped once more.
        buffer.map_async(wgpu::MapMode::Write, .., move |mapped| {
            if let Some(gpu) = gpu.upgrade().filter(|_| mapped.is_ok()) {
                gpu.uploads().give(again);
            }
        });
    }
}
