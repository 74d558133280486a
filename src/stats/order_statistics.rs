//! Exact order statistics and quantiles out of radix histograms.

use super::entry::Quantiles;
use crate::scan::DIGIT_VALUES;
use crate::{Float, Result};

/// Ranks of the order statistics that some quantiles are between, for `n` values.
///
/// A quantile q lies at h = q·(n − 1), between the ranks ⌊h⌋ and ⌊h⌋ + 1 (numpy's `linear`, Hyndman and Fan's type 7).
pub(crate) struct Ranks {
    /// Ascending, without repetition.
    pub(crate) distinct: Vec<u64>,
    /// For each quantile: its probability, the two indices in `distinct`, and the weight of the second.
    between: Vec<(f64, usize, usize, f64)>,
}

impl Ranks {
    pub(crate) fn new(quantiles: &[f64], n: u64) -> Self {
        let last = n.saturating_sub(1);
        let places: Vec<(u64, u64, f64)> = quantiles
            .iter()
            .map(|q| {
                let h = q * last as f64;
                let low = (h as u64).min(last);
                (low, (low + 1).min(last), h - low as f64)
            })
            .collect();
        let mut distinct: Vec<u64> = places.iter().flat_map(|p| [p.0, p.1]).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let index = |rank| distinct.partition_point(|r| *r < rank);
        let between = quantiles.iter().zip(&places).map(|(q, p)| (*q, index(p.0), index(p.1), p.2)).collect();
        Self { distinct, between }
    }

    /// The quantiles, from the value of each distinct rank.
    pub(crate) fn interpolate(&self, value: impl Fn(usize) -> Option<f64>) -> Quantiles {
        let between = |low, high, weight: f64| {
            let (a, b) = (value(low)?, value(high)?);
            let difference = b - a;
            let found = match weight {
                0.0 => a,
                // From the nearer end, as numpy does: exact at both.
                0.5.. => b - difference * (1.0 - weight),
                _ => a + difference * weight,
            };
            // Beyond f64, as in numpy, where the two lie so far apart that their difference is.
            found.is_finite().then_some(found + 0.0)
        };
        Quantiles(self.between.iter().map(|&(q, low, high, weight)| (q, between(low, high, weight))).collect())
    }
}

/// Where a rank has been narrowed down to: weights whose upper bits are `prefix`, among which it is the `rank`th.
#[derive(Clone, Copy)]
struct Narrowed {
    rank: u64,
    /// Upper bits of the magnitude.
    prefix: u64,
    negative: bool,
}

/// The bits of the order statistics of `ranks` (ascending) among the finite weights in `space`, or of their
/// magnitudes without the `zeros`. `counts(level, prefixes)` gives a table of digits for each prefix, one after the
/// other: a read of the weights for each level of 16 bits that is not known yet, and for every `at_once` prefixes (twice
/// as many magnitudes' prefixes), since tables take memory.
pub(crate) fn order_statistics(
    space: Float,
    magnitude: bool,
    zeros: u64,
    ranks: &[u64],
    at_once: usize,
    mut counts: impl FnMut(u32, &[u64]) -> Result<Vec<u64>>,
) -> Result<Vec<u64>> {
    let digit_bits = space.bits().min(16);
    let half = 1u64 << (digit_bits - 1);
    let mut found: Vec<Narrowed> = Vec::with_capacity(ranks.len());
    let table = counts(0, &[0])?;
    let at = |digit: u64| table.get(digit as usize).copied().unwrap_or(0);
    let finite = 0..(space.non_finite() >> (space.bits() - digit_bits)).min(half);
    let mut walk = Walk { ranks, next: 0, before: 0 };
    if magnitude {
        for prefix in finite {
            let zeros = if prefix == 0 { zeros } else { 0 };
            let count = (at(prefix) + at(prefix | half)).saturating_sub(zeros);
            walk.pass(count, |rank| found.push(Narrowed { rank, prefix, negative: false }));
        }
    } else {
        for prefix in finite.clone().rev() {
            walk.pass(at(prefix | half), |rank| found.push(Narrowed { rank, prefix, negative: true }));
        }
        for prefix in finite {
            walk.pass(at(prefix), |rank| found.push(Narrowed { rank, prefix, negative: false }));
        }
    }
    for level in 1..space.bits().div_ceil(16) {
        // Ranks ascend, so that those of one prefix are neighbours.
        let mut rest = &mut found[..];
        while !rest.is_empty() {
            let mut distinct = 0;
            let mut last = None;
            let end = rest.iter().position(|f| {
                let this = (f.negative, f.prefix);
                distinct += usize::from(last.replace(this) != Some(this));
                distinct > at_once.max(1)
            });
            let (these, after) = rest.split_at_mut(end.unwrap_or(rest.len()));
            narrow(these, level, magnitude, zeros, &mut counts)?;
            rest = after;
        }
    }
    Ok(found.iter().map(|f| f.prefix | if f.negative { space.sign() } else { 0 }).collect())
}

/// Narrows `found` down by the 16 bits of `level`.
fn narrow(
    found: &mut [Narrowed],
    level: u32,
    magnitude: bool,
    zeros: u64,
    counts: &mut impl FnMut(u32, &[u64]) -> Result<Vec<u64>>,
) -> Result<()> {
    let sign = 1u64 << (level * 16 - 1);
    let mut prefixes: Vec<u64> = found
        .iter()
        .flat_map(|f| {
            let raw = f.prefix | if f.negative { sign } else { 0 };
            [raw, if magnitude { raw | sign } else { raw }]
        })
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let tables = counts(level, &prefixes)?;
    let table = |raw: u64| {
        let start = prefixes.partition_point(|p| *p < raw) * DIGIT_VALUES;
        &tables[start..start + DIGIT_VALUES]
    };
    for f in found {
        let one = table(f.prefix | if f.negative { sign } else { 0 });
        let other = magnitude.then(|| table(f.prefix | sign));
        let count = |digit: usize| {
            let zeros = if magnitude && f.prefix == 0 && digit == 0 { zeros } else { 0 };
            (one[digit] + other.map_or(0, |t| t[digit])).saturating_sub(zeros)
        };
        let mut rank = f.rank;
        for step in 0..DIGIT_VALUES {
            let digit = if f.negative { DIGIT_VALUES - 1 - step } else { step };
            if rank < count(digit) || step == DIGIT_VALUES - 1 {
                (f.rank, f.prefix) = (rank, f.prefix << 16 | digit as u64);
                break;
            }
            rank -= count(digit);
        }
    }
    Ok(())
}

/// Ascending ranks met by ascending counts.
struct Walk<'a> {
    ranks: &'a [u64],
    next: usize,
    before: u64,
}

impl Walk<'_> {
    fn pass(&mut self, count: u64, mut meet: impl FnMut(u64)) {
        let end = self.before + count;
        while let Some(rank) = self.ranks.get(self.next).filter(|r| **r < end) {
            meet(rank - self.before);
            self.next += 1;
        }
        self.before = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::bit_histogram::count_digits;
    use crate::order::for_each_bits;
    use crate::scan::Digits;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_sort(
            words in prop_oneof![
                prop::collection::vec(any::<u64>(), 1..200),
                prop::collection::vec((0..4u64).prop_map(|x| x << 62 | x), 1..200),
                prop::collection::vec((0..999u64).prop_map(|x| (x << 20 | x) | x << 63), 1..50),
            ],
            magnitude: bool,
            at in prop::collection::vec(0.0..=1.0f64, 1..5),
            at_once in 1..5usize,
        ) {
            let bytes: &[u8] = bytemuck::cast_slice(&words);
            for float in Float::ALL {
                let mut values = Vec::new();
                let mut zeros = 0;
                for_each_bits(float, bytes, |bits| {
                    let x = float.value(bits);
                    zeros += u64::from(x == 0.0);
                    if x.is_finite() && !(magnitude && x == 0.0) {
                        values.push(if magnitude { x.abs() } else { x });
                    }
                });
                values.sort_by(f64::total_cmp);
                if values.is_empty() { continue }
                let ranks = Ranks::new(&at, values.len() as u64);
                let found = order_statistics(float, magnitude, zeros, &ranks.distinct, at_once, |level, prefixes| {
                    assert!(prefixes.len() <= at_once * if magnitude { 2 } else { 1 });
                    let mut counts = vec![0; prefixes.len() * DIGIT_VALUES];
                    count_digits(float, bytes, &Digits { level, prefixes, widen: false }, &mut counts);
                    Ok(counts)
                }).unwrap();
                prop_assert_eq!(found.len(), ranks.distinct.len());
                for (bits, rank) in found.iter().zip(&ranks.distinct) {
                    prop_assert_eq!(float.value(*bits), values[*rank as usize], "{:?} rank {}", float, rank);
                }
            }
        }
    }

    #[test]
    fn quantiles_lie_as_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        let quantiles = [0.0, 0.25, 0.5, 0.9, 1.0];
        let ranks = Ranks::new(&quantiles, 4);
        let found = ranks.interpolate(|i| Some(values[ranks.distinct[i] as usize]));
        let found: Vec<Option<f64>> = found.0.into_iter().map(|(_, value)| value).collect();
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        assert_eq!(found, [1.0, 1.75, 3.0, 6.800000000000001, 8.0].map(Some));
        assert_eq!(Ranks::new(&[0.5], 1).distinct, [0]);
        let ends = Ranks::new(&[0.5], 2).interpolate(|i| Some([f64::MIN, f64::MAX][i]));
        assert_eq!(ends.0, [(0.5, None)], "beyond f64");
    }
}
