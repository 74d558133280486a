//! What the axes of a curve span.

use super::super::axis::Axis;
use super::{Curve, Point};

/// Beyond this a number is taken for infinite: differences must stay finite.
const DRAWABLE: f64 = 1e100;

/// Whether a point has a place in the picture.
pub(super) fn is_drawable(point: &Point) -> bool {
    point.saved.abs() < DRAWABLE && point.metric.abs() < DRAWABLE
}

/// What was cut, in %: from nothing to a little more than the most.
pub(super) fn saved_axis(points: &[Point]) -> Axis {
    let shares = points.iter().filter(|point| is_drawable(point)).map(|point| 100.0 * point.saved);
    let (low, high) = shares.fold((0.0f64, 0.0f64), |(low, high), share| (low.min(share), high.max(share)));
    if high <= 0.0 {
        return Axis::new(low, 100.0);
    }
    let room = 0.04 * (high - low);
    Axis::new(
        if low < 0.0 { low - room } else { 0.0 },
        if high <= 100.0 { (high + room).min(100.0) } else { high + room },
    )
}

/// The metric, as it is shown: all that matters (the unpruned model, the floor, what was accepted), and of what was rejected as much
/// as does not flatten that.
pub(super) fn metric_axis(curve: &Curve) -> Axis {
    let scale = factor(curve);
    let shown = |values: &mut dyn Iterator<Item = f64>| {
        values.filter(|value| value.abs() < DRAWABLE).map(|value| value * scale).fold(None, |range, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })
    };
    let drawn = || curve.points.iter().filter(|point| is_drawable(point));
    let needed = drawn().filter(|point| point.kept || point.best || point.test).map(|point| point.metric);
    let core = shown(&mut needed.chain([curve.baseline, curve.floor]));
    let all = shown(&mut drawn().map(|point| point.metric).chain([curve.baseline, curve.floor]));
    let (Some(core), Some(all)) = (core.filter(|(low, high)| low < high).or(all), all) else {
        return Axis::new(0.0, scale);
    };
    let more = 1.5 * (core.1 - core.0);
    let (mut low, mut high) = all;
    if curve.higher_is_better {
        low = low.max(core.0 - more);
    } else {
        high = high.min(core.1 + more);
    }
    // None where they are the same, which is for the axis to see.
    let room = 0.06 * (high - low);
    Axis::new(low - room, high + room)
}

/// What a metric is multiplied with to be shown.
pub(super) fn factor(curve: &Curve) -> f64 {
    if curve.percent { 100.0 } else { 1.0 }
}
