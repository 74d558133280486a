//! The GPU engine: kernels over chunks of weights that stream through a ring of buffers.

pub(crate) mod bench;
mod chunk;
mod clock;
mod context;
mod cut;
#[cfg(test)]
mod cut_tests;
mod device;
mod gather;
#[cfg(test)]
mod gather_tests;
mod groups;
pub(crate) mod kernel;
mod pending;
mod pool;
mod resident;
mod scan;
mod slot;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError};

pub use context::Gpu;
pub(crate) use context::format_constant;
pub use device::{Adapter, AdapterChoice, AdapterKind, adapters};
pub(crate) use kernel::{Dispatch, Kernel};
pub use pending::Pending;
pub use resident::{
    ApplyPass, Cut, GatherPass, GroupOrderPass, HistogramPass, Kept, Masks, MomentsPass, OrderPass, Overlay, PrunePass,
    Ranking, Rule, TensorMoments, ValuesPass, Variant, Weights,
};
/// The crate that devices, buffers and encoders are of.
pub use wgpu;

use crate::{Error, Result};

/// A device that weights stream through.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    gpu: Gpu,
    name: String,
    /// Whether its buffers can be mapped where kernels read them: it has no memory of its own to copy to.
    shares_memory: bool,
    /// Those that no pass is using.
    slots: Mutex<Vec<slot::Slot>>,
    /// Threads that read.
    pool: Arc<rayon::ThreadPool>,
    /// The first error that the device reported by itself.
    failure: Arc<Mutex<Option<String>>>,
}

impl GpuEngine {
    /// Opens an adapter, for which the threads of `pool` read.
    pub(crate) fn new(choice: &AdapterChoice, pool: Arc<rayon::ThreadPool>) -> Result<Self> {
        let gpu = Gpu::open(choice)?;
        let failure = Arc::new(Mutex::new(None));
        let (uncaptured, lost) = (Arc::clone(&failure), Arc::clone(&failure));
        // The device is this engine's own: so are its handlers.
        gpu.device().on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&uncaptured, error.to_string())));
        gpu.device().set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("the device was lost: {message}"));
            }
        });
        let info = gpu.device().adapter_info();
        let name = format!("{} ({:?})", info.name, info.backend);
        let shares_memory = gpu.device().features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        Ok(Self { gpu, name, shares_memory, slots: Mutex::default(), pool, failure })
    }

    /// The adapter's name and how it is reached.
    pub(crate) fn name(&self) -> &str {
        &self.name
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
        let waited = self.gpu.device().poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        self.check()?;
        waited.map(|_| ()).map_err(|e| Error::Device(format!("{}: {e}", self.name)))
    }

    /// Bytes of weights in one chunk, such that the whole ring stays within `memory_bytes` on host and device each.
    pub(crate) fn chunk_bytes(&self, memory_bytes: u64) -> u64 {
        (memory_bytes / 16).clamp(1 << 20, 32 << 20).min(self.gpu.binding_bytes() / 4)
    }
}

fn note(failure: &Mutex<Option<String>>, message: String) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
