//! What the weights of a neural network look like ([`stats`]): mean, variance, skewness, kurtosis, extremes, norms, exact
//! quantiles and histograms of every tensor, channel or block of a checkpoint. And cutting those it does not need
//! ([`prune`]): exactly as many as asked for, the same bytes from every engine; with [`audit`] of what is sparse, and
//! [`restore`] of what others have compressed.
//!
//! ```
//! use secateur::{Checkpoint, Engine, Progress, stats};
//!
//! // A file, a folder of shards or their index. Headers are read and checked, weights stay on disk.
//! let model = Checkpoint::open("examples/data/cnn.safetensors")?;
//! // A hardware GPU if there is one, else the CPU.
//! let engine = Engine::auto(None)?;
//!
//! // One entry a tensor, as soon as it is known.
//! let options = stats::Options::default();
//! let summary = stats::analyse(&model, &engine, &options, &Progress::default(), &mut |entry| {
//!     println!("{}: kurtosis {:?}", entry.name, entry.statistics.kurtosis);
//!     Ok(())
//! })?;
//! assert_eq!(summary.tensors, 24);
//! # Ok::<(), secateur::Error>(())
//! ```
//!
//! Of every output channel of some tensors, with quantiles, holding no more than 256 MiB at once:
//!
//! ```
//! use secateur::stats::{Grouping, Options, analyse};
//! use secateur::{Checkpoint, Engine, Progress, Selection};
//!
//! let model = Checkpoint::open("examples/data/sharded")?;
//! let options = Options {
//!     by: Grouping::Output,
//!     quantiles: vec![0.01, 0.99],
//!     selection: Selection::new(&["features.*.weight".into()], &[])?,
//!     memory_bytes: 256 << 20,
//!     ..Options::default()
//! };
//! analyse(&model, &Engine::cpu(None)?, &options, &Progress::default(), &mut |entry| {
//!     let quantiles = entry.statistics.quantiles.expect("they were asked for");
//!     assert!(quantiles.0[0].1 <= quantiles.0[1].1, "{} {:?}", entry.name, entry.group);
//!     Ok(())
//! })?;
//! # Ok::<(), secateur::Error>(())
//! ```
//!
//! Of weights that a program holds already:
//!
//! ```
//! let mut moments = secateur::stats::Moments::of(&[1.0, 2.0]);
//! moments.combine(&secateur::stats::Moments::of(&[3.0, f32::NAN]));
//! assert_eq!((moments.mean(), moments.variance(), moments.nan), (Some(2.0), Some(2.0 / 3.0), 1));
//! ```
//!
//! # Why
//!
//! Checkpoints are larger than memory, kept in formats of 8 and 16 bits, and come from anyone. Fourth powers overflow f32 at
//! 1e10 and drown beside a large mean. So this crate reads in bounded pieces, trusts nothing that a file says, sums in
//! f32 only where that is good to the stated tolerance (1e-6 on the CPU, 3e-6 on a GPU) and in f64 elsewhere, and decides
//! counts, extremes, quantiles and histograms on the weights' bits, as integers: those are exact.
//!
//! A program that has a GPU device already, and weights in buffers on it, finds the kernels in the module `gpu`: `Gpu::from_wgpu`, and
//! passes that record into its own encoder.
//!
//! What each statistic means is said at [`stats::Statistics`].
//!
//! # Features
//!
//! - `gpu` (default): the GPU engine, through wgpu on Vulkan, Metal or DX12, and the module `gpu`.
//! - `cli` (default): the binary, and the module `report`, which writes entries as tables, JSON, CSV and Markdown, and pages.
//! - `png` (default): pictures of reports as PNG.
//! - `eval` (default): `evaluate::OnnxEvaluator`, which runs ONNX networks by the crate rten, and recalibration.
//! - `train`: the module `train`, which trains ONNX networks with the crate burn; `train-gpu`: on a GPU, too.
//!
//! Without them the crate is the CPU engine alone. Hosts must be little-endian.
// The example of the README is tested, too.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

#[cfg(target_endian = "big")]
compile_error!("secateur reads little-endian weights as they lie in memory: big-endian hosts are not supported");

pub mod audit;
pub mod bench;
pub mod checkpoint;
mod cpu;
pub mod data;
mod engine;
mod error;
pub mod evaluate;
mod float;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod graph;
mod kernels;
mod order;
mod process;
mod progress;
pub mod prune;
#[cfg(feature = "cli")]
pub mod report;
pub mod restore;
mod scan;
pub mod search;
pub mod stats;
pub mod survey;
mod text;
#[cfg(feature = "train")]
pub mod train;
pub mod tune;

pub use checkpoint::{Checkpoint, Selection, Tensor};
pub use engine::{Engine, EngineInfo, EngineKind, Fallback};
pub(crate) use error::shortened;
pub use error::{Error, Result, escape};
pub use float::Float;
pub use progress::Progress;
pub use safetensors::Dtype;
pub use stats::Entry;
