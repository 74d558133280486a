//! The edges of a histogram, and the keys at which a weight passes from one bin to the next.

use crate::Float;

/// The edges of `numpy.histogram(x, bins)` for values between `min` and `max`, or `None` where they leave f64 or
/// where f64 cannot cut the range into so many bins.
pub(crate) fn edges(min: f64, max: f64, bins: usize) -> Option<Vec<f64>> {
    let (min, max) = if min == max { (min - 0.5, max + 0.5) } else { (min, max) };
    let step = (max - min) / bins as f64;
    let finite = min.is_finite() && max.is_finite() && step.is_finite();
    // As numpy.linspace: where the step underflows, each multiple is divided in turn.
    let at = |i: usize| {
        let offset = if step == 0.0 { i as f64 / bins as f64 * (max - min) } else { i as f64 * step };
        offset + min
    };
    let edges: Vec<f64> = (0..bins).map(at).chain([max]).map(|edge| edge + 0.0).collect();
    (finite && edges.is_sorted_by(|a, b| a < b)).then_some(edges)
}

/// Keys of the inner edges: a weight with key ≥ the i-th lies beyond inner edge i. `map` takes a weight, or a
/// magnitude, to the value that is counted, and never falls.
pub(crate) fn thresholds(float: Float, magnitude: bool, edges: &[f64], map: impl Fn(f64) -> f64) -> Vec<u64> {
    let inner = edges.get(1..edges.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().map(|edge| float.first_key(magnitude, |x| map(x) >= *edge)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_numpys() {
        assert_eq!(edges(0.0, 1.0, 4), Some(vec![0.0, 0.25, 0.5, 0.75, 1.0]));
        assert_eq!(edges(2.0, 2.0, 2), Some(vec![1.5, 2.0, 2.5]));
        assert_eq!(edges(f64::MIN, f64::MAX, 3), None);
        assert_eq!(edges(1e30, 1e30, 3), None);
        // numpy.histogram([-0.3, 0.4], 3)[1]
        assert_eq!(edges(-0.3, 0.4, 3), Some(vec![-0.3, -0.06666666666666668, 0.16666666666666663, 0.4]));
    }

    #[test]
    fn thresholds_are_where_the_value_reaches_the_edge() {
        let edges = [-1.0, -0.25, 0.0, 0.3, 1.0];
        for float in Float::ALL {
            let keys = thresholds(float, false, &edges, |x| x);
            assert_eq!(keys.len(), 3);
            for (key, edge) in keys.iter().zip(&edges[1..]) {
                assert!(float.key_value(*key, false) >= *edge && float.key_value(key - 1, false) < *edge);
            }
        }
    }
}
