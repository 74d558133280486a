//! Masks in files: one bit a weight, 1 = kept.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::targets::Target;
use crate::checkpoint::{Planned, Writer};
use crate::order::bits_at;
use crate::{Checkpoint, Dtype, Error, Float, Result, Selection, Tensor};

/// A file of masks: under each tensor's name a U32 tensor of ⌈elements / 32⌉ words, in which bit i % 32 of word i / 32
/// says whether element i is kept, and bits beyond the last element are 0. The tensor's shape is in `__metadata__`, as
/// JSON text under the same name. A tensor that has no mask stays as it is.
#[derive(Debug)]
pub struct Masks {
    file: Checkpoint,
    shapes: BTreeMap<String, String>,
    selection: Selection,
}

impl Masks {
    /// Opens a file of masks.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = Checkpoint::open(path)?;
        let shapes = file.metadata()?;
        Ok(Self { file, shapes, selection: Selection::default() })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file.get(name).is_some() && self.selection.includes(name)
    }

    /// The masks of the tensors of `selection`.
    #[must_use]
    pub fn only(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// Checks that these are masks, of this model.
    pub(crate) fn check(&self, model: &Checkpoint) -> Result<()> {
        for mask in self.file.tensors().iter().filter(|mask| self.has(mask.name())) {
            let fail = |message: String| Error::tensor(self.file.path(), mask.name(), message);
            let tensor = model.get(mask.name()).ok_or_else(|| fail("the model has no such tensor".to_owned()))?;
            if tensor.float().is_none() {
                return Err(fail(format!("the model's tensor is {}, which has no weights to cut", tensor.dtype())));
            }
            let words = tensor.elements().div_ceil(32);
            if mask.dtype() != Dtype::U32 || mask.shape() != [words] {
                let (dtype, shape) = (mask.dtype(), mask.shape());
                return Err(fail(format!(
                    "{dtype} {shape:?} is no mask of it: {} elements take U32 [{words}]",
                    tensor.elements()
                )));
            }
            // What of a mask can be known at once should not end a run after hours.
            if !tensor.elements().is_multiple_of(32) {
                let mut last = [0u32];
                self.file.read_exact_at(mask, (words - 1) * 4, bytemuck::cast_slice_mut(&mut last))?;
                self.check_last(mask.name(), tensor.elements(), last[0])?;
            }
            let Some(shape) = self.shapes.get(mask.name()) else {
                return Err(fail("its shape is not in the metadata of the file of masks".to_owned()));
            };
            if serde_json::from_str::<Vec<u64>>(shape).ok().as_deref() != Some(tensor.shape()) {
                let shown = crate::escape(&shape.chars().take(80).collect::<String>());
                return Err(fail(format!(
                    "the mask is of shape {shown}, and the model's tensor of {:?}",
                    tensor.shape()
                )));
            }
        }
        Ok(())
    }

    /// The words of `elements` elements from `first` on, which is a multiple of 32.
    pub(crate) fn read(&self, name: &str, first: u64, elements: u64) -> Result<Vec<u32>> {
        let Some(mask) = self.file.get(name) else { return Ok(Vec::new()) };
        let mut words = vec![0u32; elements.div_ceil(32) as usize];
        self.file.read_exact_at(mask, first / 8, bytemuck::cast_slice_mut(&mut words))?;
        if let Some(last) = words.last() {
            self.check_last(name, elements, *last)?;
        }
        Ok(words)
    }

    fn check_last(&self, name: &str, elements: u64, last: u32) -> Result<()> {
        if elements.is_multiple_of(32) || last >> (elements % 32) == 0 {
            return Ok(());
        }
        let message = "bits beyond the last element are not 0: this is no mask of it";
        Err(Error::tensor(self.file.path(), name, message))
    }
}

/// Keeps the weights that are NaN, whatever their mask says: others may have made it.
pub(super) fn keep_nan(float: Float, bytes: &[u8], words: &mut [u32]) {
    let width = float.bytes();
    words.par_iter_mut().zip(bytes.par_chunks(32 * width)).for_each(|(word, weights)| {
        let mut cut = !*word;
        while cut != 0 {
            let bit = cut.trailing_zeros() as usize;
            if bit < weights.len() / width && float.magnitude(bits_at(float, weights, bit)) > float.largest_magnitude()
            {
                *word |= 1 << bit;
            }
            cut &= cut - 1;
        }
    });
}

/// Masks on their way to a file.
pub(super) struct MaskWriter(Writer);

impl MaskWriter {
    pub(super) fn new(model: &Checkpoint, targets: &[Target], path: &Path, force: bool) -> Result<Self> {
        let of = |target: &Target| &model.tensors()[target.index];
        let planned = |tensor: &Tensor| Planned {
            name: tensor.name().to_owned(),
            dtype: Dtype::U32,
            shape: vec![tensor.elements().div_ceil(32)],
        };
        let planned: Vec<Planned> = targets.iter().map(|t| planned(of(t))).collect();
        let shapes = targets.iter().map(|t| (of(t).name().to_owned(), format!("{:?}", of(t).shape()))).collect();
        Ok(Self(Writer::beside(model, path, force, &planned, &shapes)?))
    }

    /// Writes the words of elements from `first` on, which is a multiple of 32.
    pub(super) fn write(&self, name: &str, first: u64, words: &[u32]) -> Result<()> {
        self.0.write_all_at(name, first / 8, bytemuck::cast_slice(words))
    }

    pub(super) fn finish(self) -> Result<()> {
        self.0.finish()
    }
}
