//! The four moments of short runs, a thread for each: small groups, and columns. The CPU twin is that of
//! [`super::moments`], by rows and by columns.

use std::sync::Arc;

use crate::Float;
use crate::gpu::{GpuEngine, Kernel, format_constant};
use crate::scan::Values;

/// The shader, with what it shares with others.
pub(crate) const SOURCE: &str = concat!(
    include_str!("../../shaders/shared/decode.wgsl"),
    include_str!("../../shaders/shared/partial.wgsl"),
    include_str!("../../shaders/strided_moments.wgsl")
);

/// The longest run of a lane: chains of 32 additions of trees of four.
pub(crate) const LONGEST: u64 = 128;

/// Threads of a workgroup.
pub(crate) const THREADS: u32 = 256;

/// A run for one thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Lane {
    /// First element, from the start of the data.
    pub(crate) start: u32,
    /// Elements.
    pub(crate) length: u32,
    /// Elements from one to the next.
    pub(crate) stride: u32,
}

/// The kernel for a format.
pub(crate) fn kernel(gpu: &GpuEngine, float: Float, values: Values) -> Arc<Kernel> {
    let logarithms = u32::from(values == Values::Logarithms);
    gpu.kernel("strided_moments", SOURCE, &[format_constant(float), ("LOGARITHMS", logarithms)])
}
