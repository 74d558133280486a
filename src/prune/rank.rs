//! The key of a rank, out of tables of digits: exact selection without a sort.

use crate::Result;
use crate::kernels::tie_scan::ENDLESS;

/// Keys to be ranked: integers of so many `bits`, of which those beyond `largest` (NaN) rank nowhere.
///
/// `table(level, prefix)` counts the 16 bits of `level`, from the top, of the keys whose bits above them are `prefix`.
/// A call is a pass over the weights, so that as few as possible are made: one for each 16 bits.
pub(crate) struct Ranking<F> {
    bits: u32,
    largest: u64,
    table: F,
    first: Vec<u64>,
}

/// A key, and how many there are around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) key: u64,
    /// Keys below it.
    pub(crate) below: u64,
    /// Keys that equal it.
    pub(crate) equal: u64,
}

impl<F: FnMut(u32, u64) -> Result<Vec<u64>>> Ranking<F> {
    pub(crate) fn new(bits: u32, largest: u64, mut table: F) -> Result<Self> {
        let first = table(0, 0)?;
        Ok(Self { bits, largest, table, first })
    }

    fn levels(&self) -> u32 {
        self.bits.div_ceil(16)
    }

    /// How many keys there are, those beyond the largest left out.
    pub(crate) fn count(&mut self) -> Result<u64> {
        let (mut count, mut table, mut prefix) = (0, self.first.clone(), 0);
        for level in 0..self.levels() {
            let above = self.bits.saturating_sub(16 * (level + 1));
            let digit = (self.largest >> above & 0xffff) as usize;
            count += table.iter().take(digit).sum::<u64>();
            let at = table.get(digit).copied().unwrap_or(0);
            // Seldom is anything there, in which case what is below it is known without another pass.
            if level + 1 == self.levels() || at == 0 {
                return Ok(count + at);
            }
            prefix = prefix << 16 | digit as u64;
            table = (self.table)(level + 1, prefix)?;
        }
        Ok(count)
    }

    /// The key of `rank`, counted from 0; there must be more keys than that.
    pub(crate) fn find(&mut self, rank: u64) -> Result<Ranked> {
        let (mut key, mut below, mut equal) = (0, 0, 0);
        for level in 0..self.levels() {
            let table = if level == 0 { std::mem::take(&mut self.first) } else { (self.table)(level, key)? };
            let mut digit = 0;
            for (value, count) in table.iter().enumerate() {
                (digit, equal) = (value, *count);
                if rank < below + count {
                    break;
                }
                below += count;
            }
            key = key << 16 | digit as u64;
            if level == 0 {
                self.first = table;
            }
        }
        Ok(Ranked { key, below, equal })
    }

    /// What is cut of `k` lowest (or, `above`, highest) keys.
    pub(crate) fn cut(&mut self, k: u64, above: bool) -> Result<Option<Cut>> {
        let count = self.count()?;
        let k = k.min(count);
        if k == 0 {
            return Ok(None);
        }
        let Ranked { key, below, equal } = self.find(if above { count - k } else { k - 1 })?;
        let outside = if above { count - below - equal } else { below };
        Ok(Some(Cut { key, ties: k - outside, equal, outside }))
    }
}

/// Where a cut is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The last key that is cut, of which there are `equal`.
    pub(crate) key: u64,
    /// So many of the keys that equal it are cut, the first ones.
    pub(crate) ties: u64,
    pub(crate) equal: u64,
    /// Keys on the far side of it, which are all cut.
    pub(crate) outside: u64,
}

impl Cut {
    /// The budget for ties: [`ENDLESS`] where all are cut, and nobody has to count them.
    pub(crate) fn budget(&self) -> u64 {
        if self.ties == self.equal { ENDLESS } else { self.ties }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_sort(
            keys in prop::collection::vec(prop_oneof![any::<u32>(), 0..9u32, Just(0xffff_0001)], 1..200),
            k in 0..220u64,
            above in any::<bool>(),
            bits in prop::sample::select(vec![7u32, 15, 32, 48]),
        ) {
            // Keys of so many bits, those beyond a limit standing for NaN.
            let bits_of = |x: u32| if bits == 48 { u64::from(x) << 16 | 5 } else { u64::from(x) & ((1 << bits) - 1) };
            let keys: Vec<u64> = keys.into_iter().map(bits_of).collect();
            let largest = (1u64 << bits) - (1 << bits >> 3) + 1;
            // Narrow keys are in one table, whole.
            let width = if bits < 16 { 16 } else { bits };
            let mut ranking = Ranking::new(width, largest, |level, prefix| {
                let shift = width.saturating_sub(16 * (level + 1));
                let mut counts = vec![0; 1 << 16];
                keys.iter().filter(|x| *x >> shift >> 16 == prefix).for_each(|x| counts[(x >> shift & 0xffff) as usize] += 1);
                Ok(counts)
            }).unwrap();
            let mut sorted: Vec<u64> = keys.iter().copied().filter(|x| *x <= largest).collect();
            sorted.sort_unstable();
            prop_assert_eq!(ranking.count().unwrap(), sorted.len() as u64);
            if above { sorted.reverse() }
            let cut = &sorted[..(k as usize).min(sorted.len())];
            match ranking.cut(k, above).unwrap() {
                None => prop_assert!(cut.is_empty()),
                Some(found) => {
                    prop_assert_eq!(Some(&found.key), cut.last());
                    let equal = |keys: &[u64]| keys.iter().filter(|x| **x == found.key).count() as u64;
                    prop_assert_eq!((found.ties, found.equal), (equal(cut), equal(&sorted)));
                    prop_assert_eq!(found.ties + found.outside, cut.len() as u64);
                }
            }
        }
    }
}
