//! Pictures of a whole model, or of two.

use super::tensors::{Ranges, edges, within};
use crate::Result;
use crate::report::figure::{Figure, HistogramFigure, Mark};
use crate::stats::Statistics;
use crate::survey::{Survey, ValueCounts};

const BINS: usize = 120;
/// Bins of octaves: four each.
const BINS_OF_OCTAVES: usize = 80;

/// Counts of several tensors over the same edges.
struct Summed {
    edges: Vec<f64>,
    counts: Vec<f64>,
}

/// The three histograms of a model: near the mean, over the whole range, and of magnitudes.
pub(super) struct Histograms {
    near: Option<Summed>,
    whole: Option<Summed>,
    octaves: Option<Summed>,
    total: Statistics,
}

impl Histograms {
    /// Of all tensors of `survey`, over `ranges`.
    pub(super) fn of(survey: &mut Survey, ranges: &Ranges) -> Result<Self> {
        let all: Vec<usize> = (0..survey.tensors.len()).collect();
        let total = survey.total.clone();
        Self::of_some(survey, &all, total, ranges)
    }

    /// Of one tensor.
    pub(super) fn of_tensor(survey: &mut Survey, tensor: usize, ranges: &Ranges) -> Result<Self> {
        let total = survey.tensors[tensor].entry.statistics.clone();
        Self::of_some(survey, &[tensor], total, ranges)
    }

    fn of_some(survey: &mut Survey, tensors: &[usize], total: Statistics, ranges: &Ranges) -> Result<Self> {
        let empty = |range: Option<(f64, f64)>, bins| {
            range.map(|range| Summed { edges: edges(range, bins), counts: vec![0.0; bins] })
        };
        let (near, whole) = (empty(ranges.near, BINS), empty(ranges.whole, BINS));
        let mut this = Self { near, whole, octaves: empty(ranges.octaves, BINS_OF_OCTAVES), total };
        for tensor in tensors {
            let counts = survey.counts(*tensor)?;
            let add = |into: &mut Option<Summed>, how: fn(&ValueCounts, &[f64]) -> Vec<f64>| {
                if let Some(sum) = into {
                    let found = within(&counts, &sum.edges, how);
                    sum.counts.iter_mut().zip(found).for_each(|(sum, count)| *sum += count);
                }
            };
            add(&mut this.near, ValueCounts::histogram);
            add(&mut this.whole, ValueCounts::histogram);
            add(&mut this.octaves, ValueCounts::log2_histogram);
        }
        Ok(this)
    }

    /// The pictures; `of` is what they are of, `prefix` goes before their names. `marks` are magnitudes.
    pub(super) fn figures(&self, prefix: &str, of: &str, before: Option<&Self>, marks: &[Mark]) -> Result<Vec<Figure>> {
        let s = &self.total;
        let finite = (s.count - s.nan - s.inf) as f64;
        let normal = s.mean.zip(s.variance).filter(|(_, variance)| *variance > 0.0);
        let normal = normal.map(|(mean, variance)| (mean, variance.sqrt(), finite));
        let mut figures = Vec::new();
        let mut draw = |name: &str, title: String, what, log, sum: &Option<Summed>, earlier: Option<&Summed>, marks| {
            let Some(Summed { edges, counts }) = sum else { return Ok(()) };
            let normal = normal.filter(|_| what == WEIGHT);
            let zeros = if what == WEIGHT { 0.0 } else { s.zeros.unwrap_or(0) as f64 };
            let beyond = (finite - zeros - counts.iter().sum::<f64>()).max(0.0);
            let before = earlier.map(|earlier| earlier.counts.as_slice());
            let name = format!("{prefix}{name}");
            let drawn = HistogramFigure { name: &name, title, what, edges, counts, before, beyond, normal, log, marks };
            figures.push(drawn.draw()?);
            Ok(())
        };
        let near = before.and_then(|before| before.near.as_ref());
        draw("histogram", format!("{of}: weights"), WEIGHT, false, &self.near, near, Vec::new())?;
        let whole = before.and_then(|before| before.whole.as_ref());
        draw("histogram-log", format!("{of}: weights, all of them"), WEIGHT, true, &self.whole, whole, Vec::new())?;
        let octaves = before.and_then(|before| before.octaves.as_ref());
        let title = format!("{of}: magnitudes");
        draw("magnitudes", title, "log2 |w|, zeros left out", false, &self.octaves, octaves, marks.to_vec())?;
        Ok(figures)
    }
}

const WEIGHT: &str = "weight";

/// A mark at a magnitude.
pub(super) fn at_magnitude(magnitude: f64, label: String) -> Option<Mark> {
    (magnitude > 0.0).then(|| Mark { at: magnitude.log2(), label })
}
