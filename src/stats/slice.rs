//! Moments of weights that a program holds already.

use super::Moments;
use crate::Float;
use crate::cpu::Scratch;
use crate::kernels::moments::{moments_f32, moments_f64};
use crate::scan::Values;

impl Moments {
    /// The moments of `values`, on this thread, vectorised for this processor. Parts of a larger array may be taken in
    /// any way and [combined](Self::combine), such as by several threads.
    ///
    /// ```
    /// let moments = secateur::stats::Moments::of(&[1.0, 2.0, 4.0, f32::NAN]);
    /// assert_eq!((moments.count, moments.nan), (4, 1));
    /// assert!((moments.variance().unwrap() - 14.0 / 9.0).abs() < 1e-6);
    /// ```
    pub fn of(values: &[f32]) -> Self {
        moments_f32(values)
    }

    /// The moments of f64 `values`.
    pub fn of_f64(values: &[f64]) -> Self {
        moments_f64(values)
    }

    /// The moments of little-endian weights as they lie in a checkpoint. Bytes after the last whole weight are left out.
    ///
    /// ```
    /// use secateur::{Float, stats::Moments};
    /// // 1.0 and −2.0 as BF16.
    /// let moments = Moments::of_bytes(Float::BF16, &[0x80, 0x3f, 0x00, 0xc0]);
    /// assert_eq!((moments.mean(), moments.l1()), (Some(-0.5), Some(3.0)));
    /// ```
    pub fn of_bytes(float: Float, bytes: &[u8]) -> Self {
        let whole = bytes.len() / float.bytes() * float.bytes();
        Scratch::default().contiguous(float, &bytes[..whole], Values::Weights)
    }
}
