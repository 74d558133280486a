//! Which example goes to which part.

use std::fmt;
use std::str::FromStr;

use crate::prune::{parse_rate, threefry};
use crate::{Error, Result};

/// Into which parts a data set is split, in order: so many examples, or such shares of them.
///
/// ```
/// use secateur::data::Split;
///
/// let split: Split = "90%,10%".parse().unwrap();
/// assert_eq!(split.sizes(60_000).unwrap(), [54_000, 6_000]);
/// let split: Split = "55000,5000".parse().unwrap();
/// assert_eq!(split.to_string(), "55000,5000");
/// assert!(split.sizes(70_000).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Split {
    /// So many each, which are all that there are.
    Counts(Vec<u64>),
    /// Shares between 0 and 1, which are 1 together.
    Shares(Vec<f64>),
}

impl Split {
    /// How many parts there are.
    pub fn parts(&self) -> usize {
        match self {
            Self::Counts(counts) => counts.len(),
            Self::Shares(shares) => shares.len(),
        }
    }

    /// How many of `count` examples each part has. Of shares a part ends at the share of all parts up to it times `count`,
    /// rounded, halves up.
    ///
    /// # Errors
    /// [`Error::Usage`] where a part would be empty, or counts are not `count` together.
    pub fn sizes(&self, count: u64) -> Result<Vec<u64>> {
        let sizes = match self {
            Self::Counts(counts) => {
                let sum = counts.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
                if sum != Some(count) {
                    let sum = sum.map_or("more than 64 bits can say".to_owned(), |sum| sum.to_string());
                    let message = format!(
                        "--split {self}: these are {sum}, and {count} examples are there to split: make them add up, give \
                         shares (90%,10%), or use fewer examples with --limit"
                    );
                    return Err(Error::Usage(message));
                }
                counts.clone()
            }
            Self::Shares(shares) => by_shares(shares, count),
        };
        if sizes.contains(&0) {
            return Err(Error::Usage(format!("--split {self} of {count} examples leaves a part empty")));
        }
        Ok(sizes)
    }
}

fn by_shares(shares: &[f64], count: u64) -> Vec<u64> {
    let sum: f64 = shares.iter().sum();
    let (mut share, mut start) = (0.0, 0);
    let mut size = |(part, own): (usize, &f64)| {
        share += own;
        // Whatever the sums' last digits say.
        let last = part + 1 == shares.len();
        let end = if last { count } else { ((share / sum * count as f64).round() as u64).clamp(start, count) };
        end - std::mem::replace(&mut start, end)
    };
    shares.iter().enumerate().map(&mut size).collect()
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        if parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
            let counts = parts.iter().map(|part| part.parse::<u64>().ok().filter(|&size| size > 0));
            let counts: Option<Vec<u64>> = counts.collect();
            return counts.map(Self::Counts).ok_or_else(|| "a part of 0 examples, or of too many".to_owned());
        }
        let wrong = || "expected numbers of examples such as 55000,5000 or shares such as 90%,10%".to_owned();
        let shares = parts.iter().map(|part| parse_rate(part)).collect::<Result<Vec<f64>, _>>().map_err(|_| wrong())?;
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > 1e-9 || shares.iter().any(|&share| share <= 0.0) {
            return Err(format!("shares above 0 that are 100% together are expected, and these are {}%", 100.0 * sum));
        }
        Ok(Self::Shares(shares))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = match self {
            Self::Counts(counts) => counts.iter().map(u64::to_string).collect(),
            Self::Shares(shares) => shares.iter().map(|share| shown(*share)).collect(),
        };
        f.write_str(&texts.join(","))
    }
}

/// A share as it is read back: without an exponent, and told apart from a count.
fn shown(share: f64) -> String {
    if share == 1.0 { "100%".to_owned() } else { share.to_string() }
}

/// The examples 0..`count` in random order, the same on every machine: ascending by a block of the generator
/// Threefry-2x32-20 (Salmon et al. 2011) for each, whose key is `seed` and whose counter is the example's number, low words
/// first; the block's first word is the lower half of the 64 bits that are compared, and the smaller number goes first
/// where they are equal.
///
/// ```
/// assert_eq!(secateur::data::shuffled(0, 8), [3, 5, 7, 0, 4, 6, 1, 2]);
/// ```
pub fn shuffled(seed: u64, count: u64) -> Vec<u64> {
    let words = |number: u64| [number as u32, (number >> 32) as u32];
    let key = |index: u64| {
        let [low, high] = threefry(words(seed), words(index));
        (u64::from(high) << 32 | u64::from(low), index)
    };
    let mut keyed: Vec<(u64, u64)> = (0..count).map(key).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits() {
        for (text, count, sizes) in [
            ("55000,5000", 60_000, &[55_000, 5_000][..]),
            ("7", 7, &[7]),
            ("90%,10%", 60_000, &[54_000, 6_000]),
            ("0.9,0.1", 10, &[9, 1]),
            ("70%,15%,15%", 10, &[7, 2, 1]),
            ("33.3%,33.3%,33.4%", 10, &[3, 4, 3]),
            ("29%,71%", 100, &[29, 71]),
            ("100%", 3, &[3]),
            ("0.000001%,99.999999%", 1_000_000_000, &[10, 999_999_990]),
        ] {
            let split: Split = text.parse().unwrap();
            assert_eq!(split.sizes(count).unwrap(), sizes, "{text}");
            assert_eq!(split.to_string().parse::<Split>().unwrap(), split, "{text}");
            assert_eq!(split.parts(), sizes.len());
        }
    }

    #[test]
    fn what_is_no_split() {
        for text in
            ["", ",", "1,", "-1,2", "0,5", "90%", "90%,20%", "50,50%", "0%,100%", "nan", "1.5", "99999999999999999999"]
        {
            assert!(text.parse::<Split>().is_err(), "{text}");
        }
        for (text, count) in [("1,2", 4), ("1,2", 2), ("18446744073709551615,2", 1), ("99%,1%", 10)] {
            assert!(text.parse::<Split>().unwrap().sizes(count).is_err(), "{text} of {count}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_all(parts in prop::collection::vec(1u32..1000, 1..6), count in 0u64..1_000_000_000_000) {
            let sum: u32 = parts.iter().sum();
            let shares: Vec<f64> = parts.iter().map(|&part| f64::from(part) / f64::from(sum)).collect();
            let sizes = by_shares(&shares, count);
            prop_assert_eq!(sizes.iter().sum::<u64>(), count);
            for (size, share) in sizes.iter().zip(shares) {
                prop_assert!((*size as f64 - share * count as f64).abs() <= 1.001);
            }
        }
    }

    #[test]
    fn orders_are_permutations_of_their_own() {
        for count in [0, 1, 2, 1000] {
            let mut order = shuffled(7, count);
            assert_eq!(count < 3 || order == shuffled(8, count), count < 3);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..count));
        }
        // Seeds differ beyond 32 bits.
        assert_ne!(shuffled(0, 100), shuffled(1 << 32, 100));
    }
}
