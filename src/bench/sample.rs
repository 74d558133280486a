//! Weights to measure with, and naive answers about them.

use crate::scan::{Buffer, Piece, Source};
use crate::stats::layout::Region;
use crate::stats::{Grouping, Moments};
use crate::{Error, Float, Result};

/// Columns of the matrix that weights are seen as.
pub(crate) const COLUMNS: u64 = 4096;
/// Rows after which weights repeat: naive answers are about these.
pub(crate) const PERIOD_ROWS: u64 = 32;
/// Weights that repeat.
const PERIOD: usize = (COLUMNS * PERIOD_ROWS) as usize;

/// A matrix of roughly normal weights with σ 0.02 that repeat after some rows.
pub(crate) struct Sample {
    pub(crate) float: Float,
    pub(crate) shape: [u64; 2],
    bytes: Vec<u8>,
    /// The weights before they repeat, and what they are worth.
    block: Vec<u8>,
    period: Vec<f64>,
}

impl Sample {
    /// As many whole periods as fit in `size` bytes, at least one.
    ///
    /// # Errors
    /// Where memory is short.
    pub(crate) fn new(float: Float, size: u64) -> Result<Self> {
        let width = float.bytes();
        let block = block(float);
        let periods = (size as usize / (PERIOD * width)).max(1);
        let short = || Error::Usage(format!("samples of {size} bytes do not fit in memory: ask for smaller ones"));
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(periods.checked_mul(block.len()).ok_or_else(short)?).map_err(|_| short())?;
        (0..periods).for_each(|_| bytes.extend_from_slice(&block));
        let bits = |i: usize| crate::order::bits_at(float, &block, i);
        let period = (0..PERIOD).map(|i| float.value(bits(i))).collect();
        Ok(Self { float, shape: [periods as u64 * PERIOD_ROWS, COLUMNS], bytes, block, period })
    }

    pub(crate) fn len(&self) -> usize {
        self.elements() as usize * self.float.bytes()
    }

    pub(crate) fn elements(&self) -> u64 {
        self.shape[0] * self.shape[1]
    }

    pub(crate) fn view(&self) -> &[u8] {
        &self.bytes
    }

    /// How often the period is there.
    pub(crate) fn repeats(&self) -> u64 {
        self.shape[0] / PERIOD_ROWS
    }

    /// The k-th smallest magnitude, k from 1: its bits, and how many weights of that magnitude are among the k smallest.
    pub(crate) fn kth_magnitude(&self, k: u64) -> (u64, u64) {
        let mut sorted: Vec<u64> = (0..PERIOD).map(|i| self.float.magnitude(self.bits(i))).collect();
        sorted.sort_unstable();
        let key = sorted[((k - 1) / self.repeats()) as usize];
        (key, k - sorted.partition_point(|other| *other < key) as u64 * self.repeats())
    }

    /// Counts of the weights between ascending inner edges.
    pub(crate) fn histogram(&self, inner: &[f64]) -> Vec<u64> {
        let mut counts = vec![0; inner.len() + 1];
        self.period.iter().for_each(|x| counts[inner.partition_point(|edge| edge <= x)] += self.repeats());
        counts
    }

    /// The bits of a weight of the first period.
    fn bits(&self, i: usize) -> u64 {
        crate::order::bits_at(self.float, &self.block, i)
    }

    /// What a mask leaves, by looking at one weight after the other.
    pub(crate) fn masked(&self, words: &[u32]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (i, weight) in bytes.chunks_exact_mut(self.float.bytes()).enumerate() {
            if words[i / 32] >> (i % 32) & 1 == 0 {
                weight.fill(0);
            }
        }
        bytes
    }

    /// The mask without the `k` smallest magnitudes, the first of equal ones first.
    pub(crate) fn smallest(&self, k: u64) -> Vec<u32> {
        let (key, mut ties) = self.kth_magnitude(k);
        self.smaller(key, &mut ties)
    }

    /// The mask without magnitudes below `key`, and the first `ties` that equal it, which are counted down.
    pub(crate) fn smaller(&self, key: u64, ties: &mut u64) -> Vec<u32> {
        self.mask(|magnitude| {
            let tie = magnitude == key && *ties > 0;
            *ties -= u64::from(tie);
            magnitude < key || tie
        })
    }

    /// The mask of the two largest of every four.
    pub(crate) fn two_of_four(&self) -> Vec<u32> {
        let magnitude = |i: usize| self.float.magnitude(self.bits(i));
        let mut cut = vec![false; PERIOD];
        for four in (0..PERIOD).step_by(4) {
            let mut order: Vec<usize> = (four..four + 4).collect();
            order.sort_by_key(|i| magnitude(*i));
            order[..2].iter().for_each(|i| cut[*i] = true);
        }
        let mut next = cut.iter().cycle();
        self.mask(|_| next.next() == Some(&true))
    }

    /// The mask without the weights for whose magnitudes, one after the other, `is_cut` says so.
    fn mask(&self, mut is_cut: impl FnMut(u64) -> bool) -> Vec<u32> {
        let magnitudes: Vec<u64> = (0..PERIOD).map(|i| self.float.magnitude(self.bits(i))).collect();
        let mut words = vec![0; self.elements().div_ceil(32) as usize];
        for i in 0..self.elements() as usize {
            words[i / 32] |= u32::from(!is_cut(magnitudes[i % PERIOD])) << (i % 32);
        }
        words
    }

    /// The first three of every four columns.
    pub(crate) fn three_of_four(&self) -> Vec<u8> {
        let width = self.float.bytes();
        self.bytes.chunks(4 * width).flat_map(|four| &four[..3 * width]).copied().collect()
    }

    /// Whether `found` are the moments of each group.
    pub(crate) fn check_moments(&self, by: Grouping, found: &[Moments]) -> Result<(), String> {
        let naive: Vec<[f64; 4]> = match by {
            Grouping::Output => self.period.chunks(COLUMNS as usize).map(|row| naive(row.iter())).collect(),
            Grouping::Input => (0..COLUMNS as usize)
                .map(|column| naive(self.period.iter().skip(column).step_by(COLUMNS as usize)))
                .collect(),
            _ => vec![naive(self.period.iter())],
        };
        let groups = match by {
            Grouping::Output => self.shape[0],
            Grouping::Input => COLUMNS,
            _ => 1,
        };
        if found.len() as u64 != groups {
            return Err(format!("{} groups, where there are {groups}", found.len()));
        }
        for (index, (found, want)) in found.iter().zip(naive.iter().cycle()).enumerate() {
            let sigma = want[1].sqrt();
            let values = [found.mean(), found.variance(), found.skewness(), found.kurtosis()];
            let units = [sigma, want[1], 4.0, 4.0];
            let near = |((value, want), unit): ((&Option<f64>, &f64), f64)| {
                value.is_some_and(|value| (value - want).abs() <= 1e-5 * unit)
            };
            if found.count != self.elements() / groups || !values.iter().zip(want).zip(units).all(near) {
                return Err(format!("group {index}: {values:?}, where a naive sum says {want:?}"));
            }
        }
        Ok(())
    }
}

/// Mean, variance, skewness and excess kurtosis, in two plain passes.
fn naive<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> [f64; 4] {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let central = |power: i32| values.clone().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let variance = central(2);
    [mean, variance, central(3) / variance.powf(1.5), central(4) / (variance * variance) - 3.0]
}

/// The bytes of a period.
fn block(float: Float) -> Vec<u8> {
    let mut state = 1u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let weights = (0..PERIOD).map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 0.0346);
    match float {
        Float::F64 => weights.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
        Float::F32 => weights.flat_map(f32::to_le_bytes).collect(),
        Float::F16 => weights.flat_map(|x| half::f16::from_f32(x).to_le_bytes()).collect(),
        Float::BF16 => weights.flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        // Wider, so that few are rounded to zero.
        Float::E5M2 => weights.map(|x| half::f16::from_f32(x * 32.0).to_le_bytes()[1]).collect(),
        Float::E4M3 => {
            let magnitudes: Vec<f64> = (0..float.non_finite()).map(|bits| float.value(bits)).collect();
            let nearest = |x: f32| {
                let above = magnitudes.partition_point(|m| *m < f64::from(x.abs())).min(magnitudes.len() - 1);
                above as u8 | u8::from(x < 0.0) << 7
            };
            weights.map(|x| nearest(x * 32.0)).collect()
        }
    }
}

impl Source for Sample {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let (width, Region { row, rows, col, cols }) = (self.float.bytes(), piece.region);
        let offset = |row: u64| (row * piece.layout.cols + col) as usize * width;
        if rows == 1 || cols == piece.layout.cols {
            return Ok(&self.view()[offset(row)..][..piece.bytes() as usize]);
        }
        let out = buffer.first(piece.bytes() as usize);
        for (part, row) in out.chunks_exact_mut(cols as usize * width).zip(row..) {
            part.copy_from_slice(&self.view()[offset(row)..][..part.len()]);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_they_claim() {
        for float in Float::ALL {
            let sample = Sample::new(float, 5 << 20).unwrap();
            let all = Moments::of_bytes(float, sample.view());
            assert_eq!(all.count, sample.elements());
            sample.check_moments(Grouping::Tensor, &[all]).unwrap();
            assert!(sample.check_moments(Grouping::Tensor, &[Moments::default()]).is_err());
            assert!(sample.check_moments(Grouping::Output, &[all]).is_err());
            assert!(all.zeros < all.count / 10, "{float:?}");
            assert!(Sample::new(float, u64::MAX / 2).is_err());
        }
    }
}
