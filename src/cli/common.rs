//! Options that every subcommand with a model shares.

use std::num::NonZeroUsize;
#[cfg(any(feature = "eval", feature = "train"))]
use std::path::Path;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur::checkpoint::{Checkpoint, Selection};
#[cfg(any(feature = "eval", feature = "train"))]
use secateur::data::{DataSet, Normalize};
use secateur::stats::Options;
use secateur::{Engine, Error, Result};

use super::parse;

/// Which model, and what is shared where there may be several or none.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A .safetensors file, a folder holding one or an index with its shards, the index itself, or an .onnx file
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    shared: Shared,
}

impl std::ops::Deref for Common {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// Which tensors of a model, and what computes within which bounds.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// Only tensors whose whole name matches; `*` crosses `.` and `/` (repeatable)
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Not the tensors whose whole name matches; wins over --only (repeatable)
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// What computes; auto: a hardware GPU if there is one, else the CPU
    #[arg(long, value_enum, default_value_t = EngineArgument::Auto)]
    engine: EngineArgument,
    /// Which GPU, by number or name (`secateur devices` lists them)
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// Bound on what is held at once, on the host and the device each; at least 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse::memory, default_value = "1GiB")]
    pub(crate) memory: u64,
    /// Threads of the CPU to use [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// What `--engine` can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArgument {
    Auto,
    Gpu,
    Cpu,
}

impl Shared {
    /// The tensors that are meant.
    pub(crate) fn selection(&self) -> Result<Selection> {
        Selection::new(&self.only, &self.skip)
    }

    /// Whether tensors are chosen by name, which makes any rank eligible.
    pub(crate) fn named(&self) -> bool {
        !self.only.is_empty()
    }

    /// Whether any tensor is chosen or left out by name.
    pub(crate) fn chooses(&self) -> bool {
        !self.only.is_empty() || !self.skip.is_empty()
    }

    /// An error where tensors were asked for and `checkpoint` has none of them.
    pub(crate) fn check_chosen(&self, checkpoint: &Checkpoint, selection: &Selection) -> Result<()> {
        let tensors = checkpoint.tensors();
        if tensors.is_empty() || tensors.iter().any(|t| selection.includes(t.name())) {
            return Ok(());
        }
        let message = "no tensor's whole name is matched by --only and not by --skip (`*` matches any part of a name)";
        Err(Error::format(checkpoint.path(), message))
    }

    /// What the shared options say of an analysis.
    pub(crate) fn options(&self) -> Result<Options> {
        let selection = self.selection()?;
        Ok(Options { selection, memory_bytes: self.memory, ..Options::default() })
    }

    /// The engine that was asked for. `--adapter` asks for a GPU.
    pub(crate) fn engine(&self) -> Result<Engine> {
        match (self.engine, &self.adapter) {
            (EngineArgument::Cpu, Some(_)) => Err(adapter_without_gpu()),
            (EngineArgument::Cpu, None) => Engine::cpu(self.threads),
            (EngineArgument::Auto, None) => Engine::auto(self.threads),
            (_, adapter) => gpu(adapter.as_deref(), self.threads),
        }
    }
}

/// `--adapter` beside `--engine cpu`.
pub(super) fn adapter_without_gpu() -> Error {
    Error::Usage("--adapter chooses a GPU, --engine cpu uses none: leave one of them out".to_owned())
}

/// The adapter that `--adapter` names.
#[cfg(feature = "gpu")]
pub(super) fn adapter_choice(adapter: Option<&str>) -> secateur::gpu::AdapterChoice {
    adapter.map(Into::into).unwrap_or_default()
}

#[cfg(feature = "gpu")]
fn gpu(adapter: Option<&str>, threads: Option<NonZeroUsize>) -> Result<Engine> {
    Engine::gpu(&adapter_choice(adapter), threads)
}

#[cfg(not(feature = "gpu"))]
fn gpu(_adapter: Option<&str>, _threads: Option<NonZeroUsize>) -> Result<Engine> {
    Err(without_gpu())
}

/// A GPU was asked for.
#[cfg(not(feature = "gpu"))]
pub(super) fn without_gpu() -> Error {
    let remedy = "build it with the cargo feature `gpu`, or leave --engine and --adapter out";
    Error::Device(format!("this binary was built without GPU support: {remedy}"))
}

/// The data set at `path`, normalised if that is asked for.
#[cfg(any(feature = "eval", feature = "train"))]
pub(super) fn data_set(path: &Path, normalize: Option<&Normalize>) -> Result<DataSet> {
    let data = DataSet::open(path)?;
    match normalize {
        Some(normalize) => data.normalized(normalize.clone()),
        None => Ok(data),
    }
}

pub(super) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    // Beyond any machine; the operating system would fail at some point on the way.
    let within = |threads: &NonZeroUsize| threads.get() <= 4096;
    text.parse().ok().filter(within).ok_or_else(|| "expected a number between 1 and 4096".to_owned())
}
