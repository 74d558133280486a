//! The four moments of short runs, a thread for each: small groups, and columns. The CPU twin is that of
//! [`super::moments`], by rows and by columns.

use std::sync::Arc;

use crate::Float;
use crate::gpu::{GpuEngine, Kernel, format_constant};
use crate::scan::Values;
use crate::stats::layout::{Run, TILE_ROWS};

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

/// The lanes of a run that starts at element `start` of the data: one, or as many as a long column takes.
pub(crate) fn lanes(start: u64, run: Run) -> impl Iterator<Item = Lane> {
    let longest = if run.length <= LONGEST { LONGEST } else { TILE_ROWS };
    (0..run.length.div_ceil(longest)).map(move |i| Lane {
        start: (start + i * longest * run.stride) as u32,
        length: longest.min(run.length - i * longest) as u32,
        stride: run.stride as u32,
    })
}

/// The kernel for a format.
pub(crate) fn kernel(gpu: &GpuEngine, float: Float, values: Values) -> Arc<Kernel> {
    let logarithms = u32::from(values == Values::Logarithms);
    gpu.kernel("strided_moments", SOURCE, &[format_constant(float), ("LOGARITHMS", logarithms)])
}
