//! Sums and squares of contiguous weights: what the variance and the norm of a channel take, in one pass.

use fearless_simd::{Level, dispatch, f32x8, f64x8, prelude::*};

use crate::Float;
use crate::float::{bf16, f16, table};

/// Lanes of a vector, four of which are taken at a time.
const LANES: usize = 8;
/// Vectors that are added up before they are widened.
const CHAIN: usize = 64;
/// Magnitudes whose squares stay well inside f32.
const RANGE: std::ops::Range<f32> = 1e-15..1e15;
/// Σ(w − mean)² has to be so large a part of Σw²: less, and rounding would show.
const LEAST_SHARE: f64 = 1.0 / 64.0;

/// Of finite weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Their mean.
    pub(crate) mean: f64,
    /// Σ(w − mean)².
    pub(crate) m2: f64,
    /// The largest |w|.
    pub(crate) abs_max: f64,
}

/// Sums of weights of a format of at most 16 bits, as they are stored; or `None` where they cannot be had in one pass to 1e-6:
/// some are not finite, very large or very small, or the mean is far from zero beside σ.
pub(crate) fn sums(float: Float, stored: &[u8]) -> Option<Sums> {
    let [sum, squares, abs_max] = match float {
        Float::BF16 => dispatch!(Level::new(), simd => sum_powers(simd, stored.as_chunks().0, bf16)),
        Float::F16 => dispatch!(Level::new(), simd => sum_powers(simd, stored.as_chunks().0, f16)),
        Float::E4M3 | Float::E5M2 => {
            let table = table(float);
            let value = |[byte]: [u8; 1]| table[usize::from(byte)];
            dispatch!(Level::new(), simd => sum_powers(simd, stored.as_chunks().0, value))
        }
        Float::F32 | Float::F64 => return None,
    };
    if abs_max == 0.0 && squares == 0.0 {
        return Some(Sums::default());
    }
    let n = (stored.len() / float.bytes()) as f64;
    let mean = sum / n;
    let m2 = squares - n * mean * mean;
    // NaN fails every comparison.
    let known = RANGE.contains(&(abs_max as f32)) && m2 >= squares * LEAST_SHARE && m2.is_finite();
    known.then_some(Sums { mean, m2, abs_max })
}

/// Σw, Σw² and max |w|.
#[inline(always)]
fn sum_powers<S: Simd, const W: usize>(simd: S, stored: &[[u8; W]], value: impl Fn([u8; W]) -> f32) -> [f64; 3] {
    let zero = f32x8::splat(simd, 0.0);
    // Decoded where it is summed: a buffer in between would be written and read for nothing.
    let at = |part: &[[u8; W]; LANES]| f32x8::from_slice(simd, &part.map(&value));
    let (mut sums, mut squares) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 0.0));
    let mut largest = zero;
    let (parts, rest) = stored.as_chunks::<LANES>();
    for chain in parts.chunks(CHAIN) {
        let (mut sum, mut square) = (zero, zero);
        let (quads, single) = chain.as_chunks::<4>();
        for [a, b, c, d] in quads {
            let [a, b, c, d] = [at(a), at(b), at(c), at(d)];
            sum += (a + b) + (c + d);
            square += (a * a + b * b) + (c * c + d * d);
            largest = largest.max((a.abs().max(b.abs())).max(c.abs().max(d.abs())));
        }
        for part in single {
            let a = at(part);
            sum += a;
            square += a * a;
            largest = largest.max(a.abs());
        }
        for (wide, narrow) in [(&mut sums, sum), (&mut squares, square)] {
            let (low, high) = narrow.widen();
            *wide += low.combine(high);
        }
    }
    let total = |lanes: f64x8<S>| <[f64; LANES]>::from(lanes).into_iter().sum::<f64>();
    let (mut sum, mut square) = (total(sums), total(squares));
    let mut lanes = [0.0f32; LANES];
    largest.store_slice(&mut lanes);
    let mut abs_max = lanes.into_iter().fold(0.0f32, f32::max);
    for w in rest.iter().map(|stored| value(*stored)) {
        sum += f64::from(w);
        square += f64::from(w) * f64::from(w);
        abs_max = abs_max.max(w.abs());
    }
    [sum, square, abs_max.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Moments;

    /// Pseudo-random weights around `mean`, some 1 wide.
    fn weights(n: usize, mean: f32) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next() + next() + next() + mean).collect()
    }

    fn stored(float: Float, weights: &[f32]) -> Vec<u8> {
        match float {
            Float::BF16 => weights.iter().flat_map(|w| half::bf16::from_f32(*w).to_le_bytes()).collect(),
            Float::F16 => weights.iter().flat_map(|w| half::f16::from_f32(*w).to_le_bytes()).collect(),
            // Whatever the bits of the weights are; no NaN.
            _ => weights.iter().map(|w| (w.to_bits() >> 3) as u8 & 0xb7).collect(),
        }
    }

    #[test]
    fn sums_are_those_of_the_moments() {
        for float in [Float::BF16, Float::F16, Float::E4M3, Float::E5M2] {
            for n in [1, 2, 7, 8, 31, 32, 33, 100, 520, 2048, 4096, 5000] {
                for mean in [0.0, 0.3, -2.0] {
                    let stored = stored(float, &weights(n, mean));
                    let want = Moments::of_bytes(float, &stored);
                    let Some(found) = sums(float, &stored) else {
                        assert!(n < 32 || mean != 0.0, "{float:?} {n} {mean}");
                        continue;
                    };
                    let sigma = (want.m2 / n as f64).sqrt();
                    let case = format!("{float:?} {n} {mean}");
                    assert!((found.mean - want.mean).abs() <= 2e-6 * sigma.max(want.mean.abs()), "{case}");
                    assert!((found.m2 - want.m2).abs() <= 1e-5 * want.m2, "{case}: {} {}", found.m2, want.m2);
                    assert_eq!(found.abs_max, want.max.abs().max(want.min.abs()), "{case}");
                }
            }
        }
    }

    #[test]
    fn what_one_pass_cannot_sum_is_left_to_two() {
        let of = |weights: &[f32]| sums(Float::BF16, &stored(Float::BF16, weights));
        for awkward in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e16, -3e38] {
            for weights in [[weights(100, 0.0), vec![awkward]].concat(), [vec![awkward], weights(99, 0.0)].concat()] {
                assert_eq!(of(&weights), None, "{awkward}");
            }
        }
        assert_eq!(of(&[1e-30; 40]), None);
        assert_eq!(of(&weights(64, 100.0)), None);
        assert_eq!(of(&[0.0, -0.0, 0.0]), Some(Sums::default()));
        assert_eq!(of(&[]), Some(Sums::default()));
        assert_eq!(sums(Float::F32, &[0; 8]), None);
    }
}
