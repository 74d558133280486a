//! What a search found: the metric of each candidate against what was cut, as CSV and as a picture.

mod draw;
mod scale;
mod words;

use std::io::{self, Write};

use crate::Result;

/// The course of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What is above the picture: the model, say.
    pub title: String,
    /// What the metric is called: `accuracy`.
    pub metric_name: String,
    /// Whether the metric is a share of 1, to be shown in %.
    pub percent: bool,
    /// What was cut: `weights cut`, `parameters removed`, `MACs removed`.
    pub saved_name: String,
    /// Whether more of the metric is better; if not, the floor is a ceiling.
    pub higher_is_better: bool,
    /// The metric of the unpruned model.
    pub baseline: f64,
    /// The metric that must be kept.
    pub floor: f64,
    /// Every candidate, in the order of evaluation.
    pub points: Vec<Point>,
}

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its round.
    pub round: u32,
    /// The share that was cut, 0 to 1.
    pub saved: f64,
    /// Its metric.
    pub metric: f64,
    /// Whether it was accepted.
    pub kept: bool,
    /// Whether it is what the search ended with.
    pub best: bool,
    /// Whether the metric is of the test set, which steers nothing.
    pub test: bool,
}

/// Writes a header and one row for each point, in their order: shares and metrics as they are, so that they read back to
/// the same numbers; a cell is empty where there is no finite one.
///
/// # Errors
/// Those of `out`.
pub fn curve_csv(curve: &Curve, out: &mut dyn Write) -> io::Result<()> {
    let number = |value: f64| if value.is_finite() { format!("{value:?}") } else { String::new() };
    writeln!(out, "round,saved,metric,kept,best,test")?;
    for Point { round, saved, metric, kept, best, test } in &curve.points {
        writeln!(out, "{round},{},{},{kept},{best},{test}", number(*saved), number(*metric))?;
    }
    Ok(())
}

/// The curve as an SVG of 840 by 520: accepted candidates as dots, rejected ones as crosses, measurements on the test set as
/// diamonds, the unpruned model as a square, the floor dashed, the best candidate ringed and named.
///
/// Rejected candidates that lie far beyond the others would flatten these: they are arrows at the edge. What is not finite is
/// left out; a line under the picture counts it. The same curve gives the same bytes.
///
/// # Errors
/// [`Error::Run`](crate::Error::Run) where the drawing library fails, of which no case is known.
pub fn curve_svg(curve: &Curve) -> Result<String> {
    draw::svg(curve)
}
