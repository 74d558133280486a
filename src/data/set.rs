//! A data set as what another one is made of.

use std::path::Path;

use super::DataSet;
use super::examples::{Examples, Form, Take};
use crate::{Checkpoint, Result, Tensor};

/// Inputs and labels of a safetensors file, as they are stored.
#[derive(Debug)]
pub(super) struct Set {
    set: DataSet,
    input: Form,
    label: Option<(Tensor, Form)>,
}

impl Set {
    /// Opens it; see [`DataSet::open`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let set = DataSet::open(path)?;
        let form = |tensor: &Tensor| Form::new(tensor.dtype(), tensor.shape().get(1..).unwrap_or_default());
        let (input, label) = (form(&set.inputs), set.file.get("labels").map(|labels| (labels.clone(), form(labels))));
        Ok(Self { set, input, label })
    }
}

impl Examples for Set {
    fn count(&self) -> u64 {
        self.set.len() as u64
    }

    fn input(&self) -> &Form {
        &self.input
    }

    fn label(&self) -> Option<&Form> {
        self.label.as_ref().map(|(_, form)| form)
    }

    fn each(&self, take: &mut Take<'_>) -> Result<()> {
        let mut inputs = Rows::new(&self.set.file, &self.set.inputs, &self.input)?;
        let mut labels = match &self.label {
            Some((tensor, form)) => Some(Rows::new(&self.set.file, tensor, form)?),
            None => None,
        };
        for _ in 0..self.count() {
            let label = labels.as_mut().map(Rows::next).transpose()?;
            take(inputs.next()?, label.unwrap_or_default())?;
        }
        Ok(())
    }
}

/// The rows of a tensor, read many at a time.
struct Rows<'a> {
    file: &'a Checkpoint,
    tensor: &'a Tensor,
    row_bytes: usize,
    /// Whole rows, of which those up to `at` have been given.
    held: Vec<u8>,
    at: usize,
    /// Where in the tensor the next are read.
    offset: u64,
}

/// What is read at once, if no row is larger.
const PIECE_BYTES: usize = 1 << 20;

impl<'a> Rows<'a> {
    fn new(file: &'a Checkpoint, tensor: &'a Tensor, form: &Form) -> Result<Self> {
        Ok(Self { file, tensor, row_bytes: form.bytes()?, held: Vec::new(), at: 0, offset: 0 })
    }

    fn next(&mut self) -> Result<&[u8]> {
        if self.at == self.held.len() {
            let rows = (PIECE_BYTES / self.row_bytes.max(1)).max(1) * self.row_bytes;
            let left = self.tensor.bytes() - self.offset;
            self.held.resize(usize::try_from(left).map_or(rows, |left| left.min(rows)), 0);
            self.file.read_exact_at(self.tensor, self.offset, &mut self.held)?;
            (self.offset, self.at) = (self.offset + self.held.len() as u64, 0);
        }
        let start = self.at;
        self.at += self.row_bytes;
        Ok(&self.held[start..self.at])
    }
}
