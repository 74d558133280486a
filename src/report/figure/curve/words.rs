//! What the picture says in words.

use super::super::words::safe;
use super::scale::{factor, is_drawable};
use super::{Curve, Point};

/// A name among other text.
pub(super) fn name(name: &str) -> String {
    safe(name, 40)
}

/// A metric with its unit.
pub(super) fn metric(curve: &Curve, value: f64) -> String {
    let value = value * factor(curve);
    match (curve.percent, value.abs()) {
        (true, _) if value.abs() < 1e4 => format!("{value:.2} %"),
        (false, size) if size == 0.0 || (1e-3..1e5).contains(&size) => {
            let text = format!("{value:.4}");
            let short = text.trim_end_matches('0').trim_end_matches('.');
            short.to_owned()
        }
        (percent, _) => format!("{value:.3e}{}", if percent { " %" } else { "" }),
    }
}

/// What the floor is.
pub(super) fn floor(curve: &Curve) -> &'static str {
    if curve.higher_is_better { "floor" } else { "ceiling" }
}

/// What a point is labelled with.
pub(super) fn label(curve: &Curve, point: &Point) -> String {
    let (saved, metric) = (100.0 * point.saved, metric(curve, point.metric));
    format!("best: {saved:.2} % cut, {metric} (round {})", point.round)
}

/// The picture for those who cannot see it.
pub(super) fn description(curve: &Curve, left_out: usize) -> String {
    let (name, saved) = (name(&curve.metric_name), name(&curve.saved_name));
    let candidates = curve.points.iter().filter(|point| !point.test);
    let (accepted, rejected): (Vec<&Point>, Vec<&Point>) = candidates.partition(|point| point.kept);
    let mut text = format!(
        "{name} against {saved}, in %. {} candidates were accepted and {} rejected.",
        accepted.len(),
        rejected.len()
    );
    if curve.baseline.is_finite() {
        text += &format!(" Unpruned: {}.", metric(curve, curve.baseline));
    }
    if curve.floor.is_finite() {
        text += &format!(" The {}: {}.", floor(curve), metric(curve, curve.floor));
    }
    if let Some(best) = curve.points.iter().find(|point| point.best && !point.test && is_drawable(point)) {
        text += &format!(" The {}.", label(curve, best));
    }
    if let Some(test) = curve.points.iter().rfind(|point| point.test && is_drawable(point)) {
        text += &format!(" On the test set: {} at {:.2} %.", metric(curve, test.metric), 100.0 * test.saved);
    }
    if left_out > 0 {
        text += &format!(" {left_out} without a finite value are not shown.");
    }
    text
}
