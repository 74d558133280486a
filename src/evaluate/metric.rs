//! What is measured.

use std::fmt;
use std::str::FromStr;

/// What is measured of a network's outputs against labels.
///
/// ```
/// use secateur::evaluate::Metric;
///
/// let metric: Metric = "cross-entropy".parse()?;
/// assert!(metric == Metric::CrossEntropy && !metric.higher_is_better());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The share of inputs whose class has the highest output; of equal ones the first counts.
    #[default]
    Accuracy,
    /// The share of inputs whose class is among the five highest outputs.
    Top5,
    /// −ln of the probability of the class, in nats, the mean over all inputs: outputs are logits, but where the network
    /// ends in `Softmax` or `LogSoftmax`.
    CrossEntropy,
    /// The mean of (output − label)² over all outputs of all inputs; a class is 1 at its output and 0 elsewhere.
    MeanSquaredError,
}

impl Metric {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Accuracy, Self::Top5, Self::CrossEntropy, Self::MeanSquaredError];

    /// Whether a network is the better, the higher it is; losses fall.
    pub fn higher_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::Top5)
    }

    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Top5 => "top5",
            Self::CrossEntropy => "cross-entropy",
            Self::MeanSquaredError => "mse",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| "expected accuracy, top5, cross-entropy or mse".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        for wrong in ["", "Accuracy", "top-5", "MSE"] {
            assert!(wrong.parse::<Metric>().is_err(), "{wrong}");
        }
    }
}
