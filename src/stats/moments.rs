//! The moments of a group of weights: a monoid that partial results are folded into.

/// Count, mean and central power sums M2, M3, M4 of a group, with its companions.
///
/// `Default` is the identity of [`combine`](Self::combine), which is associative up to rounding; results are
/// reproducible because every caller folds in one fixed order. `mean` and `l1` are in units of 2^`exponent`, `m2`,
/// `m3` and `m4` in that unit's powers: f64 weights near 1e±100 keep their skewness and kurtosis, though their fourth
/// powers leave f64's range. For other dtypes `exponent` is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Every element, NaN and inf included.
    pub count: u64,
    /// The elements that the sums are over.
    pub finite: u64,
    /// Number of NaN.
    pub nan: u64,
    /// Number of ±inf.
    pub inf: u64,
    /// Number of ±0.
    pub zeros: u64,
    /// Mean, in units of 2^`exponent`.
    pub mean: f64,
    /// Σ(x − mean)².
    pub m2: f64,
    /// Σ(x − mean)³.
    pub m3: f64,
    /// Σ(x − mean)⁴.
    pub m4: f64,
    /// Σ|x|, in units of 2^`exponent`.
    pub l1: f64,
    /// Smallest finite value; +inf where there is none.
    pub min: f64,
    /// Largest finite value; −inf where there is none.
    pub max: f64,
    /// The binary exponent of the unit.
    pub exponent: i32,
}

/// The map from weights to (x − mean)/σ, in units that keep σ inside f64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standard {
    unit: f64,
    mean: f64,
    sigma: f64,
}

impl Standard {
    /// Never falls as `x` rises.
    pub(crate) fn place(self, x: f64) -> f64 {
        (x / self.unit - self.mean) / self.sigma
    }
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            finite: 0,
            nan: 0,
            inf: 0,
            zeros: 0,
            mean: 0.0,
            m2: 0.0,
            m3: 0.0,
            m4: 0.0,
            l1: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exponent: 0,
        }
    }
}

impl Moments {
    /// Adds the elements of `other`, by the pairwise update of Pébay, "Formulas for robust, one-pass parallel
    /// computation of covariances and arbitrary-order statistical moments" (SAND2008-6212), equations 3.1.
    pub fn combine(&mut self, other: &Self) {
        self.count += other.count;
        self.nan += other.nan;
        self.inf += other.inf;
        self.zeros += other.zeros;
        if other.finite == 0 {
            return;
        }
        let mut b = *other;
        let (min, max) = (self.min.min(b.min), self.max.max(b.max));
        if self.finite == 0 {
            (self.finite, self.exponent) = (b.finite, b.exponent);
            (self.mean, self.m2, self.m3, self.m4, self.l1) = (b.mean, b.m2, b.m3, b.m4, b.l1);
            (self.min, self.max) = (min, max);
            return;
        }
        self.share_exponent(&mut b);
        (self.min, self.max) = (min, max);
        let (na, nb) = (self.finite as f64, b.finite as f64);
        let n = na + nb;
        // Sums that are all small fractions of n keep every intermediate inside f64 for n up to 2^64.
        let (fa, fb) = (na / n, nb / n);
        let delta = b.mean - self.mean;
        let delta2 = delta * delta;
        let cross = na * fb;
        self.m4 += b.m4
            + delta2 * delta2 * cross * (fa * fa - fa * fb + fb * fb)
            + 6.0 * delta2 * (fa * fa * b.m2 + fb * fb * self.m2)
            + 4.0 * delta * (fa * b.m3 - fb * self.m3);
        self.m3 += b.m3 + delta2 * delta * cross * (fa - fb) + 3.0 * delta * (fa * b.m2 - fb * self.m2);
        self.m2 += b.m2 + delta2 * cross;
        self.mean += delta * fb;
        self.l1 += b.l1;
        self.finite += b.finite;
    }

    /// Brings both to one unit: the larger, so that the smaller one's sums can only vanish, never overflow.
    fn share_exponent(&mut self, other: &mut Self) {
        if self.exponent == other.exponent {
            return;
        }
        let all_zero = |m: &Self| m.min == 0.0 && m.max == 0.0;
        let exponent = if all_zero(self) {
            other.exponent
        } else if all_zero(other) {
            self.exponent
        } else {
            self.exponent.max(other.exponent)
        };
        self.rescale(exponent);
        other.rescale(exponent);
    }

    fn rescale(&mut self, exponent: i32) {
        let unit = exp2(self.exponent.saturating_sub(exponent));
        self.exponent = exponent;
        self.mean *= unit;
        self.l1 *= unit;
        // Stepwise, since unit⁴ may leave f64's range where the product does not.
        self.m2 = self.m2 * unit * unit;
        self.m3 = self.m3 * unit * unit * unit;
        self.m4 = self.m4 * unit * unit * unit * unit;
    }

    /// The moments of (x − mean of `whole`)/σ of `whole`, or `None` where that σ is zero or undefined. Σ|x| does not
    /// follow from the weights' own: `l1` is NaN.
    pub fn standardized(&self, whole: &Self) -> Option<Self> {
        let (mut group, mut whole) = (*self, *whole);
        if group.finite > 0 {
            group.share_exponent(&mut whole);
        }
        let standard = whole.standard()?;
        let (sigma, place) = (standard.sigma, |x| standard.place(x));
        Some(Self {
            mean: (group.mean - whole.mean) / sigma,
            m2: group.m2 / sigma / sigma,
            m3: group.m3 / sigma / sigma / sigma,
            m4: group.m4 / sigma / sigma / sigma / sigma,
            min: if group.finite > 0 { place(group.min) } else { f64::INFINITY },
            max: if group.finite > 0 { place(group.max) } else { f64::NEG_INFINITY },
            l1: f64::NAN,
            exponent: 0,
            ..group
        })
    }

    /// What standardises the values of this tensor; `None` where σ is zero or undefined.
    pub(crate) fn standard(&self) -> Option<Standard> {
        let sigma = (self.m2 / self.finite as f64).sqrt();
        let known = sigma > 0.0 && self.min < self.max;
        known.then(|| Standard { unit: exp2(self.exponent), mean: self.mean, sigma })
    }

    /// Σx² in units of 2^(2·`exponent`).
    fn sum_of_squares(&self) -> f64 {
        self.m2 + self.finite as f64 * self.mean * self.mean
    }

    /// Arithmetic mean; `None` without finite values.
    pub fn mean(&self) -> Option<f64> {
        self.defined(self.mean * exp2(self.exponent))
    }

    /// Population variance M2/n, exactly 0 where all values are equal.
    pub fn variance(&self) -> Option<f64> {
        let unit = exp2(self.exponent);
        self.defined(if self.is_constant() { 0.0 } else { self.m2 / self.finite as f64 * unit * unit })
    }

    /// Skewness (M3/n)/σ³; `None` where all values are equal.
    pub fn skewness(&self) -> Option<f64> {
        let n = self.finite as f64;
        let variance = self.m2 / n;
        if self.is_constant() { None } else { self.defined(self.m3 / n / variance / variance.sqrt()) }
    }

    /// Excess kurtosis (M4/n)/σ⁴ − 3, 0 for a normal distribution; `None` where all values are equal.
    pub fn kurtosis(&self) -> Option<f64> {
        let n = self.finite as f64;
        let variance = self.m2 / n;
        if self.is_constant() { None } else { self.defined(self.m4 / n / variance / variance - 3.0) }
    }

    /// Largest absolute value.
    pub fn abs_max(&self) -> Option<f64> {
        self.defined(self.max.abs().max(self.min.abs()))
    }

    /// Σ|x|; 0 without finite values.
    pub fn l1(&self) -> Option<f64> {
        some_if_finite(self.l1 * exp2(self.exponent))
    }

    /// √Σx²; 0 without finite values.
    pub fn l2(&self) -> Option<f64> {
        some_if_finite(self.sum_of_squares().sqrt() * exp2(self.exponent))
    }

    /// Whether there are finite values and all of them are equal.
    pub fn is_constant(&self) -> bool {
        self.min == self.max
    }

    pub(crate) fn defined(&self, value: f64) -> Option<f64> {
        if self.finite == 0 { None } else { some_if_finite(value) }
    }
}

/// A result beyond f64 is undefined; −0 is 0.
fn some_if_finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value + 0.0)
}

/// 2^`exponent`, which underflows to 0 and overflows to inf.
pub(crate) fn exp2(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::oracle;
    use proptest::prelude::*;

    fn close(a: &Moments, b: &Moments) -> bool {
        let scale = b.m2.max(f64::MIN_POSITIVE);
        let near = |x: f64, y: f64, unit: f64| (x - y).abs() <= 1e-9 * unit.max(y.abs());
        (a.count, a.finite, a.nan, a.inf, a.zeros, a.min, a.max)
            == (b.count, b.finite, b.nan, b.inf, b.zeros, b.min, b.max)
            && near(a.mean, b.mean, scale.sqrt())
            && near(a.m2, b.m2, 0.0)
            && near(a.m3, b.m3, scale.powf(1.5))
            && near(a.m4, b.m4, 0.0)
    }

    proptest! {
        #[test]
        fn folding_parts_equals_the_whole(
            values in prop::collection::vec(prop_oneof![8 => -10.0..10.0f64, 1 => Just(0.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 2..200),
            cut in 0.0..1.0f64,
        ) {
            let at = (cut * values.len() as f64) as usize;
            let mut folded = oracle::moments(&values[..at]);
            folded.combine(&oracle::moments(&values[at..]));
            let whole = oracle::moments(&values);
            prop_assert!(close(&folded, &whole), "{folded:?}\n{whole:?}");
        }
    }

    #[test]
    fn identity_on_both_sides() {
        let some = oracle::moments(&[1.0, 2.0, 5.0]);
        let mut left = Moments::default();
        left.combine(&some);
        assert_eq!(left, some);
        let mut right = some;
        right.combine(&Moments::default());
        assert_eq!(right, some);
    }

    #[test]
    fn a_unit_of_its_own_keeps_ratios_of_huge_and_tiny_values() {
        let values = [1.0, 2.0, 4.0, 9.0];
        let plain = oracle::moments(&values);
        for exponent in [-900, 0, 900] {
            let mut moments = plain;
            moments.exponent = exponent;
            moments.min *= exp2(exponent);
            moments.max *= exp2(exponent);
            assert_eq!(moments.skewness(), plain.skewness());
            assert_eq!(moments.kurtosis(), plain.kurtosis());
            let mut zeros = oracle::moments(&[0.0; 3]);
            zeros.combine(&moments);
            assert_eq!(zeros.exponent, exponent, "zeros have no magnitude of their own");
            let whole = oracle::moments(&[0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 9.0]);
            assert!((zeros.kurtosis().unwrap() - whole.kurtosis().unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn undefined_is_none() {
        let none = Moments::default();
        assert_eq!((none.mean(), none.variance(), none.skewness(), none.abs_max()), (None, None, None, None));
        assert_eq!((none.l1(), none.l2()), (Some(0.0), Some(0.0)));
        let constant = oracle::moments(&[0.1; 7]);
        assert_eq!((constant.variance(), constant.skewness(), constant.kurtosis()), (Some(0.0), None, None));
    }

    #[test]
    fn standardized_has_mean_0_and_variance_1() {
        let whole = oracle::moments(&[1.0, 2.0, 4.0, 9.0, -3.0]);
        let z = whole.standardized(&whole).unwrap();
        assert!(z.mean().unwrap().abs() < 1e-15 && (z.variance().unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(z.l1(), None);
        assert_eq!(oracle::moments(&[2.0; 4]).standardized(&oracle::moments(&[2.0; 4])), None);
    }
}
