//! Bits to values.

use fearless_simd::{Level, dispatch};

use super::Float;

/// Little-endian elements of `float` (any but [`Float::F64`]) as f32, exactly.
pub(crate) fn to_f32(float: Float, bytes: &[u8], out: &mut [f32]) {
    match float {
        Float::F32 | Float::F64 => copy_f32(bytes, out),
        Float::BF16 => widen_bf16(bytes, out),
        Float::F16 => widen_f16(bytes, out),
        Float::E4M3 | Float::E5M2 => {
            let table = table(float);
            out.iter_mut().zip(bytes).for_each(|(x, b)| *x = table[usize::from(*b)]);
        }
    }
}

fn copy_f32(bytes: &[u8], out: &mut [f32]) {
    out.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = f32::from_le_bytes(*b));
}

fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    #[inline(always)]
    fn widen(bytes: &[u8], out: &mut [f32]) {
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = bf16(*b));
    }
    dispatch!(Level::new(), _ => widen(bytes, out))
}

fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    #[inline(always)]
    fn widen(bytes: &[u8], out: &mut [f32]) {
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = f16(*b));
    }
    dispatch!(Level::new(), _ => widen(bytes, out))
}

/// The value of a BF16.
#[inline(always)]
pub(crate) fn bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// The value of an F16. Exponent and mantissa moved to where f32 has them, then multiplied by what the exponents' biases differ
/// by, which is exact and makes subnormals normal. Inf and NaN get the largest exponent.
#[inline(always)]
pub(crate) fn f16(bytes: [u8; 2]) -> f32 {
    const BIAS: f32 = f32::from_bits((127 + 112) << 23); // 2^112
    let bits = u32::from(u16::from_le_bytes(bytes));
    let magnitude = bits & 0x7fff;
    let widened = (f32::from_bits(magnitude << 13) * BIAS).to_bits();
    let special = if magnitude >= 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(widened | special | (bits & 0x8000) << 16)
}

/// Little-endian F64 elements.
pub(crate) fn to_f64(bytes: &[u8], out: &mut [f64]) {
    out.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, b)| *x = f64::from_le_bytes(*b));
}

/// The value of every byte of an 8-bit format.
pub(crate) fn table(float: Float) -> &'static [f32; 256] {
    const E4M3: [f32; 256] = eight_bit(3, 7, false);
    const E5M2: [f32; 256] = eight_bit(2, 15, true);
    if float == Float::E5M2 { &E5M2 } else { &E4M3 }
}

const fn eight_bit(mantissa_bits: u32, bias: i32, has_infinity: bool) -> [f32; 256] {
    let mut out = [0.0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let magnitude = byte & 0x7f;
        let mantissa = magnitude & ((1 << mantissa_bits) - 1);
        let exponent = (magnitude >> mantissa_bits) as i32;
        let top = exponent == (0x7f >> mantissa_bits);
        // Scaled by 2^(23 − mantissa_bits), a subnormal's mantissa is an ordinary f32 once its leading bit is found.
        let value = if top && has_infinity {
            if mantissa == 0 { f32::INFINITY } else { f32::NAN }
        } else if magnitude == 0x7f {
            f32::NAN
        } else if exponent == 0 {
            mantissa as f32 * power_of_two(1 - bias - mantissa_bits as i32)
        } else {
            ((1 << mantissa_bits) + mantissa) as f32 * power_of_two(exponent - bias - mantissa_bits as i32)
        };
        out[byte as usize] = if byte > 0x7f { -value } else { value };
        byte += 1;
    }
    out
}

const fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_widen_exactly() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&bits);
        let mut out = vec![0.0; bits.len()];
        to_f32(Float::F16, bytes, &mut out);
        for (x, b) in out.iter().zip(&bits) {
            let want = half::f16::from_bits(*b).to_f32();
            assert!(x.to_bits() == want.to_bits() || (x.is_nan() && want.is_nan()), "{b:#x}");
        }
        to_f32(Float::BF16, bytes, &mut out);
        for (x, b) in out.iter().zip(&bits) {
            assert_eq!(x.to_bits(), u32::from(*b) << 16);
        }
        // An odd address.
        let mut shifted = vec![0u8];
        shifted.extend_from_slice(bytes);
        let mut again = vec![0.0; bits.len()];
        to_f32(Float::F16, &shifted[1..], &mut again);
        to_f32(Float::F16, bytes, &mut out);
        assert!(out.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan()));
    }

    /// Landmarks of the OCP 8-bit formats specification, table 1.
    #[test]
    fn eight_bits() {
        let e4m3 = |b: u8| table(Float::E4M3)[usize::from(b)];
        assert_eq!((e4m3(0x01), e4m3(0x07), e4m3(0x08)), (2f32.powi(-9), 0.875 * 2f32.powi(-6), 2f32.powi(-6)));
        assert_eq!((e4m3(0x38), e4m3(0x7e), e4m3(0xfe), e4m3(0x78)), (1.0, 448.0, -448.0, 256.0));
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan() && e4m3(0x80).to_bits() == 0x8000_0000);
        let e5m2 = |b: u8| table(Float::E5M2)[usize::from(b)];
        assert_eq!((e5m2(0x01), e5m2(0x03), e5m2(0x04)), (2f32.powi(-16), 0.75 * 2f32.powi(-14), 2f32.powi(-14)));
        assert_eq!((e5m2(0x3c), e5m2(0x7b), e5m2(0x7c), e5m2(0xfc)), (1.0, 57344.0, f32::INFINITY, f32::NEG_INFINITY));
        assert!((0x7d..=0x7f).chain(0xfd..=0xff).all(|b| e5m2(b).is_nan()));
        assert_eq!(table(Float::E4M3).iter().filter(|x| x.is_nan()).count(), 2);
    }
}
