//! Dense checkpoints out of compressed ones: what compressed-tensors wrote as `sparse-bitmask` or `sparse-24-bitmask`.
//!
//! Current loaders no longer read these two formats. A weight `P` is kept in parts: `P.compressed` holds the kept values
//! in row-major order, `P.bitmask` (U8) a bit for each element, of column c in bit c % 8 of byte c / 8 of its row, and
//! `P.shape` (I64) the shape; `P.row_offsets` says nothing new. `sparse-24-bitmask` differs in that two of every four
//! bits are set, which is of no concern here. Up to version 0.8.1 every parameter was compressed, and P is its whole name;
//! from 0.9.0 on only `*.weight`, and P is the name without `.weight`.
//!
//! ```
//! use secateur::{Checkpoint, Progress, restore};
//!
//! # let dir = tempfile::tempdir()?;
//! # let (path, out) = (dir.path().join("sparse.safetensors"), dir.path().join("dense.safetensors"));
//! # let values: Vec<u8> = [0.5f32, -1.0].iter().flat_map(|w| w.to_le_bytes()).collect();
//! # let shape: Vec<u8> = [2i64, 2].iter().flat_map(|n| n.to_le_bytes()).collect();
//! # use safetensors::tensor::TensorView;
//! # let parts = [
//! #     ("fc.compressed", TensorView::new(safetensors::Dtype::F32, vec![2], &values)?),
//! #     ("fc.shape", TensorView::new(safetensors::Dtype::I64, vec![2], &shape)?),
//! #     ("fc.bitmask", TensorView::new(safetensors::Dtype::U8, vec![2, 1], &[0b10, 0b01])?),
//! # ];
//! # safetensors::serialize_to_file(parts, None, &path)?;
//! let model = Checkpoint::open(&path)?;
//! let summary = restore::restore(&model, &out, &restore::Options::default(), &Progress::default())?;
//! assert_eq!((summary.tensors[0].name.as_str(), summary.tensors[0].kept), ("fc.weight", 2));
//!
//! let dense = Checkpoint::open(&out)?;
//! let mut row = [0; 8];
//! dense.read_exact_at(&dense.tensors()[0], 0, &mut row)?;
//! assert_eq!(row[..4], [0; 4]);
//! assert_eq!(row[4..], 0.5f32.to_le_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod config;
mod decode;
mod parts;

pub use parts::Restored;

use crate::checkpoint::{Planned, Writer};
use crate::{Checkpoint, Error, Progress, Result, Tensor};
use parts::Part;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

/// How a checkpoint is restored.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a file at the destination may be replaced.
    pub force: bool,
    /// Bound on what is held at once, beside a few hundred bytes for each tensor. Fewer threads run where it is small.
    pub memory_bytes: u64,
    /// Threads of the CPU to use; `None` for all.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { force: false, memory_bytes: 1 << 30, threads: None }
    }
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The tensors that were decoded, in the order in which they lie in the files.
    pub tensors: Vec<Restored>,
    /// How many other tensors were copied.
    pub copied: u64,
    /// Whether `config.json` no longer says that the weights are compressed; false too where there is no such file, or
    /// it says nothing of the kind.
    pub config_changed: bool,
    /// Whether the model is a single file, and a `config.json` beside it says that the weights are compressed: it is
    /// neither changed nor carried over.
    pub config_left: bool,
    /// Size of the model's safetensors files, in bytes.
    pub bytes_before: u64,
    /// Size of the output's safetensors files, in bytes.
    pub bytes_after: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Decodes the compressed tensors of `model` into a checkpoint at `out`, of the model's form: see [`Writer`].
///
/// A decoded tensor takes the place of its values; the order of tensors, their metadata and every other tensor stay.
/// From the `config.json` of a folder `sparsity_config` is removed, and the object around it where that then says no more
/// than which program wrote it.
///
/// # Errors
///
/// [`Error::Format`] where nothing is compressed by bitmasks, or `config.json` is not JSON; [`Error::Tensor`] names the
/// tensor whose parts are missing or disagree, or whose restored name is taken; the others are those of [`Writer`].
pub fn restore(model: &Checkpoint, out: &Path, options: &Options, progress: &Progress) -> Result<Summary> {
    let began = Instant::now();
    let parts = parts::find(model)?;
    if parts.is_empty() {
        let message = "nothing in it is compressed as sparse-bitmask or sparse-24-bitmask: there is nothing to restore";
        return Err(Error::format(model.path(), message));
    }
    let pool = pool(options)?;
    let config = config::dense(model)?;
    let config_changed = config.is_some();

    let (work, files) = plan(model, &parts);
    let replaced: BTreeMap<_, _> = config.map(|json| (config::NAME.to_owned(), json)).into_iter().collect();
    let writer = Writer::planned(model, out, options.force, files, replaced)?;
    progress.expect(work.iter().map(Work::bytes).sum());
    pool.install(|| {
        work.par_iter().try_for_each_init(decode::Buffers::default, |buffers, item| match item {
            Work::Copy(tensor) => writer.copy(model, tensor).map(|()| progress.add(tensor.bytes())),
            Work::Decode(part) => decode::decode(model, part, &writer, buffers, progress),
        })
    })?;
    let bytes_after = writer.bytes();
    writer.finish()?;
    Ok(Summary {
        copied: (work.len() - parts.len()) as u64,
        tensors: parts.into_iter().map(|part| part.restored).collect(),
        config_changed,
        config_left: config::left_beside(model),
        bytes_before: model.bytes(),
        bytes_after,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// What is to be done for a tensor of the output.
enum Work<'a> {
    Copy(&'a Tensor),
    Decode(&'a Part<'a>),
}

impl Work<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Copy(tensor) => tensor.bytes(),
            Self::Decode(part) => part.restored.bytes,
        }
    }
}

/// The work and the tensors of each file, in the order of the data.
fn plan<'a>(model: &'a Checkpoint, parts: &'a [Part<'a>]) -> (Vec<Work<'a>>, Vec<Vec<Planned>>) {
    let by_values: HashMap<&str, &Part> = parts.iter().map(|part| (part.values.name(), part)).collect();
    let others: std::collections::HashSet<&str> = parts.iter().flat_map(Part::others).map(Tensor::name).collect();
    let mut tensors: Vec<&Tensor> = model.tensors().iter().filter(|t| !others.contains(t.name())).collect();
    tensors.sort_by_key(|tensor| (tensor.file(), tensor.start(), tensor.bytes()));

    let mut files = vec![Vec::new(); model.files().count()];
    let mut work = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let (item, name, shape) = match by_values.get(tensor.name()) {
            Some(part) => (Work::Decode(part), part.restored.name.as_str(), part.restored.shape.as_slice()),
            None => (Work::Copy(tensor), tensor.name(), tensor.shape()),
        };
        let planned = Planned { name: name.to_owned(), dtype: tensor.dtype(), shape: shape.to_owned() };
        if let Some(file) = files.get_mut(tensor.file()) {
            file.push(planned);
        }
        work.push(item);
    }
    (work, files)
}

/// As many threads as were asked for and find room in the memory allowed.
fn pool(options: &Options) -> Result<rayon::ThreadPool> {
    let asked = options.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let room = usize::try_from(options.memory_bytes / decode::THREAD_BYTES).unwrap_or(usize::MAX);
    rayon::ThreadPoolBuilder::new()
        .num_threads(asked.min(room).max(1))
        .thread_name(|i| format!("secateur-{i}"))
        .build()
        .map_err(|e| Error::Device(format!("cannot start threads: {e} (try fewer with --threads)")))
}
