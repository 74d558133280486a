//! The shape of what is cut.

use std::fmt;
use std::str::FromStr;

use super::NofM;

/// The shape of what is cut.
///
/// ```
/// use secateur::prune::Pattern;
///
/// assert!(matches!("2:4".parse(), Ok(Pattern::NofM(pattern)) if pattern.kept() == 2));
/// assert_eq!(Pattern::Element.to_string(), "element");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Any weights.
    #[default]
    Element,
    /// All but N of every M weights along the input axis.
    NofM(NofM),
    /// Whole output channels.
    Channel,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element => f.write_str("element"),
            Self::NofM(pattern) => pattern.fmt(f),
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
        let message = || "expected element, channel or N:M with 1 ≤ N < M ≤ 32, such as 2:4".to_owned();
        text.parse().map(Self::NofM).map_err(|_: String| message())
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
