//! How much is cut at each of several steps.

use std::fmt;
use std::str::FromStr;

/// How the rate grows over the steps, from nothing to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Everything at the first step.
    #[default]
    OneShot,
    /// The same share at each step.
    Linear,
    /// Much at first, little at the end: target·(1 − (1 − step/steps)³), as in Zhu & Gupta, "To prune, or not to prune"
    /// (arXiv:1710.01878), from 0.
    Cubic,
}

impl Schedule {
    /// Every schedule.
    pub const ALL: [Self; 3] = [Self::OneShot, Self::Linear, Self::Cubic];

    /// The rate after step `step` of 1..=`steps`; exactly `target` at the last and beyond, 0 before the first.
    ///
    /// ```
    /// use secateur::prune::Schedule;
    ///
    /// assert_eq!(Schedule::Cubic.rate(0.8, 1, 2), 0.8 * 0.875);
    /// ```
    pub fn rate(self, target: f64, step: u32, steps: u32) -> f64 {
        if step == 0 {
            return 0.0;
        }
        if step >= steps {
            return target;
        }
        let done = f64::from(step) / f64::from(steps);
        let left = 1.0 - done;
        match self {
            Self::OneShot => target,
            Self::Linear => target * done,
            Self::Cubic => target * (1.0 - left * left * left),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneShot => "one-shot",
            Self::Linear => "linear",
            Self::Cubic => "cubic",
        })
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|schedule| schedule.to_string() == text);
        named.ok_or_else(|| "expected one-shot, linear or cubic".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        assert!("oneshot".parse::<Schedule>().is_err() && "Cubic".parse::<Schedule>().is_err());
    }

    #[test]
    fn rates() {
        for (schedule, expected) in [
            (Schedule::OneShot, [0.0, 0.64, 0.64, 0.64, 0.64, 0.64]),
            (Schedule::Linear, [0.0, 0.16, 0.32, 0.48, 0.64, 0.64]),
            (Schedule::Cubic, [0.0, 0.37, 0.56, 0.63, 0.64, 0.64]),
        ] {
            let found: Vec<f64> = (0..6).map(|step| schedule.rate(0.64, step, 4)).collect();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{schedule}: {found:?}");
            assert_eq!((schedule.rate(0.3, 1, 1), schedule.rate(0.3, 1, 0)), (0.3, 0.3));
        }
    }

    #[test]
    fn never_falls_and_ends_at_the_target() {
        for schedule in Schedule::ALL {
            let rates: Vec<f64> = (0..=1000).map(|step| schedule.rate(0.97, step, 1000)).collect();
            assert!(rates.is_sorted() && rates[1000] == 0.97, "{schedule}");
        }
    }
}
