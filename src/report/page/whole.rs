//! Pictures of a whole model, or of two.

use super::tensors::{Over, Ranges, edges, within};
use crate::Result;
use crate::report::figure::{Figure, HistogramFigure, Mark};
use crate::report::number;
use crate::stats::Statistics;
use crate::survey::Survey;

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
            let zeros = survey.tensors[*tensor].entry.statistics.zeros.unwrap_or(0);
            let sums =
                [(&mut this.near, Over::Near), (&mut this.whole, Over::Whole), (&mut this.octaves, Over::Octaves)];
            for (sum, over) in sums.into_iter().filter_map(|(sum, over)| Some((sum.as_mut()?, over))) {
                let found = within(&counts, zeros, &sum.edges, over);
                sum.counts.iter_mut().zip(found).for_each(|(sum, count)| *sum += count);
            }
        }
        Ok(this)
    }

    /// The pictures; `of` is what they are of, `prefix` goes before their names. `marks` are magnitudes.
    pub(super) fn figures(&self, prefix: &str, of: &str, before: Option<&Self>, marks: &[Mark]) -> Result<Vec<Figure>> {
        let s = &self.total;
        let finite = (s.count - s.nan - s.inf) as f64;
        let normal = normal(s);
        let zeros = s.zeros.unwrap_or(0);
        let weight = match zeros {
            0 => "weight".to_owned(),
            zeros => format!("weight, {} zeros left out", number::count(zeros)),
        };
        let all = |of: fn(&Self) -> &Option<Summed>| (of(self).as_ref(), before.and_then(|before| of(before).as_ref()));
        let (near, whole, octaves) = (all(|h| &h.near), all(|h| &h.whole), all(|h| &h.octaves));
        let three = [
            ("histogram", format!("{of}: weights"), weight.as_str(), near, normal, Vec::new()),
            ("histogram-log", format!("{of}: weights, all of them"), weight.as_str(), whole, normal, Vec::new()),
            ("magnitudes", format!("{of}: magnitudes"), "log2 |w|, zeros left out", octaves, None, marks.to_vec()),
        ];
        let mut figures = Vec::new();
        for (name, title, what, (sum, earlier), normal, marks) in three {
            let Some(Summed { edges, counts }) = sum else { continue };
            let log = name == "histogram-log";
            let beyond = if log { 0.0 } else { (finite - zeros as f64 - counts.iter().sum::<f64>()).max(0.0) };
            let (name, before) = (format!("{prefix}{name}"), earlier.map(|earlier| earlier.counts.as_slice()));
            figures.push(
                HistogramFigure { name: &name, title, what, edges, counts, before, beyond, normal, log, marks }
                    .draw()?,
            );
        }
        Ok(figures)
    }
}

/// Mean, σ and count of the weights that are drawn, those that are not 0.
fn normal(s: &Statistics) -> Option<(f64, f64, f64)> {
    let n = (s.count - s.nan - s.inf) as f64;
    let shown = n - s.zeros.unwrap_or(0) as f64;
    let (mean, variance) = s.mean.zip(s.variance)?;
    let without = mean * (n / shown);
    // Σw² is the same without zeros.
    let spread = (variance + mean * mean) * (n / shown) - without * without;
    let spread = if shown == n { variance } else { spread };
    (shown > 0.0 && spread > 0.0 && spread.is_finite()).then(|| (without, spread.sqrt(), shown))
}

/// A mark at a magnitude.
pub(super) fn at_magnitude(magnitude: f64, label: String) -> Option<Mark> {
    (magnitude > 0.0).then(|| Mark { at: magnitude.log2(), label })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Moments;
    use crate::stats::{Transform, fold};

    #[test]
    fn the_curve_is_of_what_is_drawn() {
        let kept: Vec<f32> = (0..500).map(|i| (i % 50) as f32 * 0.02 + 0.3).collect();
        let all = [kept.clone(), vec![0.0; 1500]].concat();
        let of = |weights: &[f32]| {
            let moments = Moments::of(weights);
            normal(&fold::statistics(&moments, &moments, Transform::None)).unwrap()
        };
        let ((mean, sigma, count), want) = (of(&all), of(&kept));
        assert_eq!(count, want.2);
        assert!((mean - want.0).abs() < 1e-6 && (sigma - want.1).abs() < 1e-5, "{mean} {sigma} {want:?}");
    }
}
