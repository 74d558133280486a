//! Normalising, as it is written on the command line.

use std::str::FromStr;

use super::Normalize;

impl FromStr for Normalize {
    type Err = String;

    /// Means, then deviations, with commas between: `0.1307,0.3081`, or three of each for three channels.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected means, then as many deviations above 0: 0.1307,0.3081, or 0.485,0.456,0.406,0.229,0.224,0.225"
                .to_owned()
        };
        let number = |text: &str| text.trim().parse().ok().filter(|value: &f32| value.is_finite());
        let values: Vec<f32> = text.split(',').map(number).collect::<Option<_>>().ok_or_else(wrong)?;
        let (mean, std) = values.split_at(values.len() / 2);
        if mean.len() != std.len() || !std.iter().all(|&value| value > 0.0) {
            return Err(wrong());
        }
        Ok(Self { mean: mean.to_vec(), std: std.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_are_means() {
        let found: Normalize = "0.5, 1,0.25,2".parse().unwrap();
        assert_eq!(found, Normalize { mean: vec![0.5, 1.0], std: vec![0.25, 2.0] });
        for wrong in ["", "1", "1,2,3", "0,0", "1,-1", "1,nan", "1;2", "1,,"] {
            assert!(wrong.parse::<Normalize>().is_err(), "{wrong}");
        }
    }
}
