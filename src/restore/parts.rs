//! Which tensors are parts of a compressed one, and whether they agree.

use crate::{Checkpoint, Dtype, Error, Result, Tensor};
use std::collections::HashSet;

/// A tensor that was decoded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Its name in the output.
    pub name: String,
    /// The format of an element.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<u64>,
    /// How many elements it has.
    pub count: u64,
    /// How many of them were stored; the others are zero.
    pub kept: u64,
    /// The size of its data in the output, in bytes.
    pub bytes: u64,
}

/// A compressed tensor.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) values: &'a Tensor,
    pub(super) bitmask: &'a Tensor,
    shape: &'a Tensor,
    row_offsets: Option<&'a Tensor>,
    pub(super) restored: Restored,
}

impl Part<'_> {
    /// The parts whose contents are in the decoded tensor or follow from it.
    pub(super) fn others(&self) -> impl Iterator<Item = &Tensor> {
        [self.bitmask, self.shape].into_iter().chain(self.row_offsets)
    }

    /// The length of a row of the bitmask's bits.
    pub(super) fn columns(&self) -> u64 {
        self.restored.shape.last().copied().unwrap_or_default()
    }
}

/// Every compressed tensor of `model`, in the order of the values' data.
pub(super) fn find(model: &Checkpoint) -> Result<Vec<Part<'_>>> {
    let tensors = model.tensors();
    for tensor in tensors {
        if let Some(prefix) = tensor.name().strip_suffix(".bitmask")
            && model.get(&format!("{prefix}.compressed")).is_none()
        {
            return Err(fail(model, tensor, &missing(prefix, "compressed")));
        }
    }
    let prefix = |tensor: &'_ Tensor| tensor.name().strip_suffix(".compressed").map(str::to_owned);
    // The older naming has the parameter's whole name in it; one checkpoint is all of one naming.
    let whole_names = tensors.iter().filter_map(prefix).any(|prefix| prefix.ends_with(".weight") || prefix == "weight");
    let mut parts = Vec::new();
    for values in tensors {
        if let Some(prefix) = prefix(values) {
            let name = if whole_names { prefix.clone() } else { format!("{prefix}.weight") };
            parts.push(part(model, values, &prefix, name)?);
        }
    }
    check_names(model, &parts)?;
    parts.sort_by_key(|part| (part.values.file(), part.values.start(), part.values.bytes()));
    Ok(parts)
}

fn part<'a>(model: &'a Checkpoint, values: &'a Tensor, prefix: &str, name: String) -> Result<Part<'a>> {
    let other = |suffix: &str| model.get(&format!("{prefix}.{suffix}"));
    let needed = |suffix: &str| other(suffix).ok_or_else(|| fail(model, values, &missing(prefix, suffix)));
    let (bitmask, shape) = (needed("bitmask")?, needed("shape")?);

    let dtype = values.dtype();
    let bits = dtype.bitsize() as u64;
    if !bits.is_multiple_of(8) {
        return Err(fail(
            model,
            values,
            &format!("elements of {dtype} do not fill bytes, so bitmasks cannot place them"),
        ));
    }
    let dense = read_shape(model, shape)?;
    let too_large = || fail(model, shape, &format!("a tensor of shape {dense:?} is beyond 64 bits; {DAMAGED}"));
    let count = dense.iter().try_fold(1u64, |product, &axis| product.checked_mul(axis)).ok_or_else(too_large)?;
    let bytes = count.checked_mul(bits / 8).ok_or_else(too_large)?;

    let mut packed = dense.clone();
    if let Some(columns) = packed.last_mut() {
        *columns = columns.div_ceil(8);
    }
    if bitmask.dtype() != Dtype::U8 || bitmask.shape() != packed {
        let held = format!("{} {:?}", bitmask.dtype(), bitmask.shape());
        return Err(fail(model, bitmask, &format!("is {held}, and shape {dense:?} needs U8 {packed:?}; {DAMAGED}")));
    }
    if values.elements() > count {
        let message =
            format!("holds {} values, and shape {dense:?} has room for {count}; {DAMAGED}", values.elements());
        return Err(fail(model, values, &message));
    }
    let restored = Restored { name, dtype, shape: dense, count, kept: values.elements(), bytes };
    Ok(Part { values, bitmask, shape, row_offsets: other("row_offsets"), restored })
}

/// The axes that `P.shape` holds: at least one, none negative.
fn read_shape(model: &Checkpoint, shape: &Tensor) -> Result<Vec<u64>> {
    // As many axes as numpy and PyTorch allow.
    let vector = matches!(shape.shape(), [1..=64] | [1..=64, 1]);
    if shape.dtype() != Dtype::I64 || !vector {
        let held = format!("{} {:?}", shape.dtype(), shape.shape());
        return Err(fail(model, shape, &format!("is {held} where a short I64 vector says the shape; {DAMAGED}")));
    }
    let mut bytes = [0; 8 * 64];
    let bytes = &mut bytes[..8 * shape.elements() as usize];
    model.read_exact_at(shape, 0, bytes)?;
    let axes = bytes.as_chunks().0.iter().map(|axis| i64::from_le_bytes(*axis));
    let axes = axes.map(|axis| u64::try_from(axis).map_err(|_| format!("says that an axis is {axis}; {DAMAGED}")));
    axes.collect::<Result<_, _>>().map_err(|message| fail(model, shape, &message))
}

/// No two tensors of the output may share a name.
fn check_names(model: &Checkpoint, parts: &[Part]) -> Result<()> {
    let gone: HashSet<&str> = parts.iter().flat_map(|p| p.others().chain([p.values])).map(Tensor::name).collect();
    for part in parts {
        let name = part.restored.name.as_str();
        // Restored names differ as what they were made from does.
        if model.get(name).is_some() && !gone.contains(name) {
            let message = format!("it would be restored as `{}`, which is there already", crate::escape(name));
            return Err(fail(model, part.values, &message));
        }
    }
    Ok(())
}

fn missing(prefix: &str, suffix: &str) -> String {
    format!("looks like a part of a compressed tensor, but `{}.{suffix}` is missing; {DAMAGED}", crate::escape(prefix))
}

pub(super) const DAMAGED: &str = "download the checkpoint again, or write it again with compressed-tensors";

/// An error about a tensor of `model`.
pub(super) fn fail(model: &Checkpoint, tensor: &Tensor, message: &str) -> Error {
    Error::tensor(model.files().nth(tensor.file()).unwrap_or(model.path()), tensor.name(), message)
}
