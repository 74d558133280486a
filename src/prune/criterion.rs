//! How a weight is scored, and which scores stay.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Random, Wanda};
use crate::{Error, Result, Tensor};

/// How a weight is scored.
#[derive(Clone, Debug, Default)]
pub enum Criterion {
    /// |w|: compared exactly, as integers, on whichever engine.
    #[default]
    Magnitude,
    /// A score of the host's: [`Random`], [`Wanda`], or one of your own.
    Scored(Arc<dyn Score>),
}

/// A score for every weight. An implementation is all that a criterion of one's own takes: see
/// `examples/custom_criterion.rs`.
///
/// Scores are ranked as f32, −0 as 0, ties by the lower index. A weight whose score is NaN, and a weight that is NaN, is
/// never cut.
pub trait Score: fmt::Debug + Send + Sync {
    /// What plans call it, such as `random:7`.
    fn name(&self) -> String;

    /// Among which weights scores are compared.
    fn within(&self) -> Within {
        Within::Tensor
    }

    /// Why `tensor` cannot be scored, if so: it is then left untouched, and the summary says why.
    fn left_out(&self, tensor: &Tensor) -> Option<String> {
        let _ = tensor;
        None
    }

    /// Writes the scores of `weights`, which are consecutive elements of `tensor` from element `first` on, as many as
    /// there are `scores`. F64 weights are rounded to f32. Many threads call it, in any order, more than once; the answer
    /// must be the same each time.
    ///
    /// # Errors
    /// Whatever makes scoring impossible: the run then ends, and nothing is written.
    fn score(&self, tensor: &Tensor, first: u64, weights: &[f32], scores: &mut [f32]) -> Result<()>;
}

/// Among which weights scores are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// All of the tensor, or of the model under `global`.
    Tensor,
    /// Each output row (axis 0) by itself: every row loses as many.
    Row,
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magnitude => f.write_str("magnitude"),
            Self::Scored(score) => f.write_str(&score.name()),
        }
    }
}

impl FromStr for Criterion {
    type Err = Error;

    /// `magnitude`, `random:SEED` or `wanda:FILE`, whose FILE is opened.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(seed) = text.strip_prefix("random:") {
            let seed = seed.parse().map_err(|_| {
                Error::Usage(format!("criterion `{}`: SEED is an integer from 0 to 2^64 − 1", crate::escape(text)))
            })?;
            return Ok(Self::Scored(Arc::new(Random::new(seed))));
        }
        if let Some(path) = text.strip_prefix("wanda:") {
            return Ok(Self::Scored(Arc::new(Wanda::open(path)?)));
        }
        match text {
            "magnitude" => Ok(Self::Magnitude),
            "random" => Err(Error::Usage("criterion `random`: name a seed, as in random:7".to_owned())),
            "wanda" => {
                Err(Error::Usage("criterion `wanda`: name the file of norms, as in wanda:norms.safetensors".to_owned()))
            }
            "variance" | "kurtosis" | "skewness" | "mean" | "l1" | "l2" => Err(Error::Usage(format!(
                "criterion `{text}` scores groups of weights: elements are scored by magnitude, random:SEED or wanda:FILE"
            ))),
            _ => Err(Error::Usage(format!(
                "criterion `{}` is unknown: there are magnitude, random:SEED and wanda:FILE",
                crate::escape(text)
            ))),
        }
    }
}

/// Which scores stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The largest: the smallest are cut.
    #[default]
    Largest,
    /// The smallest: the largest are cut.
    Smallest,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Largest => "largest",
            Self::Smallest => "smallest",
        })
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "largest" => Ok(Self::Largest),
            "smallest" => Ok(Self::Smallest),
            _ => Err("expected largest or smallest".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in ["magnitude", "random:0", "random:18446744073709551615"] {
            assert_eq!(text.parse::<Criterion>().unwrap().to_string(), text);
        }
        for keep in [Keep::Largest, Keep::Smallest] {
            assert_eq!(keep.to_string().parse(), Ok(keep));
        }
    }

    #[test]
    fn what_is_no_criterion_of_weights_says_so() {
        for (text, part) in [
            ("variance", "groups"),
            ("random", "seed"),
            ("random:-1", "integer"),
            ("wanda", "norms"),
            ("size", "unknown"),
            ("wanda:/none.safetensors", "none.safetensors"),
        ] {
            let error = text.parse::<Criterion>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
