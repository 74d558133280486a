//! What a rate would cut where, by the counts of a survey: no weight is read again.

use std::collections::BTreeMap;

use super::{Magnitudes, Survey};
use crate::Result;
use crate::prune::allocation::{remainders, round_half_even};

/// What rates would cut of each tensor, by magnitude.
#[derive(Clone, Debug, PartialEq)]
pub struct Prospects {
    /// The rates.
    pub rates: Vec<f64>,
    /// Weights of the eligible tensors.
    pub eligible: u64,
    /// Whether the numbers are those that [`prune`](crate::prune) arrives at, as they are where no eligible tensor is wider
    /// than 16 bits. Of wider weights magnitudes are known to 1/128, and what a global rate cuts of a tensor is known but for
    /// those weights of it that are so near to the threshold.
    pub exact: bool,
    /// For each rate, the largest |w| that it would cut anywhere under the global allocation; `None` where it cuts nothing.
    pub thresholds: Vec<Option<f64>>,
    /// By tensor; `None` where it is not eligible.
    pub tensors: Vec<Option<TensorProspects>>,
}

/// What rates would cut of one tensor: one entry for each rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorProspects {
    /// Under the uniform allocation.
    pub uniform: Vec<CutAt>,
    /// Under the global allocation.
    pub global: Vec<CutAt>,
}

/// How much is cut, and up to where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CutAt {
    /// How many weights.
    pub cut: u64,
    /// The largest |w| among them; `None` where nothing is cut.
    pub threshold: Option<f64>,
}

/// What each of `rates` would cut of the tensors that are `eligible`, a flag for each tensor of `survey`, under the uniform
/// and the global allocation, the smallest magnitudes first.
///
/// # Errors
/// As [`Survey::counts`].
pub fn prospects(survey: &mut Survey, eligible: &[bool], rates: &[f64]) -> Result<Prospects> {
    let chosen: Vec<usize> = (0..survey.tensors.len()).filter(|i| eligible.get(*i) == Some(&true)).collect();
    let mut tensors: Vec<Option<TensorProspects>> = vec![None; survey.tensors.len()];
    // By the bits of a magnitude's lower end, which order as it does: its upper end, and how many.
    let mut all: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    let (mut weights, mut exact) = (0, true);
    for &index in &chosen {
        let counts = survey.counts(index)?;
        let count = survey.tensors[index].entry.statistics.count;
        exact &= counts.is_exact();
        weights += count;
        let magnitudes = counts.magnitudes();
        let uniform = rates.iter().map(|rate| cut_of(&magnitudes, round_half_even(*rate, count))).collect();
        for cell in &magnitudes {
            let (high, sum) = all.entry(cell.low.to_bits()).or_insert((cell.high, 0));
            *high = high.max(cell.high);
            *sum += cell.count;
        }
        tensors[index] = Some(TensorProspects { uniform, global: Vec::with_capacity(rates.len()) });
    }
    let levels: Vec<Level> = rates.iter().map(|rate| Level::find(&all, round_half_even(*rate, weights))).collect();
    let mut at_level = vec![Vec::with_capacity(chosen.len()); rates.len()];
    for &index in &chosen {
        let magnitudes = survey.counts(index)?.magnitudes();
        for (level, found) in levels.iter().zip(&mut at_level) {
            found.push(level.of(&magnitudes));
        }
    }
    let names: Vec<&str> = chosen.iter().map(|index| survey.tensors[*index].entry.name.as_str()).collect();
    for (level, found) in levels.iter().zip(at_level) {
        let shares = level.share(&found, &names);
        for ((&index, found), share) in chosen.iter().zip(&found).zip(shares) {
            let threshold = if share > 0 { Some(level.threshold()) } else { found.last_below };
            if let Some(tensor) = &mut tensors[index] {
                tensor.global.push(CutAt { cut: found.below + share, threshold });
            }
        }
    }
    let thresholds = levels.iter().map(|level| (level.wanted > 0).then(|| level.threshold())).collect();
    Ok(Prospects { rates: rates.to_vec(), eligible: weights, exact, thresholds, tensors })
}

/// The `k` smallest of a tensor's magnitudes; all of them, where there are fewer.
fn cut_of(magnitudes: &[Magnitudes], k: u64) -> CutAt {
    let mut cut = CutAt::default();
    for cell in magnitudes {
        if cut.cut == k {
            break;
        }
        cut.cut = k.min(cut.cut + cell.count);
        cut.threshold = Some(cell.middle());
    }
    cut
}

/// Where a global rate ends.
struct Level {
    /// The magnitudes of which a part is cut.
    last: Magnitudes,
    /// How many weights are smaller than those.
    below: u64,
    /// How many are cut in all.
    wanted: u64,
}

/// What a tensor has below a level and at it.
#[derive(Clone)]
struct AtLevel {
    below: u64,
    at: u64,
    /// The largest magnitude below it.
    last_below: Option<f64>,
}

impl Level {
    fn find(all: &BTreeMap<u64, (f64, u64)>, wanted: u64) -> Self {
        let (mut below, mut last) = (0, Magnitudes { low: 0.0, high: 0.0, count: 0 });
        for (low, (high, count)) in all {
            last = Magnitudes { low: f64::from_bits(*low), high: *high, count: *count };
            if below + count >= wanted {
                return Self { last, below, wanted };
            }
            below += count;
        }
        // NaN is never cut, even if less is cut then.
        Self { below: below - last.count, last, wanted: below }
    }

    fn threshold(&self) -> f64 {
        self.last.middle()
    }

    fn of(&self, magnitudes: &[Magnitudes]) -> AtLevel {
        let split = magnitudes.partition_point(|cell| cell.low < self.last.low);
        let (below, rest) = magnitudes.split_at(split);
        AtLevel {
            below: below.iter().map(|cell| cell.count).sum(),
            at: rest.first().filter(|cell| cell.low == self.last.low).map_or(0, |cell| cell.count),
            last_below: below.last().map(Magnitudes::middle),
        }
    }

    /// What is cut at the level itself: where all of it is one magnitude, of the tensors by name; else of each the same share.
    fn share(&self, found: &[AtLevel], names: &[&str]) -> Vec<u64> {
        let left = self.wanted - self.below.min(self.wanted);
        let at: Vec<u64> = found.iter().map(|found| found.at).collect();
        if self.last.low < self.last.high {
            let share = left as f64 / self.last.count as f64;
            let targets: Vec<f64> = at.iter().map(|at| *at as f64 * share).collect();
            return remainders(&targets, &at, names, left);
        }
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|index| names[*index]);
        let (mut shares, mut left) = (vec![0; names.len()], left);
        for index in order {
            shares[index] = at[index].min(left);
            left -= shares[index];
        }
        shares
    }
}
