//! Moments of the columns of a tile: the twin of `strided_moments.wgsl` where its lanes are columns.

use fearless_simd::{Level, dispatch, f32x8, f64x8, prelude::*};

use super::twin::{CHAIN, F32_RANGE, LANES, PowerSums, from_power_sums, moments_f32, widen};
use crate::stats::Moments;

/// The moments of each column of a tile of `cols` columns, row by row, added to what `sink` does with them in order. A
/// column's moments do not depend on the columns beside it: a tensor may be cut anywhere.
pub(crate) fn column_moments_f32(tile: &[f32], cols: usize, mut sink: impl FnMut(Moments)) {
    let rows = tile.len() / cols;
    let mut column = Vec::new();
    let gathered = |first: usize, column: &mut Vec<f32>| {
        column.clear();
        column.extend((0..rows).map(|row| tile[row * cols + first]));
        moments_f32(column)
    };
    let whole = cols / LANES * LANES;
    let mut last = Vec::new();
    if whole < cols {
        let padding = [0.0; LANES];
        last.extend(tile.chunks_exact(cols).flat_map(|row| row[whole..].iter().chain(&padding).take(LANES)).copied());
    }
    for first in (0..cols).step_by(LANES) {
        let (from, width, at) = if first < whole { (tile, cols, first) } else { (&last[..], LANES, 0) };
        let sums = dispatch!(Level::new(), simd => eight_columns(simd, from, width, at));
        for (lane, regular) in sums.regular.into_iter().enumerate().take(cols - first) {
            if !regular {
                sink(gathered(first + lane, &mut column));
                continue;
            }
            let found = Moments {
                count: rows as u64,
                finite: rows as u64,
                zeros: sums.zeros[lane],
                min: sums.min[lane].into(),
                max: sums.max[lane].into(),
                l1: sums.powers[4][lane],
                ..Moments::default()
            };
            let powers = std::array::from_fn(|k| sums.powers[k][lane]);
            sink(from_power_sums(found, sums.pilot[lane].into(), powers, 1.0 / f64::from(sums.scale[lane])));
        }
    }
}

struct ColumnSums {
    min: [f32; LANES],
    max: [f32; LANES],
    zeros: [u64; LANES],
    pilot: [f32; LANES],
    scale: [f32; LANES],
    powers: [[f64; LANES]; 5],
    /// Whether the sums of a lane can be relied on: all finite, not constant, magnitudes inside [`F32_RANGE`].
    regular: [bool; LANES],
}

/// Eight neighbouring columns, a lane each.
#[inline(always)]
fn eight_columns<S: Simd>(simd: S, tile: &[f32], cols: usize, first: usize) -> ColumnSums {
    let rows = tile.len() / cols;
    let row = |r: usize| f32x8::from_slice(simd, &tile[r * cols + first..][..LANES]);
    let (none, unit) = (f32x8::splat(simd, 0.0), f32x8::splat(simd, 1.0));
    let mut min = f32x8::splat(simd, f32::INFINITY);
    let mut max = -min;
    let mut zeros = none;
    let mut total = f64x8::splat(simd, 0.0);
    for from in (0..rows).step_by(CHAIN) {
        let mut sum = none;
        for r in from..rows.min(from + CHAIN) {
            let v = row(r);
            min = min.min(v);
            max = max.max(v);
            sum += v;
            zeros += v.simd_eq(none).select(unit, none);
        }
        let (low, high) = sum.widen();
        total += low.combine(high);
    }
    // Not finite where an element is not, or where a sum overflows.
    let total: [f64; LANES] = total.into();
    let pilot = f32x8::simd_from(simd, total.map(|sum| (sum / rows as f64) as f32));
    let deviation: [f32; LANES] = (max - pilot).max(pilot - min).into();
    // 2^-e of the deviation, by its exponent bits; garbage where a lane is irregular, and not used there.
    let scale = deviation.map(|d| f32::from_bits(0x7f00_0000u32.wrapping_sub(d.to_bits() & 0x7f80_0000)));
    let scales = f32x8::simd_from(simd, scale);
    let mut wide = [f64x8::splat(simd, 0.0); 5];
    for from in (0..rows).step_by(CHAIN / 2) {
        let mut sums = PowerSums::new(pilot, scales, none);
        let to = rows.min(from + CHAIN / 2);
        let quads = from + (to - from) / 4 * 4;
        for r in (from..quads).step_by(4) {
            sums.add4([row(r), row(r + 1), row(r + 2), row(r + 3)]);
        }
        for r in quads..to {
            sums.add(row(r));
        }
        widen(&mut wide, sums.sums());
    }
    let (min, max, pilot): ([f32; LANES], [f32; LANES], [f32; LANES]) = (min.into(), max.into(), pilot.into());
    let zeros: [f32; LANES] = zeros.into();
    let regular = std::array::from_fn(|i| {
        let largest = max[i].abs().max(min[i].abs());
        let in_range = largest < F32_RANGE.end && deviation[i] >= F32_RANGE.start;
        total[i].is_finite() && min[i] < max[i] && in_range
    });
    ColumnSums { min, max, zeros: zeros.map(|n| n as u64), pilot, scale, powers: wide.map(Into::into), regular }
}
