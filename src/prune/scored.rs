//! Rules made of a host's scores: which weights of a tensor are cut by what a [`Score`] says.

use super::Score;
use crate::float::to_f32;
use crate::kernels::apply_mask::clear_padding;
use crate::kernels::nm_mask::cut_lowest;
use crate::order::bits_at;
use crate::scan::HostRule;
use crate::{Float, Result, Tensor};

/// Elements that are scored at once.
const BLOCK: usize = 4096;

/// A tensor and how it is scored.
#[derive(Clone, Copy)]
pub(super) struct Scored<'a> {
    pub(super) score: &'a dyn Score,
    pub(super) tensor: &'a Tensor,
    pub(super) float: Float,
    /// Whether the largest scores are cut.
    pub(super) above: bool,
}

/// Bits of a key.
pub(super) const KEY_BITS: u32 = 32;

impl Scored<'_> {
    /// Gives the keys of the elements `bytes`, which start at `first`: integers that order as scores do, the lowest to be
    /// cut first; `None` for what is never cut.
    pub(super) fn keys(&self, first: u64, bytes: &[u8], mut each: impl FnMut(&[Option<u32>])) -> Result<()> {
        let width = self.float.bytes();
        let (mut weights, mut scores, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (i, block) in bytes.chunks(BLOCK * width).enumerate() {
            let n = block.len() / width;
            weights.resize(n, 0.0);
            scores.clear();
            scores.resize(n, 0.0);
            if self.float == Float::F64 {
                weights
                    .iter_mut()
                    .enumerate()
                    .for_each(|(j, w)| *w = self.float.value(bits_at(self.float, block, j)) as f32);
            } else {
                to_f32(self.float, block, &mut weights);
            }
            self.score.score(self.tensor, first + (i * BLOCK) as u64, &weights, &mut scores)?;
            keys.clear();
            keys.extend(weights.iter().zip(&scores).map(|(w, score)| self.key(*w, *score)));
            each(&keys);
        }
        Ok(())
    }

    fn key(&self, weight: f32, score: f32) -> Option<u32> {
        if weight.is_nan() || score.is_nan() {
            return None;
        }
        // −0 becomes 0.
        let bits = (score + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Some(if self.above { !ordered } else { ordered })
    }
}

/// Sets `mask` for `elements` elements and lets `cut` clear bits of it.
fn with_mask(mask: &mut [u32], elements: usize, cut: impl FnOnce(&mut dyn FnMut(usize)) -> Result<()>) -> Result<()> {
    mask.fill(u32::MAX);
    clear_padding(mask, elements);
    cut(&mut |i| mask[i / 32] &= !(1 << (i % 32)))
}

/// Keys below one are cut, and the first that equal it.
pub(super) struct BelowKey<'a> {
    pub(super) scored: Scored<'a>,
    pub(super) key: u32,
    pub(super) budget: usize,
}

impl HostRule for BelowKey<'_> {
    fn unit(&self) -> u64 {
        1
    }

    fn budget(&self) -> Option<usize> {
        Some(self.budget)
    }

    fn ties(&self, first: u64, bytes: &[u8]) -> Result<u64> {
        let mut ties = 0;
        self.scored.keys(first, bytes, |keys| ties += keys.iter().filter(|k| **k == Some(self.key)).count() as u64)?;
        Ok(ties)
    }

    fn mask(&self, first: u64, bytes: &[u8], mut allowed: u64, mask: &mut [u32]) -> Result<()> {
        with_mask(mask, bytes.len() / self.scored.float.bytes(), |cut| {
            let mut at = 0;
            self.scored.keys(first, bytes, |keys| {
                for (i, key) in (at..).zip(keys) {
                    let tie = *key == Some(self.key) && allowed > 0;
                    allowed -= u64::from(tie);
                    if tie || key.is_some_and(|key| key < self.key) {
                        cut(i);
                    }
                }
                at += keys.len();
            })
        })
    }
}

/// The lowest few of each row, or of each `m` that lie `stride` apart in it.
pub(super) struct LowestOfEach<'a> {
    pub(super) scored: Scored<'a>,
    /// Elements that are ranked together.
    pub(super) m: u64,
    pub(super) stride: u64,
    /// How many of them are cut.
    pub(super) cut: u64,
}

impl HostRule for LowestOfEach<'_> {
    fn unit(&self) -> u64 {
        self.m.saturating_mul(self.stride)
    }

    fn budget(&self) -> Option<usize> {
        None
    }

    fn ties(&self, _first: u64, _bytes: &[u8]) -> Result<u64> {
        Ok(0)
    }

    fn mask(&self, first: u64, bytes: &[u8], _allowed: u64, mask: &mut [u32]) -> Result<()> {
        let mut keys = Vec::new();
        let never = u64::MAX;
        self.scored.keys(first, bytes, |found| keys.extend(found.iter().map(|k| k.map_or(never, u64::from))))?;
        let (m, stride, count) = (self.m as usize, self.stride as usize, self.cut as usize);
        let mut group = Vec::with_capacity(m);
        with_mask(mask, keys.len(), |cut| {
            for start in (0..keys.len()).step_by(m * stride) {
                for column in start..start + stride {
                    group.clear();
                    group.extend((0..m).map(|i| keys[column + i * stride]));
                    cut_few(&mut group, count, |i| cut(column + i * stride));
                }
            }
            Ok(())
        })
    }
}

/// As [`cut_lowest`], for any number of keys.
fn cut_few(keys: &mut [u64], count: usize, mut cut: impl FnMut(usize)) {
    if count == 0 || keys.is_empty() {
        return;
    }
    if keys.len() <= 32 {
        return cut_lowest(keys, count, cut);
    }
    let rankable = keys.iter().filter(|k| **k != u64::MAX).count();
    let count = count.min(rankable);
    let Some(last) = count.checked_sub(1) else { return };
    let mut sorted = keys.to_vec();
    let (_, threshold, _) = sorted.select_nth_unstable(last);
    let threshold = *threshold;
    let mut ties = count - keys.iter().filter(|k| **k < threshold).count();
    for (i, key) in keys.iter().enumerate() {
        let tie = *key == threshold && ties > 0;
        ties -= usize::from(tie);
        if tie || *key < threshold {
            cut(i);
        }
    }
}

impl Scored<'_> {
    /// Counts of a digit of the keys, as [`Ranking`](super::rank::Ranking) wants them.
    pub(super) fn count(&self, first: u64, bytes: &[u8], level: u32, prefix: u64, counts: &mut [u64]) -> Result<()> {
        self.keys(first, bytes, |keys| {
            for key in keys.iter().flatten() {
                let (upper, lower) = (key >> 16, key & 0xffff);
                match level {
                    0 => counts[upper as usize] += 1,
                    _ if u64::from(upper) == prefix => counts[lower as usize] += 1,
                    _ => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_lowest_few_equal_a_stable_sort(keys in prop::collection::vec(0..12u64, 1..90), count in 0..100usize) {
            let keys: Vec<u64> = keys.iter().map(|k| if *k == 11 { u64::MAX } else { *k }).collect();
            let mut order: Vec<usize> = (0..keys.len()).filter(|i| keys[*i] != u64::MAX).collect();
            order.sort_by_key(|i| keys[*i]);
            let mut want: Vec<usize> = order.into_iter().take(count.min(keys.len())).collect();
            want.sort_unstable();
            let mut found = Vec::new();
            cut_few(&mut keys.clone(), count.min(keys.len()), |i| found.push(i));
            prop_assert_eq!(found, want);
        }
    }
}
