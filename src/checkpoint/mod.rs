//! A model's files, read in bounded chunks and written atomically.
//!
//! [`Checkpoint::open`] reads and checks the headers; the data stays on disk until [`Checkpoint::read_exact_at`]
//! fetches a piece of it. Nothing a file says is trusted: sizes are checked before anything is allocated, every byte of
//! a file must belong to exactly one tensor, and shards may not lie outside the folder of their index.
//!
//! ```
//! use secateur::checkpoint::{Checkpoint, Selection};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("model.safetensors");
//! # let data: Vec<u8> = [0.5f32, -1.0, 0.0, 2.0].iter().flat_map(|w| w.to_le_bytes()).collect();
//! # let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 2], &data)?;
//! # safetensors::serialize_to_file([("fc.weight", view)], None, &path)?;
//! let checkpoint = Checkpoint::open(&path)?;
//! let weights = Selection::new(&["*.weight".into()], &[])?;
//! for tensor in checkpoint.tensors().iter().filter(|t| weights.includes(t.name())) {
//!     assert_eq!((tensor.name(), tensor.shape(), tensor.elements()), ("fc.weight", &[2, 2][..], 4));
//!     let mut last = [0; 4];
//!     checkpoint.read_exact_at(tensor, 12, &mut last)?;
//!     assert_eq!(f32::from_le_bytes(last), 2.0);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Writer`] writes a checkpoint that is made from an open one, whole or not at all.

mod folder;
mod foreign;
mod header;
mod index;
mod natural;
pub(crate) mod onnx;
pub(crate) mod positioned;
mod selection;
mod shard;
mod tensor;
mod write;

pub use selection::Selection;
pub(crate) use selection::matcher;
pub use tensor::Tensor;
pub(crate) use write::check_apart;
pub(crate) use write::copy;
pub use write::{Live, Named, Planned, Writer, check_outputs, remove_temporaries};

use crate::graph::Graph;
use crate::{Error, Result, escape, shortened};
use shard::Shard;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The files of one model, open for reading.
///
/// Every shard stays open, one file handle each, and nothing is buffered: in memory are the headers' contents alone.
/// Threads may share it, as reads carry their own offset. The files must not change while it is open.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// The index of the shards, where there is one.
    index: Option<PathBuf>,
    shards: Vec<Shard>,
    tensors: Vec<Tensor>,
    /// What an ONNX file holds beside its tensors.
    onnx: Option<onnx::Onnx>,
}

impl Checkpoint {
    /// Opens a `.safetensors` file, a folder, or an index of shards (any `.json`), and checks every header.
    ///
    /// Of a folder it takes `model.safetensors.index.json`, else the only `*.safetensors.index.json` (or, as some
    /// libraries name it, `*.safetensors.index.fp16.json`), else `model.safetensors`, else the only `*.safetensors`;
    /// subfolders and hidden files do not count. Symbolic links are followed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read; [`Error::Format`] and [`Error::Tensor`] where one is not sound, is of
    /// another format (with how to convert it), is a device or a pipe, or where a folder leaves it open which file is
    /// meant: several candidates, or a `model.safetensors` beside an index that does not list it. An index and its shards
    /// must agree exactly: each tensor in one shard, and in the one that is listed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let is_folder = fs::metadata(path).map_err(|e| Error::io(path, e))?.is_dir();
        let source = if is_folder { folder::choose(path)? } else { path.to_owned() };
        let has = |wanted: &str| source.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        if has("onnx") {
            let (onnx, shards, tensors) = onnx::open(&source)?;
            return Ok(Self { path: path.to_owned(), index: None, shards, tensors, onnx: Some(onnx) });
        }
        if !has("json") {
            let (shard, tensors) = shard::open(&source, 0)?;
            return Ok(Self { path: path.to_owned(), index: None, shards: vec![shard], tensors, onnx: None });
        }
        let index = index::read(&source)?;
        if is_folder {
            folder::check_unambiguous(path, &source, &index.shards)?;
        }
        Self::open_shards(path, &source, &index)
    }

    fn open_shards(path: &Path, source: &Path, index: &index::Index) -> Result<Self> {
        let folder = source.parent().unwrap_or(Path::new(""));
        let (mut shards, mut tensors) = (Vec::new(), Vec::new());
        for (number, name) in index.shards.iter().enumerate() {
            let (shard, held) = shard::open(&folder.join(name), number).map_err(|error| match error {
                Error::Io { source: e, .. } if e.kind() == io::ErrorKind::NotFound => Error::format(
                    source,
                    format!("shard `{}` is missing: download it into the index's folder", shortened(name)),
                ),
                other => other,
            })?;
            shards.push(shard);
            tensors.extend(held);
        }
        tensor::sort(&mut tensors);
        index.check(source, &tensors)?;
        Ok(Self { path: path.to_owned(), index: Some(source.to_owned()), shards, tensors, onnx: None })
    }

    /// The path the checkpoint was opened by, as given: a file, a folder or an index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The safetensors files, in the natural order of their names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path.as_path())
    }

    /// The folder that is the model, where it was opened by a folder or an index: `None` for a single file.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.index {
            Some(index) => {
                Some(index.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
            }
            None => self.shards.first().is_some_and(|shard| shard.path != self.path).then_some(self.path.as_path()),
        }
    }

    /// Whether it is a folder or an index, so that what is made of it is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.folder().is_some()
    }

    /// The size of the safetensors files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// Every tensor of every file, in the natural order of names: `layers.2` before `layers.10`.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let found = self.tensors.binary_search_by(|tensor| natural::compare(tensor.name(), name));
        found.ok().and_then(|position| self.tensors.get(position))
    }

    /// The `__metadata__` of the only file, or of all files together, or the `metadata_props` of an ONNX file, text by text;
    /// read from the disk again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Format`] where a file has changed since it was opened.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>> {
        if let (Some(onnx), Some(shard)) = (&self.onnx, self.shards.first()) {
            return onnx.metadata(shard);
        }
        let mut found = BTreeMap::new();
        for shard in &self.shards {
            found.extend(shard.metadata()?.unwrap_or_default());
        }
        Ok(found)
    }

    /// Whether it is an ONNX file.
    pub(crate) fn is_onnx(&self) -> bool {
        self.onnx.is_some()
    }

    /// The network that the tensors are the weights of: `None` for safetensors files, which hold none.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where the file's operators are damaged, [`Error::Io`] where it cannot be read.
    pub fn graph(&self) -> Result<Option<Graph>> {
        self.onnx.as_ref().map(|onnx| onnx.graph(self)).transpose()
    }

    /// Fills `buf` with the bytes of `tensor`, which is one of [`tensors`](Self::tensors), from byte `offset` of its
    /// data on. Many threads may call it at once.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] where `offset + buf.len()` is beyond [`Tensor::bytes`]; [`Error::Io`] where the file cannot be
    /// read or has become shorter. What `buf` holds is then unspecified.
    pub fn read_exact_at(&self, tensor: &Tensor, offset: u64, buf: &mut [u8]) -> Result<()> {
        let Some((path, file)) = self.file_of(tensor) else {
            return Err(Error::tensor(&self.path, tensor.name(), "is not a tensor of this checkpoint"));
        };
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= tensor.bytes);
        let (Some(_), Some(position)) = (end, tensor.start.checked_add(offset)) else {
            let message = format!("{} bytes from byte {offset} are beyond its {}", buf.len(), tensor.bytes);
            return Err(Error::tensor(path, tensor.name(), message));
        };
        positioned::read_exact_at(file, buf, position).map_err(|error| {
            let message = format!("tensor `{}`: {error}", escape(tensor.name()));
            Error::io(path, io::Error::new(error.kind(), message))
        })
    }

    /// The file that holds the data of `tensor`, and what to call it.
    fn file_of(&self, tensor: &Tensor) -> Option<(&Path, &File)> {
        let spilled = || Some((self.path.as_path(), self.onnx.as_ref()?.spilled()?));
        self.shards.get(tensor.file).map(|shard| (shard.path.as_path(), &shard.file)).or_else(spilled)
    }
}
