//! LAMP's rule, solved for the distributions that the tensors' moments suggest.

use super::fit::Fit;
use super::root::{outwards, root};
use super::{Candidate, capacities, names, remainders, round_half_even, sum, whole};
use crate::stats::Moments;

/// LAMP without looking at a weight: one pass of moments is all it needs.
///
/// Each tensor is taken as a generalised Gaussian (Nadarajah, "A generalized normal distribution", 2005), whose shape β
/// follows from the kurtosis κ = (M4/n)/σ⁴ by Γ(5/β)·Γ(1/β)/Γ(3/β)² = κ. A threshold of t root mean squares cuts the
/// rate r(t) = P(1/β, (t/a)^β) and leaves the share of energy R(t) = Q(3/β, (t/a)^β), where a = √(Γ(1/β)/Γ(3/β)) and P, Q
/// are the regularised incomplete gamma functions. The weight at the threshold then has [`lamp`](super::lamp)'s score
/// t²/(n·R(t)), and all tensors share one score such that Σ n·r is what is to be cut. No unit enters: a tensor times a
/// constant loses as many weights.
///
/// The count n does most of the work; kurtosis adds little. The mean is not fitted: magnitudes of weights whose mean is
/// far from 0 are not those of a generalised Gaussian, and the share of such a tensor is a guess.
///
/// - Weights that are 0 already are cut first and stay outside the fit: κ and n are those of the others. Where zeros
///   alone reach the rate, they share it in proportion.
/// - κ is clipped to [1.85, 200]; where it is undefined (equal weights, a single one), β = 2, a normal distribution.
/// - Infinite weights are outside the fit and go last; NaN is never cut.
///
/// # Panics
///
/// If there are not as many moments as candidates.
pub fn moments(rate: f64, candidates: &[Candidate], moments: &[Moments]) -> Vec<u64> {
    assert_eq!(candidates.len(), moments.len(), "one set of moments a candidate");
    let total = round_half_even(rate, whole(candidates));
    let capacity = capacities(candidates, moments);
    let zeros: Vec<u64> = moments.iter().zip(&capacity).map(|(m, &most)| m.zeros.min(most)).collect();
    let all_zeros = sum(zeros.iter().copied());
    if all_zeros >= total {
        let share = total as f64 / all_zeros.max(1) as f64;
        let targets: Vec<f64> = zeros.iter().map(|&zeros| zeros as f64 * share).collect();
        return remainders(&targets, &zeros, &names(candidates), total);
    }
    let mut fits: Vec<Fit> = moments.iter().map(Fit::new).collect();
    let rates = rates(&mut fits, (total - all_zeros) as f64);
    let each = zeros.iter().zip(&fits).zip(rates);
    let targets: Vec<f64> = each.map(|((&zeros, fit), rate)| zeros as f64 + fit.n * rate).collect();
    remainders(&targets, &capacity, &names(candidates), total)
}

/// The share that each fit loses, so that Σ n·r is `wanted`, or all where there are no more.
fn rates(fits: &mut [Fit], wanted: f64) -> Vec<f64> {
    let n: f64 = fits.iter().map(|fit| fit.n).sum();
    if wanted >= n {
        return vec![1.0; fits.len()];
    }
    // t is near 1 there for a tensor of average size.
    let start = libm::log(fits.len() as f64) - libm::log(n);
    let mut excess = |ln_c: f64| {
        let (mut cut, mut slope) = (0.0, 0.0);
        for fit in fits.iter_mut() {
            let (rate, change) = fit.rate(ln_c);
            cut += fit.n * rate;
            slope += fit.n * change;
        }
        (cut - wanted, slope)
    };
    let low = outwards(start, -1.0, |ln_c| excess(ln_c).0 <= 0.0);
    let high = outwards(start, 1.0, |ln_c| excess(ln_c).0 >= 0.0);
    let ln_c = root(low, high, start, &mut excess);
    fits.iter_mut().map(|fit| fit.rate(ln_c).0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::oracle;
    use proptest::prelude::*;

    /// So many weights of that mean, variance and kurtosis (κ, 3 for a normal distribution), skewness 0.
    fn tensor(count: u64, mean: f64, variance: f64, kurtosis: f64) -> Moments {
        let n = count as f64;
        let (m2, m4) = (n * variance, n * kurtosis * variance * variance);
        Moments { count, finite: count, mean, m2, m4, min: -1.0, max: 1.0, ..Moments::default() }
    }

    fn with_zeros(mut moments: Moments, zeros: usize) -> Moments {
        moments.combine(&oracle::moments(&vec![0.0; zeros]));
        moments
    }

    fn candidates(moments: &[Moments]) -> Vec<Candidate> {
        moments.iter().enumerate().map(|(index, m)| Candidate::new(format!("t{index:02}"), [m.count])).collect()
    }

    fn cut(rate: f64, of: &[Moments]) -> Vec<u64> {
        moments(rate, &candidates(of), of)
    }

    #[test]
    fn as_scipy_solves_it() {
        let cases: &[(f64, &[Moments], &[u64])] = &[
            (
                0.9,
                &[
                    tensor(500, 0.0, 0.01, 4.0),
                    tensor(25000, 0.0, 0.001, 6.0),
                    tensor(400000, 0.0, 0.0001, 12.0),
                    tensor(5000, 0.0, 0.01, 3.0),
                ],
                &[41, 13858, 372520, 1031],
            ),
            (
                0.5,
                &[
                    tensor(500, 0.0, 0.01, 4.0),
                    tensor(25000, 0.0, 0.001, 6.0),
                    tensor(400000, 0.0, 0.0001, 12.0),
                    tensor(5000, 0.0, 0.01, 3.0),
                ],
                &[7, 3293, 211772, 178],
            ),
            (
                0.8,
                &[tensor(235200, 0.001, 0.0016, 9.0), tensor(30000, -0.01, 0.004, 5.0), tensor(1000, 0.02, 0.04, 2.5)],
                &[198720, 14176, 64],
            ),
            (
                0.99,
                &[tensor(3000, 0.0, 1.0, 1.85), tensor(3000, 0.0, 1.0, 50.0), tensor(3000, 0.0, 1.0, 199.0)],
                &[2949, 2978, 2983],
            ),
            (
                0.05,
                &[tensor(3000, 0.0, 1.0, 1.85), tensor(3000, 0.0, 1.0, 50.0), tensor(3000, 0.0, 1.0, 199.0)],
                &[11, 139, 300],
            ),
            (
                0.6,
                &[tensor(7, 0.0, 1.0, 2.2), tensor(1234567, 0.0, 1.0, 3.3), tensor(64, 0.1, 0.5, 6.0)],
                &[0, 740782, 1],
            ),
        ];
        for (rate, of, expected) in cases {
            assert_eq!(cut(*rate, of), *expected, "{of:?} at {rate}");
        }
    }

    #[test]
    fn zeros_go_first_and_share() {
        let some = tensor(1000, 0.0, 1.0, 3.0);
        let zeros = oracle::moments(&[0.0; 600]);
        let few = with_zeros(some, 300);
        assert_eq!(cut(300.0 / 2900.0, &[some, zeros, few]), [0, 200, 100]);
        assert_eq!(cut(900.0 / 2900.0, &[some, zeros, few]), [0, 600, 300]);
        let [a, b, c] = cut(0.5, &[some, zeros, few])[..] else { unreachable!("three tensors") };
        // What the zeros leave is shared as if they were not there.
        assert_eq!((b, a + c - 300), (600, 1450 - 900));
        assert_eq!(vec![a, c - 300], cut(550.0 / 2000.0, &[some, some]));
        assert_eq!(cut(0.0, &[some, zeros]), [0, 0]);
    }

    #[test]
    fn what_cannot_be_cut_or_fitted() {
        let some = tensor(100, 0.0, 1.0, 3.0);
        let poison = oracle::moments(&[f64::NAN, f64::NAN, f64::INFINITY, -f64::INFINITY, 1.0]);
        // All finite weights, then infinite ones; NaN never.
        assert_eq!(cut(101.0 / 105.0, &[some, poison]), [100, 1]);
        assert_eq!(cut(102.0 / 105.0, &[some, poison]), [100, 2]);
        assert_eq!(cut(1.0, &[some, poison]), [100, 3]);
        let nothing = Moments::default();
        assert_eq!(cut(0.5, &[nothing]), [0]);
        assert_eq!(cut(0.5, &[]), [0; 0]);
        assert_eq!(cut(1.0, &[oracle::moments(&[f64::NAN; 3]), nothing]), [0, 0]);
        // Constants and single weights count as normal.
        let constant = Moments { min: 1.0, max: 1.0, m2: 0.0, m4: 0.0, mean: 1.0, ..some };
        assert_eq!(cut(0.5, &[constant, some]), [50, 50]);
        let single = oracle::moments(&[3.0]);
        assert_eq!(cut(0.5, &[single, some]).iter().sum::<u64>(), 50);
        assert_eq!(cut(0.5, &[single, single, single]), [1, 1, 0]);
    }

    #[test]
    fn scale_is_no_matter_and_size_is() {
        let plain = [tensor(5_000, 0.0, 1.0, 4.0), tensor(500_000, 0.0, 1.0, 4.0)];
        let expected = cut(0.8, &plain);
        let share = |k: u64, n: f64| k as f64 / n;
        assert!(share(expected[0], 5e3) < share(expected[1], 5e5), "{expected:?}");
        for (variance, exponent) in [(1e-20, 0), (1e60, 0), (1.0, 900), (1.0, -900)] {
            let moved = [plain[0], Moments { exponent, ..tensor(500_000, 0.0, variance, 4.0) }];
            assert_eq!(cut(0.8, &moved), expected, "{variance} {exponent}");
        }
    }

    #[test]
    fn extreme_rates_and_sizes() {
        let whole = [
            tensor(100_000_000_000, 0.0, 1e-4, 30.0),
            tensor(1, 0.5, 0.0, f64::NAN),
            tensor(1_000, 1.0, 1e-3, 1.8),
            tensor(4_000_000, 0.0, 1e-2, 400.0),
        ];
        let n: u64 = whole.iter().map(|m| m.count).sum();
        for rate in [1e-12, 1e-9, 0.5, 0.999_999, 1.0 - 1e-11, 1.0 - f64::EPSILON] {
            let found = cut(rate, &whole);
            assert_eq!(found.iter().sum::<u64>(), round_half_even(rate, n), "{rate}");
            assert!(found.iter().zip(&whole).all(|(k, m)| *k <= m.count), "{rate}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn exact_monotone_and_within_capacity(
            parts in prop::collection::vec((0..5_000u64, 1.0..300.0f64, 0..2_000usize, 0..30u64, -2.0..2.0f64), 1..8),
            rates in (0.0..1.0f64, 0.0..1.0f64),
        ) {
            let of: Vec<Moments> = parts.into_iter().map(|(count, kurtosis, zeros, nan, mean)| {
                let mut m = with_zeros(tensor(count, mean, 1.0, kurtosis), zeros);
                (m.count, m.nan) = (m.count + nan, nan);
                m
            }).collect();
            let n: u64 = of.iter().map(|m| m.count).sum();
            let most: u64 = of.iter().map(|m| m.finite).sum();
            let (low, high) = (rates.0.min(rates.1), rates.0.max(rates.1));
            let (few, many) = (cut(low, &of), cut(high, &of));
            for (rate, found) in [(low, &few), (high, &many)] {
                prop_assert_eq!(found.iter().sum::<u64>(), round_half_even(rate, n).min(most));
                prop_assert!(found.iter().zip(&of).all(|(&k, m)| k <= m.finite));
            }
            // Remainders may move one weight the other way.
            prop_assert!(few.iter().zip(&many).all(|(few, many)| *few <= many + 1), "{few:?} {many:?}");
        }
    }
}
