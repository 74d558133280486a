//! Weights that stay cut while the others are trained.

use burn::tensor::{Device, Tensor, TensorData};

use super::network::Parameter;
use crate::prune::Masks;
use crate::{Checkpoint, Result};

/// For each parameter, the elements that are kept, where some are not.
#[derive(Debug)]
pub(super) struct Held(Vec<Option<Tensor<1>>>);

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
                None if zeros => zero_words(&parameter.flat),
                None => Vec::new(),
            };
            if words.is_empty() {
                return Ok(None);
            }
            let kept: Vec<f32> = (0..count).map(|i| (words[i / 32] >> (i % 32) & 1) as f32).collect();
            Ok(Some(Tensor::from_data(TensorData::new(kept, [count]), device)))
        };
        parameters.iter().map(one).collect::<Result<_>>().map(Self)
    }

    /// Cuts what is not kept of parameter number `index`.
    pub(super) fn apply(&self, index: usize, parameter: &mut Parameter) {
        if let Some(kept) = &self.0[index] {
            let value = std::mem::replace(&mut parameter.flat, Tensor::empty([1], &kept.device()));
            parameter.flat = value.mul(kept.clone());
        }
    }
}

fn zero_words(values: &Tensor<1>) -> Vec<u32> {
    let values = values.clone().try_into_vec_as::<f32>().unwrap_or_default();
    let word = |values: &[f32]| values.iter().enumerate().map(|(i, x)| u32::from(*x != 0.0) << i).sum();
    values.chunks(32).map(word).collect()
}
