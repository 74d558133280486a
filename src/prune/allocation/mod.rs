//! How many weights each tensor loses, so that the whole reaches a rate.
//!
//! A rate s over n weights asks for k = round-half-to-even(s·n). [`uniform`] rounds for each tensor by itself; every other
//! rule cuts exactly round(s·N) of the whole, as far as there are weights that can be cut, its real-valued targets made
//! whole by [`remainders`]. Counts are plain integers: which weights go is decided later, by exact magnitude.
//!
//! Everything here is the same bits on every platform: sums run in the candidates' order, and exp, log and Γ come from
//! one pure-Rust implementation instead of the platform's.

mod erk;
mod fit;
mod gamma;
mod histograms;
mod lamp;
mod moments;
mod remainders;
mod root;
mod variance;

pub use erk::erk;
pub use histograms::Histograms;
pub use lamp::lamp;
pub use moments::moments;
pub use remainders::remainders;
pub use variance::variance;
pub(super) use variance::variance_within;

use crate::stats::Moments;
use std::fmt;
use std::str::FromStr;

/// How much is cut from each tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// The same rate for every tensor; see [`uniform`].
    #[default]
    Uniform,
    /// The smallest weights of the whole model, wherever they are; needs a look at every weight. Blalock et al., "What is
    /// the State of Neural Network Pruning?" (MLSys 2020, arXiv:2003.03033) compare it with the layer-wise rule.
    Global,
    /// Erdős–Rényi-Kernel: small tensors stay denser, by their shapes alone; see [`erk`].
    Erk,
    /// Layer-adaptive magnitude: needs a magnitude histogram of each tensor; see [`lamp`].
    Lamp,
    /// A tensor of larger variance loses more; see [`variance`].
    Variance,
    /// LAMP's rule solved for the distribution that a tensor's moments suggest; see [`moments`].
    Moments,
}

impl Allocation {
    /// Every rule, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Uniform, Self::Global, Self::Erk, Self::Lamp, Self::Variance, Self::Moments];
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Global => "global",
            Self::Erk => "erk",
            Self::Lamp => "lamp",
            Self::Variance => "variance",
            Self::Moments => "moments",
        })
    }
}

impl FromStr for Allocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|rule| rule.to_string() == text);
        named.ok_or_else(|| "expected uniform, global, erk, lamp, variance or moments".to_owned())
    }
}

/// A tensor that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, which breaks ties (bytewise, the lesser first).
    pub name: String,
    /// Its axes, outermost first.
    pub shape: Vec<u64>,
    /// Its number of weights: the product of the shape, NaN and inf included.
    pub count: u64,
}

impl Candidate {
    /// The candidate of that name and shape; a number of weights beyond u64 is taken as u64's largest.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<u64>>) -> Self {
        let shape = shape.into();
        let count = if shape.contains(&0) { 0 } else { shape.iter().fold(1, |n: u64, &axis| n.saturating_mul(axis)) };
        Self { name: name.into(), shape, count }
    }
}

/// k = round-half-to-even(`rate`·`n`) in f64, as numpy and PyTorch round; never above `n`.
///
/// ```
/// use secateur::prune::allocation::round_half_even;
///
/// assert_eq!((round_half_even(0.5, 5), round_half_even(0.5, 7), round_half_even(0.1, 17)), (2, 4, 2));
/// ```
pub fn round_half_even(rate: f64, n: u64) -> u64 {
    // The conversion saturates, and takes NaN and negative rates as 0.
    ((rate * n as f64).round_ties_even() as u64).min(n)
}

/// The same rate for every tensor, each rounded by itself, as `torch.nn.utils.prune` does layer by layer.
///
/// Zhu & Gupta, "To prune, or not to prune" (arXiv:1710.01878), cut every layer to one rate.
pub fn uniform(rate: f64, candidates: &[Candidate]) -> Vec<u64> {
    candidates.iter().map(|candidate| round_half_even(rate, candidate.count)).collect()
}

/// The number of weights of all candidates.
fn whole(candidates: &[Candidate]) -> u64 {
    sum(candidates.iter().map(|candidate| candidate.count))
}

/// Saturates: a caller may name more weights than u64 counts.
fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.name.as_str()).collect()
}

/// How many weights can be cut at all: NaN never is.
fn capacities(candidates: &[Candidate], moments: &[Moments]) -> Vec<u64> {
    let each = candidates.iter().zip(moments);
    each.map(|(candidate, moments)| candidate.count.min(moments.finite.saturating_add(moments.inf))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for rule in Allocation::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for name in ["", "Uniform", "ERK", "lamp ", "moment"] {
            assert!(name.parse::<Allocation>().is_err(), "{name}");
        }
    }

    #[test]
    fn halves_go_to_even() {
        for (rate, n, k) in [
            (0.0, 7, 0),
            (0.5, 1, 0),
            (0.5, 3, 2),
            (0.5, 5, 2),
            (0.25, 10, 2),
            (0.75, 10, 8),
            (1.0 / 7.0, 7, 1),
            (1.0 - f64::EPSILON, 9, 9),
            (0.5, u64::MAX, 1 << 63),
            (1.0, u64::MAX, u64::MAX),
            (2.0, 3, 3),
            (f64::NAN, 3, 0),
            (-1.0, 3, 0),
        ] {
            assert_eq!(round_half_even(rate, n), k, "{rate} of {n}");
        }
    }

    #[test]
    fn uniform_rounds_each_tensor() {
        let candidates = [Candidate::new("a", [3]), Candidate::new("b", [5, 1]), Candidate::new("c", [0, u64::MAX, 9])];
        assert_eq!(uniform(0.5, &candidates), [2, 2, 0]);
        assert_eq!(whole(&candidates), 8);
    }
}
