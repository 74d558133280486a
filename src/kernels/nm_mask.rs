//! Masks of N:M patterns: of every M weights along an axis, those of the N largest magnitudes stay.

use super::apply_mask::clear_padding;
use crate::Float;
use crate::order::bits_at;

/// The CPU twin: sets `mask` for `bytes`, whole groups of `m` elements that lie `stride` apart, keeping `n` of each. Ties
/// are cut in order; NaN never is.
pub(crate) fn nm_mask(float: Float, bytes: &[u8], n: u32, m: u32, stride: u64, above: bool, mask: &mut [u32]) {
    let elements = bytes.len() / float.bytes();
    let limit = float.largest_magnitude();
    mask.fill(u32::MAX);
    clear_padding(mask, elements);
    let (stride, m) = (stride as usize, m as usize);
    let mut ranked = [0u64; 32];
    for first in (0..elements).step_by(m * stride) {
        for column in first..first + stride {
            for (i, key) in ranked[..m].iter_mut().enumerate() {
                let magnitude = float.magnitude(bits_at(float, bytes, column + i * stride));
                *key = rank_key(magnitude, limit, above);
            }
            cut_lowest(&ranked[..m], m - n as usize, |i| {
                let at = column + i * stride;
                mask[at / 32] &= !(1 << (at % 32));
            });
        }
    }
}

/// What a magnitude ranks by: upwards, or downwards under `above`; [`u64::MAX`] where it is NaN.
pub(crate) fn rank_key(magnitude: u64, largest: u64, above: bool) -> u64 {
    if magnitude > largest {
        u64::MAX
    } else if above {
        largest - magnitude
    } else {
        magnitude
    }
}

/// Gives the indices of the `count` lowest `keys` to `cut`, the first of equal ones first, but for those of
/// [`u64::MAX`]. By counting: ranks of a few keys need no sort.
pub(crate) fn cut_lowest(keys: &[u64], count: usize, mut cut: impl FnMut(usize)) {
    for (i, key) in keys.iter().enumerate() {
        let before = keys[..i].iter().filter(|k| *k <= key).count();
        let rank = before + keys[i + 1..].iter().filter(|k| *k < key).count();
        if rank < count && *key != u64::MAX {
            cut(i);
        }
    }
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
        include_str!("../../shaders/nm_mask.wgsl")
    );

    /// Groups of one list, at most.
    pub(crate) const GROUPS: u64 = 256;

    /// Groups that a workgroup ranks: see `shaders/nm_mask.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Groups {
        /// First element of the first group of all, from the start of the data.
        pub(crate) start: u32,
        /// The first group of this list.
        pub(crate) first: u32,
        /// How many.
        pub(crate) count: u32,
        /// Elements from one member of a group to the next.
        pub(crate) stride: u32,
        /// First word of the mask.
        pub(crate) mask: u32,
        /// Members of a group.
        pub(crate) m: u32,
        /// Members that are cut.
        pub(crate) cut: u32,
        /// The largest magnitude that is no NaN.
        pub(crate) largest: u32,
        /// 1: the largest are cut.
        pub(crate) above: u32,
    }

    /// The kernel for a format.
    pub(crate) fn kernel(gpu: &GpuEngine, float: Float) -> std::sync::Arc<Kernel> {
        gpu.kernel("nm_mask", SOURCE, &[format_constant(float)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_sort(
            (m, n) in (2..33usize).prop_flat_map(|m| (Just(m), 1..m)),
            stride in 1..6usize,
            seeds in prop::collection::vec(any::<u64>(), 480),
            above in any::<bool>(),
        ) {
            for float in Float::ALL {
                let elements = 480 / (m * stride) * m * stride;
                let bits: Vec<u64> =
                    seeds[..elements].iter().map(|x| if x % 3 == 0 { x >> 8 & 3 } else { x >> (64 - float.bits()) }).collect();
                let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes().into_iter().take(float.bytes())).collect();
                let mut mask = vec![7; elements.div_ceil(32)];
                nm_mask(float, &bytes, n as u32, m as u32, stride as u64, above, &mut mask);
                let mut want = vec![true; elements];
                for group in 0..elements / m {
                    let at = |i: usize| group / stride * m * stride + group % stride + i * stride;
                    let x = |i: usize| float.value(bits[at(i)]).abs();
                    let mut order: Vec<usize> = (0..m).filter(|i| !x(*i).is_nan()).collect();
                    order.sort_by(|a, b| { let o = x(*a).total_cmp(&x(*b)); if above { o.reverse() } else { o } });
                    for i in order.iter().take(m - n) {
                        want[at(*i)] = false;
                    }
                }
                for (i, want) in want.iter().enumerate() {
                    prop_assert_eq!(mask[i / 32] >> (i % 32) & 1 == 1, *want, "{:?} {}:{} {}", float, n, m, i);
                }
            }
        }
    }
}
