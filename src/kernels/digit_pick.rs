//! The digit in which a rank lies, out of the counts of [`super::digit_counts`].

/// The CPU twin: the value of the digit in which `rank` lies, counted from 1, and the rank among those that share it.
#[cfg(test)]
pub(crate) fn pick(counts: &[u64], rank: u64) -> Option<(u64, u64)> {
    let mut before = 0;
    for (digit, count) in (0..).zip(counts) {
        if (before + 1..=before + count).contains(&rank) {
            return Some((digit, rank - before));
        }
        before += count;
    }
    None
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use std::ops::Range;

    use crate::gpu::{Gpu, Kernel};
    use crate::kernels::digit_counts::{Order, constants};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/tile.wgsl"),
        include_str!("../../shaders/shared/selection.wgsl"),
        include_str!("../../shaders/digit_pick.wgsl")
    );

    /// The kernel for a digit; under `cuts`, the last one makes cuts.
    pub(crate) fn kernel(
        gpu: &Gpu,
        order: Order,
        float: Float,
        digit: &Range<u32>,
        cuts: bool,
    ) -> Result<std::sync::Arc<Kernel>> {
        let mut constants = constants(order, float, digit).to_vec();
        constants.push(("CUTS", u32::from(cuts && digit.start == 0)));
        gpu.kernel("digit_pick", SOURCE, &constants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Float;
    use crate::kernels::digit_counts::{Order, count};

    #[test]
    fn digit_by_digit_is_a_sort() {
        let words: Vec<u64> =
            (0..3_000u64).map(|i| (i % 900).wrapping_mul(0x9e37_79b9_7f4a_7c15)).chain([0, 1 << 63]).collect();
        for float in Float::ALL.into_iter().filter(|f| *f != Float::F64) {
            let orders = [(false, false), (true, false), (true, true), (false, true)];
            let orders = orders.map(|(above, wide)| Order::Magnitude { above, wide });
            for order in orders.into_iter().chain([Order::Values]) {
                let bits = |word: &u64| word >> (64 - float.bits());
                let mut keys: Vec<u64> = words.iter().filter_map(|word| order.key(float, bits(word))).collect();
                keys.sort_unstable();
                for rank in [1, 2, 77, keys.len() / 2, keys.len() - 1, keys.len()] {
                    let (mut prefix, mut rest) = (0, rank as u64);
                    for digit in order.digits(float) {
                        let counts = count(keys.iter().copied(), digit.clone(), prefix);
                        let (value, left) = pick(&counts, rest).unwrap();
                        (prefix, rest) = (prefix | value << digit.start, left);
                    }
                    assert_eq!(prefix, keys[rank - 1], "{float:?} {order:?} {rank}");
                    assert_eq!(rest, rank as u64 - keys.partition_point(|k| *k < prefix) as u64);
                }
                assert_eq!(pick(&[0, 3], 4), None);
            }
        }
    }
}
