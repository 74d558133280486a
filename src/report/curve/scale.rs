//! Axes: what they span, where their ticks are, and how numbers on them are written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::{Curve, Point};

/// Beyond this a number is taken for infinite: differences must stay finite.
const DRAWABLE: f64 = 1e100;

/// Whether a point has a place in the picture.
pub(super) fn is_drawable(point: &Point) -> bool {
    point.saved.abs() < DRAWABLE && point.metric.abs() < DRAWABLE
}

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<f64>,
    decimals: Option<usize>,
}

impl Axis {
    /// An axis from `from` to `to`, finite numbers, or a little more where these are the same.
    fn new(from: f64, to: f64) -> Self {
        let size = from.abs().max(to.abs()).max(1e-6);
        let least = if from == to { size * 2e-3 } else { size * 1e-5 };
        let (from, to) = if to - from < least { (from - least / 2.0, to + least / 2.0) } else { (from, to) };
        let rough = (to - from) / 6.0;
        let power = 10f64.powi(rough.log10().floor() as i32);
        let step = [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|&step| step >= rough);
        let step = step.unwrap_or(rough);
        let first = (from / step).ceil();
        let ticks = (0..=12).map(|i| (first + f64::from(i)) * step).take_while(|&tick| tick <= to + step * 1e-9);
        let magnitude = from.abs().max(to.abs());
        let decimals = (magnitude < 1e7 && step > 1e-7).then(|| (-step.log10().floor()).max(0.0) as usize);
        // −0 would be written as such.
        Self { from, to, ticks: ticks.map(|tick| tick + 0.0).collect(), decimals }
    }

    pub(super) fn label(&self, value: f64) -> String {
        match self.decimals {
            Some(decimals) => format!("{value:.decimals$}"),
            None => format!("{value:.2e}"),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        // What is beyond is drawn at the edge or not at all: where exactly does not matter.
        let share = ((value - self.from) / (self.to - self.from)).clamp(-2.0, 3.0);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points are those between the ticks, of which there are none.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (from, to, labels) in [
            (0.0, 100.0, &["0", "20", "40", "60", "80", "100"][..]),
            (97.9, 99.4, &["98.0", "98.5", "99.0"]),
            (-0.2, 0.3, &["-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3"]),
            (1e12, 1e12, &[]),
        ] {
            let axis = Axis::new(from, to);
            let shown: Vec<String> = axis.ticks.iter().map(|&tick| axis.label(tick)).collect();
            assert!(axis.from < axis.to && (labels.is_empty() || shown == labels), "{from} {to} {shown:?}");
        }
    }

    #[test]
    fn any_numbers_give_an_axis() {
        let numbers = [0.0f64, -0.0, 1.0, -1.0, 1e-300, 5e-324, 1e99, -1e99, 0.1, 99.99999999999999];
        for from in numbers {
            for to in numbers {
                let axis = Axis::new(from.min(to), from.max(to));
                assert!(axis.from < axis.to && axis.ticks.len() <= 13, "{from} {to}");
                assert!(axis.ticks.iter().all(|tick| tick.is_finite() && axis.label(*tick).len() < 20), "{axis:?}");
            }
        }
    }
}
