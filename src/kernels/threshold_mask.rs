//! Masks from a threshold: magnitudes on one side of it are cut, and of those that equal it the first few.

use fearless_simd::{Level, dispatch, prelude::*};

use super::apply_mask::clear_padding;
use super::lanes::{Eight, Lanes, Sixteen, ThirtyTwo};
use crate::Float;

/// Magnitudes that are cut, as bits: NaN is never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    /// The first magnitude that is cut.
    pub(crate) from: u64,
    /// The first magnitude after those.
    pub(crate) to: u64,
    /// Of this magnitude, some are cut.
    pub(crate) tie: u64,
}

impl Threshold {
    /// What is cut below, or `above`, the magnitude `key`.
    pub(crate) fn new(float: Float, key: u64, above: bool) -> Self {
        let end = float.largest_magnitude() + 1;
        if above { Self { from: key + 1, to: end, tie: key } } else { Self { from: 0, to: key, tie: key } }
    }
}

/// The CPU twin: sets `mask`, a bit for each element of `bytes`, 1 where it is kept, and cuts the first `allowed` ties.
pub(crate) fn threshold_mask(float: Float, bytes: &[u8], threshold: Threshold, allowed: u64, mask: &mut [u32]) {
    dispatch!(Level::new(), simd => match float.bytes() {
        1 => masks::<_, Eight<_>>(simd, bytes, threshold, allowed, mask),
        2 => masks::<_, Sixteen<_>>(simd, bytes, threshold, allowed, mask),
        4 => masks::<_, ThirtyTwo<_>>(simd, bytes, threshold, allowed, mask),
        _ => masks_of_f64(bytes, threshold, allowed, mask),
    });
}

#[inline(always)]
fn masks<S: Simd, L: Lanes<S>>(
    simd: S,
    bytes: &[u8],
    Threshold { from, to, tie }: Threshold,
    mut allowed: u64,
    mask: &mut [u32],
) {
    for (elements, out) in bytes.chunks(32 * L::WIDTH).zip(mask.iter_mut()) {
        let magnitudes = L::load(simd, elements).magnitude(simd);
        let cut = magnitudes.less(simd, to as u32) & !magnitudes.less(simd, from as u32);
        // A key beyond every magnitude has no ties.
        let ties = if tie < 1 << (8 * L::WIDTH - 1) { magnitudes.equal(simd, tie as u32) } else { 0 };
        *out = !(cut | first_bits(ties, &mut allowed));
    }
    let elements = bytes.len() / L::WIDTH;
    clear_padding(mask, elements);
}

#[inline(always)]
fn masks_of_f64(bytes: &[u8], Threshold { from, to, tie }: Threshold, mut allowed: u64, mask: &mut [u32]) {
    for (elements, out) in bytes.as_chunks::<8>().0.chunks(32).zip(mask) {
        let (mut cut, mut ties) = (0, 0);
        for (i, element) in elements.iter().enumerate() {
            let magnitude = u64::from_le_bytes(*element) & (u64::MAX >> 1);
            cut |= u32::from((from..to).contains(&magnitude)) << i;
            ties |= u32::from(magnitude == tie) << i;
        }
        *out = !(cut | first_bits(ties, &mut allowed)) & (u32::MAX >> (32 - elements.len()));
    }
}

/// The lowest `allowed` bits of `bits`, which are taken from it.
#[inline(always)]
fn first_bits(bits: u32, allowed: &mut u64) -> u32 {
    let n = u64::from(bits.count_ones());
    if n <= *allowed {
        *allowed -= n;
        return bits;
    }
    let mut rest = bits;
    for _ in 0..std::mem::take(allowed) {
        rest &= rest - 1;
    }
    bits & !rest
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use super::Threshold;
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/tile.wgsl"),
        include_str!("../../shaders/shared/cut.wgsl"),
        include_str!("../../shaders/shared/scan.wgsl"),
        include_str!("../../shaders/threshold_mask.wgsl")
    );

    /// Elements of a tile, at most.
    pub(crate) const TILE: u64 = 8192;

    /// A tile: see `shaders/shared/cut.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Tile {
        /// First element, from the start of the data.
        pub(crate) start: u32,
        /// Elements.
        pub(crate) length: u32,
        /// First word of its mask.
        pub(crate) mask: u32,
        /// Index of its cut.
        pub(crate) cut: u32,
        /// Its place among all tiles.
        pub(crate) index: u32,
    }

    /// What is cut of some consecutive elements.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Cut {
        /// Magnitudes from this one on,
        pub(crate) start: u32,
        /// so many of them.
        pub(crate) span: u32,
        /// Of this magnitude, the first ones,
        pub(crate) tie: u32,
        /// as many as the budget of this index has.
        pub(crate) budget: u32,
        /// Its tiles.
        pub(crate) first_tile: u32,
        /// How many.
        pub(crate) tiles: u32,
    }

    impl Cut {
        /// A cut by `threshold`, or none at all.
        pub(crate) fn new(threshold: Option<Threshold>, budget: usize, tiles: std::ops::Range<usize>) -> Self {
            let (start, span, tie) =
                threshold.map_or((0, 0, u32::MAX), |t| (t.from as u32, (t.to - t.from) as u32, t.tie as u32));
            let (first_tile, tiles) = (tiles.start as u32, tiles.len() as u32);
            Self { start, span, tie, budget: budget as u32, first_tile, tiles }
        }
    }

    /// The kernel for a format, whose magnitudes are compared as its own or, under `wide`, as those of f32.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, wide: bool) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("threshold_mask", SOURCE, &[format_constant(float), ("WIDE", u32::from(wide))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tie_counts::count_ties;
    use proptest::prelude::*;

    /// What a sort says: the first k of the ranking, NaN last and never cut.
    fn naive(float: Float, bits: &[u64], threshold: Threshold, mut allowed: u64) -> Vec<bool> {
        let kept = bits.iter().map(|b| {
            let magnitude = b & (float.sign() - 1);
            let tie = magnitude == threshold.tie && allowed > 0;
            allowed -= u64::from(tie);
            !tie && !(threshold.from..threshold.to).contains(&magnitude)
        });
        kept.collect()
    }

    proptest! {
        #[test]
        fn equals_one_by_one(
            seeds in prop::collection::vec((any::<u64>(), any::<bool>()), 1..200),
            allowed in 0..40u64,
            at in any::<prop::sample::Index>(),
            above in any::<bool>(),
        ) {
            for float in Float::ALL {
                // Many of a few values.
                let bits: Vec<u64> = seeds
                    .iter()
                    .map(|(x, few)| if *few { 3 + (x % 2) * float.sign() } else { x >> (64 - float.bits()) })
                    .collect();
                let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes().into_iter().take(float.bytes())).collect();
                let key = at.get(&bits) & (float.sign() - 1);
                prop_assume!(key <= float.largest_magnitude());
                let threshold = Threshold::new(float, key, above);
                let mut mask = vec![7; bits.len().div_ceil(32)];
                threshold_mask(float, &bytes, threshold, allowed, &mut mask);
                let want = naive(float, &bits, threshold, allowed);
                let found: Vec<bool> = (0..mask.len() * 32).map(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect();
                prop_assert_eq!(&found[..want.len()], &want[..], "{:?}", float);
                prop_assert!(found[want.len()..].iter().all(|kept| !kept), "padding bits are 0");
                let ties = bits.iter().filter(|b| *b & (float.sign() - 1) == key).count() as u64;
                prop_assert_eq!(count_ties(float, &bytes, key), ties);
            }
        }
    }
}
