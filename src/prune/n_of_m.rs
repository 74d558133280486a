//! N of every M weights along the input axis.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::Tensor;

/// N:M: at most `kept` of every `of` consecutive weights along the input axis ([`Tensor::input_axis`]) are not zero.
///
/// ```
/// use secateur::prune::NofM;
///
/// let pattern: NofM = "2:4".parse()?;
/// assert_eq!((pattern.kept(), pattern.of(), pattern.to_string()), (2, 4, "2:4".to_owned()));
/// assert!("4:4".parse::<NofM>().is_err() && "2:64".parse::<NofM>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NofM {
    kept: u8,
    of: u8,
}

impl NofM {
    /// The largest M.
    pub const MAX_OF: u8 = 32;

    /// `kept` of every `of`, where 1 ≤ `kept` < `of` ≤ 32.
    pub const fn new(kept: u8, of: u8) -> Option<Self> {
        if kept > 0 && kept < of && of <= Self::MAX_OF { Some(Self { kept, of }) } else { None }
    }

    /// N, how many may differ from zero.
    pub const fn kept(self) -> u8 {
        self.kept
    }

    /// M, of how many.
    pub const fn of(self) -> u8 {
        self.of
    }

    /// Why a tensor has no groups of M, if so.
    pub(crate) fn unfit(self, tensor: &Tensor) -> Option<String> {
        let (axis, m) = (tensor.input_axis(), self.of);
        match tensor.shape().get(axis).filter(|_| tensor.shape().len() > 1) {
            Some(inputs) if inputs.is_multiple_of(u64::from(m)) => None,
            Some(inputs) => Some(format!("its input axis (axis {axis}) has {inputs} elements, no multiple of {m}")),
            None => Some(format!("it has no input axis (axis {axis})")),
        }
    }

    /// Whether whatever satisfies this pattern satisfies `other`.
    pub fn implies(self, other: Self) -> bool {
        let (kept, of, others) = (self.kept(), self.of(), other.of());
        // A group of the other is made of several of ours, or is a part of one.
        (others.is_multiple_of(of) && kept * (others / of) <= other.kept())
            || (of.is_multiple_of(others) && kept <= other.kept())
    }
}

impl FromStr for NofM {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        text.split_once(':')
            .and_then(|(kept, of)| Self::new(number(kept)?, number(of)?))
            .ok_or_else(|| "expected N:M with 1 ≤ N < M ≤ 32, such as 2:4".to_owned())
    }
}

impl fmt::Display for NofM {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kept, self.of)
    }
}

impl Serialize for NofM {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_round_trips() {
        for of in 0..=255 {
            for kept in 0..=255 {
                let pattern = NofM::new(kept, of);
                assert_eq!(pattern.is_some(), kept > 0 && kept < of && of <= 32);
                assert_eq!(format!("{kept}:{of}").parse().ok(), pattern);
            }
        }
        for text in ["", ":", "2", "2:", ":4", "2:4:8", "+2:4", "2 :4", "0x2:4", "256:4", "2:4.0"] {
            assert!(text.parse::<NofM>().is_err(), "{text}");
        }
    }

    #[test]
    fn implications() {
        let pattern = |text: &str| text.parse::<NofM>().expect("a pattern");
        for (stronger, weaker) in [("1:2", "2:4"), ("1:4", "1:2"), ("1:4", "2:8"), ("2:4", "3:4"), ("2:4", "16:32")] {
            assert!(pattern(stronger).implies(pattern(weaker)), "{stronger} {weaker}");
            assert!(!pattern(weaker).implies(pattern(stronger)), "{weaker} {stronger}");
        }
        assert!(!pattern("2:4").implies(pattern("2:3")) && !pattern("1:3").implies(pattern("2:4")));
    }
}
