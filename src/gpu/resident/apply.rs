//! Masks applied in place.

use super::tiling::{TileWindow, Tiling};
use super::window::part;
use super::{Masks, Weights};
use crate::Result;
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::apply_mask;

/// Weights whose bit is 0 become zeros, by the kernel `apply_mask`: a bitwise AND, whatever the format.
///
/// What a training loop runs after each step, to hold what was cut. [`Overlay`](super::Overlay) keeps what it cuts.
#[derive(Debug)]
pub struct ApplyPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
}

impl ApplyPass {
    /// A pass that applies `masks`, as they are when it runs, to `weights`.
    ///
    /// # Errors
    /// Masks of other tensors, or a device that is out of memory.
    pub fn new(gpu: &Gpu, weights: &[Weights], masks: &Masks) -> Result<Self> {
        let tiling = Tiling::new(gpu, weights, masks, |_| 1)?;
        Ok(Self { gpu: gpu.clone(), dispatches: dispatches(gpu, &tiling, masks)? })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        kernel::record(encoder, "apply masks", &self.dispatches);
    }

    /// Encodes and submits: done when the device is.
    ///
    /// # Errors
    /// A device that is out of memory or refuses the commands.
    pub fn run(&self) -> Result<Pending<()>> {
        self.gpu.run("apply masks", |encoder| {
            self.encode(encoder);
            Pending::done(&self.gpu, encoder)
        })
    }
}

/// What applies `masks`.
pub(super) fn dispatches(gpu: &Gpu, tiling: &Tiling, masks: &Masks) -> Result<Vec<Dispatch>> {
    let of_window = |window: &TileWindow| {
        let kernel = apply_mask::kernel(gpu, window.window.float.bytes())?;
        tiling.dispatch(gpu, window, &kernel, &[part(masks.buffer(), window.masks.clone())])
    };
    tiling.windows.iter().map(of_window).collect()
}
