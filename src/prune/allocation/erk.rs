//! Densities by the shapes of the tensors.

use super::{Candidate, names, remainders, round_half_even, whole};

/// The Erdős–Rényi-Kernel rule: a tensor's density is ε·(sum of its axes)/(product of its axes), with one ε so that the
/// whole has density 1 − `rate`. A tensor whose density would pass 1 stays dense, and ε is solved again over the rest.
///
/// For a convolution that is (inputs + outputs + width + height)/(inputs·outputs·width·height). Evci et al., "Rigging the
/// Lottery: Making All Tickets Winners" (ICML 2020, arXiv:1911.11134), after the Erdős–Rényi rule of Mocanu et al. (2018).
/// It looks at no weight.
pub fn erk(rate: f64, candidates: &[Candidate]) -> Vec<u64> {
    let n: Vec<f64> = candidates.iter().map(|candidate| candidate.count as f64).collect();
    // ε times this many weights stay; a scalar is a tensor of one axis of length 1.
    let stays: Vec<f64> = candidates.iter().map(axes).collect();
    let mut dense = vec![false; n.len()];
    let total = round_half_even(rate, whole(candidates));
    let mut kept = whole(candidates) as f64 - total as f64;
    let targets = loop {
        let open = || (0..n.len()).filter(|&index| !dense[index]);
        let epsilon = kept / open().map(|index| stays[index]).sum::<f64>();
        let full: Vec<usize> = open().filter(|&index| epsilon * stays[index] > n[index]).collect();
        if full.is_empty() {
            let target = |index: usize| if dense[index] { 0.0 } else { n[index] - epsilon * stays[index] };
            break (0..n.len()).map(target).collect::<Vec<_>>();
        }
        for index in full {
            dense[index] = true;
            kept -= n[index];
        }
    };
    let capacity: Vec<u64> = candidates.iter().map(|candidate| candidate.count).collect();
    remainders(&targets, &capacity, &names(candidates), total)
}

fn axes(candidate: &Candidate) -> f64 {
    match (candidate.count, candidate.shape.as_slice()) {
        (0, _) => 0.0,
        (_, []) => 1.0,
        (_, shape) => shape.iter().map(|&axis| axis as f64).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(shapes: &[&[u64]]) -> Vec<Candidate> {
        shapes.iter().enumerate().map(|(index, shape)| Candidate::new(format!("t{index}"), *shape)).collect()
    }

    /// Shapes, rate, what each loses.
    type Case = (&'static [&'static [u64]], f64, &'static [u64]);

    #[test]
    fn by_hand() {
        let cases: &[Case] = &[
            // ε = 1010/220: 91.8… and 918.2… stay.
            (&[&[10, 10], &[100, 100]], 0.9, &[8, 9082]),
            // The first would be 4.6 times dense.
            (&[&[10, 10], &[100, 100]], 0.5, &[0, 5050]),
            // The convolution form: ε = 174/(12 + 43); 37.96 of 72 and 136.04 of 800 stay.
            (&[&[4, 2, 3, 3], &[20, 20, 2, 1]], 0.8, &[34, 664]),
            (&[&[10, 10], &[100, 100]], 0.0, &[0, 0]),
            (&[&[10, 10], &[100, 100]], 1.0, &[100, 10_000]),
            (&[&[], &[0, 7], &[100]], 0.5, &[0, 0, 50]),
            (&[], 0.5, &[]),
        ];
        for (shapes, rate, expected) in cases {
            assert_eq!(erk(*rate, &of(shapes)), *expected, "{shapes:?} at {rate}");
        }
    }

    proptest! {
        #[test]
        fn exact_and_of_one_epsilon(
            shapes in prop::collection::vec(prop::collection::vec(0..30u64, 0..4), 0..10),
            rate in 0.0..1.0f64,
        ) {
            let candidates = of(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let cut = erk(rate, &candidates);
            prop_assert_eq!(cut.iter().sum::<u64>(), round_half_even(rate, whole(&candidates)));
            // Some ε explains every count to within one weight: the largest lower bound is no more than any upper bound.
            let (mut low, mut high) = (0.0f64, f64::INFINITY);
            for (candidate, &cut) in candidates.iter().zip(&cut).filter(|(candidate, _)| candidate.count > 0) {
                let kept = (candidate.count - cut) as f64;
                low = low.max((kept - 1.0) / axes(candidate));
                if kept + 1.0 < candidate.count as f64 {
                    high = high.min((kept + 1.0) / axes(candidate));
                }
            }
            prop_assert!(low <= high * (1.0 + 1e-9), "{:?} {:?}", shapes, cut);
        }
    }
}
