//! What can be asked of an analysis.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::checkpoint::Selection;

/// Which weights are judged together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// The whole tensor.
    #[default]
    Tensor,
    /// One group for each index of axis 0, an output channel.
    Output,
    /// One group for each index of axis 1, an input channel.
    Input,
    /// One group for each index of this axis, counted from 0: [`Output`](Self::Output) is axis 0, [`Input`](Self::Input)
    /// axis 1. A tensor without that axis is one group.
    Axis(usize),
    /// This many consecutive weights of a row, a row being the flattened weights of one output channel.
    Block(NonZeroU64),
}

impl Grouping {
    /// The axis whose indices are the groups.
    pub(crate) fn axis(self) -> Option<usize> {
        match self {
            Self::Output => Some(0),
            Self::Input => Some(1),
            Self::Axis(axis) => Some(axis),
            Self::Tensor | Self::Block(_) => None,
        }
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tensor" => Ok(Self::Tensor),
            "output" => Ok(Self::Output),
            "input" => Ok(Self::Input),
            _ => {
                let axis = || text.strip_prefix("axis:").and_then(|n| n.parse().ok()).map(Self::Axis);
                let block = || text.strip_prefix("block:").and_then(|n| n.parse().ok()).map(Self::Block);
                axis().or_else(block).ok_or_else(|| {
                    "expected tensor, output, input, axis:N with N ≥ 0, or block:N with N ≥ 1, such as block:128"
                        .to_owned()
                })
            }
        }
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor => f.write_str("tensor"),
            Self::Output => f.write_str("output"),
            Self::Input => f.write_str("input"),
            Self::Axis(n) => write!(f, "axis:{n}"),
            Self::Block(n) => write!(f, "block:{n}"),
        }
    }
}

/// What is done to the weights before they are analysed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transform {
    /// The weights as they are.
    #[default]
    None,
    /// ln|w|; zeros are left out and counted.
    Log,
    /// (w − mean)/σ of its tensor, so that the variances of groups compare across layers.
    Standardize,
}

impl FromStr for Transform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "log" => Ok(Self::Log),
            "standardize" => Ok(Self::Standardize),
            _ => Err("expected none, log or standardize".to_owned()),
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Log => "log",
            Self::Standardize => "standardize",
        })
    }
}

/// What to compute, over which tensors, within which memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which weights are judged together.
    pub by: Grouping,
    /// What is done to them first.
    pub transform: Transform,
    /// Probabilities in [0, 1] whose exact quantiles are wanted, interpolated linearly.
    pub quantiles: Vec<f64>,
    /// Number of histogram bins, where a histogram is wanted.
    pub histogram: Option<usize>,
    /// Which tensors.
    pub selection: Selection,
    /// Bound on what is held at once, in bytes, on the host and on the device each.
    pub memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            by: Grouping::Tensor,
            transform: Transform::None,
            quantiles: Vec::new(),
            histogram: None,
            selection: Selection::default(),
            memory_bytes: Self::DEFAULT_MEMORY_BYTES,
        }
    }
}

impl Options {
    /// 1 GiB.
    pub const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
    /// The most bins of a histogram.
    pub const MAX_BINS: usize = 1 << 16;
    /// 64 MiB: the least that every path works within.
    pub const MIN_MEMORY_BYTES: u64 = 64 << 20;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["tensor", "output", "input", "axis:0", "axis:2", "block:1", "block:128"] {
            assert_eq!(name.parse::<Grouping>().unwrap().to_string(), name);
        }
        for name in ["none", "log", "standardize"] {
            assert_eq!(name.parse::<Transform>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let axes = ["axis", "axis:", "axis:-1", "axis:1.5", "axis:18446744073709551616"];
        let others = ["", "Tensor", "block", "block:", "block:0", "block:-1", "block:1.5", "rows"];
        for name in axes.into_iter().chain(others) {
            assert!(name.parse::<Grouping>().is_err(), "{name}");
        }
        assert!("ln".parse::<Transform>().is_err());
    }
}
