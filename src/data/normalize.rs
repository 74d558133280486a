//! How a normalization is written.

use std::str::FromStr;

use super::Normalize;

impl FromStr for Normalize {
    type Err = String;

    /// Means, then as many deviations: `0.1307,0.3081`, or of three channels `0.485,0.456,0.406,0.229,0.224,0.225`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected means, then as many deviations above 0: 0.1307,0.3081 or 0.485,0.456,0.406,0.229,0.224,0.225"
                .to_owned()
        };
        let number = |text: &str| text.trim().parse::<f32>().ok().filter(|x| x.is_finite()).ok_or_else(wrong);
        let mut mean = text.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        if !mean.len().is_multiple_of(2) {
            return Err(wrong());
        }
        let std = mean.split_off(mean.len() / 2);
        if std.iter().any(|&std| std <= 0.0) {
            return Err(wrong());
        }
        Ok(Self { mean, std })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let one = Normalize { mean: vec![0.1307], std: vec![0.3081] };
        assert_eq!("0.1307,0.3081".parse(), Ok(one.clone()));
        assert_eq!(" 0.1307, 0.3081 ".parse(), Ok(one));
        assert_eq!("1,-2,3,4".parse(), Ok(Normalize { mean: vec![1.0, -2.0], std: vec![3.0, 4.0] }));
        for wrong in ["", ",", "1", "1,2,3", "1,0", "1,-1", "nan,1", "1,inf", "a,b", "1;2"] {
            assert!(wrong.parse::<Normalize>().is_err(), "{wrong}");
        }
    }
}
