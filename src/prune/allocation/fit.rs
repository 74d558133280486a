//! A tensor as a generalised Gaussian, and LAMP's rule on it.

use super::gamma::{incomplete, ln_gamma};
use super::root::{outwards, root};
use crate::stats::Moments;

/// The kurtosis of a generalised Gaussian of shape 60 is below the first; the last is that of a shape near 0.3.
const KURTOSIS: (f64, f64) = (1.85, 200.0);
const SHAPE: (f64, f64) = (0.12, 60.0);

/// The weights of a tensor that are neither 0 nor infinite nor NaN, taken as a generalised Gaussian.
///
/// Thresholds are the natural logarithms of t, the threshold in units of the root mean square: a flat distribution with
/// few weights cut has (t/a)^β far below f64's range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// How many weights.
    pub(super) n: f64,
    ln_n: f64,
    shape: f64,
    /// ln a, a = √(Γ(1/β)/Γ(3/β)): the scale of a distribution whose mean square is 1.
    ln_scale: f64,
    /// The last threshold found, where the search for the next begins.
    ln_t: f64,
}

impl Fit {
    pub(super) fn new(moments: &Moments) -> Self {
        let shape = kurtosis(moments).map_or(2.0, shape_of);
        let n = moments.finite.saturating_sub(moments.zeros) as f64;
        let ln_scale = (ln_gamma(1.0 / shape) - ln_gamma(3.0 / shape)) / 2.0;
        Self { n, ln_n: libm::log(n), shape, ln_scale, ln_t: 0.0 }
    }

    /// The share of the weights below the threshold whose score t²/(n·R(t)) is exp(`ln_c`), and its derivative in `ln_c`.
    pub(super) fn rate(&mut self, ln_c: f64) -> (f64, f64) {
        if self.n == 0.0 {
            return (0.0, 0.0);
        }
        // R ≤ 1 bounds t from above; far enough below, R is 1.
        let high = (ln_c + self.ln_n) / 2.0;
        let low = outwards(high, -1.0, |ln_t| self.ln_score(ln_t).0 <= ln_c);
        self.ln_t = root(low, high, self.ln_t, |ln_t| {
            let (ln_score, slope) = self.ln_score(ln_t);
            (ln_score - ln_c, slope)
        });
        let below = incomplete(1.0 / self.shape, self.ln_argument(self.ln_t));
        let slope = self.ln_score(self.ln_t).1;
        (libm::exp(below.ln_p), self.shape * libm::exp(below.ln_slope) / slope)
    }

    /// ln(t²/(n·R(t))) and its derivative in ln t; it rises, and is convex.
    fn ln_score(&self, ln_t: f64) -> (f64, f64) {
        let energy = incomplete(3.0 / self.shape, self.ln_argument(ln_t));
        let slope = 2.0 + self.shape * libm::exp(energy.ln_slope - energy.ln_q);
        (2.0 * ln_t - self.ln_n - energy.ln_q, slope)
    }

    /// ln (t/a)^β.
    fn ln_argument(&self, ln_t: f64) -> f64 {
        self.shape * (ln_t - self.ln_scale)
    }
}

/// (M4/n)/σ⁴ of the finite weights other than 0; `None` where it is undefined, or drowned in rounding.
fn kurtosis(m: &Moments) -> Option<f64> {
    let n = m.finite.checked_sub(m.zeros).filter(|&n| n > 0)? as f64;
    if m.is_constant() {
        return None;
    }
    let zeros = m.zeros as f64;
    // Power sums about the tensor's mean, less those of the zeros, which all lie at −mean; then moved to the mean of what
    // is left. This keeps more digits than sums about 0 would.
    let mean = m.mean;
    let squares = m.m2 - zeros * mean * mean;
    let cubes = m.m3 + zeros * mean * mean * mean;
    let fourths = m.m4 - zeros * mean * mean * mean * mean;
    let shift = zeros * mean / n;
    let m2 = squares - n * shift * shift;
    let m4 = fourths - 4.0 * shift * cubes + 6.0 * shift * shift * squares - 3.0 * n * shift * shift * shift * shift;
    // The fourth powers of what is smaller than this are rounding errors of the whole's.
    let drowned = m.zeros > 0 && m2 <= 1e-8 * (m.m2 + m.finite as f64 * mean * mean);
    let kurtosis = m4 / n / (m2 / n) / (m2 / n);
    (m2 > 0.0 && !drowned && kurtosis.is_finite()).then_some(kurtosis)
}

/// The shape β of the generalised Gaussian of that kurtosis, clipped: Γ(5/β)·Γ(1/β)/Γ(3/β)² = κ, which falls as β rises.
fn shape_of(kurtosis: f64) -> f64 {
    let wanted = libm::log(kurtosis.clamp(KURTOSIS.0, KURTOSIS.1));
    let (mut low, mut high) = SHAPE;
    loop {
        let shape = low + (high - low) / 2.0;
        if shape <= low || shape >= high {
            return shape;
        }
        if ln_gamma(5.0 / shape) + ln_gamma(1.0 / shape) - 2.0 * ln_gamma(3.0 / shape) > wanted {
            low = shape;
        } else {
            high = shape;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::oracle;
    use proptest::prelude::*;

    #[test]
    fn shapes_by_kurtosis() {
        // Laplace, normal, and by scipy's brentq.
        for (kurtosis, shape) in [
            (6.0, 1.0),
            (3.0, 2.0),
            (1.85, 13.453916365569563),
            (2.0, 6.0000000000000036),
            (4.5, 1.2567687311333675),
            (20.0, 0.5434945437376048),
            (199.0, 0.29189118492181026),
        ] {
            let found = shape_of(kurtosis);
            assert!((found / shape - 1.0).abs() < 1e-11, "{kurtosis}: {found}");
        }
        assert_eq!(shape_of(1.0), shape_of(1.85));
        assert_eq!(shape_of(1e9), shape_of(200.0));
    }

    #[test]
    fn kurtosis_is_undefined_without_spread() {
        for values in
            [&[][..], &[0.0; 3], &[2.0; 3], &[2.0, 0.0], &[0.1, 0.1, 0.1, 0.0, 0.0], &[f64::NAN, f64::INFINITY, 1.0]]
        {
            assert_eq!(kurtosis(&oracle::moments(values)), None, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn kurtosis_leaves_zeros_out(values in prop::collection::vec(-3.0..5.0f64, 2..60), zeros in 0..300usize, offset in -20.0..20.0f64) {
            let values: Vec<f64> = values.into_iter().map(|x| x + offset).filter(|&x| x != 0.0).collect();
            let alone = oracle::moments(&values);
            let mut whole = alone;
            whole.combine(&oracle::moments(&vec![0.0; zeros]));
            if let (Some(found), Some(excess)) = (kurtosis(&whole), alone.kurtosis()) {
                // Close pairs of values far from 0 keep few digits.
                let lost = 1e-15 * (alone.l2().unwrap().powi(2) / alone.m2).powi(2);
                prop_assert!((found - excess - 3.0).abs() <= 1e-9 + 100.0 * lost, "{found} {}", excess + 3.0);
            }
        }

        #[test]
        fn rates_rise_with_the_score(shape in 0.13..59.0f64, n in 1.0..1e12f64, at in prop::collection::vec(-60.0..60.0f64, 2..20)) {
            let ln_scale = (ln_gamma(1.0 / shape) - ln_gamma(3.0 / shape)) / 2.0;
            let mut fit = Fit { n, ln_n: n.ln(), shape, ln_scale, ln_t: 0.0 };
            let mut at = at;
            at.sort_by(f64::total_cmp);
            let mut before = 0.0;
            for ln_c in at {
                let (rate, slope) = fit.rate(ln_c);
                prop_assert!((0.0..=1.0).contains(&rate) && slope >= 0.0, "{rate} {slope}");
                prop_assert!(rate >= before - 1e-13, "{rate} after {before}");
                // The same from a cold start.
                let cold = Fit { ln_t: 0.0, ..fit }.rate(ln_c).0;
                prop_assert!((cold - rate).abs() <= 1e-13, "{cold} {rate}");
                before = rate;
            }
        }
    }
}
