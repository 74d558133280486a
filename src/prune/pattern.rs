//! The shape of what is cut.

use std::fmt;
use std::str::FromStr;

/// The shape of what is cut.
///
/// ```
/// use secateur::prune::pattern::Pattern;
///
/// assert_eq!("2:4".parse(), Ok(Pattern::NofM { n: 2, m: 4 }));
/// assert_eq!(Pattern::Element.to_string(), "element");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Any weights.
    #[default]
    Element,
    /// All but `n` of every `m` weights, 1 ≤ n < m ≤ [`MAX_M`](Self::MAX_M).
    NofM {
        /// How many stay.
        n: u32,
        /// Of how many.
        m: u32,
    },
    /// Whole output channels.
    Channel,
}

impl Pattern {
    /// The largest M of N:M.
    pub const MAX_M: u32 = 32;
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element => f.write_str("element"),
            Self::NofM { n, m } => write!(f, "{n}:{m}"),
            Self::Channel => f.write_str("channel"),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "element" => return Ok(Self::Element),
            "channel" => return Ok(Self::Channel),
            _ => {}
        }
        // Digits alone: `u32` would take a plus sign, too.
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let pair = text.split_once(':').and_then(|(n, m)| Some((number(n)?, number(m)?)));
        match pair {
            Some((n, m)) if 1 <= n && n < m && m <= Self::MAX_M => Ok(Self::NofM { n, m }),
            _ => Err("expected element, channel or N:M with 1 ≤ N < M ≤ 32, such as 2:4".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["element", "channel", "1:2", "2:4", "4:8", "31:32"] {
            assert_eq!(name.parse::<Pattern>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "Element",
            "2",
            "2:",
            ":4",
            "0:4",
            "4:4",
            "5:4",
            "1:33",
            "+2:4",
            "-2:4",
            "2:4:8",
            "2: 4",
            "99999999999:4",
        ] {
            assert!(name.parse::<Pattern>().is_err(), "{name}");
        }
    }
}
