//! How many weights a mask keeps, and how many are zero.

use fearless_simd::{Level, dispatch, prelude::*};

use super::lanes::{Eight, Lanes, Sixteen, ThirtyTwo};
use crate::Float;
use crate::order::bits_at;

/// The CPU twin of the mask's population count.
pub(crate) fn kept(mask: &[u32]) -> u64 {
    mask.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The CPU twin of the count of ±0.
pub(crate) fn zeros(float: Float, bytes: &[u8]) -> u64 {
    super::tie_counts::count_ties(float, bytes, 0)
}

/// The CPU twin of the largest magnitude, as bits, among the elements that `mask` cuts; `None` where it cuts none.
pub(crate) fn largest_cut(float: Float, bytes: &[u8], mask: &[u32]) -> Option<u64> {
    #[inline(always)]
    fn largest<S: Simd, L: Lanes<S>>(simd: S, bytes: &[u8], mask: &[u32]) -> u32 {
        let mut most = L::load(simd, &[]);
        for (elements, &word) in bytes.chunks(32 * L::WIDTH).zip(mask).filter(|(_, word)| **word != u32::MAX) {
            most = most.max(L::load(simd, elements).magnitude(simd).keep(simd, !word));
        }
        most.largest()
    }
    let elements = bytes.len() / float.bytes();
    if kept(mask) == elements as u64 {
        return None;
    }
    Some(dispatch!(Level::new(), simd => match float.bytes() {
        1 => largest::<_, Eight<_>>(simd, bytes, mask).into(),
        2 => largest::<_, Sixteen<_>>(simd, bytes, mask).into(),
        4 => largest::<_, ThirtyTwo<_>>(simd, bytes, mask).into(),
        _ => (0..elements)
            .filter(|i| mask[i / 32] >> (i % 32) & 1 == 0)
            .map(|i| float.magnitude(bits_at(float, bytes, i)))
            .fold(0, u64::max),
    }))
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
        include_str!("../../shaders/mask_counts.wgsl")
    );

    /// The kernel for a format.
    pub(crate) fn kernel(gpu: &Gpu, float: Float) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("mask_counts", SOURCE, &[format_constant(float)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_one_by_one() {
        for float in Float::ALL {
            for elements in [1usize, 31, 32, 75] {
                let bits = |i: usize| {
                    (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - float.bits())
                        & if i.is_multiple_of(5) { float.sign() } else { u64::MAX }
                };
                let bytes: Vec<u8> =
                    (0..elements).flat_map(|i| bits(i).to_le_bytes().into_iter().take(float.bytes())).collect();
                for seed in [0u32, 0x5bd1_e995, u32::MAX] {
                    let mut mask: Vec<u32> =
                        (0..elements.div_ceil(32) as u32).map(|i| seed.wrapping_mul(i + 1)).collect();
                    if seed == u32::MAX {
                        mask.fill(seed)
                    }
                    if elements % 32 > 0 {
                        *mask.last_mut().unwrap() &= !(u32::MAX << (elements % 32))
                    }
                    let is_kept = |i: &usize| mask[i / 32] >> (i % 32) & 1 == 1;
                    let want = (0..elements).filter(|i| !is_kept(i)).map(|i| float.magnitude(bits(i))).max();
                    assert_eq!(largest_cut(float, &bytes, &mask), want, "{float:?} {elements} {seed:#x}");
                    assert_eq!(kept(&mask), (0..elements).filter(is_kept).count() as u64);
                    let none = (0..elements).filter(|i| float.magnitude(bits(*i)) == 0).count() as u64;
                    assert_eq!(zeros(float, &bytes), none);
                }
            }
        }
    }
}
