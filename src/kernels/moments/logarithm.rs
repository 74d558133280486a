//! Moments of logarithms, and the logarithm they are of: vectorised, and the same bits on every processor.

use fearless_simd::{Level, dispatch};

use super::twin::{BLOCK, block_f64, fold};
use crate::stats::Moments;

/// The moments of ln|x| over the non-zero `values`; `zeros` counts those left out.
pub(crate) fn log_moments<T: Copy + Into<f64>>(values: &[T]) -> Moments {
    fold(values, |block| {
        let mut logs = [0.0; BLOCK];
        let mut kept = 0;
        for &x in block {
            logs[kept] = x.into().abs();
            kept += usize::from(logs[kept] != 0.0);
        }
        ln(&mut logs[..kept]);
        let zeros = (block.len() - kept) as u64;
        let of_logs = block_f64(&logs[..kept]);
        Moments { count: block.len() as u64, zeros, ..of_logs }
    })
}

/// ln of positive finite values, to a few units in the last place: 2 atanh((m − 1)/(m + 1)) of the mantissa m in [√½, √2), by its series.
/// NaN and inf are passed on.
pub(crate) fn ln(values: &mut [f64]) {
    dispatch!(Level::new(), _ => ln_each(values))
}

#[inline(always)]
fn ln_each(values: &mut [f64]) {
    for x in values {
        // 1/m and m share a series: centre the mantissa on 1. Subnormals are lifted first.
        let lift = if *x < f64::MIN_POSITIVE { 54.0 } else { 0.0 };
        let lifted = *x * if lift > 0.0 { 18_014_398_509_481_984.0 } else { 1.0 };
        let bits = lifted.to_bits();
        let offset = bits.wrapping_sub(0x3fe6_a09e_667f_3bcd);
        // An exponent of at most 11 bits, made a float by the bits of 2^52 without an integer conversion.
        let e = f64::from_bits(((offset as i64 >> 52) + 4096) as u64 | 0x4330_0000_0000_0000) - 4_503_599_627_374_592.0;
        let m = f64::from_bits(bits.wrapping_sub(offset & 0xfff0_0000_0000_0000));
        let s = (m - 1.0) / (m + 1.0);
        let t = s * s;
        let tail = 1.0 / 15.0 + t * (1.0 / 17.0 + t * (1.0 / 19.0));
        let series = 1.0
            + t * (1.0 / 3.0
                + t * (1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0 + t * tail))))));
        let logarithm = (e - lift) * std::f64::consts::LN_2 + 2.0 * s * series;
        *x = if *x < f64::INFINITY { logarithm } else { *x };
    }
}

/// ln of one value, by the series of [`ln`].
pub(crate) fn ln_of(x: f64) -> f64 {
    let mut one = [x];
    ln_each(&mut one);
    one[0]
}
