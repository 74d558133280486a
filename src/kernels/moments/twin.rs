//! Moments on the CPU: the twin of `moments.wgsl` and `strided_moments.wgsl`.
//!
//! Two passes over a block of 4,096 elements that stays in the L1 cache. The first finds its range, its mean and
//! whether all of it is finite. The second sums the powers of (x − mean)·2^−e, where 2^e is the largest deviation, in
//! 8 fixed lanes of f32 whose chains of 16 additions, each of a tree of four, are folded into f64. No fused multiply-add: results are the same
//! bits on every processor, whatever instruction set [`Level`] finds.

use fearless_simd::{Level, dispatch, f32x8, f64x8, prelude::*};

use super::prefetch::prefetch;
use crate::stats::{Moments, exp2};

/// Elements of a block.
pub(crate) const BLOCK: usize = 4096;
pub(super) const LANES: usize = 8;
pub(super) const CHAIN: usize = 64;
/// Runs up to this length are summed in f64, one element after the other.
const SHORT: usize = 24;
/// Magnitudes whose fourth powers, 4,096 times, stay far inside f32; others are summed in f64.
pub(super) const F32_RANGE: std::ops::Range<f32> = 7.888_609e-31..1.267_650_6e30; // 2^-100 .. 2^100
/// Likewise for f64; others get a unit of their own.
const F64_RANGE: std::ops::Range<f64> = 6.223_015_277_861_142e-61..1.606_938_044_258_990_3e60; // 2^-200 .. 2^200

/// The moments of `values`.
pub(crate) fn moments_f32(values: &[f32]) -> Moments {
    let mut total = Moments::default();
    let bytes: &[u8] = bytemuck::cast_slice(values);
    for (i, block) in values.chunks(BLOCK).enumerate() {
        let next = bytes.len().min((i + 1) * BLOCK * 4);
        total.combine(&block_f32(block, &bytes[next..]));
    }
    total
}

/// The moments of `values`.
pub(crate) fn moments_f64(values: &[f64]) -> Moments {
    fold(values, block_f64)
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

pub(super) fn fold<T>(values: &[T], block: impl Fn(&[T]) -> Moments) -> Moments {
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
    /// Not finite where an element is not, or where the sum overflows.
    sum: T,
    zeros: u64,
}

/// The moments of at most [`BLOCK`] elements. What lies at `ahead`, the weights that come next in memory, is
/// fetched into the caches meanwhile: reading and computing would take turns otherwise (a fifth faster in memory).
pub(crate) fn block_f32(block: &[f32], ahead: &[u8]) -> Moments {
    if block.len() <= SHORT {
        return short(block);
    }
    let survey = survey_f32(block);
    let n = block.len();
    let pilot = survey.sum / n as f32;
    let deviation = (survey.max - pilot).max(pilot - survey.min);
    let largest = survey.max.abs().max(survey.min.abs());
    let in_range = largest < F32_RANGE.end && deviation >= F32_RANGE.start;
    if !survey.sum.is_finite() || survey.min == survey.max || !in_range {
        let mut wide = [0.0; BLOCK];
        wide.iter_mut().zip(block).for_each(|(w, x)| *w = f64::from(*x));
        return block_f64(&wide[..n]);
    }
    let exponent = exponent_of(deviation.into());
    let sums = powers_f32(block, ahead, pilot, exp2(-exponent) as f32);
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

/// One element after the other, in f64, which holds the fourth power of any f32.
fn short(block: &[f32]) -> Moments {
    let mut m = Moments { count: block.len() as u64, ..Moments::default() };
    let mut sum = 0.0;
    for x in block.iter().map(|x| f64::from(*x)) {
        m.zeros += u64::from(x == 0.0);
        if x.is_finite() {
            m.finite += 1;
            m.min = if x < m.min { x } else { m.min };
            m.max = if x > m.max { x } else { m.max };
            sum += x;
            m.l1 += x.abs();
        } else {
            m.nan += u64::from(x.is_nan());
            m.inf += u64::from(x.is_infinite());
        }
    }
    if m.finite == 0 || m.min == m.max {
        m.mean = if m.finite == 0 { 0.0 } else { m.min };
        return m;
    }
    m.mean = sum / m.finite as f64;
    for x in block.iter().map(|x| f64::from(*x)).filter(|x| x.is_finite()) {
        let d = x - m.mean;
        let d2 = d * d;
        m.m2 += d2;
        m.m3 += d2 * d;
        m.m4 += d2 * d2;
    }
    m
}

pub(super) fn block_f64(block: &[f64]) -> Moments {
    let survey = survey_f64(block);
    if !survey.sum.is_finite() && block.iter().any(|x| !x.is_finite()) {
        return without_non_finite(block);
    }
    let n = block.len() as u64;
    let mut found = Moments { count: n, finite: n, zeros: survey.zeros, ..Moments::default() };
    if n == 0 {
        return found;
    }
    (found.min, found.max) = (survey.min, survey.max);
    let largest = survey.max.abs().max(survey.min.abs());
    if largest != 0.0 && !F64_RANGE.contains(&largest) {
        let exponent = exponent_of(largest);
        // In two steps: 2^-exponent itself may not be a number.
        let (half, rest) = (exp2(-exponent / 2), exp2(-exponent - -exponent / 2));
        let scaled: Vec<f64> = block.iter().map(|x| x * half * rest).collect();
        return Moments { exponent, min: survey.min, max: survey.max, zeros: survey.zeros, ..block_f64(&scaled) };
    }
    if survey.min == survey.max {
        return Moments { mean: survey.min, l1: n as f64 * largest, ..found };
    }
    let pilot = survey.sum / n as f64;
    let sums = powers_f64(block, pilot);
    from_power_sums(Moments { l1: sums[4], ..found }, pilot, sums, 1.0)
}

/// Counts and removes NaN and inf, then computes the rest.
#[cold]
fn without_non_finite(block: &[f64]) -> Moments {
    let nan = block.iter().filter(|x| x.is_nan()).count() as u64;
    let finite: Vec<f64> = block.iter().copied().filter(|x| x.is_finite()).collect();
    let inf = (block.len() - finite.len()) as u64 - nan;
    Moments { count: block.len() as u64, nan, inf, ..block_f64(&finite) }
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

#[inline(always)]
fn survey<S: Simd, V: SimdFloat<S, Element = T>, T>(simd: S, block: &[T], zero: T, one: T, infinity: T) -> Survey<T>
where
    T: Copy + Into<f64> + std::ops::AddAssign + std::ops::Add<Output = T> + PartialOrd,
    V::Mask: Select<V>,
{
    let (none, unit) = (V::splat(simd, zero), V::splat(simd, one));
    let mut min = V::splat(simd, infinity);
    let mut max = -min;
    let (mut sum, mut zeros) = (none, none);
    let at = |part: &[T]| V::from_slice(simd, part);
    let is_zero = |v: V| v.simd_eq(none).select(unit, none);
    let mut quads = block.chunks_exact(4 * LANES);
    for quad in &mut quads {
        let [a, b, c, d] = [at(&quad[..8]), at(&quad[8..16]), at(&quad[16..24]), at(&quad[24..32])];
        min = a.min(b).min(c.min(d)).min(min);
        max = a.max(b).max(c.max(d)).max(max);
        sum += (a + b) + (c + d);
        zeros += (is_zero(a) + is_zero(b)) + (is_zero(c) + is_zero(d));
    }
    let lanes = |v: V| {
        let mut out = [zero; LANES];
        v.store_slice(&mut out);
        out
    };
    let mut survey = Survey {
        min: lanes(min).into_iter().fold(infinity, |a, b| if b < a { b } else { a }),
        max: lanes(max).into_iter().reduce(|a, b| if b > a { b } else { a }).unwrap_or(zero),
        sum: tree_sum(lanes(sum)),
        zeros: lanes(zeros).into_iter().map(|n| n.into() as u64).sum(),
    };
    for &x in quads.remainder() {
        survey.min = if x < survey.min { x } else { survey.min };
        survey.max = if x > survey.max { x } else { survey.max };
        survey.sum += x;
        survey.zeros += u64::from(x == zero);
    }
    survey
}

fn survey_f32(block: &[f32]) -> Survey<f32> {
    dispatch!(Level::new(), simd => survey::<_, f32x8<_>, f32>(simd, block, 0.0, 1.0, f32::INFINITY))
}

fn survey_f64(block: &[f64]) -> Survey<f64> {
    dispatch!(Level::new(), simd => survey::<_, f64x8<_>, f64>(simd, block, 0.0, 1.0, f64::INFINITY))
}

/// Power sums of z = (x − pilot)·scale, and of |x|. Four vectors at a time meet in a tree first: small terms beside a
/// large one would otherwise all be rounded the same way.
pub(super) struct PowerSums<V> {
    pilot: V,
    scale: V,
    s1: V,
    s2: V,
    s3: V,
    s4: V,
    l1: V,
}

impl<V> PowerSums<V> {
    #[inline(always)]
    pub(super) fn new<S: Simd>(pilot: V, scale: V, zero: V) -> Self
    where
        V: SimdFloat<S>,
    {
        Self { pilot, scale, s1: zero, s2: zero, s3: zero, s4: zero, l1: zero }
    }

    #[inline(always)]
    pub(super) fn add<S: Simd>(&mut self, x: V)
    where
        V: SimdFloat<S>,
    {
        let z = (x - self.pilot) * self.scale;
        let z2 = z * z;
        self.s1 += z;
        self.s2 += z2;
        self.s3 += z2 * z;
        self.s4 += z2 * z2;
        self.l1 += x.abs();
    }

    #[inline(always)]
    pub(super) fn add4<S: Simd>(&mut self, x: [V; 4])
    where
        V: SimdFloat<S>,
    {
        let [a, b, c, d] = x;
        self.l1 += (a.abs() + b.abs()) + (c.abs() + d.abs());
        let (p, e) = (self.pilot, self.scale);
        let (a, b, c, d) = ((a - p) * e, (b - p) * e, (c - p) * e, (d - p) * e);
        self.s1 += (a + b) + (c + d);
        let (a2, b2, c2, d2) = (a * a, b * b, c * c, d * d);
        self.s2 += (a2 + b2) + (c2 + d2);
        self.s3 += (a2 * a + b2 * b) + (c2 * c + d2 * d);
        self.s4 += (a2 * a2 + b2 * b2) + (c2 * c2 + d2 * d2);
    }

    #[inline(always)]
    pub(super) fn sums(self) -> [V; 5] {
        [self.s1, self.s2, self.s3, self.s4, self.l1]
    }
}

/// Σz, Σz², Σz³, Σz⁴ of z = (x − pilot)·scale, and Σ|x|.
#[inline(always)]
fn powers<S: Simd>(simd: S, block: &[f32], ahead: &[u8], pilot: f32, scale: f32) -> [f64; 5] {
    let mut wide = [f64x8::splat(simd, 0.0); 5];
    let mut chains = block.chunks_exact(LANES * 4);
    let at = |part: &[f32]| f32x8::from_slice(simd, part);
    let new = || PowerSums::new(f32x8::splat(simd, pilot), f32x8::splat(simd, scale), f32x8::splat(simd, 0.0));
    let mut sums = new();
    let mut length = 0;
    let mut lines = ahead.as_chunks::<64>().0.as_chunks::<2>().0.iter();
    for quad in &mut chains {
        if let Some([one, two]) = lines.next() {
            prefetch(one);
            prefetch(two);
        }
        sums.add4([at(&quad[..8]), at(&quad[8..16]), at(&quad[16..24]), at(&quad[24..32])]);
        length += 4;
        if length == CHAIN {
            widen(&mut wide, std::mem::replace(&mut sums, new()).sums());
            length = 0;
        }
    }
    widen(&mut wide, sums.sums());
    let mut total = wide.map(|v| tree_sum(v.into()));
    for &x in chains.remainder() {
        let z = (f64::from(x) - f64::from(pilot)) * f64::from(scale);
        let z2 = z * z;
        let terms = [z, z2, z2 * z, z2 * z2, f64::from(x.abs())];
        total.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    total
}

#[inline(always)]
pub(super) fn widen<S: Simd>(wide: &mut [f64x8<S>; 5], narrow: [f32x8<S>; 5]) {
    for (wide, narrow) in wide.iter_mut().zip(narrow) {
        let (low, high) = narrow.widen();
        *wide += low.combine(high);
    }
}

fn powers_f32(block: &[f32], ahead: &[u8], pilot: f32, scale: f32) -> [f64; 5] {
    dispatch!(Level::new(), simd => powers(simd, block, ahead, pilot, scale))
}

/// As [`powers`], in f64 throughout and unscaled.
fn powers_f64(block: &[f64], pilot: f64) -> [f64; 5] {
    #[inline(always)]
    fn powers<S: Simd>(simd: S, block: &[f64], pilot: f64) -> [f64; 5] {
        let mut sums = PowerSums::new(f64x8::splat(simd, pilot), f64x8::splat(simd, 1.0), f64x8::splat(simd, 0.0));
        let mut chunks = block.chunks_exact(LANES);
        for chunk in &mut chunks {
            sums.add(f64x8::from_slice(simd, chunk));
        }
        let mut total = sums.sums().map(|v| tree_sum(v.into()));
        for &x in chunks.remainder() {
            let z = x - pilot;
            let z2 = z * z;
            let terms = [z, z2, z2 * z, z2 * z2, x.abs()];
            total.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        total
    }
    dispatch!(Level::new(), simd => powers(simd, block, pilot))
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
