//! How a group of weights is scored.

use std::fmt;
use std::str::FromStr;

use crate::stats::Moments;
use crate::{Error, Result};

/// How a channel's weights in one tensor are scored; never below 0.
///
/// What is undefined (the kurtosis of equal weights, anything where no weight is finite, a result beyond f64) scores 0.
///
/// ```
/// use secateur::prune::GroupCriterion;
///
/// assert_eq!("random:7".parse::<GroupCriterion>()?, GroupCriterion::Random { seed: 7 });
/// assert!("magnitude".parse::<GroupCriterion>().unwrap_err().to_string().contains("l1 or l2"));
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupCriterion {
    /// Population variance.
    #[default]
    Variance,
    /// (M4/n)/σ⁴, which is the excess plus 3 and at least 1, so that it can be summed.
    Kurtosis,
    /// The absolute value of (M3/n)/σ³.
    Skewness,
    /// The absolute value of the mean.
    Mean,
    /// Σ|w|.
    L1,
    /// √Σw².
    L2,
    /// A number from 0 to 1 that depends on the seed, the class's name and the channel alone: the control that any other
    /// criterion has to beat.
    Random {
        /// Of which numbers.
        seed: u64,
    },
}

impl GroupCriterion {
    /// The score of weights of those moments.
    pub(super) fn score(self, moments: &Moments) -> f64 {
        let value = match self {
            Self::Variance => moments.variance(),
            Self::Kurtosis => {
                let (n, constant) = (moments.finite as f64, moments.is_constant());
                let variance = moments.m2 / n;
                if constant { None } else { moments.defined(moments.m4 / n / variance / variance) }
            }
            Self::Skewness => moments.skewness().map(f64::abs),
            Self::Mean => moments.mean().map(f64::abs),
            Self::L1 => moments.l1(),
            Self::L2 => moments.l2(),
            Self::Random { .. } => None,
        };
        value.unwrap_or(0.0)
    }
}

impl fmt::Display for GroupCriterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variance => "variance",
            Self::Kurtosis => "kurtosis",
            Self::Skewness => "skewness",
            Self::Mean => "mean",
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Random { seed } => return write!(f, "random:{seed}"),
        })
    }
}

impl FromStr for GroupCriterion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: &str = "variance, kurtosis, skewness, mean, l1, l2 and random:SEED";
        let wrong = |why: String| Error::Usage(format!("criterion `{}` {why}", crate::escape(text)));
        if let Some(seed) = text.strip_prefix("random:") {
            let seed =
                seed.parse().map_err(|_| wrong("is unknown: SEED is an integer from 0 to 2^64 − 1".to_owned()))?;
            return Ok(Self::Random { seed });
        }
        let named = [Self::Variance, Self::Kurtosis, Self::Skewness, Self::Mean, Self::L1, Self::L2];
        if let Some(found) = named.into_iter().find(|criterion| criterion.to_string() == text) {
            return Ok(found);
        }
        Err(wrong(match text {
            "magnitude" => {
                "scores single weights: channels are scored by l1 or l2, which are norms of magnitudes".to_owned()
            }
            "random" => "needs a seed, as in random:7".to_owned(),
            _ if text == "wanda" || text.starts_with("wanda:") => {
                format!("scores single weights: for channels there are {ALL}")
            }
            _ => format!("is unknown: for channels there are {ALL}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::oracle;

    #[test]
    fn names_round_trip() {
        for text in ["variance", "kurtosis", "skewness", "mean", "l1", "l2", "random:0", "random:18446744073709551615"]
        {
            assert_eq!(text.parse::<GroupCriterion>().expect(text).to_string(), text);
        }
        for (text, part) in [
            ("magnitude", "l1 or l2"),
            ("wanda:norms", "variance, kurtosis"),
            ("wanda", "variance, kurtosis"),
            ("random", "random:7"),
            ("random:-1", "integer"),
            ("Variance", "unknown"),
            ("\u{1b}", "\\u{1b}"),
        ] {
            let error = text.parse::<GroupCriterion>().expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn by_hand() {
        let score = |name: &str, values: &[f64]| {
            name.parse::<GroupCriterion>().expect("a criterion").score(&oracle::moments(values))
        };
        let skewed = [-1.0, -1.0, -1.0, 3.0];
        // Deviations 1 from a mean of 0: variance 3, M3/n = 6, M4/n = 21.
        for (name, expected) in [
            ("variance", 3.0),
            ("kurtosis", 21.0 / 9.0),
            ("skewness", 6.0 / 27f64.sqrt()),
            ("mean", 0.0),
            ("l1", 6.0),
            ("l2", 12f64.sqrt()),
        ] {
            assert!((score(name, &skewed) - expected).abs() < 1e-12, "{name}");
            let turned = skewed.map(|w| -w);
            assert_eq!(score(name, &turned), score(name, &skewed), "{name}");
        }
        for name in ["variance", "kurtosis", "skewness"] {
            assert_eq!(
                (score(name, &[2.0, 2.0]), score(name, &[f64::NAN]), score(name, &[])),
                (0.0, 0.0, 0.0),
                "{name}"
            );
        }
        assert_eq!((score("mean", &[-2.0, -2.0]), score("mean", &[f64::INFINITY])), (2.0, 0.0));
    }
}
