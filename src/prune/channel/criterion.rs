//! How a channel is scored.

use std::fmt;
use std::str::FromStr;

use crate::stats::Moments;

/// What a channel's group of weights is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupCriterion {
    /// The variance of its weights.
    #[default]
    Variance,
    /// Their fourth standardised moment, (M4/n)/σ⁴: excess kurtosis and 3, so that it is never negative.
    Kurtosis,
    /// The magnitude of their skewness.
    Skewness,
    /// The magnitude of their mean.
    Mean,
    /// Σ|w|.
    L1,
    /// √Σw².
    L2,
    /// Nothing of them: the control that any other criterion has to beat.
    Random {
        /// The same seed gives the same scores, whatever the engine.
        seed: u64,
    },
}

impl GroupCriterion {
    /// Those that look at weights, in the order of the documentation.
    pub const MEASURED: [Self; 6] = [Self::Variance, Self::Kurtosis, Self::Skewness, Self::Mean, Self::L1, Self::L2];

    /// The score of a group; 0 where it is undefined, as in a group of equal weights, which then goes first.
    pub(super) fn of(self, moments: &Moments) -> f64 {
        let score = match self {
            Self::Variance => moments.variance(),
            Self::Kurtosis => moments.kurtosis().map(|excess| excess + 3.0),
            Self::Skewness => moments.skewness().map(f64::abs),
            Self::Mean => moments.mean().map(f64::abs),
            Self::L1 => moments.l1(),
            Self::L2 => moments.l2(),
            Self::Random { .. } => None,
        };
        score.filter(|score| !score.is_nan()).unwrap_or(0.0)
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(found) = Self::MEASURED.into_iter().find(|criterion| criterion.to_string() == text) {
            return Ok(found);
        }
        match (text.split_once(':'), text) {
            (Some(("random", seed)), _) => {
                let seed = seed.parse().map_err(|_| "random:SEED takes a whole number as its seed".to_owned())?;
                Ok(Self::Random { seed })
            }
            (_, "magnitude") => Err("single weights have a magnitude: l1 is the sum over a channel".to_owned()),
            (Some(("wanda", _)), _) => Err("it scores single weights: leave --pattern channel out".to_owned()),
            _ => Err("expected variance, kurtosis, skewness, mean, l1, l2 or random:SEED for channels".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let random = GroupCriterion::Random { seed: u64::MAX };
        for criterion in GroupCriterion::MEASURED.into_iter().chain([random]) {
            assert_eq!(criterion.to_string().parse(), Ok(criterion));
        }
        for text in ["", "Variance", "random", "random:", "random:-1", "magnitude", "wanda:x", "l3"] {
            assert!(text.parse::<GroupCriterion>().is_err(), "{text}");
        }
    }

    #[test]
    fn groups_are_scored_by_what_they_are_named_after() {
        let moments = Moments::of(&[-3.0, 1.0, 1.0, 1.0]);
        let scores = GroupCriterion::MEASURED.map(|criterion| criterion.of(&moments));
        let wanted = [3.0, 7.0 / 3.0, 2.0 / 3.0f64.sqrt(), 0.0, 6.0, 12.0f64.sqrt()];
        for (score, wanted) in scores.iter().zip(wanted) {
            assert!((score - wanted).abs() < 1e-12, "{scores:?}");
        }
        let constant = Moments::of(&[2.0, 2.0]);
        assert_eq!(GroupCriterion::MEASURED.map(|c| c.of(&constant))[..3], [0.0; 3]);
        assert_eq!(GroupCriterion::L1.of(&Moments::of(&[f32::NAN])), 0.0);
    }
}
