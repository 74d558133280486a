//! What a header says about one array.

use super::natural;
use crate::{Dtype, Float};

/// A named array in a checkpoint: what its header says, not its data.
///
/// Data is little-endian and row-major (the last axis is contiguous), as safetensors defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub(super) name: Box<str>,
    pub(super) dtype: Dtype,
    pub(super) shape: Box<[u64]>,
    pub(super) elements: u64,
    /// Which of the checkpoint's files holds the data.
    pub(super) file: usize,
    /// Where the data starts, in bytes from the beginning of that file.
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// See [`Tensor::input_axis`].
    pub(super) input_axis: usize,
}

impl Tensor {
    /// The name, exactly as the file spells it: show it through [`escape`](crate::escape).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format of an element. Every dtype of safetensors is recognised, analysed or not.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The axes, outermost first; empty for a scalar. An axis may be 0.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// How many elements there are: the product of the shape, 1 for a scalar.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// The axis along which the input channels of a weight lie: 1, as in PyTorch; or where the operator of an ONNX file that
    /// takes it has them, 0 for MatMul, for Gemm without `transB` and for ConvTranspose.
    pub fn input_axis(&self) -> usize {
        self.input_axis
    }

    /// The size of the data in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Which of the checkpoint's files holds the data, in the order of [`Checkpoint::files`](super::Checkpoint::files).
    pub(crate) fn file(&self) -> usize {
        self.file
    }

    /// Where in its file the data starts, in bytes: the order of the data is the order of these.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The floating format, or `None` where tensors of this dtype are not analysed.
    pub fn float(&self) -> Option<Float> {
        Float::from_dtype(self.dtype)
    }
}

/// Sorts by name, in the order [`natural::compare`] defines.
pub(super) fn sort(tensors: &mut [Tensor]) {
    tensors.sort_by(|a, b| natural::compare(&a.name, &b.name));
}

/// The first two neighbours of the sorted `tensors` that share a name.
pub(super) fn first_duplicate(tensors: &[Tensor]) -> Option<(&Tensor, &Tensor)> {
    tensors.windows(2).find(|pair| pair[0].name == pair[1].name).map(|pair| (&pair[0], &pair[1]))
}
