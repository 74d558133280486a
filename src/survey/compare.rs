//! Two surveys beside each other: before and after pruning.

use std::collections::HashMap;

use super::{Survey, ValueCounts};
use crate::Result;

/// What became of a tensor that both models have.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its index in the survey of the model before, and in that of the model after.
    pub before: usize,
    /// See `before`.
    pub after: usize,
    /// Whether it has another shape: whole channels went.
    pub resized: bool,
    /// Weights that went: elements that are no longer there, or by how much the number of zeros has grown.
    pub cut: u64,
    /// By how much the number of zeros has fallen.
    pub revived: u64,
    /// Whether nothing else has happened, as far as counts tell: every weight that is left is as it was. Known by how often each
    /// value occurs (of wider weights their upper 16 bits), so that weights that only changed places, or by less than that, are
    /// taken for the same.
    pub only_cut: bool,
    /// Where only cut, and of the same shape: the smallest and the largest |w| that became 0.
    pub range: Option<(f64, f64)>,
    /// The smallest |w| that is not 0 after.
    pub least_left: Option<f64>,
}

/// Two models, tensor by tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Tensors of the same name, in the order of the model before.
    pub changes: Vec<Change>,
    /// Indices of those that only the model before has.
    pub removed: Vec<usize>,
    /// Indices of those that only the model after has.
    pub added: Vec<usize>,
}

/// Compares two surveys by the names of their tensors, from their counts: no weight is read again.
///
/// # Errors
/// As [`Survey::counts`].
pub fn compare(before: &mut Survey, after: &mut Survey) -> Result<Comparison> {
    let places: HashMap<&str, usize> =
        after.tensors.iter().enumerate().map(|(i, tensor)| (tensor.entry.name.as_str(), i)).collect();
    let pairs: Vec<Option<usize>> =
        before.tensors.iter().map(|tensor| places.get(tensor.entry.name.as_str()).copied()).collect();
    let mut known = vec![false; after.tensors.len()];
    let (mut changes, mut removed) = (Vec::new(), Vec::new());
    for (index, pair) in pairs.into_iter().enumerate() {
        match pair {
            Some(other) => {
                known[other] = true;
                changes.push(change(before, index, after, other)?);
            }
            None => removed.push(index),
        }
    }
    let added = (0..known.len()).filter(|index| !known[*index]).collect();
    Ok(Comparison { changes, removed, added })
}

fn change(before: &mut Survey, index: usize, after: &mut Survey, other: usize) -> Result<Change> {
    let (a, b) = (before.counts(index)?, after.counts(other)?);
    let (was, is) = (&before.tensors[index].entry, &after.tensors[other].entry);
    let (zeros_before, zeros_after) = (was.statistics.zeros.unwrap_or(0), is.statistics.zeros.unwrap_or(0));
    let resized = was.shape != is.shape;
    let gone = was.statistics.count.saturating_sub(is.statistics.count);
    let gained = zeros_after.saturating_sub(zeros_before);
    let lost = a.without(&b);
    // Weights so near to 0 that they are counted among the zeros.
    let tiny = |counts: &ValueCounts, zeros: u64| counts.near_zero().saturating_sub(zeros);
    let (tiny_before, tiny_after) = (tiny(&a, zeros_before), tiny(&b, zeros_after));
    let sum = |lost: &ValueCounts| lost.cells().iter().map(|(_, count)| count).sum::<u64>();
    let same_rest = was.statistics.nan == is.statistics.nan && tiny_after <= tiny_before;
    let only_cut = match &lost {
        None => false,
        Some(_) if resized => zeros_after <= zeros_before,
        Some(lost) => same_rest && zeros_before + sum(lost) + tiny_before - tiny_after == zeros_after,
    };
    let lost = lost.filter(|_| only_cut && !resized).map(|lost| lost.magnitudes());
    let range = lost.and_then(|lost| Some((lost.first()?.middle(), lost.last()?.middle())));
    let least_left = b.magnitudes().iter().find(|cell| cell.low > 0.0).map(|cell| cell.middle());
    Ok(Change {
        before: index,
        after: other,
        resized,
        cut: gone + if resized { 0 } else { gained },
        revived: if resized { 0 } else { zeros_before.saturating_sub(zeros_after) },
        only_cut,
        range,
        least_left,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Options, survey};
    use super::*;
    use crate::{Checkpoint, Dtype, Engine, Progress};

    fn surveyed(folder: &Path, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> Survey {
        let path = folder.join(name);
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, w)| w.iter().flat_map(|w| w.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, safetensors::tensor::TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let model = Checkpoint::open(&path).unwrap();
        survey(&model, &Engine::cpu(None).unwrap(), &Options::default(), &Progress::default()).unwrap()
    }

    #[test]
    fn what_became_of_each() {
        let folder = tempfile::tempdir().unwrap();
        let w: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) * 0.25).collect(); // one 0
        let cut: Vec<f32> = w.iter().map(|w| if w.abs() <= 0.5 { 0.0 } else { *w }).collect();
        let tuned: Vec<f32> = cut.iter().map(|w| w * 1.5).collect();
        let turned: Vec<f32> = cut.iter().map(|w| -w).collect();
        let tiny: Vec<f32> = w.iter().map(|w| w * 1e-42).collect();
        let mut a = surveyed(
            folder.path(),
            "a.safetensors",
            &[
                ("cut", &[3, 4], &w),
                ("gone", &[2], &w[..2]),
                ("narrow", &[3, 4], &w),
                ("revived", &[12], &cut),
                ("same", &[12], &w),
                ("tiny", &[12], &tiny),
                ("tuned", &[12], &w),
                ("turned", &[12], &w),
            ],
        );
        let mut b = surveyed(
            folder.path(),
            "b.safetensors",
            &[
                ("cut", &[3, 4], &cut),
                ("narrow", &[2, 4], &w[..8]),
                ("new", &[2], &w[..2]),
                ("revived", &[12], &w),
                ("same", &[12], &w),
                ("tiny", &[12], &[0.0; 12]),
                ("tuned", &[12], &tuned),
                ("turned", &[12], &turned),
            ],
        );
        let found = compare(&mut a, &mut b).unwrap();
        assert_eq!((found.removed.len(), found.added.len(), found.changes.len()), (1, 1, 7));
        let [cut, narrow, revived, same, tiny, tuned, turned] = &found.changes[..] else { panic!() };
        // ±0.25 and ±0.5, each known to 1/128.
        assert_eq!((cut.cut, cut.only_cut, cut.resized), (4, true, false));
        let (low, high) = cut.range.unwrap();
        assert!((low - 0.25).abs() < 0.002 && (high - 0.5).abs() < 0.004, "{low} {high}");
        assert!((cut.least_left.unwrap() - 0.75).abs() < 0.006);
        assert_eq!((narrow.cut, narrow.only_cut, narrow.resized, narrow.range), (4, true, true, None));
        assert_eq!((revived.cut, revived.revived, revived.only_cut), (0, 4, false));
        assert_eq!((same.cut, same.only_cut, same.range), (0, true, None));
        assert_eq!((tiny.cut, tiny.only_cut), (11, true), "too near to 0 to be told from it, but counted");
        assert_eq!((tuned.cut, tuned.only_cut, tuned.range), (4, false, None));
        assert_eq!((turned.cut, turned.only_cut), (4, false), "signs count");
    }
}
