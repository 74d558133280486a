//! Tensors of a checkpoint as f32, and back.

use half::{bf16, f16};

use crate::checkpoint::Tensor;
use crate::float::{to_f32, to_f64};
use crate::{Checkpoint, Error, Float, Result};

/// All elements of a floating tensor; F64 is rounded.
pub(super) fn read(model: &Checkpoint, tensor: &Tensor) -> Result<Vec<f32>> {
    let fail = |why: &str| Error::tensor(model.path(), tensor.name(), why);
    let float = tensor.float().ok_or_else(|| fail("holds no floating numbers, which a network computes with"))?;
    let length = usize::try_from(tensor.bytes()).map_err(|_| fail("is too large for this machine"))?;
    let mut bytes = vec![0; length];
    model.read_exact_at(tensor, 0, &mut bytes)?;
    let mut values = vec![0.0; length / float.bytes()];
    if float == Float::F64 {
        let mut wide = vec![0.0; values.len()];
        to_f64(&bytes, &mut wide);
        values.iter_mut().zip(wide).for_each(|(value, wide)| *value = wide as f32);
    } else {
        to_f32(float, &bytes, &mut values);
    }
    Ok(values)
}

/// The bytes of `values` in that format; `None` for formats of 8 bits, in which nothing is trained.
pub(super) fn encode(float: Float, values: &[f32]) -> Option<Vec<u8>> {
    let each = |bytes: fn(f32) -> [u8; 2]| values.iter().flat_map(|&value| bytes(value)).collect();
    Some(match float {
        Float::F32 => bytemuck::cast_slice(values).to_vec(),
        Float::F64 => values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect(),
        Float::F16 => each(|value| f16::from_f32(value).to_le_bytes()),
        Float::BF16 => each(|value| bf16::from_f32(value).to_le_bytes()),
        Float::E4M3 | Float::E5M2 => return None,
    })
}
