//! Counts of values between thresholds: histograms with edges of any kind.

use crate::Float;
use crate::order::for_each_bits;
use crate::scan::{DIGIT_VALUES, Thresholds};

/// The CPU twin: a value's bin looked up by the upper 16 bits of the weight, and searched for only where these bits
/// are shared by several bins. Made once for a pass.
pub(crate) struct BinTable<'a> {
    float: Float,
    thresholds: &'a Thresholds,
    by_digit: Box<[u32]>,
    shift: u32,
}

/// Values with these upper bits are in several bins.
const MIXED: u32 = u32::MAX;
/// Values with these upper bits are in no bin.
const NONE: u32 = u32::MAX - 1;

impl<'a> BinTable<'a> {
    pub(crate) fn new(float: Float, thresholds: &'a Thresholds) -> Self {
        let shift = float.bits().saturating_sub(16);
        let values = 1u64 << (float.bits() - shift);
        let by_digit = (0..values)
            .map(|digit| {
                let ends = [digit << shift, (digit << shift) | ((1 << shift) - 1)];
                let [a, b] = ends.map(|bits| bin(float, bits, thresholds).unwrap_or(NONE));
                if a == b { a } else { MIXED }
            })
            .chain(std::iter::repeat(NONE))
            .take(DIGIT_VALUES)
            .collect();
        Self { float, thresholds, by_digit, shift }
    }

    /// Adds the bins of `bytes` to `counts`.
    pub(crate) fn count(&self, bytes: &[u8], counts: &mut [u64]) {
        for_each_bits(self.float, bytes, |bits| {
            let found = match self.by_digit[(bits >> self.shift) as usize & (DIGIT_VALUES - 1)] {
                MIXED => bin(self.float, bits, self.thresholds).unwrap_or(NONE),
                found => found,
            };
            if let Some(count) = counts.get_mut(found as usize) {
                *count += 1;
            }
        });
    }
}

/// The bin of a weight, by search.
fn bin(float: Float, bits: u64, thresholds: &Thresholds) -> Option<u32> {
    bin_of(float, bits, &thresholds.keys, thresholds.magnitude)
}

/// The bin of a weight among ascending threshold keys; `None` for a value that is in no bin.
pub(crate) fn bin_of(float: Float, bits: u64, keys: &[u64], magnitude: bool) -> Option<u32> {
    let size = bits & (float.sign() - 1);
    if size >= float.non_finite() || (magnitude && size == 0) {
        return None;
    }
    let key = if magnitude { size } else { float.key(bits) };
    Some(keys.partition_point(|k| *k <= key) as u32)
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/view.wgsl"),
        include_str!("../../shaders/bin_counts.wgsl")
    );

    /// The kernel for a format and so many thresholds a group.
    pub(crate) fn kernel(
        gpu: &Gpu,
        float: Float,
        magnitudes: bool,
        thresholds: usize,
    ) -> Result<std::sync::Arc<Kernel>> {
        let constants =
            [format_constant(float), ("MAGNITUDES", u32::from(magnitudes)), ("THRESHOLDS", thresholds as u32)];
        gpu.kernel("bin_counts", SOURCE, &constants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looked_up_is_searched_for() {
        let words: Vec<u64> =
            (0..4_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).chain([0, 1, 1 << 63]).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        for float in Float::ALL {
            for magnitude in [false, true] {
                let edges = [-3.0, -0.001, 0.0, 0.001, 0.5, 0.5001, 100.0];
                let keys = edges.map(|edge| float.first_key(magnitude, |x| x >= edge)).to_vec();
                let thresholds = Thresholds { keys, magnitude };
                let mut counts = [0; 8];
                BinTable::new(float, &thresholds).count(bytes, &mut counts);
                let mut want = [0; 8];
                for_each_bits(float, bytes, |bits| {
                    let x = float.value(bits);
                    let x = if magnitude { x.abs() } else { x };
                    if x.is_finite() && !(magnitude && x == 0.0) {
                        want[edges.iter().filter(|edge| x >= **edge).count()] += 1;
                    }
                });
                assert_eq!(counts, want, "{float:?} {magnitude}");
            }
        }
    }
}
