//! Densities by the variances of the tensors.

use super::{Candidate, capacities, names, remainders, round_half_even, sum, whole};
use crate::stats::Moments;

/// A tensor of larger variance loses more: the share exp(−λ·σ²·fan_in) of it stays, fan_in being the product of the axes
/// after the first, with one λ so that the whole reaches `rate`. An undefined variance counts as 0.
///
/// This is the plain rule of moment-driven pruning, water-filled through the exponential, so that any rate can be
/// reached without a cap. It is here for comparison, and not the best rule: see [`moments`](super::moments).
///
/// Tensors of variance 0 lose weights only once all others have none left.
///
/// # Panics
///
/// If there are not as many moments as candidates.
pub fn variance(rate: f64, candidates: &[Candidate], moments: &[Moments]) -> Vec<u64> {
    assert_eq!(candidates.len(), moments.len(), "one set of moments a candidate");
    let capacity = capacities(candidates, moments);
    let least = vec![0; candidates.len()];
    variance_within(round_half_even(rate, whole(candidates)), &least, &capacity, candidates, moments)
}

/// [`variance`] where `total` are cut, and of each candidate at least its `least` and at most its `capacity`.
pub(in crate::prune) fn variance_within(
    total: u64,
    least: &[u64],
    capacity: &[u64],
    candidates: &[Candidate],
    moments: &[Moments],
) -> Vec<u64> {
    let total = total.max(sum(least.iter().copied()));
    let weight = weights(candidates, moments);
    let targets = |lambda: f64| -> Vec<f64> {
        let each = candidates.iter().zip(&weight).zip(least.iter().zip(capacity));
        // −expm1 keeps the digits of a small share.
        each.map(|((candidate, &weight), (&least, &most))| {
            let share = if weight > 0.0 { -libm::expm1(-lambda * weight) } else { 0.0 };
            (share * candidate.count as f64).max(least as f64).min(most as f64)
        })
        .collect()
    };
    // Bits of a positive f64 rise with its value, so that bisecting them ends, and at the same λ everywhere.
    let (mut low, mut high) = (0, f64::MAX.to_bits());
    while low < high {
        let middle = low + (high - low) / 2;
        if targets(f64::from_bits(middle)).iter().sum::<f64>() < total as f64 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    remainders(&targets(f64::from_bits(low)), capacity, &names(candidates), total)
}

/// σ²·fan_in, in a unit that makes the largest 1: λ takes any common factor.
fn weights(candidates: &[Candidate], moments: &[Moments]) -> Vec<f64> {
    // σ² in units of 2^(2·exponent), which may leave f64's range where the ratios do not.
    let spread = |m: &Moments| {
        let variance = m.m2 / m.finite as f64;
        if m.finite > 0 && !m.is_constant() && variance.is_finite() { variance.max(0.0) } else { 0.0 }
    };
    let exponent = moments.iter().filter(|m| spread(m) > 0.0).map(|m| m.exponent).max().unwrap_or(0);
    let mut weights: Vec<f64> = candidates
        .iter()
        .zip(moments)
        .map(|(candidate, m)| {
            let fan_in: f64 = candidate.shape.iter().skip(1).map(|&axis| axis as f64).product();
            let below = exponent.saturating_sub(m.exponent).saturating_mul(2);
            libm::scalbn(spread(m), -below) * fan_in
        })
        .collect();
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest > 0.0 && largest.is_finite() {
        weights.iter_mut().for_each(|weight| *weight /= largest);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::oracle;
    use proptest::prelude::*;

    /// Half the weights `spread` above the mean, half below.
    fn two_valued(count: u64, mean: f64, spread: f64) -> Moments {
        Moments {
            count,
            finite: count,
            mean,
            m2: count as f64 * spread * spread,
            min: mean - spread,
            max: mean + spread,
            ..Moments::default()
        }
    }

    #[test]
    fn by_hand() {
        let pair = [Candidate::new("a", [100, 1]), Candidate::new("b", [100, 1])];
        // exp(−λ) + exp(−4λ) = 1 at λ = 0.322…: 0.7245 and 0.2755 stay.
        let halves = [two_valued(100, 5.0, 1.0), two_valued(100, 0.0, 2.0)];
        assert_eq!(variance(0.5, &pair, &halves), [28, 72]);
        // fan_in stands in for variance.
        let wide = [Candidate::new("a", [100, 1]), Candidate::new("b", [25, 2, 2])];
        assert_eq!(variance(0.5, &wide, &[halves[0], two_valued(100, 0.0, 1.0)]), [28, 72]);
        // No scale matters, not even one whose square leaves f64's range.
        let huge = [two_valued(100, 0.0, 1.0), two_valued(100, 0.0, 2.0)].map(|m| Moments { exponent: 900, ..m });
        assert_eq!(variance(0.5, &pair, &huge), [28, 72]);
        // Without variance, or defined variance, last.
        for constant in [oracle::moments(&[3.0; 100]), Moments { count: 100, inf: 100, ..Moments::default() }] {
            assert_eq!(variance(0.4, &pair, &[constant, halves[1]]), [0, 80]);
            assert_eq!(variance(0.75, &pair, &[constant, halves[1]]), [50, 100]);
            assert_eq!(variance(0.5, &pair, &[constant, constant]), [50, 50]);
        }
        // NaN is never cut.
        let gaps = Moments { finite: 20, nan: 80, m2: 80.0, ..halves[1] };
        assert_eq!(variance(0.5, &pair, &[halves[0], gaps]), [80, 20]);
        assert_eq!(variance(1.0, &pair, &[halves[0], gaps]), [100, 20]);
        assert_eq!(variance(0.0, &pair, &halves), [0, 0]);
        assert_eq!(variance(0.5, &[], &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn exact_and_ordered_by_variance(spreads in prop::collection::vec(0.01..100.0f64, 1..10), rate in 0.0..1.0f64) {
            let candidates: Vec<_> = (0..spreads.len()).map(|i| Candidate::new(format!("{i}"), [40, 25])).collect();
            let moments: Vec<_> = spreads.iter().map(|&spread| two_valued(1000, 0.0, spread)).collect();
            let cut = variance(rate, &candidates, &moments);
            prop_assert_eq!(cut.iter().sum::<u64>(), round_half_even(rate, whole(&candidates)));
            for (a, b) in (0..cut.len()).flat_map(|a| (0..cut.len()).map(move |b| (a, b))) {
                prop_assert!(spreads[a] > spreads[b] || cut[a] <= cut[b] + 1, "{spreads:?} {cut:?}");
            }
        }
    }
}
