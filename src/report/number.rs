//! Numbers as a person reads them. What a program reads has its own writers.

/// What stands for an undefined value.
pub(super) const UNDEFINED: &str = "–";

/// Four significant digits: fixed for everyday sizes, scientific beyond.
pub(super) fn real(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return UNDEFINED.to_owned() };
    if value == 0.0 {
        return "0".to_owned();
    }
    // Round first: 0.0099999 is 0.01000, and 99999.9 no longer fits five digits.
    let scientific = format!("{value:.3e}");
    let exponent: i32 = scientific.rsplit('e').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    match exponent {
        -2..=3 => format!("{value:.*}", usize::try_from(3 - exponent).unwrap_or(0)),
        4 => format!("{value:.0}"),
        _ => scientific,
    }
}

/// Three decimals, for the dimensionless skewness and kurtosis: they line up at the point.
pub(super) fn shape_measure(value: Option<f64>) -> String {
    match value {
        Some(v) if v.is_finite() && v.abs() < 999.9995 => {
            let text = format!("{v:.3}");
            if text == "-0.000" { "0.000".to_owned() } else { text }
        }
        _ => real(value),
    }
}

/// Exact below ten thousand, else three digits and a unit: `16.8M`.
pub(super) fn count(value: u64) -> String {
    if value < 10_000 {
        return value.to_string();
    }
    scaled(value as f64, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
}

/// Bytes in powers of a thousand, three digits: `16.1 GB`.
pub fn bytes(value: u64) -> String {
    scaled(value as f64, 1000.0, &[" B", " kB", " MB", " GB", " TB", " PB", " EB"])
}

/// Bytes in powers of 1024, three digits: `2.00 GiB`.
pub fn bytes_binary(value: u64) -> String {
    scaled(value as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// Three significant digits and the unit that keeps them below `step`.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would print as 1000.
    while value >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{}", units[unit])
}

/// A share as per cent; 0% and 100% only where it is exactly that.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return UNDEFINED.to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    if part == 0 {
        "0%".to_owned()
    } else if part == whole {
        "100%".to_owned()
    } else if share < 0.01 {
        "<0.01%".to_owned()
    } else if share < 9.995 {
        format!("{share:.2}%")
    } else if share < 99.95 {
        format!("{share:.1}%")
    } else {
        ">99.9%".to_owned()
    }
}

/// Digits in groups of three: `8,030,261,248`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `64×3×3×3`.
pub(super) fn shape(dimensions: &[u64]) -> String {
    if dimensions.is_empty() {
        return "scalar".to_owned();
    }
    dimensions.iter().map(u64::to_string).collect::<Vec<_>>().join("×")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1.000"),
            (-0.012345, "-0.01235"),
            (0.0099999, "0.01000"),
            (0.001234, "1.234e-3"),
            (-1.23456e-12, "-1.235e-12"),
            (9999.96, "10000"),
            (12345.6, "12346"),
            (99999.9, "1.000e5"),
            (5e-324, "4.941e-324"),
            (f64::MAX, "1.798e308"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(real(Some(value)), text, "{value:e}");
        }
        assert_eq!(real(None), "–");
    }

    #[test]
    fn shape_measures() {
        for (value, text) in [
            (0.0, "0.000"),
            (-0.0001, "0.000"),
            (-1.2, "-1.200"),
            (123.4567, "123.457"),
            (1234.5, "1234"),
            (2e9, "2.000e9"),
        ] {
            assert_eq!(shape_measure(Some(value)), text);
        }
        assert_eq!(shape_measure(None), "–");
    }

    #[test]
    fn counts_bytes_and_digits() {
        for (value, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (16_777_216, "16.8M"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(count(value), text);
        }
        assert_eq!((bytes(999), bytes(16_060_522_496)), ("999 B".to_owned(), "16.1 GB".to_owned()));
        assert_eq!((bytes_binary(1 << 31), bytes_binary(32 << 10)), ("2.00 GiB".to_owned(), "32.0 KiB".to_owned()));
        assert_eq!((grouped(0), grouped(123), grouped(1_234_567)), ("0".into(), "123".into(), "1,234,567".into()));
    }

    #[test]
    fn shares() {
        for (part, whole, text) in [
            (0, 0, "–"),
            (0, 9, "0%"),
            (9, 9, "100%"),
            (1, 1_000_000, "<0.01%"),
            (1, 100, "1.00%"),
            (1, 2, "50.0%"),
            (999_999, 1_000_000, ">99.9%"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }

    #[test]
    fn shapes() {
        assert_eq!((shape(&[]), shape(&[64, 3, 3, 3])), ("scalar".to_owned(), "64×3×3×3".to_owned()));
    }
}
