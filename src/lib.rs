//! What a neural network's weights are made of.

pub mod checkpoint;
mod engine;
mod error;
mod float;
pub mod stats;

pub use checkpoint::{Checkpoint, Selection, Tensor};
pub use engine::{EngineInfo, EngineKind, Fallback};
pub use error::{Error, Result, escape};
pub use float::Float;
pub use safetensors::Dtype;
