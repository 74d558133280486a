//! Sums and squares of contiguous weights: what the variance and the norm of a channel take, in one pass.

use fearless_simd::{Level, dispatch, f32x8, f64x8, prelude::*};

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

/// Sums of `weights`, or `None` where they cannot be had in one pass to 1e-6: some are not finite, very large or
/// very small, or the mean is far from zero beside σ.
pub(crate) fn sums(weights: &[f32]) -> Option<Sums> {
    let [sum, squares, abs_max] = dispatch!(Level::new(), simd => sum_powers(simd, weights));
    if abs_max == 0.0 && squares == 0.0 {
        return Some(Sums::default());
    }
    let n = weights.len() as f64;
    let mean = sum / n;
    let m2 = squares - n * mean * mean;
    // NaN fails every comparison.
    let known = RANGE.contains(&(abs_max as f32)) && m2 >= squares * LEAST_SHARE && m2.is_finite();
    known.then_some(Sums { mean, m2, abs_max })
}

/// Σw, Σw² and max |w|.
#[inline(always)]
fn sum_powers<S: Simd>(simd: S, weights: &[f32]) -> [f64; 3] {
    let zero = f32x8::splat(simd, 0.0);
    let at = |part: &[f32]| f32x8::from_slice(simd, part);
    let (mut sums, mut squares) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 0.0));
    let mut largest = zero;
    let (parts, rest) = weights.as_chunks::<{ 4 * LANES }>();
    for chain in parts.chunks(CHAIN / 4) {
        let (mut sum, mut square) = (zero, zero);
        for quad in chain {
            let [a, b, c, d] = [at(&quad[..8]), at(&quad[8..16]), at(&quad[16..24]), at(&quad[24..])];
            sum += (a + b) + (c + d);
            square += (a * a + b * b) + (c * c + d * d);
            largest = largest.max((a.abs().max(b.abs())).max(c.abs().max(d.abs())));
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
    for &w in rest {
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

    #[test]
    fn sums_are_those_of_the_moments() {
        for n in [1, 2, 7, 31, 32, 33, 100, 2048, 4096, 5000] {
            for mean in [0.0, 0.3, -2.0] {
                let weights = weights(n, mean);
                let want = Moments::of(&weights);
                let Some(found) = sums(&weights) else {
                    assert!(n < 32 || mean != 0.0, "{n} {mean}");
                    continue;
                };
                let sigma = (want.m2 / n as f64).sqrt();
                assert!((found.mean - want.mean).abs() <= 2e-6 * sigma.max(want.mean.abs()), "{n} {mean}");
                assert!((found.m2 / want.m2 - 1.0).abs() < 1e-5, "{n} {mean}: {} {}", found.m2, want.m2);
                assert_eq!(found.abs_max, want.max.abs().max(want.min.abs()));
            }
        }
    }

    #[test]
    fn what_one_pass_cannot_sum_is_left_to_two() {
        let with = |w: f32| [weights(100, 0.0), vec![w]].concat();
        for awkward in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e16, -3e38] {
            for weights in [with(awkward), [vec![awkward], weights(99, 0.0)].concat()] {
                assert_eq!(sums(&weights), None, "{awkward}");
            }
        }
        assert_eq!(sums(&[1e-30; 40]), None);
        assert_eq!(sums(&weights(64, 100.0)), None);
        assert_eq!(sums(&[0.0, -0.0, 0.0]), Some(Sums::default()));
        assert_eq!(sums(&[]), Some(Sums::default()));
    }
}
