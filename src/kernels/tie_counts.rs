//! How many weights have the magnitude of a threshold.

use fearless_simd::{Level, dispatch};

use crate::Float;

/// The CPU twin: how many elements of `bytes` equal the tie's magnitude.
pub(crate) fn count_ties(float: Float, bytes: &[u8], tie: u64) -> u64 {
    #[inline(always)]
    fn count<const WIDTH: usize>(bytes: &[u8], tie: u32, magnitude: impl Fn([u8; WIDTH]) -> u32) -> u64 {
        // Counts of 32 bits as wide as the magnitudes, folded before they are full.
        let parts = bytes.as_chunks().0.chunks(1 << 20);
        parts.map(|part| u64::from(part.iter().map(|b| u32::from(magnitude(*b) == tie)).sum::<u32>())).sum()
    }
    dispatch!(Level::new(), _ => match float.bytes() {
        1 => count::<1>(bytes, tie as u32, |b| u32::from(b[0] & 0x7f)),
        2 => count::<2>(bytes, tie as u32, |b| u32::from(u16::from_le_bytes(b) & 0x7fff)),
        4 => count::<4>(bytes, tie as u32, |b| u32::from_le_bytes(b) & 0x7fff_ffff),
        _ => bytes.as_chunks().0.iter().filter(|b| u64::from_le_bytes(**b) << 1 == tie << 1).count() as u64,
    })
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Float;
    use crate::gpu::{GpuEngine, Kernel, format_constant};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/cut.wgsl"),
        include_str!("../../shaders/tie_counts.wgsl")
    );

    /// The kernel for a format.
    pub(crate) fn kernel(gpu: &GpuEngine, float: Float) -> std::sync::Arc<Kernel> {
        gpu.kernel("tie_counts", SOURCE, &[format_constant(float)])
    }
}
