//! What reading costs: the ceiling that other kernels are measured beside.

/// The CPU twin: the sum of the words of 32 bits, wrapping; bytes after the last are left out.
pub(crate) fn sum_words(bytes: &[u8]) -> u32 {
    // Sixteen lanes that the compiler makes vectors of.
    let mut lanes = [0u32; 16];
    let (chunks, rest) = bytes.as_chunks::<64>();
    for chunk in chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<4>().0) {
            *lane = lane.wrapping_add(u32::from_le_bytes(*word));
        }
    }
    let rest = rest.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    lanes.into_iter().chain(rest).fold(0, u32::wrapping_add)
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Result;
    use crate::gpu::{Gpu, Kernel};

    /// The shader.
    pub(crate) const SOURCE: &str = include_str!("../../shaders/sum.wgsl");

    /// Bytes of a workgroup.
    pub(crate) const TILE_BYTES: u64 = 64 << 10;

    /// The kernel.
    pub(crate) fn kernel(gpu: &Gpu) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("sum", SOURCE, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::sum_words;

    #[test]
    fn every_word_counts() {
        let words: Vec<u32> = (0..1003u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        for n in [0, 1, 15, 16, 17, 1003] {
            let want = words[..n].iter().fold(0, |sum: u32, word| sum.wrapping_add(*word));
            assert_eq!(sum_words(bytemuck::cast_slice(&words[..n])), want);
        }
    }
}
