//! Whole numbers out of real-valued targets.

/// Whole counts near `targets` that add up to `total` exactly, or to the sum of `capacity` if that is less.
///
/// Floors, then largest remainders (Hamilton's method): each target is rounded down, and what is missing goes one by one
/// to the largest fractions, ties to the bytewise lesser of `names`, then to the earlier. None passes its `capacity`.
/// Targets that are far from adding up to `total` share what is missing, or what is too much, evenly. A target that is
/// NaN or negative counts as 0.
///
/// ```
/// use secateur::prune::allocation::remainders;
///
/// assert_eq!(remainders(&[1.5, 1.5, 2.0], &[9, 9, 9], &["b", "a", "c"], 5), [1, 2, 2]);
/// ```
///
/// # Panics
///
/// If the three slices differ in length.
pub fn remainders(targets: &[f64], capacity: &[u64], names: &[&str], total: u64) -> Vec<u64> {
    assert!(targets.len() == capacity.len() && targets.len() == names.len(), "one target, capacity and name a tensor");
    let mut counts: Vec<u64> = targets.iter().zip(capacity).map(|(&target, &most)| (target as u64).min(most)).collect();
    let fraction = |index: usize| {
        let fraction = targets[index] - targets[index].floor();
        if fraction.is_finite() && targets[index] > 0.0 { fraction } else { 0.0 }
    };
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by(|&a, &b| fraction(b).total_cmp(&fraction(a)).then_with(|| names[a].cmp(names[b])));
    // Beyond u64 in a sum of saturated counts, hence u128.
    let sum = |counts: &[u64]| counts.iter().map(|&count| u128::from(count)).sum::<u128>();
    let total = u128::from(total).min(sum(capacity));
    let have = sum(&counts);
    if have <= total {
        share(total - have, &order, |index, most| {
            let added = most.min(capacity[index] - counts[index]);
            counts[index] += added;
            added
        });
    } else {
        order.reverse();
        share(have - total, &order, |index, most| {
            let taken = most.min(counts[index]);
            counts[index] -= taken;
            taken
        });
    }
    counts
}

/// Rounds through `order` until `amount` is spent: one each, or an even share where that would take many rounds.
fn share(mut amount: u128, order: &[usize], mut spend: impl FnMut(usize, u64) -> u64) {
    while amount > 0 {
        let (each, before) = ((amount / order.len() as u128).max(1), amount);
        for &index in order {
            let most = u64::try_from(each.min(amount)).unwrap_or(u64::MAX);
            amount -= u128::from(spend(index, most));
        }
        debug_assert!(amount < before, "the total is within the capacities");
        if amount == before {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Targets, capacities, names, total, counts.
    type Case = (&'static [f64], &'static [u64], &'static [&'static str], u64, &'static [u64]);

    #[test]
    fn cases() {
        let cases: &[Case] = &[
            (&[], &[], &[], 5, &[]),
            (&[0.4, 0.6], &[1, 1], &["a", "b"], 1, &[0, 1]),
            (&[0.5, 0.5], &[1, 1], &["a", "b"], 1, &[1, 0]),
            (&[0.5, 0.5], &[1, 1], &["b", "a"], 1, &[0, 1]),
            (&[0.5, 0.5], &[1, 1], &["b", "B"], 1, &[0, 1]),
            (&[2.9, 2.2], &[2, 9], &["a", "b"], 5, &[2, 3]),
            (&[2.0, 2.0], &[2, 2], &["a", "b"], 9, &[2, 2]),
            (&[3.5, 2.5], &[9, 9], &["a", "b"], 4, &[3, 1]),
            (&[f64::NAN, -1.0, f64::INFINITY], &[5, 5, 5], &["a", "b", "c"], 6, &[1, 0, 5]),
            (&[0.0, 0.0], &[u64::MAX, u64::MAX], &["a", "b"], u64::MAX, &[1 << 63, (1 << 63) - 1]),
            (
                &[1e11 + 0.25, 1e11 + 0.75],
                &[u64::MAX, u64::MAX],
                &["a", "b"],
                200_000_000_001,
                &[100_000_000_000, 100_000_000_001],
            ),
        ];
        for (targets, capacity, names, total, expected) in cases {
            assert_eq!(remainders(targets, capacity, names, *total), *expected, "{targets:?} {capacity:?} {total}");
        }
    }

    proptest! {
        #[test]
        fn exact_within_capacity_and_near(parts in prop::collection::vec((0.0..50.0f64, 0..60u64), 0..12), total in 0..500u64) {
            let (targets, capacity): (Vec<f64>, Vec<u64>) = parts.into_iter().unzip();
            let names: Vec<String> = (0..targets.len()).map(|index| format!("{}", (index * 7) % 12)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let counts = remainders(&targets, &capacity, &names, total);
            prop_assert_eq!(counts.iter().sum::<u64>(), total.min(capacity.iter().sum()));
            prop_assert!(counts.iter().zip(&capacity).all(|(count, most)| count <= most));
            // Where the targets add up, every count is its target rounded down or up.
            let exact = targets.iter().sum::<f64>().round() as u64;
            let free = vec![100; targets.len()];
            for (count, target) in remainders(&targets, &free, &names, exact).iter().zip(&targets) {
                prop_assert!((*count as f64 - target).abs() <= 1.0);
            }
        }
    }
}
