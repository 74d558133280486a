//! Numbers as a page carries them: short.

/// The digits of packed numbers.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// So many significant digits; `None` where there is none to show.
pub(super) fn short(value: Option<f64>, digits: usize) -> Option<f64> {
    let value = value.filter(|value| value.is_finite())?;
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().ok()?;
    // The largest number may round up to none.
    Some(if rounded.is_finite() { rounded } else { value })
}

/// So many digits of `scale`, however large the value is beside it: of a mean beside σ, of an edge beside its range.
pub(super) fn short_beside(value: Option<f64>, scale: f64, digits: usize) -> Option<f64> {
    let size = value.filter(|value| value.is_finite())?.abs();
    let more = (size / scale).log10().ceil();
    // NaN and negative numbers become 0.
    short(value, digits + (more as usize).min(17))
}

/// Counts as `width` digits of 64 each, on a logarithmic scale from 0 to the largest, which comes with them: two digits keep
/// a count to some thousandth of itself, one to some tenth.
pub(super) fn counts(counts: &[f64], width: u32) -> (String, f64) {
    let most = counts.iter().copied().fold(0.0, f64::max);
    let levels = f64::from(64u32.pow(width) - 1);
    let mut text = String::with_capacity(counts.len() * width as usize);
    for count in counts {
        let share = if most > 0.0 { count.max(0.0).ln_1p() / most.ln_1p() } else { 0.0 };
        // What there is at all shows.
        let least = if *count > 0.0 { 1.0 } else { 0.0 };
        push(&mut text, (share * levels).round().max(least) as u32, width);
    }
    (text, most.round())
}

/// Shares of the largest as one digit each, from 0 to 63; the largest comes with them.
pub(super) fn shares(values: &[Option<f64>]) -> (String, f64) {
    let most = values.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let mut text = String::with_capacity(values.len());
    for value in values {
        let share = value.filter(|_| most > 0.0).map_or(0.0, |value| value.max(0.0) / most);
        push(&mut text, (share * 63.0).round() as u32, 1);
    }
    (text, most)
}

fn push(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(DIGITS[(number >> (6 * place) & 63) as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(text: &str, most: f64, width: usize) -> Vec<f64> {
        let digit = |b: &u8| DIGITS.iter().position(|d| d == b).unwrap() as u32;
        let levels = f64::from(64u32.pow(width as u32) - 1);
        let number = |part: &[u8]| part.iter().fold(0, |sum, b| sum * 64 + digit(b));
        text.as_bytes().chunks(width).map(|p| (f64::from(number(p)) / levels * most.ln_1p()).exp_m1()).collect()
    }

    #[test]
    fn counts_come_back() {
        let wanted = [0.0, 1.0, 2.0, 17.5, 1e3, 123_456.0, 3e9];
        let (text, most) = counts(&wanted, 2);
        for (found, want) in unpacked(&text, most, 2).into_iter().zip(wanted) {
            assert!((found - want).abs() <= 0.006 * want.max(1.0), "{found} {want}");
        }
        let (text, most) = counts(&wanted, 1);
        for (found, want) in unpacked(&text, most, 1).into_iter().zip(wanted) {
            assert!((found - want).abs() <= 0.3 * want.max(1.0), "{found} {want}");
        }
        assert_eq!(counts(&[0.0, 0.0], 2), ("0000".to_owned(), 0.0));
        assert_eq!(counts(&[1e-3, 1e12], 1).0, "1_", "what there is shows");
    }

    #[test]
    fn numbers_and_shares() {
        assert_eq!((short(Some(0.123_456_789), 5), short(Some(-98_768.0), 4)), (Some(0.12346), Some(-98_770.0)));
        assert_eq!((short(Some(f64::NAN), 5), short(None, 5), short(Some(0.0), 5)), (None, None, Some(0.0)));
        assert_eq!(short(Some(f64::MAX), 4), Some(f64::MAX));
        assert_eq!(short_beside(Some(100.000_123_4), 1e-4, 3), Some(100.000_123_4));
        assert_eq!((short_beside(Some(1.0), 0.0, 3), short_beside(Some(0.012_345), 1.0, 3)), (Some(1.0), Some(0.0123)));
        assert_eq!(shares(&[Some(0.0), Some(2.0), Some(1.0), None]), ("0_W0".to_owned(), 2.0));
        assert_eq!(shares(&[]), (String::new(), 0.0));
    }
}
