//! Counts of digits of magnitudes: one level of a radix selection of |w|.

use fearless_simd::{Level, dispatch};

use crate::Float;
use crate::order::for_each_bits;

/// Values of one digit.
pub(crate) const VALUES: usize = 1 << 16;

/// The CPU twin: adds to `counts`, which has [`VALUES`], the digits of `level` (0 for the upper 16 bits, without the
/// sign; all bits of narrower weights) of those magnitudes whose bits above the digit are `prefix`.
pub(crate) fn count_magnitudes(float: Float, bytes: &[u8], level: u32, prefix: u64, counts: &mut [u32; VALUES]) {
    // Shifts that the compiler knows: nothing is loaded but weights and counts.
    match (float.bytes(), level) {
        (1, _) => bytes.iter().for_each(|b| counts[usize::from(b & 0x7f)] += 1),
        (2, _) => bytes.as_chunks().0.iter().for_each(|b| counts[usize::from(u16::from_le_bytes(*b) & 0x7fff)] += 1),
        (4, 0) => {
            let digit = |b: &[u8; 4]| (u32::from_le_bytes(*b) >> 16 & 0x7fff) as usize;
            bytes.as_chunks().0.iter().for_each(|b| counts[digit(b)] += 1);
        }
        _ => count_under_prefix(float, bytes, level, prefix, counts),
    }
}

fn count_under_prefix(float: Float, bytes: &[u8], level: u32, prefix: u64, counts: &mut [u32; VALUES]) {
    let shift = float.bits().saturating_sub(16 * (level + 1));
    dispatch!(Level::new(), _ => for_each_bits(float, bytes, |x| {
        let magnitude = float.magnitude(x);
        if magnitude >> shift >> 16 == prefix {
            counts[(magnitude >> shift) as usize & (VALUES - 1)] += 1;
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn digits_rebuild_the_magnitudes() {
        let words: Vec<u64> = (0..5_000u64).map(|i| (i % 700).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        for float in Float::ALL {
            let mut want = BTreeMap::new();
            for_each_bits(float, bytes, |x| *want.entry(float.magnitude(x)).or_insert(0u32) += 1);
            let mut prefixes = vec![0];
            for level in 0..float.bits().div_ceil(16) {
                let mut found = BTreeMap::new();
                for prefix in prefixes {
                    let mut counts = Box::new([0; VALUES]);
                    count_magnitudes(float, bytes, level, prefix, &mut counts);
                    let values = (0..).zip(*counts).filter(|(_, n)| *n > 0);
                    found.extend(values.map(|(digit, n): (u64, u32)| (prefix << 16 | digit, n)));
                }
                assert_eq!(found.values().sum::<u32>(), want.values().sum::<u32>(), "{float:?}");
                prefixes = found.keys().copied().collect();
                if level + 1 == float.bits().div_ceil(16) {
                    assert_eq!(found, want, "{float:?}");
                }
            }
        }
    }
}
