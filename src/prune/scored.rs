//! Rules made of a host's scores: which weights of a tensor are cut by what a [`Score`] says.

use rayon::prelude::*;

use super::Score;
use super::rank::{Cut, Ranking};
use crate::float::to_f32;
use crate::kernels::apply_mask::clear_padding;
use crate::kernels::nm_mask::{Lowest, MOST, mask_of_keys};
use crate::order::bits_at;
use crate::scan::HostRule;
use crate::{Float, Result, Tensor};

/// Elements that are scored at once.
const BLOCK: usize = 4096;
/// Elements up to which a tensor is ranked without tables.
const FEW: usize = 1 << 18;

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
/// The key of what is never cut, NaN: that of no score, since ±inf have keys further in.
pub(super) const NEVER: u32 = u32::MAX;

impl Scored<'_> {
    /// Gives the keys of the elements `bytes`, which start at `first`: integers that order as scores do, the lowest to be
    /// cut first; [`NEVER`] for what is never cut.
    pub(super) fn keys(&self, first: u64, bytes: &[u8], mut each: impl FnMut(&[u32])) -> Result<()> {
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

    fn key(&self, weight: f32, score: f32) -> u32 {
        if weight.is_nan() || score.is_nan() {
            return NEVER;
        }
        // −0 becomes 0.
        let bits = (score + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        if self.above { !ordered } else { ordered }
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
        self.scored.keys(first, bytes, |keys| ties += keys.iter().filter(|k| **k == self.key).count() as u64)?;
        Ok(ties)
    }

    fn mask(&self, first: u64, bytes: &[u8], mut allowed: u64, mask: &mut [u32]) -> Result<()> {
        with_mask(mask, bytes.len() / self.scored.float.bytes(), |cut| {
            let mut at = 0;
            self.scored.keys(first, bytes, |keys| {
                for (i, key) in (at..).zip(keys) {
                    let tie = *key == self.key && allowed > 0;
                    allowed -= u64::from(tie);
                    if tie || *key < self.key {
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
        let mut keys = Vec::with_capacity(bytes.len() / self.scored.float.bytes());
        self.scored.keys(first, bytes, |found| keys.extend_from_slice(found))?;
        let (m, stride, count) = (self.m as usize, self.stride as usize, self.cut as usize);
        if m <= MOST {
            // The sign bit turned, signed integers order as unsigned ones do.
            keys.iter_mut().for_each(|key| *key ^= 1 << 31);
            mask_of_keys(bytemuck::cast_slice(&keys), Lowest { m, stride, cut: count }, mask);
            return Ok(());
        }
        let mut sorted = Vec::new();
        with_mask(mask, keys.len(), |cut| {
            for start in (0..keys.len()).step_by(m * stride) {
                for column in start..start + stride {
                    let group = keys[column..].iter().step_by(stride).take(m);
                    cut_few(group, count, &mut sorted, |i| cut(column + i * stride));
                }
            }
            Ok(())
        })
    }
}

/// Gives the indices of the `count` lowest `keys` to `cut`, the first of equal ones first, but for [`NEVER`].
fn cut_few<'k>(
    keys: impl Iterator<Item = &'k u32> + Clone,
    count: usize,
    sorted: &mut Vec<u32>,
    mut cut: impl FnMut(usize),
) {
    sorted.clear();
    sorted.extend(keys.clone().filter(|key| **key != NEVER));
    let Some(found) = cut_of_keys(sorted, count as u64) else { return };
    let (threshold, mut ties) = (found.key as u32, found.ties);
    for (i, key) in keys.enumerate() {
        let tie = *key == threshold && ties > 0;
        ties -= u64::from(tie);
        if tie || *key < threshold {
            cut(i);
        }
    }
}

/// What is cut of the `k` lowest `keys`, none of which is [`NEVER`], and which are reordered.
fn cut_of_keys(keys: &mut [u32], k: u64) -> Option<Cut> {
    let last = usize::try_from(k).unwrap_or(usize::MAX).min(keys.len()).checked_sub(1)?;
    let (below, key, above) = keys.select_nth_unstable(last);
    let outside = below.iter().filter(|x| *x < key).count() as u64;
    let ties = last as u64 + 1 - outside;
    let equal = ties + above.iter().filter(|x| *x == key).count() as u64;
    Some(Cut { key: (*key).into(), ties, equal, outside })
}

impl Scored<'_> {
    /// Counts of a digit of the keys, as [`Ranking`](super::rank::Ranking) wants them.
    pub(super) fn count(&self, first: u64, bytes: &[u8], level: u32, prefix: u64, counts: &mut [u64]) -> Result<()> {
        self.keys(first, bytes, |keys| {
            for key in keys.iter().filter(|key| **key != NEVER) {
                let (upper, lower) = (key >> 16, key & 0xffff);
                match level {
                    0 => counts[upper as usize] += 1,
                    _ if u64::from(upper) == prefix => counts[lower as usize] += 1,
                    _ => {}
                }
            }
        })
    }

    /// What is cut of the `k` lowest scores of a tensor that is in memory and not [`large`](Self::is_large).
    pub(super) fn cut_of_few(&self, bytes: &[u8], k: u64) -> Result<Option<Cut>> {
        let mut all = Vec::with_capacity(bytes.len() / self.float.bytes());
        self.keys(0, bytes, |keys| all.extend(keys.iter().filter(|key| **key != NEVER)))?;
        Ok(cut_of_keys(&mut all, k))
    }

    /// Whether the keys of a tensor take more memory than tables of them do.
    pub(super) fn is_large(&self, bytes: &[u8]) -> bool {
        bytes.len() / self.float.bytes() > FEW
    }

    /// What is cut of the `k` lowest scores of a tensor that is in memory, counted on all threads, with so many tables.
    pub(super) fn cut_of_many(&self, bytes: &[u8], k: u64, tables: usize) -> Result<Option<Cut>> {
        let width = self.float.bytes();
        let share = (bytes.len() / width).div_ceil(tables).max(1);
        Ranking::new(KEY_BITS, (NEVER - 1).into(), |level, prefix| {
            let counted = |(i, bytes): (usize, &[u8])| {
                let mut counts = vec![0; 1 << 16];
                self.count((i * share) as u64, bytes, level, prefix, &mut counts)?;
                Ok(counts)
            };
            let shares = bytes.par_chunks(share * width).enumerate();
            shares.map(counted).try_reduce(
                || vec![0; 1 << 16],
                |mut sum, counts: Vec<u64>| {
                    sum.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
                    Ok(sum)
                },
            )
        })?
        // Keys are turned already where the largest scores are cut.
        .cut(k, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_lowest_few_equal_a_stable_sort(keys in prop::collection::vec(0..12u32, 1..90), count in 0..100usize) {
            let keys: Vec<u32> = keys.iter().map(|k| if *k == 11 { NEVER } else { *k }).collect();
            let mut order: Vec<usize> = (0..keys.len()).filter(|i| keys[*i] != NEVER).collect();
            order.sort_by_key(|i| keys[*i]);
            let mut want: Vec<usize> = order.into_iter().take(count.min(keys.len())).collect();
            want.sort_unstable();
            let mut found = Vec::new();
            cut_few(keys.iter(), count, &mut Vec::new(), |i| found.push(i));
            prop_assert_eq!(found, want);
        }
    }

    /// Few distinct scores, some of them NaN.
    #[derive(Debug)]
    struct Coarse;

    impl Score for Coarse {
        fn name(&self) -> String {
            "coarse".to_owned()
        }

        fn score(&self, _: &Tensor, first: u64, _: &[f32], scores: &mut [f32]) -> Result<()> {
            for (i, score) in (first..).zip(scores) {
                *score = if i % 7 == 0 { f32::NAN } else { (i * i % 101) as f32 - 50.0 };
            }
            Ok(())
        }
    }

    #[test]
    fn tables_say_what_keys_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let weights = vec![1u8; 4 * 9001];
        let view = safetensors::tensor::TensorView::new(crate::Dtype::F32, vec![9001], &weights).unwrap();
        safetensors::tensor::serialize_to_file([("w", view)], None, &path).unwrap();
        let model = crate::Checkpoint::open(&path).unwrap();
        for above in [false, true] {
            let scored = Scored { score: &Coarse, tensor: model.get("w").unwrap(), float: Float::F32, above };
            for k in [0, 1, 77, 4500, 7715, 9001] {
                let few = scored.cut_of_few(&weights, k).unwrap();
                assert_eq!(few.map_or(0, |cut| cut.ties + cut.outside), k.min(7715));
                assert_eq!(scored.cut_of_many(&weights, k, 3).unwrap(), few, "{k} {above}");
            }
        }
    }
}
