//! What a unit costs, by how much of it is cut.

/// Damage over x = −ln(share kept), between and beyond what was measured. It never falls.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    /// Ascending in both; the origin is left out.
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// Through the origin and what was measured, in whatever order. What is no number counts as far worse than the rest.
    pub(super) fn new(mut points: Vec<(f64, f64)>) -> Self {
        points.retain(|(x, _)| x.is_finite() && *x > 0.0);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let worst = points.iter().map(|(_, damage)| *damage).filter(|d| d.is_finite()).fold(1.0, f64::max);
        let mut most = 0.0;
        for (_, damage) in &mut points {
            most = f64::max(most, if damage.is_finite() { *damage } else { 10.0 * worst });
            *damage = most;
        }
        Self { points }
    }

    /// The damage at x; beyond the last point by the slope that leads to it, doubled, since damage grows faster and faster.
    pub(super) fn at(&self, x: f64) -> f64 {
        let (mut before, mut slope) = ((0.0, 0.0), 0.0);
        for &(end, damage) in &self.points {
            slope = if end > before.0 { (damage - before.1) / (end - before.0) } else { slope };
            if x <= end {
                return before.1 + slope * (x - before.0);
            }
            before = (end, damage);
        }
        before.1 + 2.0 * slope * (x - before.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_and_beyond() {
        let curve = Curve::new(vec![(2.0, 3.0), (1.0, 1.0)]);
        for (x, damage) in [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.5, 2.0), (2.0, 3.0), (3.0, 7.0)] {
            assert_eq!(curve.at(x), damage, "{x}");
        }
    }

    #[test]
    fn never_falls_and_takes_what_is_no_number() {
        let curve = Curve::new(vec![(0.5, -1.0), (1.0, 0.4), (2.0, 0.2), (3.0, f64::INFINITY), (f64::INFINITY, 1.0)]);
        let found: Vec<f64> = [0.5, 1.0, 2.0, 3.0].map(|x| curve.at(x)).to_vec();
        assert_eq!(found, [0.0, 0.4, 0.4, 10.0]);
        assert_eq!((Curve::default().at(1.0), Curve::new(vec![(1.0, f64::NAN)]).at(1.0)), (0.0, 10.0));
    }
}
