//! The order of floating values as an order of integers.
//!
//! A weight's key is its bits, turned so that keys compare as the values do. Everything exact (quantiles, histograms)
//! is decided on keys: no comparison of floats, no rounding, the same on every engine.

use crate::Float;
use crate::float::table;

impl Float {
    /// Bits of one element.
    pub(crate) const fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// The sign bit.
    pub(crate) const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }

    /// Bits of a magnitude from which on it is inf or NaN.
    pub(crate) const fn non_finite(self) -> u64 {
        match self {
            Self::F64 => 0x7ff0_0000_0000_0000,
            Self::F32 => 0x7f80_0000,
            Self::F16 => 0x7c00,
            Self::BF16 => 0x7f80,
            Self::E4M3 => 0x7f,
            Self::E5M2 => 0x7c,
        }
    }

    /// The magnitude, as bits, beyond which there is NaN alone: inf, or the largest finite one where there is no inf.
    pub(crate) const fn largest_magnitude(self) -> u64 {
        match self {
            Self::E4M3 => self.non_finite() - 1,
            _ => self.non_finite(),
        }
    }

    /// The bits of |w|.
    pub(crate) const fn magnitude(self, bits: u64) -> u64 {
        bits & (self.sign() - 1)
    }

    /// Whether `bits` are those of a finite value.
    pub(crate) const fn is_finite(self, bits: u64) -> bool {
        bits & (self.sign() - 1) < self.non_finite()
    }

    /// The value of `bits`.
    pub(crate) fn value(self, bits: u64) -> f64 {
        match self {
            Self::F64 => f64::from_bits(bits),
            Self::F32 => f32::from_bits(bits as u32).into(),
            Self::F16 => half::f16::from_bits(bits as u16).to_f64(),
            Self::BF16 => f32::from_bits((bits as u32) << 16).into(),
            Self::E4M3 | Self::E5M2 => table(self)[bits as usize & 0xff].into(),
        }
    }

    /// The key of `bits`: keys order as values, −0 just before 0.
    pub(crate) const fn key(self, bits: u64) -> u64 {
        let sign = self.sign();
        if bits & sign == 0 { bits | sign } else { !bits & (sign | (sign - 1)) }
    }

    /// The bits of a key.
    pub(crate) const fn key_bits(self, key: u64) -> u64 {
        let sign = self.sign();
        if key & sign == 0 { !key & (sign | (sign - 1)) } else { key & !sign }
    }

    /// The value of a key, or of a magnitude's bits.
    pub(crate) fn key_value(self, key: u64, magnitude: bool) -> f64 {
        self.value(if magnitude { key } else { self.key_bits(key) })
    }

    /// Keys of the finite values, or the bits of the non-zero finite magnitudes.
    pub(crate) const fn key_range(self, magnitude: bool) -> std::ops::Range<u64> {
        let limit = self.non_finite();
        if magnitude { 1..limit } else { self.key(self.sign() | (limit - 1))..self.key(limit - 1) + 1 }
    }

    /// The first key in range whose value is accepted by `reached`, which must stay true once it is.
    pub(crate) fn first_key(self, magnitude: bool, reached: impl Fn(f64) -> bool) -> u64 {
        let range = self.key_range(magnitude);
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if reached(self.key_value(middle, magnitude)) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

/// Calls `each` with the bits of every element.
#[inline(always)]
pub(crate) fn for_each_bits(float: Float, bytes: &[u8], mut each: impl FnMut(u64)) {
    match float.bytes() {
        1 => bytes.iter().for_each(|b| each(u64::from(*b))),
        2 => bytes.as_chunks().0.iter().for_each(|b| each(u64::from(u16::from_le_bytes(*b)))),
        4 => bytes.as_chunks().0.iter().for_each(|b| each(u64::from(u32::from_le_bytes(*b)))),
        _ => bytes.as_chunks().0.iter().for_each(|b| each(u64::from_le_bytes(*b))),
    }
}

/// The bits of element `i`.
#[inline(always)]
pub(crate) fn bits_at(float: Float, bytes: &[u8], i: usize) -> u64 {
    let width = float.bytes();
    let mut word = [0; 8];
    word[..width].copy_from_slice(&bytes[i * width..][..width]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_values() {
        for float in Float::ALL {
            let samples: Vec<u64> = if float.bits() <= 16 {
                (0..1 << float.bits()).collect()
            } else {
                let step = (1u128 << float.bits()) / 65_521;
                (0..65_521).map(|i| (i * step) as u64).chain([0, float.sign()]).collect()
            };
            let mut finite: Vec<u64> = samples.into_iter().filter(|b| float.is_finite(*b)).collect();
            assert!(finite.iter().all(|b| float.value(*b).is_finite() && float.key_bits(float.key(*b)) == *b));
            finite.sort_by_key(|b| float.key(*b));
            assert!(finite.is_sorted_by(|a, b| float.value(*a) <= float.value(*b)), "{float:?}");
            let range = float.key_range(false);
            assert!(finite.iter().all(|b| range.contains(&float.key(*b))));
            assert!(!float.value(float.non_finite()).is_finite());
        }
    }

    #[test]
    fn the_first_key_that_reaches_a_value() {
        for float in Float::ALL {
            let key = float.first_key(false, |x| x >= 0.0);
            assert_eq!(float.key_bits(key), float.sign(), "−0 is the first value that is at least 0");
            let key = float.first_key(false, |x| x > 1.0);
            assert!(float.key_value(key, false) > 1.0 && float.key_value(key - 1, false) == 1.0);
            assert_eq!(float.first_key(true, |x| x >= 0.0), 1, "zero is no magnitude");
            assert_eq!(float.first_key(false, |_| false), float.key_range(false).end);
        }
    }
}
