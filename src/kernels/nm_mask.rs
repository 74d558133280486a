//! Masks of N:M patterns: of every M weights along an axis, those of the N largest magnitudes stay.

use std::ops::{BitAnd, Sub};

use fearless_simd::{Level, dispatch, i8x32, i16x32, i32x16, i64x8, prelude::*};

use super::apply_mask::clear_padding;
use crate::Float;

/// Groups that are ranked side by side: a comparison of two of their members is one of vectors.
const LANES: usize = 32;
/// Members of a group, at most.
pub(crate) const MOST: usize = 32;

/// Groups of `m` elements that lie `stride` apart; of each, the `cut` that rank lowest are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lowest {
    pub(crate) m: usize,
    pub(crate) stride: usize,
    pub(crate) cut: usize,
}

/// The CPU twin: sets `mask` for `bytes`, whole groups of `m` elements that lie `stride` apart, keeping `n` of each. Ties
/// are cut in order; NaN never is.
pub(crate) fn nm_mask(float: Float, bytes: &[u8], n: u32, m: u32, stride: u64, above: bool, mask: &mut [u32]) {
    let lowest = Lowest { m: m as usize, stride: stride as usize, cut: (m - n) as usize };
    let largest = float.largest_magnitude();
    dispatch!(Level::new(), simd => match float.bytes() {
        1 => cut(simd, bytes, lowest, rank_key::<i8>(largest as i8, above), mask),
        2 => cut(simd, bytes, lowest, rank_key::<i16>(largest as i16, above), mask),
        4 => cut(simd, bytes, lowest, rank_key::<i32>(largest as i32, above), mask),
        _ => cut(simd, bytes, lowest, rank_key::<i64>(largest as i64, above), mask),
    });
}

/// As [`nm_mask`], by keys that are known: the lowest are cut, [`i32::MAX`] never is.
pub(crate) fn mask_of_keys(keys: &[i32], lowest: Lowest, mask: &mut [u32]) {
    dispatch!(Level::new(), simd => cut(simd, bytemuck::cast_slice(keys), lowest, |key: i32| key, mask));
}

/// Keys of so many groups: those of their first members, of their second, and so on.
type Tile<K> = [[K; LANES]; MOST];

/// What groups are ranked by: signed, since that is what every processor compares; `MAX` is never cut.
trait Key: bytemuck::Pod + Ord + Sub<Output = Self> + BitAnd<Output = Self> {
    const MAX: Self;

    /// The groups whose member `i` of `m` is among the `cut` lowest, the first of equal ones first: a bit for each. By
    /// counting, all lanes alike: ranks of a few keys need neither a sort nor a branch.
    fn cut_member<S: Simd>(simd: S, tile: &Tile<Self>, m: usize, i: usize, cut: usize) -> u32;
}

macro_rules! keys {
    ($($integer:ident $vector:ident $lanes:literal),*) => {
        $(impl Key for $integer {
            const MAX: Self = Self::MAX;

            #[inline(always)]
            fn cut_member<S: Simd>(simd: S, tile: &Tile<Self>, m: usize, i: usize, cut: usize) -> u32 {
                let (zero, one) = ($vector::splat(simd, 0), $vector::splat(simd, 1));
                let mut word = 0;
                for at in (0..LANES).step_by($lanes) {
                    let load = |keys: &[Self; LANES]| $vector::from_slice(simd, &keys[at..at + $lanes]);
                    let this = load(&tile[i]);
                    let mut rank = zero;
                    for before in &tile[..i] {
                        rank += load(before).simd_le(this).select(one, zero);
                    }
                    for after in &tile[i + 1..m] {
                        rank += load(after).simd_lt(this).select(one, zero);
                    }
                    let few = rank.simd_lt($vector::splat(simd, cut as Self));
                    word |= (few & this.simd_lt($vector::splat(simd, Self::MAX))).to_bitmask() << at;
                }
                word as u32
            }
        })*
    };
}

keys!(i8 i8x32 32, i16 i16x32 32, i32 i32x16 16, i64 i64x8 8);

/// The key of an element's bits, its magnitude upwards, or downwards under `above`.
#[inline(always)]
fn rank_key<K: Key>(largest: K, above: bool) -> impl Fn(K) -> K + Copy {
    move |bits| {
        let magnitude = bits & K::MAX;
        let ranked = if above { largest - magnitude } else { magnitude };
        if magnitude > largest { K::MAX } else { ranked }
    }
}

#[inline(always)]
fn cut<S: Simd, K: Key>(simd: S, bytes: &[u8], lowest: Lowest, key: impl Fn(K) -> K + Copy, mask: &mut [u32]) {
    mask.fill(u32::MAX);
    let elements = bytes.len() / size_of::<K>();
    clear_padding(mask, elements);
    if elements == 0 {
        return;
    }
    // What the compiler knows, it unrolls.
    match lowest {
        Lowest { m: 4, stride: 1, cut } => adjacent(simd, bytes, 4, cut, key, mask),
        Lowest { m, stride: 1, cut } => adjacent(simd, bytes, m, cut, key, mask),
        _ => apart(simd, bytes, lowest, key, mask),
    }
}

/// Groups of consecutive elements.
#[inline(always)]
fn adjacent<S: Simd, K: Key>(simd: S, bytes: &[u8], m: usize, cut: usize, key: impl Fn(K) -> K, mask: &mut [u32]) {
    let mut tile: Tile<K> = [[K::MAX; LANES]; MOST];
    let mut run = [K::MAX; LANES * MOST];
    let mut words = [0u32; LANES];
    for (index, bytes) in bytes.chunks(LANES * m * size_of::<K>()).enumerate() {
        let run = &mut run[..LANES * m];
        let groups = bytes.len() / size_of::<K>() / m;
        bytemuck::cast_slice_mut(run)[..bytes.len()].copy_from_slice(bytes);
        run.iter_mut().for_each(|x| *x = key(*x));
        for (lane, group) in run.chunks_exact(m).enumerate() {
            for (members, key) in tile[..m].iter_mut().zip(group) {
                members[lane] = *key;
            }
        }
        words.fill(0);
        for i in 0..m {
            let cut = K::cut_member(simd, &tile, m, i, cut);
            (0..).zip(&mut words).for_each(|(lane, word)| *word |= (cut >> lane & 1) << i);
        }
        for (lane, word) in words[..groups].iter().enumerate() {
            clear(mask, (index * LANES + lane) * m, *word);
        }
    }
}

/// Groups whose members lie apart: neighbours belong to different ones.
#[inline(always)]
fn apart<S: Simd, K: Key>(
    simd: S,
    bytes: &[u8],
    Lowest { m, stride, cut }: Lowest,
    key: impl Fn(K) -> K,
    mask: &mut [u32],
) {
    let elements = bytes.len() / size_of::<K>();
    let unit = m * stride;
    let together = (LANES / stride).max(1);
    let mut tile: Tile<K> = [[K::MAX; LANES]; MOST];
    for first in (0..elements).step_by(unit * together) {
        let units = together.min((elements - first) / unit);
        for column in (0..stride).step_by(LANES) {
            let columns = LANES.min(stride - column);
            let start = |i: usize, u: usize| first + u * unit + i * stride + column;
            for (i, members) in tile[..m].iter_mut().enumerate() {
                let lanes = bytemuck::cast_slice_mut::<K, u8>(members).chunks_exact_mut(columns * size_of::<K>());
                for (u, lanes) in lanes.take(units).enumerate() {
                    lanes.copy_from_slice(&bytes[start(i, u) * size_of::<K>()..][..columns * size_of::<K>()]);
                }
                members.iter_mut().for_each(|x| *x = key(*x));
            }
            for i in 0..m {
                let word = K::cut_member(simd, &tile, m, i, cut);
                for u in 0..units {
                    let bits = word >> (u * columns) & (u32::MAX >> (32 - columns));
                    clear(mask, start(i, u), bits);
                }
            }
        }
    }
}

/// Clears the `bits` of a mask, whose first is that of element `at`.
#[inline(always)]
fn clear(mask: &mut [u32], at: usize, bits: u32) {
    let bits = u64::from(bits) << (at % 32);
    mask[at / 32] &= !(bits as u32);
    if bits >> 32 != 0 {
        mask[at / 32 + 1] &= !((bits >> 32) as u32);
    }
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
        include_str!("../../shaders/nm_mask.wgsl")
    );

    /// Groups, or words of the mask, of one list, at most: one for each thread.
    const GROUPS: u64 = 256;

    /// What a workgroup ranks: see `shaders/nm_mask.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Groups {
        /// First element of the first group of all, from the start of the data.
        pub(crate) start: u32,
        /// The first group, or the first word, of this list.
        pub(crate) first: u32,
        /// How many.
        pub(crate) count: u32,
        /// Elements from one member of a group to the next.
        pub(crate) stride: u32,
        /// First word of the mask.
        pub(crate) mask: u32,
        /// Elements in all.
        pub(crate) length: u32,
        /// Members that are cut.
        pub(crate) cut: u32,
        /// The largest magnitude that is no NaN.
        pub(crate) largest: u32,
        /// 1: the largest are cut.
        pub(crate) above: u32,
    }

    /// Groups of `m` elements, `stride` apart, of which `m - n` are cut.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Pattern {
        pub(crate) n: u32,
        pub(crate) m: u32,
        pub(crate) stride: u32,
        pub(crate) above: bool,
    }

    impl Pattern {
        /// Whether a word of the mask holds whole groups, so that a thread makes all of it. Otherwise the mask has to be all
        /// ones before.
        pub(crate) fn in_words(self) -> bool {
            self.stride == 1 && 32 % self.m == 0
        }

        /// What its kernel is made for.
        pub(crate) fn kind(self) -> (u32, bool) {
            (self.m, self.in_words())
        }

        /// The lists for `length` elements from element `start` of the data on, whose mask starts at word `mask`.
        pub(crate) fn lists(self, float: Float, start: u32, length: u32, mask: u32) -> impl Iterator<Item = Groups> {
            let Self { n, m, stride, above } = self;
            let all = u64::from(if self.in_words() { length.div_ceil(32) } else { length / m });
            (0..all).step_by(GROUPS as usize).map(move |first| Groups {
                start,
                first: first as u32,
                count: GROUPS.min(all - first) as u32,
                stride,
                mask,
                length,
                cut: m - n,
                largest: float.largest_magnitude() as u32,
                above: u32::from(above),
            })
        }
    }

    /// The kernel for a format and groups of `m`, where a thread makes words of the mask or not.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, (m, in_words): (u32, bool)) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("nm_mask", SOURCE, &[format_constant(float), ("M", m), ("WORDS", u32::from(in_words))])
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
            stride in prop_oneof![Just(1usize), 2..6usize, 30..67usize],
            seeds in prop::collection::vec(any::<u64>(), 4800),
            above in any::<bool>(),
        ) {
            for float in Float::ALL {
                let elements = 4800 / (m * stride) * m * stride;
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
