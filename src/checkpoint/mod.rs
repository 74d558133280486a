//! PROVISIONAL: a model's files. Stands in for the reader until it is merged.
#![allow(missing_docs, reason = "a stand-in that is to be replaced")]

mod selection;

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

pub use selection::Selection;

pub struct Checkpoint {
    path: PathBuf,
    tensors: Vec<Tensor>,
}

pub struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    pub(crate) data: Vec<u8>,
}

impl Tensor {
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
    pub fn bytes(&self) -> u64 {
        self.data.len() as u64
    }
}

impl Checkpoint {
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::format(path, error.to_string()))?;
        let tensors = file
            .iter()
            .map(|(name, view)| Tensor {
                name: name.to_owned(),
                dtype: view.dtype(),
                shape: view.shape().iter().map(|&n| n as u64).collect(),
                data: view.data().to_vec(),
            })
            .collect();
        Ok(Self { path: path.to_owned(), tensors })
    }
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path())
    }
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
}
