//! Sizes, times and rates, as they are written on the command line.

use std::num::NonZeroUsize;
use std::time::Duration;

/// A size in bytes: `1073741824`, `256MiB`, `1.5GiB`, `64MB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let wrong = || "expected a size such as 256MiB, 1GiB, 64MB or a number of bytes".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.to_ascii_lowercase();
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    if !is_decimal(digits) {
        return Err(wrong());
    }
    let too_large = || "larger than any memory".to_owned();
    if digits.contains('.') {
        let bytes = digits.parse::<f64>().map_err(|_| wrong())? * scale as f64;
        // 2^63 and above would lose the last digits.
        return if bytes < 9e18 { Ok(bytes.round() as u64) } else { Err(too_large()) };
    }
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(scale)).ok_or_else(too_large)
}

/// A size for `--memory`: at least what every path works within.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes < secateur::stats::Options::MIN_MEMORY_BYTES {
        return Err("less than 64MiB, the least to work with".to_owned());
    }
    Ok(bytes)
}

/// A time: `90s`, `10m`, `1.5h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 10m or 2h".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<f64>().ok().filter(|_| is_decimal(digits)).ok_or_else(wrong)? * scale;
    // Ten years: beyond, it may not fit.
    if seconds > 0.0 && seconds < 3e8 { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

/// A share between 0 and 1: `0.5` or `50%`.
pub(crate) use secateur::prune::parse_rate as rate;

/// Digits with at most one point among them: no sign, no exponent.
fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().filter(|&byte| byte == b'.').count() <= 1
}

/// A number of inputs at a time.
pub(crate) fn batch(text: &str) -> Result<NonZeroUsize, String> {
    let within = |batch: &NonZeroUsize| batch.get() <= 1 << 20;
    text.parse().ok().filter(within).ok_or_else(|| "expected a number between 1 and 1048576".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("123", 123),
            ("64MB", 64_000_000),
            ("256MiB", 256 << 20),
            ("256mib", 256 << 20),
            ("1GiB", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("2TiB", 2 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "+1",
            "1e9",
            "1.2.3GiB",
            ".",
            "1G",
            "1GiB2",
            "99999999TiB",
            "inf",
            "0x10",
            "1 ",
            "1 GiB",
            "٣",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(memory("63MiB").is_err() && memory("64MiB").is_ok());
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), (".5s", 0.5), ("250ms", 0.25)] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "s", "10", "-1s", "0s", "1d", "1e3s", "infs", "1 m", "9999999999h", "5µ"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, share) in [
            ("0", 0.0),
            ("1", 1.0),
            ("0.5", 0.5),
            (".5", 0.5),
            ("50%", 0.5),
            ("99.9%", 0.999),
            ("100%", 1.0),
            ("0.01%", 1e-4),
        ] {
            assert_eq!(rate(text), Ok(share), "{text}");
        }
        for text in ["", "%", "-0", "+0.5", "1.01", "101%", "nan", "inf", "1e-3", "0,5", "50 %", "5%%"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
