//! Wanda: magnitudes weighed by what flows through them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::targets::columns;
use super::{Score, Within};
use crate::{Checkpoint, Dtype, Error, Result, Tensor};

/// Norms that are read, and checked, at a time.
const NORMS: usize = 1 << 16;
/// Tensors of up to that many norms whose norms are kept.
const KEPT: usize = 32;

/// |w| times the L2 norm of its input feature, ranked within each output row (Sun et al., "A simple and effective pruning
/// approach for large language models", 2023).
///
/// The norms come from a safetensors file that holds, under each weight's name, an F32 tensor of as many norms as the
/// weight has elements on axis 1, or columns of the flattened row; each finite and not negative. A score is
/// f32(|w|) · norm, rounded to f32.
#[derive(Debug)]
pub struct Wanda {
    path: PathBuf,
    norms: Checkpoint,
    /// Norms of tensors that have few, by name: many rows need them again and again.
    kept: RwLock<HashMap<String, Arc<[f32]>>>,
}

impl Wanda {
    /// The norms of `path`.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], and [`Error::Tensor`] where a tensor is not F32, or a norm is negative or not finite.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let norms = Checkpoint::open(&path)?;
        for tensor in norms.tensors() {
            if tensor.dtype() != Dtype::F32 {
                return Err(Error::tensor(
                    &path,
                    tensor.name(),
                    format!("norms are F32, and this is {}", tensor.dtype()),
                ));
            }
            check(&norms, tensor)?;
        }
        Ok(Self { path, norms, kept: RwLock::default() })
    }

    /// How many consecutive columns share a norm; `None` where there are no norms, or not as many as the tensor needs.
    fn columns_each(&self, tensor: &Tensor) -> Option<u64> {
        let held = self.norms.get(tensor.name())?.elements();
        let (rows, inputs) = (*tensor.shape().first()?, *tensor.shape().get(1)?);
        let columns = tensor.elements().checked_div(rows)?;
        (held > 0 && (held == inputs || held == columns)).then(|| columns / held)
    }

    /// The norms `from..to` of `tensor`, in `out`.
    fn read(&self, tensor: &Tensor, from: u64, to: u64, out: &mut Vec<f32>) -> Result<()> {
        out.resize((to - from) as usize, 0.0);
        self.norms.read_exact_at(tensor, from * 4, bytemuck::cast_slice_mut(out))
    }

    /// All norms of `tensor`, where they are few enough to be kept.
    fn kept(&self, tensor: &Tensor) -> Result<Option<Arc<[f32]>>> {
        if tensor.elements() > NORMS as u64 {
            return Ok(None);
        }
        if let Some(norms) = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(tensor.name()) {
            return Ok(Some(norms.clone()));
        }
        let mut norms = Vec::new();
        self.read(tensor, 0, tensor.elements(), &mut norms)?;
        let norms: Arc<[f32]> = norms.into();
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        // Tensors come one after the other: those that were are not needed again.
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(tensor.name().to_owned(), norms.clone());
        Ok(Some(norms))
    }
}

/// Fails where a norm is negative or not finite.
fn check(norms: &Checkpoint, tensor: &Tensor) -> Result<()> {
    let mut some = Vec::new();
    let mut first = 0;
    while first < tensor.elements() {
        some.resize((tensor.elements() - first).min(NORMS as u64) as usize, 0.0f32);
        norms.read_exact_at(tensor, first * 4, bytemuck::cast_slice_mut(&mut some))?;
        if let Some(at) = some.iter().position(|norm| !norm.is_finite() || *norm < 0.0) {
            let message = format!("norm {} is {}: norms are finite and not negative", first + at as u64, some[at]);
            return Err(Error::tensor(norms.path(), tensor.name(), message));
        }
        first += some.len() as u64;
    }
    Ok(())
}

impl Score for Wanda {
    fn name(&self) -> String {
        format!("wanda:{}", self.path.display())
    }

    fn within(&self) -> Within {
        Within::Row
    }

    fn left_out(&self, tensor: &Tensor) -> Option<String> {
        if self.columns_each(tensor).is_some() {
            return None;
        }
        Some(match self.norms.get(tensor.name()) {
            None => "the file of norms has none for it".to_owned(),
            Some(norms) => format!("its {} norms fit neither axis 1 nor the columns of a row", norms.elements()),
        })
    }

    fn score(&self, tensor: &Tensor, first: u64, weights: &[f32], scores: &mut [f32]) -> Result<()> {
        let (Some(norms), Some(each)) = (self.norms.get(tensor.name()), self.columns_each(tensor)) else {
            return Err(Error::tensor(&self.path, tensor.name(), "there are no norms that fit it"));
        };
        let columns = columns(tensor).max(1);
        let kept = self.kept(norms)?;
        let mut read = Vec::new();
        let mut done = 0;
        while done < weights.len() {
            // A row at a time, or what is asked of it.
            let column = (first + done as u64) % columns;
            let length = (columns - column).min((weights.len() - done) as u64) as usize;
            let (from, to) = (column / each, (column + length as u64).div_ceil(each));
            let norms = match &kept {
                Some(all) => all.get(from as usize..to as usize).unwrap_or_default(),
                None => {
                    self.read(norms, from, to, &mut read)?;
                    &read
                }
            };
            let (weights, scores) = (&weights[done..done + length], &mut scores[done..done + length]);
            if each == 1 {
                weights.iter().zip(norms).zip(scores).for_each(|((w, norm), score)| *score = w.abs() * norm);
            } else {
                for (column, (w, score)) in (column..).zip(weights.iter().zip(scores)) {
                    *score = w.abs() * norms[(column / each - from) as usize];
                }
            }
            done += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize_to_file};

    fn written(folder: &Path, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
        let path = folder.join(name);
        let views = tensors.iter().map(|(name, shape, values)| {
            (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).unwrap())
        });
        serialize_to_file(views, None, &path).unwrap();
        path
    }

    #[test]
    fn scores_are_products_with_the_norms_of_the_columns() {
        let folder = tempfile::tempdir().unwrap();
        let weights: Vec<f32> = (0..24).map(|i| i as f32 - 12.0).collect();
        let model = written(folder.path(), "m", &[("w", &[2, 3, 4], &weights), ("x", &[2, 3], &weights[..6])]);
        let per_input = written(folder.path(), "i", &[("w", &[3], &[1.0, 10.0, 100.0]), ("x", &[2], &[1.0, 1.0])]);
        let columns: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let per_column = written(folder.path(), "c", &[("w", &[12], &columns)]);
        let model = Checkpoint::open(model).unwrap();
        let tensor = model.get("w").unwrap();
        for (norms, norm) in
            [(per_input, (|i| [1.0, 10.0, 100.0][i % 12 / 4]) as fn(usize) -> f32), (per_column, |i| (i % 12) as f32)]
        {
            let wanda = Wanda::open(norms).unwrap();
            assert_eq!(wanda.left_out(tensor), None);
            assert!(wanda.left_out(model.get("x").unwrap()).is_some());
            for (first, n) in [(0, 24), (5, 11), (12, 12), (23, 1)] {
                let mut scores = vec![0.0; n];
                wanda.score(tensor, first as u64, &weights[first..first + n], &mut scores).unwrap();
                let want: Vec<f32> = (first..first + n).map(|i| weights[i].abs() * norm(i)).collect();
                assert_eq!(scores, want, "{first} {n}");
            }
        }
    }

    #[test]
    fn bad_norms_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for bad in [f32::NAN, -1.0, f32::INFINITY] {
            let error = Wanda::open(written(folder.path(), "n", &[("w", &[2], &[0.5, bad])])).unwrap_err();
            assert!(error.to_string().contains("norm 1"), "{error}");
        }
    }
}
