//! The four moments and their companions of runs of weights that lie side by side.

mod columns;
mod logarithm;
mod prefetch;
mod twin;

pub(crate) use columns::column_moments_f32;
pub(crate) use logarithm::{ln_of, log_moments};
pub(crate) use twin::{BLOCK, block_f32, moments_f32, moments_f64, weighted_moments};

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use super::ln_of;
    use super::twin::from_power_sums;
    use crate::gpu::{Gpu, Kernel, format_constant};
    use crate::scan::Values;
    use crate::stats::{Moments, exp2};
    use crate::{Float, Result};

    /// The shader, with what it shares with others.
    pub(crate) const SOURCE: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/partial.wgsl"),
        include_str!("../../shaders/shared/vectors.wgsl"),
        include_str!("../../shaders/moments.wgsl")
    );

    /// The same for data that end in the middle of a vector: they are bound once more, as words.
    pub(crate) const SOURCE_AND_REST: &str = concat!(
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/partial.wgsl"),
        include_str!("../../shaders/shared/vectors_and_rest.wgsl"),
        include_str!("../../shaders/moments.wgsl")
    );

    /// Elements that a workgroup reads: a tile lies within as many, counted from the vector that it starts in.
    pub(crate) const WINDOW: u64 = 8192;

    /// A tile: elements side by side, of one run.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Tile {
        /// First element, from the start of the data.
        pub(crate) start: u32,
        /// Elements.
        pub(crate) length: u32,
    }

    /// The tiles of a run: they depend on where it starts within its first vector of 16 bytes, and not on where that is.
    pub(crate) fn tiles(float: Float, start: u64, length: u64) -> impl Iterator<Item = Tile> {
        let vector = 16 / float.bytes() as u64;
        let (first, end) = (start / vector * vector, start + length);
        (first..end).step_by(WINDOW as usize).map(move |window| {
            let from = start.max(window);
            Tile { start: from as u32, length: (end.min(window + WINDOW) - from) as u32 }
        })
    }

    /// What a workgroup, or a thread, found: see `shaders/shared/partial.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Partial {
        pilot: f32,
        exponents: u32,
        sums: [f32; 5],
        low: i32,
        high: i32,
        finite: u32,
        nan_inf: u32,
        zeros: u32,
    }

    /// Magnitudes that f32 arithmetic can be relied on for, where it may flush subnormals.
    const RANGE: std::ops::Range<f64> = 7.888_609_052_210_118e-31..1.329_227_995_784_916e36; // 2^-100 .. 2^120

    impl Partial {
        /// Names and offsets of the members, the sums one by one.
        #[cfg(test)]
        pub(crate) fn layout() -> Vec<(String, usize)> {
            use std::mem::offset_of;
            let sums = offset_of!(Self, sums);
            let members = [
                ("pilot", offset_of!(Self, pilot)),
                ("exponents", offset_of!(Self, exponents)),
                ("s1", sums),
                ("s2", sums + 4),
                ("s3", sums + 8),
                ("s4", sums + 12),
                ("l1", sums + 16),
                ("low", offset_of!(Self, low)),
                ("high", offset_of!(Self, high)),
                ("finite", offset_of!(Self, finite)),
                ("nan_inf", offset_of!(Self, nan_inf)),
                ("zeros", offset_of!(Self, zeros)),
            ];
            members.map(|(name, offset)| (name.to_owned(), offset)).into()
        }

        /// The smallest and the largest weight, or magnitude.
        fn extremes(&self) -> (f64, f64) {
            let weight = |key: i32| f64::from(f32::from_bits((key ^ ((key >> 31) & i32::MAX)) as u32));
            (weight(self.low), weight(self.high))
        }

        /// Whether all values lie where the GPU's arithmetic can be relied on, or none of it is needed.
        pub(crate) fn is_reliable(&self, values: Values) -> bool {
            let (low, high) = self.extremes();
            let in_range = match values {
                Values::Weights => RANGE.contains(&low.abs().max(high.abs())),
                Values::Logarithms => RANGE.contains(&low) && RANGE.contains(&high),
            };
            in_range || self.finite == 0 || low == high
        }

        /// The moments, or `None` where a value lies outside the range that the GPU can be relied on for.
        pub(crate) fn moments(&self, values: Values) -> Option<Moments> {
            let (nan, inf) = (u64::from(self.nan_inf & 0xffff), u64::from(self.nan_inf >> 16));
            let (finite, zeros) = (u64::from(self.finite), u64::from(self.zeros));
            let left_out = if values == Values::Logarithms { zeros } else { 0 };
            let found = Moments { count: finite + nan + inf + left_out, finite, nan, inf, zeros, ..Moments::default() };
            if finite == 0 {
                return Some(found);
            }
            if !self.is_reliable(values) {
                return None;
            }
            let (low, high) = self.extremes();
            let value = |weight| if values == Values::Logarithms { ln_of(weight) } else { weight };
            let (min, max) = (value(low), value(high));
            let found = Moments { min, max, ..found };
            if low == high {
                return Some(Moments { mean: min, l1: min.abs() * finite as f64, ..found });
            }
            let unit = |half: u32| exp2((half & 0xffff) as i32 - 256);
            let sums = self.sums.map(f64::from);
            let l1 = sums[4] * unit(self.exponents >> 16);
            let pilot = value(f64::from(self.pilot));
            Some(from_power_sums(Moments { l1, ..found }, pilot, sums, unit(self.exponents)))
        }
    }

    /// The kernel for a format, of data in whole vectors or, with a `rest`, not.
    pub(crate) fn kernel(gpu: &Gpu, float: Float, values: Values, rest: bool) -> Result<std::sync::Arc<Kernel>> {
        let constants = [format_constant(float), ("LOGARITHMS", u32::from(values == Values::Logarithms))];
        if rest {
            return gpu.kernel("moments and rest", SOURCE_AND_REST, &constants);
        }
        gpu.kernel("moments", SOURCE, &constants)
    }
}

#[cfg(test)]
mod tests;
