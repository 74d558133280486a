//! Naive reference functions that fast code is tested against.

use super::Moments;

/// Two passes in f64 over the finite values, one element after the other.
pub(crate) fn moments(values: &[f64]) -> Moments {
    let finite: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    let mut m = Moments {
        count: values.len() as u64,
        finite: finite.len() as u64,
        nan: values.iter().filter(|x| x.is_nan()).count() as u64,
        inf: values.iter().filter(|x| x.is_infinite()).count() as u64,
        zeros: values.iter().filter(|x| **x == 0.0).count() as u64,
        ..Moments::default()
    };
    if finite.is_empty() {
        return m;
    }
    // Kahan's sum: the mean must be better than the code under test.
    let (mut sum, mut lost) = (0.0, 0.0);
    for &x in &finite {
        let y = x - lost;
        let t: f64 = sum + y;
        lost = (t - sum) - y;
        sum = t;
    }
    m.mean = sum / m.finite as f64;
    for &x in &finite {
        let d = x - m.mean;
        m.m2 += d * d;
        m.m3 += d * d * d;
        m.m4 += d * d * d * d;
        m.l1 += x.abs();
        m.min = m.min.min(x);
        m.max = m.max.max(x);
    }
    m
}
