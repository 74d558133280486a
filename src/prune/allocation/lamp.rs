//! Layer-adaptive magnitudes.

use super::histograms::Histograms;
use super::{Candidate, round_half_even, whole};
use crate::{Error, Result};

/// Layer-adaptive magnitude-based pruning: a weight scores w²/Σ of the squares of all not smaller ones of its tensor, itself
/// included and equal ones one after the other, and the smallest scores of the whole are cut.
///
/// Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning" (ICLR 2021, arXiv:2010.07611).
///
/// Equal scores, to the precision of f64, are cut in the order of their tensors' names. A weight of 0 scores 0. Infinite
/// weights are outside the sums and go last, NaN is never cut. Exact where a bin is one magnitude; where it stands for
/// a narrow range of them, as good as that.
///
/// # Errors
///
/// [`Error::Io`] where the histograms' temporary file fails, [`Error::Usage`] where there are not as many histograms as
/// candidates.
pub fn lamp(rate: f64, candidates: &[Candidate], histograms: &mut Histograms) -> Result<Vec<u64>> {
    if histograms.len() != candidates.len() {
        let (found, wanted) = (histograms.len(), candidates.len());
        return Err(Error::Usage(format!("lamp: {found} histograms for {wanted} tensors: push one for each")));
    }
    let total = u128::from(round_half_even(rate, whole(candidates)));
    let (base, most) = around(total, histograms)?;
    let mut left = total.saturating_sub(base.elements());
    let mut counts = base.counts;
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| candidates[a].name.cmp(&candidates[b].name));
    for tensor in order {
        let given = left.min(u128::from(most.counts[tensor].saturating_sub(counts[tensor])));
        counts[tensor] += given as u64;
        left -= given;
    }
    Ok(counts)
}

/// What scores no more than some level.
#[derive(Clone)]
struct Cut {
    /// How many of each tensor's bins, from the smallest, lose every weight.
    bins: Vec<u64>,
    /// How many weights each tensor loses.
    counts: Vec<u64>,
}

impl Cut {
    fn elements(&self) -> u128 {
        self.counts.iter().map(|&count| u128::from(count)).sum()
    }
}

/// The two neighbouring cuts of which the first takes at most `total` weights and the second more, if any does.
///
/// Levels are inverse scores, in [1, inf]: element j of a bin has `tail` + `count` − j, which needs no further division.
fn around(total: u128, histograms: &mut Histograms) -> Result<(Cut, Cut)> {
    let tensors = histograms.len();
    let nothing = Cut { bins: vec![0; tensors], counts: vec![0; tensors] };
    let bins = (0..tensors).map(|tensor| histograms.bins(tensor)).collect();
    let finite = Cut { bins, counts: (0..tensors).map(|tensor| histograms.finite(tensor)).collect() };
    if finite.elements() <= total {
        let all = |tensor| histograms.finite(tensor).saturating_add(histograms.infinite(tensor));
        let all = Cut { counts: (0..tensors).map(all).collect(), bins: Vec::new() };
        return Ok((finite, all));
    }
    let zeros = cut(f64::INFINITY, &nothing, &finite, histograms)?;
    if zeros.elements() > total {
        return Ok((nothing, zeros));
    }
    // Bits of a positive f64 rise with its value, so that bisecting them ends at neighbours.
    let (mut low, mut high) = (1f64.to_bits(), f64::INFINITY.to_bits());
    let (mut fewer, mut more) = (zeros, finite);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let between = cut(f64::from_bits(middle), &fewer, &more, histograms)?;
        if between.elements() <= total {
            (high, fewer) = (middle, between);
        } else {
            (low, more) = (middle, between);
        }
    }
    Ok((fewer, more))
}

/// What has an inverse score of at least `level`, given a higher and a lower level's cuts.
///
/// Falls nowhere as `level` falls, whatever the rounding: a tensor's `tail`s fall from bin to bin, so its full bins are a
/// prefix that grows, and within the first other bin the number is monotone in `level`.
fn cut(level: f64, fewer: &Cut, more: &Cut, histograms: &mut Histograms) -> Result<Cut> {
    let mut found = fewer.clone();
    for tensor in 0..found.bins.len() {
        let (mut low, mut high) = (fewer.bins[tensor], more.bins[tensor]);
        while low < high {
            let middle = low + (high - low) / 2;
            if histograms.bin(tensor, middle)?.tail >= level - 1.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        found.bins[tensor] = low;
        found.counts[tensor] = if low == histograms.bins(tensor) {
            histograms.finite(tensor)
        } else {
            let bin = histograms.bin(tensor, low)?;
            // Elements j ≤ count − (level − tail). The ceiling comes first, so that no sum rounds a near tie away.
            let spared = (level - bin.tail).ceil() as u64;
            bin.below.saturating_add(bin.count.saturating_add(1).saturating_sub(spared).min(bin.count))
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Inverse scores by the definition: sort, sum from the largest.
    fn inverse_scores(weights: &[f64]) -> Vec<f64> {
        let mut magnitudes: Vec<f64> = weights.iter().map(|w| w.abs()).filter(|w| w.is_finite()).collect();
        magnitudes.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for w in magnitudes.iter_mut().rev() {
            sum += *w * *w;
            *w = if *w == 0.0 { f64::INFINITY } else { sum / (*w * *w) };
        }
        let infinite = weights.iter().filter(|w| w.is_infinite()).count();
        magnitudes.extend(vec![0.0; infinite]);
        magnitudes
    }

    /// How many of the `total` largest inverse scores each tensor has, ties by the order of `tensors`.
    fn naive(total: usize, tensors: &[Vec<f64>]) -> Vec<u64> {
        let each = tensors.iter().enumerate();
        let mut all: Vec<(f64, usize)> =
            each.flat_map(|(tensor, weights)| inverse_scores(weights).into_iter().map(move |s| (s, tensor))).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut counts = vec![0; tensors.len()];
        all.iter().take(total).for_each(|(_, tensor)| counts[*tensor] += 1);
        counts
    }

    fn run(rate: f64, tensors: &[Vec<f64>], memory_bytes: u64) -> Vec<u64> {
        let mut histograms = Histograms::new(memory_bytes);
        let mut candidates = Vec::new();
        for (index, weights) in tensors.iter().enumerate() {
            candidates.push(Candidate::new(format!("t{index:02}"), [weights.len() as u64]));
            let mut sorted: Vec<f64> = weights.iter().map(|w| w.abs()).filter(|w| !w.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            histograms.push(sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u64))).unwrap();
        }
        lamp(rate, &candidates, &mut histograms).unwrap()
    }

    /// Powers of two, so that every inverse score is exact, and many are equal.
    fn exact() -> impl Strategy<Value = Vec<f64>> {
        let weight = prop_oneof![
            6 => (-6..6i32, any::<bool>()).prop_map(|(e, minus)| if minus { -1.0 } else { 1.0 } * f64::from(e).exp2()),
            1 => Just(0.0),
            1 => Just(-0.0),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
            1 => Just(f64::NAN),
        ];
        prop::collection::vec(weight, 0..60)
    }

    proptest! {
        #[test]
        fn equals_the_naive_one(tensors in prop::collection::vec(exact(), 0..8), rate in 0.0..=1.0f64, memory_bytes in prop_oneof![Just(0), Just(500), Just(1 << 20)]) {
            let n = tensors.iter().map(Vec::len).sum::<usize>() as u64;
            let total = round_half_even(rate, n) as usize;
            prop_assert_eq!(run(rate, &tensors, memory_bytes), naive(total, &tensors));
        }

        #[test]
        fn near_the_naive_one_for_any_values(
            tensors in prop::collection::vec(prop::collection::vec(prop_oneof![-1.0..1.0f64, Just(0.25), any::<f32>().prop_map(f64::from).prop_filter("finite", |x| x.is_finite())], 1..80), 1..8),
            rate in 0.0..=1.0f64,
        ) {
            let counts = run(rate, &tensors, 1 << 20);
            let n = tensors.iter().map(Vec::len).sum::<usize>() as u64;
            prop_assert_eq!(counts.iter().sum::<u64>(), round_half_even(rate, n));
            // Nothing that is kept scores below what is cut, but by rounding.
            let (mut cut, mut kept) = (f64::INFINITY, 0.0f64);
            for (weights, &count) in tensors.iter().zip(&counts) {
                let scores = inverse_scores(weights);
                cut = scores[..count as usize].iter().copied().fold(cut, f64::min);
                kept = scores[count as usize..].iter().copied().fold(kept, f64::max);
            }
            prop_assert!(cut >= kept * (1.0 - 1e-12), "{cut} {kept}");
        }
    }

    #[test]
    fn cases() {
        // The largest of each tensor scores 1, whatever its scale.
        let tensors = [vec![1e-300; 4], vec![1e300; 4]];
        assert_eq!(run(0.75, &tensors, 0), [3, 3]);
        assert_eq!(run(0.875, &tensors, 0), [4, 3]);
        assert_eq!(run(0.125, &tensors, 0), [1, 0]);
        let zeros = [vec![0.0; 4], vec![0.0, 0.0, 1.0, f64::MAX]];
        assert_eq!(run(0.5, &zeros, 0), [4, 0]);
        assert_eq!(run(0.75, &zeros, 0), [4, 2]);
        assert_eq!(run(0.0, &zeros, 0), [0, 0]);
        let poison = [vec![f64::NAN, f64::INFINITY], vec![1.0, f64::NAN]];
        assert_eq!(run(0.25, &poison, 0), [0, 1]);
        assert_eq!(run(0.5, &poison, 0), [1, 1]);
        assert_eq!(run(1.0, &poison, 0), [1, 1]);
        assert_eq!(run(0.5, &[], 0), [0; 0]);
    }

    #[test]
    fn names_break_ties_and_huge_counts_add_up() {
        let count = 50_000_000_000;
        let candidates = ["b", "B", "c"].map(|name| Candidate::new(name, [count]));
        let mut histograms = Histograms::new(0);
        for _ in 0..3 {
            histograms.push([(0.125, count / 2), (1.0, count / 2)]).unwrap();
        }
        let half = count / 2;
        for (total, expected) in
            [(3 * half, [half; 3]), (3 * half + 1, [half, half + 1, half]), (3 * half + 2, [half + 1, half + 1, half])]
        {
            let rate = total as f64 / (3 * count) as f64;
            assert_eq!(lamp(rate, &candidates, &mut histograms).unwrap(), expected);
        }
        assert!(matches!(lamp(0.5, &candidates[..2], &mut histograms), Err(Error::Usage(_))));
    }
}
