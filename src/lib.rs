//! What a neural network's weights are made of.

pub mod checkpoint;
mod engine;
mod error;
mod float;
mod progress;
#[cfg(feature = "cli")]
pub mod report;
pub mod stats;
mod stub;

pub use engine::{EngineInfo, EngineKind, Fallback};
pub use error::{Error, Result, escape};
pub use float::Float;
pub use progress::Progress;
pub use safetensors::Dtype;
pub use stub::Engine;
