//! Training: an interpreter of ONNX graphs over burn's tensors with automatic differentiation (cargo feature `train`).
//!
//! A network is run as its file says, so one whose structure has shrunk trains on without any new code.

mod array;
mod batches;
mod cpu;
mod held;
mod initial;
mod interpreter;
mod loss;
mod network;
mod operators;
mod optimizer;
mod options;
mod random;
mod roles;
mod trainer;
mod value;
mod weights;

pub use interpreter::{Interpreter, Output};
pub use options::{Device, LearningRate, Optimizer, TrainOptions};
pub use trainer::{Event, Trained, Trainer, Validation};
