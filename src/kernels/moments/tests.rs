use super::logarithm::ln;
use super::*;
use crate::stats::{Moments, exp2, oracle};
use proptest::prelude::*;

const TOLERANCE: f64 = 1e-6;

/// The tolerances of the statistics' definition, against the naive f64 oracle.
#[track_caller]
fn assert_accurate(found: &Moments, values: &[f64], case: &str) {
    let want = oracle::moments(values);
    let counts = |m: &Moments| (m.count, m.finite, m.nan, m.inf, m.zeros);
    assert_eq!(counts(found), counts(&want), "{case}");
    assert_eq!((found.min, found.max), (want.min, want.max), "{case}");
    let (Some(mean), Some(expected)) = (found.mean(), want.mean()) else {
        assert_eq!(found.mean(), want.mean(), "{case}");
        return;
    };
    let sigma = want.variance().unwrap().sqrt();
    let z: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|x| ((x - expected) / sigma).abs()).collect();
    let (z3, z4) = (z.iter().map(|z| z.powi(3)).sum::<f64>(), z.iter().map(|z| z.powi(4)).sum::<f64>());
    let n = z.len() as f64;
    let near = |name: &str, found: Option<f64>, want: Option<f64>, unit: f64| match (found, want) {
        (Some(a), Some(b)) => {
            assert!(
                (a - b).abs() <= TOLERANCE * unit,
                "{case}: {name} {a:e} is not {b:e}, {:e} off",
                (a - b).abs() / unit
            )
        }
        (a, b) => assert_eq!(a, b, "{case}: {name}"),
    };
    near("mean", Some(mean), Some(expected), expected.abs().max(sigma));
    near("variance", found.variance(), want.variance(), want.variance().unwrap());
    near("skewness", found.skewness(), want.skewness(), 1f64.max(z3 / n));
    near("kurtosis", found.kurtosis(), want.kurtosis(), z4 / n);
    near("l1", found.l1(), want.l1(), want.l1().unwrap());
    near("l2", found.l2(), want.l2(), want.l2().unwrap());
}

/// Deterministic values around ±1, roughly normal.
fn normal(n: usize, seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    std::iter::repeat_with(move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0).take(n)
}

fn cases() -> Vec<(&'static str, Vec<f32>)> {
    let of = |n, f: fn(f64) -> f64| normal(n, 7).map(|x| f(x) as f32).collect::<Vec<_>>();
    let mut poison = of(10_000, |x| x);
    for (i, x) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-40, -1e-45, 3.0].into_iter().enumerate() {
        poison[i * 1_201] = x;
    }
    vec![
        ("empty", vec![]),
        ("one", vec![3.5]),
        ("two", vec![-1.0, 2.0]),
        ("normal", of(100_001, |x| x * 0.02)),
        ("mean of 1000 sigma", of(50_000, |x| 1000.0 + x)),
        ("tiny", of(50_000, |x| x * 1e-10)),
        ("huge", of(50_000, |x| x * 1e30)),
        ("subnormal", of(20_000, |x| x * 1e-41)),
        ("largest", of(20_000, |x| x * 5e37)),
        ("both ends", vec![f32::MAX, f32::MIN, f32::MAX, f32::MIN, 0.0]),
        ("heavy tails", of(50_000, |x| x * x * x * x * x)),
        ("an outlier first", std::iter::once(1e4).chain(of(5_000, |x| x)).collect()),
        ("constant", vec![0.1; 9_999]),
        ("zeros", vec![0.0; 5_000]),
        ("mixed zeros", vec![-0.0, 0.0, -0.0]),
        ("poison", poison),
        ("nothing finite", vec![f32::NAN, f32::INFINITY, f32::NAN]),
        ("nearly constant", (0..8_000).map(|i| if i == 77 { 1.000_000_1 } else { 1.0 }).collect()),
    ]
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

#[test]
fn contiguous_runs_agree_with_the_oracle() {
    for (case, values) in cases() {
        for n in [1, 15, 16, 17, 4_095, 4_097, usize::MAX] {
            let values = &values[..n.min(values.len())];
            assert_accurate(&moments_f32(values), &widen(values), case);
        }
        let wide = widen(&values);
        assert_accurate(&moments_f64(&wide), &wide, case);
    }
}

#[test]
fn columns_agree_with_the_oracle() {
    for (case, values) in cases() {
        for (rows, cols) in [(1, 5), (64, 16), (64, 37), (33, 100), (3, 1), (1_000, 3), (5_003, 1)] {
            let Some(tile) = values.get(..rows * cols) else { continue };
            let mut found = Vec::new();
            column_moments_f32(tile, cols, |m| found.push(m));
            assert_eq!(found.len(), cols);
            for (col, found) in found.iter().enumerate() {
                let column: Vec<f64> = (0..rows).map(|row| f64::from(tile[row * cols + col])).collect();
                assert_accurate(found, &column, &format!("{case}, column {col} of {cols}"));
            }
        }
    }
}

#[test]
fn f64_keeps_skewness_and_kurtosis_at_any_magnitude() {
    let plain: Vec<f64> = normal(9_000, 3).map(|x| x * x * x).collect();
    let want = moments_f64(&plain);
    for exponent in [-1_000, -700, -250, 250, 700, 1_000] {
        let moved: Vec<f64> = plain.iter().map(|x| x * exp2(exponent)).collect();
        let found = moments_f64(&moved);
        for (a, b) in [(found.skewness(), want.skewness()), (found.kurtosis(), want.kurtosis())] {
            assert!((a.unwrap() / b.unwrap() - 1.0).abs() < 1e-12, "2^{exponent}: {a:?} {b:?}");
        }
        assert!((found.mean().unwrap() / exp2(exponent) / want.mean().unwrap() - 1.0).abs() < 1e-12);
    }
    let ends = moments_f64(&[f64::MAX, f64::MIN, f64::MAX]);
    assert_eq!((ends.variance(), ends.l1()), (None, None), "beyond f64");
    assert!(ends.kurtosis().is_some());
}

#[test]
fn logarithms() {
    use std::f64::consts::SQRT_2;
    let values = [1.0f64, -2.0, 0.5, 1e-308, 5e-324, 1.7e308, 0.999_999, SQRT_2 - 1e-7, SQRT_2 + 1e-7];
    let mut logs = values.map(f64::abs);
    ln(&mut logs);
    for (found, x) in logs.iter().zip(values) {
        assert!((found - x.abs().ln()).abs() <= 1e-13 * x.abs().ln().abs().max(1e-3), "ln {x}: {found}");
    }
    for (case, values) in cases() {
        let kept: Vec<f64> = widen(&values).into_iter().filter(|x| *x != 0.0).map(|x| x.abs().ln()).collect();
        let found = log_moments(&values);
        let zeros = (values.len() - kept.len()) as u64;
        assert_eq!(found.zeros, zeros, "{case}");
        let logs_that_are_zero = kept.iter().filter(|x| **x == 0.0).count() as u64;
        let without = Moments { count: found.count - zeros, zeros: logs_that_are_zero, ..found };
        assert_accurate_except_for_range(&without, &kept, case);
    }
}

/// The smallest and largest logarithm may differ from the library's in the last digits.
#[track_caller]
fn assert_accurate_except_for_range(found: &Moments, values: &[f64], case: &str) {
    let want = oracle::moments(values);
    if want.finite > 0 {
        assert!((found.min - want.min).abs() <= 1e-13 * want.min.abs().max(1e-3), "{case}");
        assert!((found.max - want.max).abs() <= 1e-13 * want.max.abs().max(1e-3), "{case}");
    }
    assert_accurate(&Moments { min: want.min, max: want.max, ..*found }, values, case);
}

#[test]
fn counted_values_agree_with_the_oracle() {
    let values = [0.5, -1.0, 0.0, f64::NAN, f64::INFINITY, 448.0, -0.0];
    let counts = [3, 0, 2, 4, 1, 7, 1];
    let spread: Vec<f64> = values.iter().zip(counts).flat_map(|(x, n)| std::iter::repeat_n(*x, n as usize)).collect();
    assert_accurate(&weighted_moments(&values, &counts), &spread, "counted");
}

proptest! {
    #[test]
    fn any_bits_agree_with_the_oracle(bits in prop::collection::vec(any::<u32>(), 0..300)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let found = moments_f32(&values);
        let want = oracle::moments(&widen(&values));
        prop_assert_eq!((found.count, found.nan, found.inf, found.zeros), (want.count, want.nan, want.inf, want.zeros));
        prop_assert_eq!((found.min, found.max), (want.min, want.max));
        if let (Some(a), Some(b)) = (found.variance(), want.variance()) {
            prop_assert!((a - b).abs() <= 1e-6 * b);
        }
    }
}
