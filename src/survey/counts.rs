//! How often each value of a tensor occurs.

use crate::Float;
use crate::kernels::moments::weighted_moments;
use crate::stats::Moments;

/// How often each value of a tensor occurs: exact for weights of 8 and 16 bits. Of wider ones it is how often their upper 16
/// bits occur: sign, exponent and, for F32, 7 bits of the mantissa (F64: 4), so that a value is known to 1/128 of itself (F64: 1/16).
///
/// In memory it takes 16 bytes for each of at most 65,536 cells that occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCounts {
    float: Float,
    /// The upper 16 bits and how often they occur, ascending.
    cells: Vec<(u16, u64)>,
}

/// Weights that are not told apart: those of magnitude `low` ≤ |w| < `high`, or exactly `low` where both are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Magnitudes {
    /// The smallest magnitude.
    pub low: f64,
    /// The magnitude that all are below; `low` itself where it is the only one.
    pub high: f64,
    /// How many weights.
    pub count: u64,
}

impl Magnitudes {
    /// The magnitude that stands for all.
    pub fn middle(&self) -> f64 {
        if self.high.is_finite() { self.low + (self.high - self.low) / 2.0 } else { self.low }
    }
}

impl ValueCounts {
    /// Of the upper 16 bits of weights of `float` and their counts, in any order; bits that come twice add up.
    pub(crate) fn new(float: Float, mut cells: Vec<(u16, u64)>) -> Self {
        cells.sort_unstable_by_key(|(bits, _)| *bits);
        cells.dedup_by(|next, kept| {
            next.0 == kept.0 && {
                kept.1 += next.1;
                true
            }
        });
        cells.retain(|(_, count)| *count > 0);
        Self { float, cells }
    }

    /// The format of the weights.
    pub fn float(&self) -> Float {
        self.float
    }

    /// Whether every value is known exactly.
    pub fn is_exact(&self) -> bool {
        self.float.bits() <= 16
    }

    /// The sign bit of what is counted.
    fn sign(&self) -> u16 {
        1 << (self.float.bits().min(16) - 1)
    }

    /// How many weights cannot be told from 0.
    pub(crate) fn near_zero(&self) -> u64 {
        self.cells.iter().filter(|(bits, _)| bits & !self.sign() == 0).map(|(_, count)| count).sum()
    }

    /// Those that there are more of than in `other`, and of no other fewer: `None` where there are. What cannot be told from 0
    /// is left out.
    pub(crate) fn without(&self, other: &Self) -> Option<Self> {
        let told = |counts: &Self| -> Vec<(u16, u64)> {
            counts.cells.iter().copied().filter(|(bits, _)| bits & !self.sign() != 0).collect()
        };
        let mut rest = told(other).into_iter().peekable();
        let mut more = Vec::new();
        for (bits, count) in told(self) {
            if rest.peek().is_some_and(|(next, _)| *next < bits) {
                return None;
            }
            let left = rest.next_if(|(next, _)| *next == bits).map_or(0, |(_, count)| count);
            more.push((bits, count.checked_sub(left)?));
        }
        (self.float == other.float && rest.peek().is_none()).then(|| Self::new(self.float, more))
    }

    pub(crate) fn cells(&self) -> &[(u16, u64)] {
        &self.cells
    }

    /// The bits of a whole weight whose upper 16 are `upper`.
    fn bits(&self, upper: u64) -> u64 {
        upper << self.float.bits().saturating_sub(16)
    }

    /// All weights' moments, where values are exact.
    pub(crate) fn moments(&self) -> Option<Moments> {
        self.is_exact().then(|| {
            let values: Vec<f64> = self.cells.iter().map(|(bits, _)| self.float.value((*bits).into())).collect();
            let counts: Vec<u64> = self.cells.iter().map(|(_, count)| *count).collect();
            weighted_moments(&values, &counts)
        })
    }

    /// The magnitudes, ascending, inf last and NaN left out. Of wider weights, those nearer to 0 than 2^-133 (F64: 2^-1026)
    /// are among the zeros.
    pub fn magnitudes(&self) -> Vec<Magnitudes> {
        let sign = self.sign();
        let split = self.cells.partition_point(|(bits, _)| *bits < sign);
        let (positive, negative) = self.cells.split_at(split);
        let mut folded = Vec::with_capacity(positive.len().max(negative.len()));
        let (mut a, mut b) = (positive.iter().peekable(), negative.iter().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some((p, _)), Some((n, _))) => *p.min(&(n & !sign)),
                (Some((p, _)), None) => *p,
                (None, Some((n, _))) => n & !sign,
                (None, None) => break,
            };
            let count = a.next_if(|(p, _)| *p == next).map_or(0, |(_, count)| *count)
                + b.next_if(|(n, _)| n & !sign == next).map_or(0, |(_, count)| *count);
            if let Some((low, high)) = self.range(next) {
                folded.push(Magnitudes { low, high, count });
            }
        }
        folded
    }

    /// The values as ranges from `low` to `high`, ascending; non-finite ones left out. Of wider weights, tiny ones are among the
    /// zeros, as in [`magnitudes`](Self::magnitudes).
    pub fn values(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let sign = self.sign();
        let split = self.cells.partition_point(|(bits, _)| *bits < sign);
        let (positive, negative) = self.cells.split_at(split);
        let finite = move |bits: u16| self.range(bits).filter(|(low, _)| low.is_finite());
        let below = negative
            .iter()
            .rev()
            .filter_map(move |(bits, count)| finite(bits & !sign).map(|(low, high)| (-high, -low, *count)));
        let above =
            positive.iter().filter_map(move |(bits, count)| finite(*bits).map(|(low, high)| (low, high, *count)));
        below.chain(above)
    }

    /// The magnitudes that upper bits without a sign stand for; `None` for NaN.
    fn range(&self, upper: u16) -> Option<(f64, f64)> {
        let bits = self.bits(upper.into());
        let low = self.float.value(bits);
        if self.is_exact() || upper == 0 {
            return (!low.is_nan()).then_some((low, low));
        }
        if bits >= self.float.non_finite() {
            // The lower bits alone tell an infinity from some NaN: those have other upper bits nearly always.
            return (bits == self.float.non_finite()).then_some((f64::INFINITY, f64::INFINITY));
        }
        let next = self.bits(u64::from(upper) + 1);
        let high = if next >= self.float.non_finite() { self.float.value(next - 1) } else { self.float.value(next) };
        Some((low, high))
    }

    /// `numpy.histogram` of the finite values over `edges`: exact where values are. A range of wider ones that lies across an
    /// edge is shared out evenly, so that counts need not be whole.
    pub fn histogram(&self, edges: &[f64]) -> Vec<f64> {
        spread(self.values(), edges)
    }

    /// The same of log2 |w|; zeros are left out.
    pub fn log2_histogram(&self, edges: &[f64]) -> Vec<f64> {
        let nonzero = self.magnitudes().into_iter().filter(|cell| cell.low > 0.0 && cell.low.is_finite());
        spread(nonzero.map(|cell| (cell.low.log2(), cell.high.log2(), cell.count)), edges)
    }
}

/// Shares counts of ascending ranges out over bins.
fn spread(ranges: impl Iterator<Item = (f64, f64, u64)>, edges: &[f64]) -> Vec<f64> {
    let bins = edges.len().saturating_sub(1);
    let mut counts = vec![0.0; bins];
    if bins == 0 {
        return counts;
    }
    let inner = &edges[1..bins];
    let mut first = 0;
    for (low, high, count) in ranges {
        let count = count as f64;
        // A value at an edge belongs to the bin above; a range ends below its end.
        first += inner[first..].iter().take_while(|edge| **edge <= low).count();
        let last = first + inner[first..].iter().take_while(|edge| **edge < high).count();
        if first == last {
            counts[first] += count;
            continue;
        }
        let width = high - low;
        for (bin, sum) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
            let from = if bin == first { low } else { edges[bin] };
            let to = if bin == last { high } else { edges[bin + 1] };
            *sum += count * ((to - from) / width);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::bit_histogram::count_digits;
    use crate::scan::{DIGIT_VALUES, Digits};

    fn counted(float: Float, bytes: &[u8]) -> ValueCounts {
        let mut table = vec![0; DIGIT_VALUES];
        count_digits(float, bytes, &Digits { level: 0, prefixes: &[0], widen: false }, &mut table);
        ValueCounts::new(float, (0..=u16::MAX).zip(table).collect())
    }

    #[test]
    fn every_value_of_narrow_formats_is_exact() {
        for float in Float::ALL.into_iter().filter(|float| float.bits() <= 16) {
            let all: Vec<u16> = (0..=u16::MAX).collect();
            let bytes: &[u8] = bytemuck::cast_slice(&all);
            let counts = counted(float, bytes);
            let naive: Vec<f64> =
                bytes.chunks(float.bytes()).map(|b| float.value(crate::order::bits_at(float, b, 0))).collect();
            let finite = naive.iter().filter(|x| x.is_finite());
            let values: Vec<_> = counts.values().collect();
            assert!(values.is_sorted_by(|a, b| a.0 <= b.0) && values.iter().all(|(low, high, _)| low == high));
            assert_eq!(values.iter().map(|(_, _, n)| n).sum::<u64>(), finite.clone().count() as u64, "{float:?}");
            let edges = [-f64::MAX, -1.0, 0.0, 0.5, f64::MAX];
            let bin = |low: f64, high: f64| finite.clone().filter(|x| **x >= low && **x < high).count() as f64;
            let want: Vec<f64> = edges.windows(2).map(|w| bin(w[0], w[1])).collect();
            assert_eq!(counts.histogram(&edges), want, "{float:?}");
            let moments = counts.moments().unwrap();
            assert_eq!((moments.count, moments.finite), (naive.len() as u64, finite.count() as u64));
            let magnitudes = counts.magnitudes();
            assert!(magnitudes.is_sorted_by(|a, b| a.low < b.low));
            let not_nan = naive.iter().filter(|x| !x.is_nan()).count() as u64;
            assert_eq!(magnitudes.iter().map(|m| m.count).sum::<u64>(), not_nan);
        }
    }

    #[test]
    fn wider_values_lie_in_their_ranges() {
        let weights = [0.3f32, -0.3, 1.0, -0.0, 0.0, 1e-42, f32::INFINITY, f32::NAN, f32::MAX, -2.5];
        let counts = counted(Float::F32, bytemuck::cast_slice(&weights));
        assert!(!counts.is_exact() && counts.moments().is_none());
        let magnitudes = counts.magnitudes();
        // Two zeros and a subnormal of f32 that is below its first 7 bits.
        assert_eq!((magnitudes[0].low, magnitudes[0].count), (0.0, 3));
        assert_eq!(magnitudes.iter().map(|m| m.count).sum::<u64>(), 9);
        for w in [0.3f32, 1.0, 2.5, f32::MAX] {
            let w = f64::from(w);
            let cell = magnitudes.iter().rfind(|m| m.low <= w && w <= m.high).unwrap();
            assert!(cell.high / cell.low <= 1.0 + 1.0 / 128.0, "{cell:?}");
        }
        assert_eq!(magnitudes.last().unwrap().low, f64::INFINITY);
        let total: f64 = counts.histogram(&[-f64::MAX, 0.3, f64::MAX]).iter().sum();
        assert!((total - 8.0).abs() < 1e-9, "{total}");
    }

    #[test]
    fn ranges_are_shared_out_over_bins() {
        assert_eq!(spread([(0.0, 4.0, 8)].into_iter(), &[0.0, 1.0, 2.0, 4.0]), [2.0, 2.0, 4.0]);
        assert_eq!(spread([(1.0, 1.0, 3), (2.0, 2.0, 5)].into_iter(), &[0.0, 1.0, 2.0]), [0.0, 8.0]);
        assert_eq!(spread([(0.0, 1.0, 3)].into_iter(), &[0.0, 1.0, 2.0]), [3.0, 0.0]);
        assert_eq!(spread([(0.0, 1.0, 3)].into_iter(), &[]), Vec::<f64>::new());
    }

    #[test]
    fn octaves_of_magnitudes() {
        let weights: Vec<u16> = [0x3f80, 0xbf80, 0x4000, 0x0000, 0x3f00].to_vec(); // bf16: 1, −1, 2, 0, 0.5
        let counts = counted(Float::BF16, bytemuck::cast_slice(&weights));
        assert_eq!(counts.log2_histogram(&[-1.0, 0.0, 1.0, 2.0]), [1.0, 2.0, 1.0]);
    }
}
