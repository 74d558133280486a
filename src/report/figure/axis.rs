//! Axes: what they span, where their ticks are, and how numbers on them are written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

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
    pub(super) fn new(from: f64, to: f64) -> Self {
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
