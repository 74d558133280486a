//! How often each value of a digit occurs among the weights that share the digits above it: a level of a radix selection
//! whose picks stay on the device.

use std::ops::Range;

use crate::Float;

/// What weights are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Magnitudes upwards, or under `above` downwards; NaN last. Under `wide` as magnitudes of f32.
    Magnitude { above: bool, wide: bool },
    /// Finite values upwards.
    Values,
}

impl Order {
    /// Bits of a key.
    pub(crate) const fn bits(self, float: Float) -> u32 {
        match self {
            Self::Magnitude { wide: true, .. } => 31,
            Self::Magnitude { wide: false, .. } => float.bits() - 1,
            Self::Values => float.bits(),
        }
    }

    /// The digits of a key, most significant first: as wide as a workgroup can count.
    pub(crate) fn digits(self, float: Float) -> impl Iterator<Item = Range<u32>> {
        let mut end = self.bits(float);
        std::iter::from_fn(move || {
            let digit = end.checked_sub(1)?.saturating_sub(DIGIT_BITS - 1)..end;
            end = digit.start;
            Some(digit)
        })
    }

    /// The CPU twin's key of a weight given by its bits; `None` where it is not ranked.
    #[cfg(test)]
    pub(crate) fn key(self, float: Float, bits: u64) -> Option<u64> {
        match self {
            Self::Magnitude { above, wide } => {
                let (magnitude, largest) = match wide {
                    true => (u64::from((float.value(bits) as f32).abs().to_bits()), Float::F32.largest_magnitude()),
                    false => (float.magnitude(bits), float.largest_magnitude()),
                };
                Some(if above && magnitude <= largest { largest - magnitude } else { magnitude })
            }
            Self::Values => float.is_finite(bits).then(|| float.key(bits)),
        }
    }
}

/// Bits of a digit, at most.
pub(crate) const DIGIT_BITS: u32 = 11;

/// The CPU twin: how often each value of `digit` occurs among the `keys` that share the digits above it with `prefix`.
#[cfg(test)]
pub(crate) fn count(keys: impl Iterator<Item = u64>, digit: Range<u32>, prefix: u64) -> Vec<u64> {
    let mut counts = vec![0; 1 << digit.len()];
    for key in keys.filter(|key| (key ^ prefix).checked_shr(digit.end) == Some(0)) {
        counts[(key >> digit.start) as usize & ((1 << digit.len()) - 1)] += 1;
    }
    counts
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use std::ops::Range;

    use super::Order;
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/selection.wgsl"),
        include_str!("../../shaders/digit_counts.wgsl")
    );

    /// Elements of a tile: enough that clearing and adding its counts is little work beside counting.
    pub(crate) const TILE: u64 = 64 << 10;

    /// Bytes of a pick's counts: two words for each value of the widest digit.
    pub(crate) const TABLE_BYTES: u64 = 8 << super::DIGIT_BITS;

    /// A tile: see `shaders/digit_counts.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Tile {
        /// First element, from the start of the data: on a whole word.
        pub(crate) start: u32,
        /// Elements.
        pub(crate) length: u32,
        /// The pick that it is counted for.
        pub(crate) pick: u32,
    }

    /// How far a selection has come: see `shaders/shared/selection.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Pick {
        /// The digits found so far.
        pub(crate) key: u32,
        /// The rank that is looked for among those that share them: lower half,
        pub(crate) low: u32,
        /// and upper half.
        pub(crate) high: u32,
        /// Whether there is such a weight.
        pub(crate) found: u32,
        /// The first of the cuts that are made at it.
        pub(crate) first_cut: u32,
        /// How many there are.
        pub(crate) cuts: u32,
        /// The budget of its ties.
        pub(crate) budget: u32,
        /// Nothing.
        pub(crate) unused: u32,
    }

    /// The constants that both kernels of a level are made with.
    pub(crate) fn constants(order: Order, float: Float, digit: &Range<u32>) -> [(&'static str, u32); 6] {
        let (order_constant, wide) = match order {
            Order::Magnitude { above, wide } => (u32::from(above), wide),
            Order::Values => (2, false),
        };
        [
            format_constant(float),
            ("ORDER", order_constant),
            ("WIDE", u32::from(wide)),
            ("SHIFT", digit.start),
            ("BITS", digit.len() as u32),
            ("FIRST", u32::from(digit.end == order.bits(float))),
        ]
    }

    /// The kernel for a digit.
    pub(crate) fn kernel(gpu: &Gpu, order: Order, float: Float, digit: &Range<u32>) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("digit_counts", SOURCE, &constants(order, float, digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_cover_the_key() {
        for float in Float::ALL.into_iter().filter(|f| *f != Float::F64) {
            for order in [Order::Values, Order::Magnitude { above: true, wide: false }] {
                let digits: Vec<_> = order.digits(float).collect();
                assert_eq!((digits[0].end, digits.last().unwrap().start), (order.bits(float), 0));
                assert!(digits.windows(2).all(|pair| pair[0].start == pair[1].end));
                assert!(digits.iter().all(|d| !d.is_empty() && d.len() <= DIGIT_BITS as usize));
            }
        }
        let wide = Order::Magnitude { above: false, wide: true };
        assert_eq!(wide.digits(Float::F16).collect::<Vec<_>>(), [20..31, 9..20, 0..9]);
    }
}
