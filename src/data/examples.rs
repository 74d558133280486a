//! What a data set is made of: examples, one after the other.

use crate::{Dtype, Error, Result};

/// What is done with an example: its input's bytes and its label's, the latter empty where there are no labels.
pub(super) type Take<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Examples in files that have been checked as far as can be without holding them.
pub(super) trait Examples {
    /// How many there are; at least one.
    fn count(&self) -> u64;

    /// What one input is.
    fn input(&self) -> &Form;

    /// What one label is, where there are labels.
    fn label(&self) -> Option<&Form>;

    /// Hands every example over, in order, as little-endian bytes of these forms.
    fn each(&self, take: &mut Take<'_>) -> Result<()>;
}

/// Dtype and axes of one input or label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
}

impl Form {
    pub(super) fn new(dtype: Dtype, shape: &[u64]) -> Self {
        Self { dtype, shape: shape.to_owned() }
    }

    /// Elements, where 64 bits can say.
    pub(super) fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length))
    }

    /// Bytes of what is in a file already, which this machine can hold one of.
    pub(super) fn bytes(&self) -> Result<usize> {
        let bytes = self.elements().and_then(|elements| elements.checked_mul(self.dtype.bitsize() as u64 / 8));
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        bytes.ok_or_else(|| Error::Usage(format!("an example of shape {:?} is too large for this machine", self.shape)))
    }
}
