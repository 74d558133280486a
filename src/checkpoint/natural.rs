//! The order in which people count layers.

use std::cmp::Ordering;

/// Compares two names so that `layers.2` comes before `layers.10`.
///
/// A run of ASCII digits compares as one number, of any length; everything else byte by byte. Names that differ
/// only in leading zeros compare by their bytes, so that the order is total: `Equal` means the same name.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(&p), Some(&q)) = (x.first(), y.first()) {
        let order = if p.is_ascii_digit() && q.is_ascii_digit() {
            // Without leading zeros the longer number is the larger one.
            let (m, n) = (take_number(&mut x), take_number(&mut y));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (&x[1..], &y[1..]);
            p.cmp(&q)
        };
        if order.is_ne() {
            return order;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Removes the digits `bytes` starts with and returns them without leading zeros.
fn take_number<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let end = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    *bytes = rest;
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count_and_ties_fall_back_to_bytes() {
        let long = format!("a.{}", "9".repeat(400));
        let longer = format!("a.1{}", "0".repeat(400));
        let ascending = [
            "", "a", "a.", "a.0", "a.00", "a.1", "a.01", "a.001", "a.1.b", "a.2", "a.9x", "a.10", "a.010", "a.10.b",
            &long, &longer, "a.b", "a10", "b1", "é2", "é10",
        ];
        let mut seen: Vec<&str> = ascending.to_vec();
        seen.reverse();
        seen.sort_by(|a, b| compare(a, b));
        // 1 == 01 == 001 as numbers: what follows decides before the zeros do.
        let expected = [
            "", "a", "a.", "a.0", "a.00", "a.001", "a.01", "a.1", "a.1.b", "a.2", "a.9x", "a.010", "a.10", "a.10.b",
            &long, &longer, "a.b", "a10", "b1", "é2", "é10",
        ];
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn the_order_is_total(names in proptest::collection::vec("[a.0-2]{0,6}", 3)) {
            let (a, b, c) = (&names[0], &names[1], &names[2]);
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, b).is_eq(), a == b);
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le(), "{a} {b} {c}");
            }
        }
    }
}
