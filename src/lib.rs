//! What a neural network's weights are made of.

pub mod checkpoint;
pub mod cpu;
mod engine;
mod error;
mod float;
#[cfg(feature = "gpu")]
pub mod gpu;
mod kernels;
mod order;
mod progress;
#[cfg(feature = "cli")]
pub mod report;
mod scan;
pub mod stats;

pub use checkpoint::{Checkpoint, Selection, Tensor};
pub use engine::{Engine, EngineInfo, EngineKind, Fallback};
pub use error::{Error, Result, escape};
pub use float::Float;
pub use progress::Progress;
pub use safetensors::Dtype;
pub use stats::Entry;
