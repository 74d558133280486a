//! Inputs and what belongs to them, some at a time.

use burn::tensor::Device;

use super::array::Array;
use super::loss::Targets;
use crate::data::{DataSet, Labels};
use crate::{Error, Result};

/// What is needed of one step.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) inputs: Array,
    pub(super) targets: Targets,
    pub(super) count: usize,
}

/// The inputs of these numbers.
pub(super) fn read(data: &DataSet, numbers: &[usize], device: &Device) -> Result<Batch> {
    let elements = data.elements();
    let mut values = vec![0.0; numbers.len() * elements];
    // Neighbours are read at once.
    let mut rest = &mut values[..];
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        let (these, others) = rest.split_at_mut(run.len() * elements);
        data.read(run[0], these)?;
        rest = others;
    }
    let targets = match data.labels() {
        Labels::Classes(classes) => Targets::Classes(numbers.iter().map(|&n| classes[n]).collect()),
        Labels::Values(values) => {
            let each = values.len() / data.len();
            Targets::Values(numbers.iter().flat_map(|&n| &values[n * each..][..each]).copied().collect())
        }
        Labels::None => return Err(unlabelled(data)),
    };
    let mut shape = vec![numbers.len()];
    shape.extend(data.shape());
    Ok(Batch { inputs: Array::new(values, &shape, device), targets, count: numbers.len() })
}

/// Data that nothing can be learnt from.
pub(super) fn unlabelled(data: &DataSet) -> Error {
    Error::format(data.path(), "has no tensor `labels`, which training and its validation need")
}
