//! What is kept of a channel: how widely its weights are spread, and how large they are.

use crate::stats::{Moments, exp2};

/// Count, mean, sum of squared deviations and largest magnitude of the finite weights of a channel or of a part of it: of
/// [`Moments`] what a channel is drawn by, at a fraction of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    /// Weights, NaN and inf included.
    pub(crate) count: u64,
    /// Finite weights.
    pub(crate) finite: u64,
    /// Their mean.
    pub(crate) mean: f64,
    /// Σ(w − mean)².
    pub(crate) m2: f64,
    /// The largest |w|.
    pub(crate) abs_max: f64,
}

impl Spread {
    /// Adds the weights of `other`, as [`Moments::combine`] does.
    pub(crate) fn combine(&mut self, other: &Self) {
        let count = self.count + other.count;
        if self.finite == 0 {
            *self = *other;
        } else if other.finite > 0 {
            self.add_finite(other);
        }
        self.count = count;
    }

    fn add_finite(&mut self, other: &Self) {
        let (na, nb) = (self.finite as f64, other.finite as f64);
        let share = nb / (na + nb);
        let delta = other.mean - self.mean;
        self.m2 += other.m2 + delta * delta * na * share;
        self.mean += delta * share;
        self.abs_max = self.abs_max.max(other.abs_max);
        self.finite += other.finite;
    }

    /// M2/n; `None` without finite weights, or beyond f64.
    pub(crate) fn variance(&self) -> Option<f64> {
        self.defined(self.m2 / self.finite as f64)
    }

    /// √Σw².
    pub(crate) fn l2(&self) -> Option<f64> {
        self.defined((self.m2 + self.finite as f64 * self.mean * self.mean).sqrt())
    }

    /// Whether every weight is 0: nothing that goes through it comes out. NaN does come out.
    pub(crate) fn is_dead(&self) -> bool {
        self.finite > 0 && self.finite == self.count && self.abs_max == 0.0
    }

    fn defined(&self, value: f64) -> Option<f64> {
        (self.finite > 0 && value.is_finite()).then_some(value)
    }
}

impl From<&Moments> for Spread {
    fn from(moments: &Moments) -> Self {
        if moments.finite == 0 {
            return Self { count: moments.count, ..Self::default() };
        }
        let unit = exp2(moments.exponent);
        Self {
            count: moments.count,
            finite: moments.finite,
            mean: moments.mean * unit,
            m2: if moments.is_constant() { 0.0 } else { moments.m2 * unit * unit },
            abs_max: moments.min.abs().max(moments.max.abs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_whole() {
        let weights: Vec<f32> = (0..1000).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.01 + 3.0).collect();
        let whole = Moments::of(&weights);
        let mut sum = Spread::default();
        for part in weights.chunks(77) {
            sum.combine(&Spread::from(&Moments::of(part)));
        }
        sum.combine(&Spread::default());
        assert_eq!((sum.finite, sum.abs_max), (1000, whole.max));
        assert!((sum.variance().unwrap() / whole.variance().unwrap() - 1.0).abs() < 1e-6);
        assert!((sum.l2().unwrap() / whole.l2().unwrap() - 1.0).abs() < 1e-6);
        assert!(!sum.is_dead());
    }

    #[test]
    fn dead_constant_and_empty_channels() {
        let of = |weights: &[f32]| Spread::from(&Moments::of(weights));
        assert!(of(&[0.0, -0.0]).is_dead() && !of(&[0.0, 1e-40]).is_dead());
        assert_eq!((of(&[0.1, 0.1]).variance(), of(&[0.1, 0.1]).is_dead()), (Some(0.0), false));
        let none = of(&[f32::NAN]);
        assert_eq!((none.variance(), none.l2(), none.is_dead()), (None, None, false));
        let mut partly = of(&[0.0, 0.0]);
        partly.combine(&none);
        assert!(!partly.is_dead() && partly.count == 3 && !of(&[f32::NAN, 0.0]).is_dead());
    }
}
