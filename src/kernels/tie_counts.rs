//! How many weights have the magnitude of a threshold.

use fearless_simd::{Level, dispatch, prelude::*};

use super::lanes::{Eight, Lanes, Sixteen, ThirtyTwo};
use crate::Float;

/// The CPU twin: how many elements of `bytes` equal the tie's magnitude.
pub(crate) fn count_ties(float: Float, bytes: &[u8], tie: u64) -> u64 {
    #[inline(always)]
    fn count<S: Simd, L: Lanes<S>>(simd: S, bytes: &[u8], tie: u64) -> u64 {
        if tie >= 1 << (8 * L::WIDTH - 1) {
            return 0;
        }
        let words = bytes.chunks(32 * L::WIDTH);
        let ties = |elements: &[u8]| L::load(simd, elements).magnitude(simd).equal(simd, tie as u32);
        let count: u64 = words.map(|elements| u64::from(ties(elements).count_ones())).sum();
        // What was filled up is zero.
        let filled = (bytes.len() / L::WIDTH).next_multiple_of(32) - bytes.len() / L::WIDTH;
        if tie == 0 { count - filled as u64 } else { count }
    }
    dispatch!(Level::new(), simd => match float.bytes() {
        1 => count::<_, Eight<_>>(simd, bytes, tie),
        2 => count::<_, Sixteen<_>>(simd, bytes, tie),
        4 => count::<_, ThirtyTwo<_>>(simd, bytes, tie),
        _ => bytes.as_chunks().0.iter().filter(|b| u64::from_le_bytes(**b) << 1 == tie << 1).count() as u64,
    })
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/tile.wgsl"),
        include_str!("../../shaders/shared/cut.wgsl"),
        include_str!("../../shaders/tie_counts.wgsl")
    );

    /// The kernel for a format, whose magnitudes are compared as its own or, under `wide`, as those of f32.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, wide: bool) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("tie_counts", SOURCE, &[format_constant(float), ("WIDE", u32::from(wide))])
    }
}
