//! Moments on the CPU: the twin of `moments.wgsl` and `strided_moments.wgsl`.
//!
//! Two passes over a block of 4,096 elements that stays in the L1 cache. The first finds its range, its mean and
//! whether all of it is finite. The second sums the powers of (x − mean)·2^−e, where 2^e is the largest deviation, in
//! 16 fixed lanes of f32 whose chains of 32 additions are folded into f64. No fused multiply-add: results are the same
//! bits on every processor, whatever instruction set [`multiversion`] finds.

use multiversion::multiversion;

use crate::stats::{Moments, exp2};

/// Elements of a block.
pub(crate) const BLOCK: usize = 4096;
const LANES: usize = 16;
const CHAIN: usize = 32;
/// Magnitudes whose fourth powers, 4,096 times, stay far inside f32; others are summed in f64.
const F32_RANGE: std::ops::Range<f32> = 7.888_609e-31..1.267_650_6e30; // 2^-100 .. 2^100
/// Likewise for f64; others get a unit of their own.
const F64_RANGE: std::ops::Range<f64> = 6.223_015_277_861_142e-61..1.606_938_044_258_990_3e60; // 2^-200 .. 2^200

/// The moments of `values`.
pub(crate) fn moments_f32(values: &[f32]) -> Moments {
    fold(values, block_f32)
}

/// The moments of `values`.
pub(crate) fn moments_f64(values: &[f64]) -> Moments {
    fold(values, block_f64)
}

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

/// The moments of the value `values[i]` occurring `counts[i]` times.
pub(crate) fn weighted_moments(values: &[f64], counts: &[u64]) -> Moments {
    let mut m = Moments::default();
    let mut sum = 0.0;
    for (&x, &n) in values.iter().zip(counts) {
        m.count += n;
        m.nan += if x.is_nan() { n } else { 0 };
        m.inf += if x.is_infinite() { n } else { 0 };
        m.zeros += if x == 0.0 { n } else { 0 };
        if n > 0 && x.is_finite() {
            m.finite += n;
            m.min = m.min.min(x);
            m.max = m.max.max(x);
            sum += n as f64 * x;
            m.l1 += n as f64 * x.abs();
        }
    }
    if m.finite == 0 {
        return m;
    }
    m.mean = sum / m.finite as f64;
    for (&x, &n) in values.iter().zip(counts).filter(|(x, n)| **n > 0 && x.is_finite()) {
        let d = x - m.mean;
        let weighted = n as f64 * d * d;
        m.m2 += weighted;
        m.m3 += weighted * d;
        m.m4 += weighted * d * d;
    }
    m
}

fn fold<T>(values: &[T], block: impl Fn(&[T]) -> Moments) -> Moments {
    let mut total = Moments::default();
    for part in values.chunks(BLOCK) {
        total.combine(&block(part));
    }
    total
}

/// What the first pass finds.
struct Survey<T> {
    min: T,
    max: T,
    sum: T,
    zeros: u64,
    finite: bool,
}

fn block_f32(block: &[f32]) -> Moments {
    let survey = survey_f32(block);
    if !survey.finite {
        return without_non_finite(block, block_f32);
    }
    let n = block.len();
    let pilot = survey.sum / n as f32;
    let deviation = (survey.max - pilot).max(pilot - survey.min);
    let largest = survey.max.abs().max(survey.min.abs());
    if survey.min == survey.max || largest >= F32_RANGE.end || deviation < F32_RANGE.start {
        let mut wide = [0.0; BLOCK];
        wide.iter_mut().zip(block).for_each(|(w, x)| *w = f64::from(*x));
        return block_f64(&wide[..n]);
    }
    let exponent = exponent_of(deviation.into());
    let sums = powers_f32(block, pilot, exp2(-exponent) as f32);
    let found = Moments {
        count: n as u64,
        finite: n as u64,
        zeros: survey.zeros,
        min: survey.min.into(),
        max: survey.max.into(),
        l1: sums[4],
        ..Moments::default()
    };
    from_power_sums(found, f64::from(pilot), sums, exp2(exponent))
}

fn block_f64(block: &[f64]) -> Moments {
    let survey = survey_f64(block);
    if !survey.finite {
        return without_non_finite(block, block_f64);
    }
    let n = block.len() as u64;
    let largest = survey.max.abs().max(survey.min.abs());
    let found = Moments { count: n, finite: n, zeros: survey.zeros, ..Moments::default() };
    if n == 0 {
        return found;
    }
    if largest != 0.0 && !F64_RANGE.contains(&largest) {
        let exponent = exponent_of(largest);
        // In two steps: 2^-exponent itself may not be a number.
        let (half, rest) = (exp2(-exponent / 2), exp2(-exponent - -exponent / 2));
        let scaled: Vec<f64> = block.iter().map(|x| x * half * rest).collect();
        return Moments { exponent, min: survey.min, max: survey.max, zeros: survey.zeros, ..block_f64(&scaled) };
    }
    let found = Moments { min: survey.min, max: survey.max, ..found };
    if survey.min == survey.max {
        return Moments { mean: survey.min, l1: n as f64 * largest, ..found };
    }
    let pilot = survey.sum / n as f64;
    let sums = powers_f64(block, pilot);
    from_power_sums(Moments { l1: sums[4], ..found }, pilot, sums, 1.0)
}

/// Counts and removes NaN and inf, then computes the rest.
#[cold]
fn without_non_finite<T: Copy + Into<f64>>(block: &[T], compute: impl Fn(&[T]) -> Moments) -> Moments {
    let nan = block.iter().filter(|x| (**x).into().is_nan()).count() as u64;
    let finite: Vec<T> = block.iter().copied().filter(|x| (*x).into().is_finite()).collect();
    let inf = (block.len() - finite.len()) as u64 - nan;
    let rest = if finite.is_empty() { Moments::default() } else { compute(&finite) };
    Moments { count: block.len() as u64, nan, inf, ..rest }
}

/// Central power sums out of power sums `s` of (x − pilot)/unit.
pub(crate) fn from_power_sums(found: Moments, pilot: f64, s: [f64; 5], unit: f64) -> Moments {
    let n = found.finite as f64;
    let shift = s[0] / n;
    let unit2 = unit * unit;
    Moments {
        mean: pilot + shift * unit,
        m2: (s[1] - n * shift * shift).max(0.0) * unit2,
        m3: (s[2] - 3.0 * shift * s[1] + 2.0 * n * shift.powi(3)) * unit2 * unit,
        m4: (s[3] - 4.0 * shift * s[2] + 6.0 * shift * shift * s[1] - 3.0 * n * shift.powi(4)).max(0.0) * unit2 * unit2,
        ..found
    }
}

/// e with 2^e ≤ |x| < 2^(e+1), for any finite x but zero.
pub(crate) fn exponent_of(x: f64) -> i32 {
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    if biased == 0 { exponent_of(x * exp2(64)) - 64 } else { biased - 1023 }
}

macro_rules! survey {
    ($name:ident, $float:ty, $bits:ty, $exponent_mask:expr) => {
        #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
        fn $name(block: &[$float]) -> Survey<$float> {
            let mut min = [<$float>::INFINITY; LANES];
            let mut max = [<$float>::NEG_INFINITY; LANES];
            let mut sum = [0.0; LANES];
            let mut zeros = [0 as $bits; LANES];
            let mut odd = [0 as $bits; LANES];
            let (chunks, tail) = block.as_chunks::<LANES>();
            let mut take = |i: usize, x: $float| {
                min[i] = if x < min[i] { x } else { min[i] };
                max[i] = if x > max[i] { x } else { max[i] };
                sum[i] += x;
                zeros[i] += <$bits>::from(x == 0.0);
                odd[i] |= <$bits>::from(x.to_bits() & $exponent_mask == $exponent_mask);
            };
            for chunk in chunks {
                for i in 0..LANES {
                    take(i, chunk[i]);
                }
            }
            for (i, &x) in tail.iter().enumerate() {
                take(i, x);
            }
            Survey {
                min: min.into_iter().fold(<$float>::INFINITY, <$float>::min),
                max: max.into_iter().fold(<$float>::NEG_INFINITY, <$float>::max),
                sum: tree_sum(sum),
                zeros: zeros.into_iter().map(|n| n as u64).sum(),
                finite: odd.into_iter().all(|n| n == 0),
            }
        }
    };
}

survey!(survey_f32, f32, u32, 0x7f80_0000);
survey!(survey_f64, f64, u64, 0x7ff0_0000_0000_0000);

/// Σz, Σz², Σz³, Σz⁴ of z = (x − pilot)·scale, and Σ|x|.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn powers_f32(block: &[f32], pilot: f32, scale: f32) -> [f64; 5] {
    let mut wide = [[0.0f64; LANES]; 5];
    for chain in block.chunks(LANES * CHAIN) {
        let mut sums = Chain::default();
        let (chunks, tail) = chain.as_chunks::<LANES>();
        let (quads, rest) = chunks.as_chunks::<4>();
        for quad in quads {
            for i in 0..LANES {
                sums.add4(i, [quad[0][i], quad[1][i], quad[2][i], quad[3][i]], pilot, scale);
            }
        }
        for chunk in rest {
            for i in 0..LANES {
                sums.add(i, chunk[i], pilot, scale);
            }
        }
        for (i, &x) in tail.iter().enumerate() {
            sums.add(i, x, pilot, scale);
        }
        sums.widen(&mut wide);
    }
    wide.map(tree_sum)
}

/// Power sums of a chain of at most 32 additions a lane. Four at a time meet in a tree first: small terms beside a
/// large one would otherwise all be rounded the same way.
#[derive(Default)]
struct Chain {
    s1: [f32; LANES],
    s2: [f32; LANES],
    s3: [f32; LANES],
    s4: [f32; LANES],
    l1: [f32; LANES],
}

impl Chain {
    #[inline(always)]
    fn add(&mut self, i: usize, x: f32, pilot: f32, scale: f32) {
        let z = (x - pilot) * scale;
        let z2 = z * z;
        self.s1[i] += z;
        self.s2[i] += z2;
        self.s3[i] += z2 * z;
        self.s4[i] += z2 * z2;
        self.l1[i] += x.abs();
    }

    #[inline(always)]
    fn add4(&mut self, i: usize, x: [f32; 4], pilot: f32, scale: f32) {
        let tree = |v: [f32; 4]| (v[0] + v[1]) + (v[2] + v[3]);
        let z = x.map(|x| (x - pilot) * scale);
        let z2 = z.map(|z| z * z);
        self.s1[i] += tree(z);
        self.s2[i] += tree(z2);
        self.s3[i] += tree([z2[0] * z[0], z2[1] * z[1], z2[2] * z[2], z2[3] * z[3]]);
        self.s4[i] += tree(z2.map(|z2| z2 * z2));
        self.l1[i] += tree(x.map(f32::abs));
    }

    #[inline(always)]
    fn widen(self, wide: &mut [[f64; LANES]; 5]) {
        for (wide, narrow) in wide.iter_mut().zip([self.s1, self.s2, self.s3, self.s4, self.l1]) {
            for i in 0..LANES {
                wide[i] += f64::from(narrow[i]);
            }
        }
    }
}

/// As [`powers_f32`], in f64 throughout.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn powers_f64(block: &[f64], pilot: f64) -> [f64; 5] {
    const LANES: usize = 8;
    let (mut s1, mut s2, mut s3, mut s4, mut l1) =
        ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let (chunks, tail) = block.as_chunks::<LANES>();
    let mut take = |i: usize, x: f64| {
        let z = x - pilot;
        let z2 = z * z;
        s1[i] += z;
        s2[i] += z2;
        s3[i] += z2 * z;
        s4[i] += z2 * z2;
        l1[i] += x.abs();
    };
    for chunk in chunks {
        for i in 0..LANES {
            take(i, chunk[i]);
        }
    }
    for (i, &x) in tail.iter().enumerate() {
        take(i, x);
    }
    [s1, s2, s3, s4, l1].map(tree_sum)
}

/// ln of positive finite values, to 14 digits: 2 atanh((m − 1)/(m + 1)) of the mantissa m in [√½, √2), by its series.
/// NaN and inf are passed on.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(crate) fn ln(values: &mut [f64]) {
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
        let series = 1.0
            + t * (1.0 / 3.0
                + t * (1.0 / 5.0
                    + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0 + t * (1.0 / 15.0)))))));
        let logarithm = (e - lift) * std::f64::consts::LN_2 + 2.0 * s * series;
        *x = if *x < f64::INFINITY { logarithm } else { *x };
    }
}

fn tree_sum<T: Copy + std::ops::Add<Output = T>, const N: usize>(mut lanes: [T; N]) -> T {
    let mut width = N / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = lanes[i] + lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The moments of each column of a tile of `cols` columns, row by row, added to what `sink` does with them in order.
pub(crate) fn column_moments_f32(tile: &[f32], cols: usize, mut sink: impl FnMut(Moments)) {
    let rows = tile.len() / cols;
    let mut column = Vec::new();
    let mut gathered = |first: usize, column: &mut Vec<f32>| {
        column.clear();
        column.extend((0..rows).map(|row| tile[row * cols + first]));
        moments_f32(column)
    };
    let whole = cols / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        let sums = column_sums(tile, cols, first);
        for (lane, regular) in sums.regular.into_iter().enumerate() {
            if !regular {
                sink(gathered(first + lane, &mut column));
                continue;
            }
            let found = Moments {
                count: rows as u64,
                finite: rows as u64,
                zeros: u64::from(sums.zeros[lane]),
                min: sums.min[lane].into(),
                max: sums.max[lane].into(),
                l1: sums.powers[4][lane],
                ..Moments::default()
            };
            let powers = std::array::from_fn(|k| sums.powers[k][lane]);
            sink(from_power_sums(found, sums.pilot[lane].into(), powers, 1.0 / f64::from(sums.scale[lane])));
        }
    }
    for first in whole..cols {
        sink(gathered(first, &mut column));
    }
}

struct ColumnSums {
    min: [f32; LANES],
    max: [f32; LANES],
    zeros: [u32; LANES],
    pilot: [f32; LANES],
    scale: [f32; LANES],
    powers: [[f64; LANES]; 5],
    /// Whether the sums of a lane can be relied on: all finite, not constant, magnitudes inside [`F32_RANGE`].
    regular: [bool; LANES],
}

/// Sixteen neighbouring columns, a lane each.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn column_sums(tile: &[f32], cols: usize, first: usize) -> ColumnSums {
    let (mut min, mut max) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (mut sum, mut zeros, mut odd) = ([0.0f32; LANES], [0u32; LANES], [0u32; LANES]);
    let rows = tile.len() / cols;
    let row = |r: usize| -> &[f32; LANES] { tile[r * cols + first..].first_chunk().unwrap_or(&[0.0; LANES]) };
    for r in 0..rows {
        let v = row(r);
        for i in 0..LANES {
            let x = v[i];
            min[i] = if x < min[i] { x } else { min[i] };
            max[i] = if x > max[i] { x } else { max[i] };
            sum[i] += x;
            zeros[i] += u32::from(x == 0.0);
            odd[i] |= u32::from(x.to_bits() & 0x7f80_0000 == 0x7f80_0000);
        }
    }
    let (mut pilot, mut scale, mut regular) = ([0.0; LANES], [1.0; LANES], [false; LANES]);
    for i in 0..LANES {
        pilot[i] = sum[i] / rows as f32;
        let deviation = (max[i] - pilot[i]).max(pilot[i] - min[i]);
        let largest = max[i].abs().max(min[i].abs());
        regular[i] = odd[i] == 0 && min[i] < max[i] && largest < F32_RANGE.end && deviation >= F32_RANGE.start;
        // 2^-e of the deviation, by its exponent bits; garbage where irregular, and not used there.
        scale[i] = f32::from_bits(0x7f00_0000u32.wrapping_sub(deviation.to_bits() & 0x7f80_0000));
    }
    let mut powers = [[0.0f64; LANES]; 5];
    for from in (0..rows).step_by(CHAIN) {
        let mut sums = Chain::default();
        let to = rows.min(from + CHAIN);
        let quads = from + (to - from) / 4 * 4;
        for r in (from..quads).step_by(4) {
            let v = [row(r), row(r + 1), row(r + 2), row(r + 3)];
            for i in 0..LANES {
                sums.add4(i, v.map(|v| v[i]), pilot[i], scale[i]);
            }
        }
        for r in quads..to {
            let v = row(r);
            for i in 0..LANES {
                sums.add(i, v[i], pilot[i], scale[i]);
            }
        }
        sums.widen(&mut powers);
    }
    ColumnSums { min, max, zeros, pilot, scale, powers, regular }
}
