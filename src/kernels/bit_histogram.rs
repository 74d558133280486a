//! Counts of digits of the weights' bits: exact histograms of 8- and 16-bit weights, and one level of a radix
//! selection for wider ones.

use crate::Float;
use crate::order::for_each_bits;
use crate::scan::{DIGIT_VALUES, Digits};

/// Calls `each` with the upper 16 bits of every weight, or with all of narrower ones.
#[inline(always)]
pub(crate) fn upper_bits(float: Float, bytes: &[u8], mut each: impl FnMut(u16)) {
    // Whole words are loaded: fewer loads stand beside the stores of whoever counts, which is a fifth faster.
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    match float.bytes() {
        1 => bytes.iter().for_each(|b| each((*b).into())),
        2 => {
            words.for_each(|word| (0..4).for_each(|i| each((word >> (16 * i)) as u16)));
            rest.as_chunks().0.iter().for_each(|b| each(u16::from_le_bytes(*b)));
        }
        4 => {
            words.for_each(|word| (0..2).for_each(|i| each((word >> (32 * i + 16)) as u16)));
            rest.as_chunks().0.iter().for_each(|b| each((u32::from_le_bytes(*b) >> 16) as u16));
        }
        _ => words.for_each(|word| each((word >> 48) as u16)),
    }
}

/// Where a digit is in the bits of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digit {
    /// Bits below it.
    pub(crate) shift: u32,
    /// All ones, as many as it has bits.
    pub(crate) mask: u64,
}

impl Digit {
    /// The digit of `level` in weights of `bits` bits: 16 bits wide, or all of an 8-bit weight.
    pub(crate) fn new(bits: u32, level: u32) -> Self {
        Self { shift: bits.saturating_sub(16 * (level + 1)), mask: (1u64 << bits.min(16)) - 1 }
    }

    /// The bits above the digit.
    pub(crate) fn prefix(self, bits: u64) -> u64 {
        bits.checked_shr(self.shift + 16).unwrap_or(0)
    }
}

/// The CPU twin: adds the digits of `bytes` to `counts`, a table of [`DIGIT_VALUES`] for each prefix.
pub(crate) fn count_digits(float: Float, bytes: &[u8], digits: &Digits, counts: &mut [u64]) {
    if digits.widen && float == Float::F32 {
        let digit = Digit::new(64, digits.level);
        for_each_bits(float, bytes, |bits| {
            count_one(f64::from(f32::from_bits(bits as u32)).to_bits(), digit, digits, counts);
        });
        return;
    }
    let digit = Digit::new(float.bits(), digits.level);
    if digits.level == 0 {
        // One table, whose length the compiler knows: no bounds checks.
        if let Some(table) = counts.first_chunk_mut::<DIGIT_VALUES>() {
            for_each_bits(float, bytes, |bits| table[(bits >> digit.shift) as usize & (DIGIT_VALUES - 1)] += 1);
        }
    } else {
        for_each_bits(float, bytes, |bits| count_one(bits, digit, digits, counts));
    }
}

#[inline(always)]
fn count_one(bits: u64, digit: Digit, digits: &Digits, counts: &mut [u64]) {
    if let Ok(table) = digits.prefixes.binary_search(&digit.prefix(bits)) {
        counts[table * DIGIT_VALUES + (bits >> digit.shift & digit.mask) as usize] += 1;
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str =
        concat!(include_str!("../../shaders/shared/decode.wgsl"), include_str!("../../shaders/bit_histogram.wgsl"));

    /// The kernel for a format and a level.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, level: u32) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("bit_histogram", SOURCE, &[format_constant(float), ("LEVEL", level)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn digits_rebuild_the_bits() {
        let words: Vec<u64> = (0..5_000u64).map(|i| (i % 700).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        for float in Float::ALL {
            let mut want = BTreeMap::new();
            for_each_bits(float, bytes, |bits| *want.entry(bits).or_insert(0u64) += 1);
            let levels = float.bits().div_ceil(16);
            let mut prefixes = vec![0];
            for level in 0..levels {
                let digits = Digits { level, prefixes: &prefixes, widen: false };
                let mut counts = vec![0; prefixes.len() * DIGIT_VALUES];
                count_digits(float, bytes, &digits, &mut counts);
                assert_eq!(counts.iter().sum::<u64>(), want.values().sum::<u64>(), "{float:?}");
                let found = counts.iter().enumerate().filter(|(_, n)| **n > 0);
                let digit_bits = float.bits().min(16);
                let found: BTreeMap<u64, u64> = found
                    .map(|(i, n)| (prefixes[i / DIGIT_VALUES] << digit_bits | (i % DIGIT_VALUES) as u64, *n))
                    .collect();
                if level + 1 == levels {
                    assert_eq!(found, want, "{float:?}");
                }
                prefixes = found.into_keys().collect();
            }
        }
    }

    #[test]
    fn f32_widened_counts_as_f64() {
        let narrow: Vec<f32> = (0..1_000).map(|i| (i as f32 - 500.0) * 1.1e-40).collect();
        let wide: Vec<f64> = narrow.iter().map(|x| f64::from(*x)).collect();
        let (mut a, mut b) = (vec![0; DIGIT_VALUES], vec![0; DIGIT_VALUES]);
        let digits = Digits { level: 0, prefixes: &[0], widen: true };
        count_digits(Float::F32, bytemuck::cast_slice(&narrow), &digits, &mut a);
        count_digits(Float::F64, bytemuck::cast_slice(&wide), &digits, &mut b);
        assert_eq!(a, b);
    }
}
