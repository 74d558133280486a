//! Roots of rising functions, by the same steps on every platform.

/// Doubling steps, of which so many leave f64's range of useful arguments.
const MOST_DOUBLINGS: i32 = 40;
/// Bisection alone needs about 100 from any bracket that [`outwards`] finds.
const MOST_STEPS: u32 = 200;

/// The first of `from` + `step`·(0, 1, 3, 7, …) for which `found` holds, or the last tried.
pub(super) fn outwards(from: f64, mut step: f64, mut found: impl FnMut(f64) -> bool) -> f64 {
    let mut at = from;
    for _ in 0..MOST_DOUBLINGS {
        if found(at) {
            break;
        }
        at += step;
        step *= 2.0;
    }
    at
}

/// Where the rising `f`, which gives its value and slope, crosses 0 between `low` and `high`: Newton's method from
/// `start`, and bisection wherever that would leave the bracket or is slow.
///
/// An infinite value, or a slope that is not a number, is taken for its sign only.
pub(super) fn root(mut low: f64, mut high: f64, start: f64, mut f: impl FnMut(f64) -> (f64, f64)) -> f64 {
    let mut at = start.clamp(low, high);
    let (mut step, mut before) = (high - low, high - low);
    for _ in 0..MOST_STEPS {
        let (value, slope) = f(at);
        if value == 0.0 {
            break;
        }
        if value < 0.0 {
            low = at;
        } else {
            high = at;
        }
        let newton = at - value / slope;
        let good = newton > low && newton < high && (newton - at).abs() <= before.abs() / 2.0;
        let next = if good { newton } else { low + (high - low) / 2.0 };
        (before, step) = (step, next - at);
        if step.abs() <= f64::EPSILON * at.abs().max(1.0) {
            return next;
        }
        at = next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        let cube = |x: f64| (x * x * x - 2.0, 3.0 * x * x);
        for start in [0.0, 1.0, 1e6] {
            assert!((root(-1e6, 1e6, start, cube) - 2f64.cbrt()).abs() < 1e-15, "{start}");
        }
        // A flat start, a wall, and no slope at all.
        let wall = |x: f64| if x > 3.0 { (f64::INFINITY, f64::NAN) } else { (x - 3.0, 0.0) };
        assert!((root(-8.0, 1e9, 1e9, wall) - 3.0).abs() < 1e-14);
        // Newton would crawl: e^(60 x).
        let mut calls = 0;
        let steep = |x: f64| {
            calls += 1;
            ((60.0 * x).exp() - 2.0, 60.0 * (60.0 * x).exp())
        };
        assert!((root(-1.0, 11.0, 11.0, steep) - 2f64.ln() / 60.0).abs() < 1e-15);
        assert!(calls < 40, "{calls}");
    }

    #[test]
    fn brackets() {
        assert_eq!(outwards(1.0, 1.0, |x| x >= 7.5), 8.0);
        assert_eq!(outwards(1.0, -1.0, |x| x <= 1.0), 1.0);
        assert!(outwards(0.0, 1.0, |_| false).is_finite());
    }
}
