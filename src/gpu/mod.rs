//! The GPU engine: kernels over chunks of weights that stream through a ring of buffers.

mod chunk;
mod cut;
#[cfg(test)]
mod cut_tests;
mod device;
mod gather;
#[cfg(test)]
mod gather_tests;
mod groups;
mod kernel;
mod scan;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use device::hardware_adapter;
pub use device::{Adapter, AdapterChoice, AdapterKind, adapters};
pub(crate) use kernel::Kernel;

use crate::{Error, Float, Result};

/// A device and the kernels compiled for it.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    name: String,
    limits: wgpu::Limits,
    /// Threads that read.
    pool: Arc<rayon::ThreadPool>,
    kernels: Mutex<HashMap<KernelKey, Arc<Kernel>>>,
    /// The first error that the device reported by itself.
    failure: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}

/// A kernel's stem and the values of its override constants.
pub(crate) type KernelKey = (&'static str, Vec<(&'static str, u32)>);

impl GpuEngine {
    /// Opens an adapter, for which the threads of `pool` read.
    pub(crate) fn new(choice: &AdapterChoice, pool: Arc<rayon::ThreadPool>) -> Result<Self> {
        let (adapter, device, queue) = device::open(choice)?;
        let failure = Arc::new(Mutex::new(None));
        let (uncaptured, lost) = (Arc::clone(&failure), Arc::clone(&failure));
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&uncaptured, error.to_string())));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("the device was lost: {message}"));
            }
        });
        let info = adapter.get_info();
        let name = format!("{} ({:?})", info.name, info.backend);
        let limits = device.limits();
        Ok(Self { device, queue, name, limits, pool, kernels: Mutex::default(), failure })
    }

    /// The adapter's name and how it is reached.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether weights of this format are computed here; WGSL has no f64.
    pub(crate) fn computes(float: Float) -> bool {
        float != Float::F64
    }

    /// The kernel `stem` with these override constants, compiled on first use.
    pub(crate) fn kernel(&self, stem: &'static str, source: &str, constants: &[(&'static str, u32)]) -> Arc<Kernel> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = kernels.entry((stem, constants.to_vec())).or_insert_with_key(|(stem, constants)| {
            let constants: Vec<_> = constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
            Arc::new(Kernel::new(&self.device, stem, source, &constants))
        });
        Arc::clone(kernel)
    }

    /// Whatever the device has reported by itself since the engine was made.
    pub(crate) fn check(&self) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(message) => Err(Error::Device(format!("{}: {} (try --engine cpu)", self.name, message.trim()))),
        }
    }

    /// Waits for `submission`.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let waited = self.device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        self.check()?;
        waited.map(|_| ()).map_err(|e| Error::Device(format!("{}: {e}", self.name)))
    }

    /// Bytes of weights in one chunk, such that the whole ring stays within `memory_bytes` on host and device each.
    pub(crate) fn chunk_bytes(&self, memory_bytes: u64) -> u64 {
        (memory_bytes / 16).clamp(1 << 20, 32 << 20).min(self.binding_bytes() / 4)
    }

    /// The largest buffer that a kernel sees whole.
    pub(crate) fn binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }
}

/// The override constant that `shaders/shared/decode.wgsl` knows a format by.
pub(crate) fn format_constant(float: Float) -> (&'static str, u32) {
    let format = match float {
        Float::F32 | Float::F64 => 1,
        Float::F16 => 2,
        Float::BF16 => 3,
        Float::E4M3 => 4,
        Float::E5M2 => 5,
    };
    ("FORMAT", format)
}

fn note(failure: &Mutex<Option<String>>, message: String) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
