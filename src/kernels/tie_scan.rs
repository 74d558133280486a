//! Who may cut which ties: the first ones, as many as a budget has.

/// The budget that never ends: all ties are cut, and nobody has to count them.
pub(crate) const ENDLESS: u64 = u64::MAX;

/// The CPU twin: how many of `ties` may be cut, which `budget` then lacks.
pub(crate) fn grant(ties: u64, budget: &mut u64) -> u64 {
    if *budget == ENDLESS {
        return ENDLESS;
    }
    let granted = ties.min(*budget);
    *budget -= granted;
    granted
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Result;
    use crate::gpu::{Gpu, Kernel};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str =
        concat!(include_str!("../../shaders/shared/tile.wgsl"), include_str!("../../shaders/tie_scan.wgsl"));

    /// The kernel.
    pub(crate) fn kernel(gpu: &Gpu) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("tie_scan", SOURCE, &[])
    }
}
