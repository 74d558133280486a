//! Weights that stay cut while the others are trained.

use burn::backend::Flex;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::network::Parameter;
use crate::kernels::apply_mask::apply_mask;
use crate::prune::Masks;
use crate::{Checkpoint, Result};

/// For each parameter what of it is kept, where something is not.
#[derive(Debug)]
pub(super) struct Held(Vec<Option<Kept>>);

/// What is kept of a parameter.
#[allow(clippy::large_enum_variant, reason = "a network has few of them")]
#[derive(Debug)]
enum Kept {
    /// One bit an element, for the CPU's apply kernel.
    Words(Vec<u32>),
    /// The elements that are cut, on a GPU.
    Cut(Tensor<1, Bool>),
}

impl Held {
    /// By the masks of a file, or, without, by what is 0 where `zeros` says so.
    pub(super) fn new(
        model: &Checkpoint,
        masks: Option<&Masks>,
        zeros: bool,
        parameters: &[Parameter],
        device: &Device,
    ) -> Result<Self> {
        masks.map_or(Ok(()), |masks| masks.check(model))?;
        let one = |parameter: &Parameter| {
            let count = parameter.flat.dims()[0];
            let words = match masks {
                Some(masks) => masks.read(&parameter.name, 0, count as u64)?,
                None if zeros => nonzero(&parameter.flat),
                None => Vec::new(),
            };
            if words.is_empty() {
                return Ok(None);
            }
            if *device == Device::flex() {
                return Ok(Some(Kept::Words(words)));
            }
            let cut: Vec<bool> = (0..count).map(|i| words[i / 32] >> (i % 32) & 1 == 0).collect();
            Ok(Some(Kept::Cut(Tensor::from_data(TensorData::new(cut, [count]), device))))
        };
        parameters.iter().map(one).collect::<Result<_>>().map(Self)
    }

    /// Cuts what is not kept of parameter number `index`: by this project's kernel where it lies in the CPU's memory.
    pub(super) fn apply(&self, index: usize, parameter: &mut Parameter) {
        let Some(kept) = &self.0[index] else { return };
        let device = parameter.flat.device();
        let value = std::mem::replace(&mut parameter.flat, Tensor::empty([1], &device));
        parameter.flat = match kept {
            Kept::Cut(cut) => value.mask_fill(cut.clone(), 0.0),
            Kept::Words(words) => match value.clone().try_into_primitive::<Flex>() {
                Ok(primitive) => {
                    drop(value);
                    let mut primitive = primitive.to_contiguous();
                    apply_mask(4, bytemuck::cast_slice_mut(primitive.storage_mut::<f32>()), words);
                    Tensor::from_primitive::<Flex>(primitive)
                }
                // Words are made for the CPU's tensors alone.
                Err(_) => value,
            },
        };
    }
}

/// A bit for each element that is not 0.
fn nonzero(values: &Tensor<1>) -> Vec<u32> {
    let values = values.clone().try_into_vec_as::<f32>().unwrap_or_default();
    let word = |values: &[f32]| values.iter().enumerate().map(|(i, x)| u32::from(*x != 0.0) << i).sum();
    values.chunks(32).map(word).collect()
}
