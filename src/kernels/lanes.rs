//! Thirty-two magnitudes at a time, as vectors: comparisons give a word of a mask, and a word chooses what stays.

use fearless_simd::{i8x32, i16x32, i32x16, prelude::*};

/// The elements of one word of a mask. Magnitudes are below the sign bit, so that signed comparisons order them.
pub(crate) trait Lanes<S: Simd>: Copy {
    /// Bytes of an element.
    const WIDTH: usize;

    /// The 32 elements of `bytes`; zeros follow where it has fewer.
    fn load(simd: S, bytes: &[u8]) -> Self;

    /// Writes the first elements, as many as there is room for.
    fn store(self, bytes: &mut [u8]);

    /// |x|.
    fn magnitude(self, simd: S) -> Self;

    /// The bits of those that equal `x`.
    fn equal(self, simd: S, x: u32) -> u32;

    /// The bits of those that are smaller than `x`, which is at most the sign bit.
    fn less(self, simd: S, x: u32) -> u32;

    /// Zero but where the bit is 1.
    fn keep(self, simd: S, word: u32) -> Self;

    /// The larger of each pair of magnitudes.
    fn max(self, other: Self) -> Self;

    /// The largest magnitude.
    fn largest(self) -> u32;
}

macro_rules! lanes {
    ($(#[$doc:meta])* $name:ident, $vector:ident, $element:ty, $count:literal, $lanes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name<S: Simd>([$vector<S>; $count]);

        impl<S: Simd> $name<S> {
            #[inline(always)]
            fn bits(self, compare: impl Fn($vector<S>) -> u64) -> u32 {
                let mut word = 0;
                for (i, vector) in self.0.into_iter().enumerate() {
                    word |= compare(vector) << (i * $lanes);
                }
                word as u32
            }
        }

        impl<S: Simd> Lanes<S> for $name<S> {
            const WIDTH: usize = size_of::<$element>();

            #[inline(always)]
            fn load(simd: S, bytes: &[u8]) -> Self {
                let whole: [$element; 32] = match bytes.first_chunk::<{ 32 * size_of::<$element>() }>() {
                    Some(whole) => bytemuck::pod_read_unaligned(whole),
                    None => {
                        let mut elements = [0; 32];
                        bytemuck::cast_slice_mut(&mut elements)[..bytes.len()].copy_from_slice(bytes);
                        elements
                    }
                };
                Self(std::array::from_fn(|i| $vector::from_slice(simd, &whole[i * $lanes..][..$lanes])))
            }

            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                let mut whole: [$element; 32] = [0; 32];
                for (out, vector) in whole.chunks_exact_mut($lanes).zip(self.0) {
                    vector.store_slice(out);
                }
                let whole: &[u8] = bytemuck::bytes_of(&whole);
                match bytes.first_chunk_mut::<{ 32 * size_of::<$element>() }>() {
                    Some(out) => out.copy_from_slice(whole),
                    None => bytes.copy_from_slice(&whole[..bytes.len()]),
                }
            }

            #[inline(always)]
            fn magnitude(self, simd: S) -> Self {
                let mask = $vector::splat(simd, <$element>::MAX);
                Self(self.0.map(|v| v & mask))
            }

            #[inline(always)]
            fn equal(self, simd: S, x: u32) -> u32 {
                let x = $vector::splat(simd, x as $element);
                self.bits(|v| v.simd_eq(x).to_bitmask())
            }

            #[inline(always)]
            fn less(self, simd: S, x: u32) -> u32 {
                // Nothing is larger than the largest magnitude.
                if x > <$element>::MAX as u32 {
                    return u32::MAX;
                }
                let x = $vector::splat(simd, x as $element);
                self.bits(|v| v.simd_lt(x).to_bitmask())
            }

            #[inline(always)]
            fn keep(self, simd: S, word: u32) -> Self {
                let zero = $vector::splat(simd, 0);
                let mut kept = self;
                for (i, vector) in kept.0.iter_mut().enumerate() {
                    let bits = u64::from(word) >> (i * $lanes);
                    *vector = <$vector<S> as SimdBase<S>>::Mask::from_bitmask(simd, bits).select(*vector, zero);
                }
                kept
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                let mut largest = self;
                largest.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = a.max(b));
                largest
            }

            #[inline(always)]
            fn largest(self) -> u32 {
                let mut whole: [$element; 32] = [0; 32];
                for (out, vector) in whole.chunks_exact_mut($lanes).zip(self.0) {
                    vector.store_slice(out);
                }
                whole.into_iter().fold(0, |most, x| most.max(x)) as u32
            }
        }
    };
}

lanes!(
    /// Of 8 bits.
    Eight, i8x32, i8, 1, 32
);
lanes!(
    /// Of 16 bits.
    Sixteen, i16x32, i16, 1, 32
);
lanes!(
    /// Of 32 bits.
    ThirtyTwo, i32x16, i32, 2, 16
);

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};

    fn check<S: Simd, L: Lanes<S>>(simd: S, elements: usize) {
        let bits =
            |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32) >> (64 - 8 * L::WIDTH);
        let bytes: Vec<u8> = (0..elements).flat_map(|i| bits(i).to_le_bytes().into_iter().take(L::WIDTH)).collect();
        let sign = 1u64 << (8 * L::WIDTH - 1);
        let magnitude = |i: usize| if i < elements { (bits(i) & (sign - 1)) as u32 } else { 0 };
        let lanes = L::load(simd, &bytes);
        let found = lanes.magnitude(simd);
        let word = |is: &dyn Fn(u32) -> bool| (0..32).map(|i| u32::from(is(magnitude(i))) << i).sum::<u32>();
        for x in (0..elements).map(magnitude).chain([0, 1, (sign - 1) as u32, sign as u32]) {
            assert_eq!(found.less(simd, x), word(&|m| m < x), "{} < {x}", L::WIDTH);
            if u64::from(x) < sign {
                assert_eq!(found.equal(simd, x), word(&|m| m == x), "{} = {x}", L::WIDTH);
            }
        }
        assert_eq!(found.largest(), (0..32).map(magnitude).max().unwrap());
        let mut kept = bytes.clone();
        lanes.keep(simd, 0x5a5a_c3c3).store(&mut kept);
        for i in 0..elements {
            let range = i * L::WIDTH..(i + 1) * L::WIDTH;
            let want = if 0x5a5a_c3c3u32 >> i & 1 == 1 { &bytes[range.clone()] } else { &[0; 4][..L::WIDTH] };
            assert_eq!(&kept[range], want);
        }
    }

    #[test]
    fn equals_one_by_one() {
        for elements in [32, 31, 1] {
            dispatch!(Level::new(), simd => {
                check::<_, Eight<_>>(simd, elements);
                check::<_, Sixteen<_>>(simd, elements);
                check::<_, ThirtyTwo<_>>(simd, elements);
            });
        }
    }
}
