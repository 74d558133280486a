//! Training: an interpreter of ONNX graphs over burn's tensors with automatic differentiation (cargo feature `train`).
//!
//! A network is run as its file says, so one whose structure has shrunk trains on without any new code. What is known:
//! Conv of one axis or two, Gemm, MatMul, BatchNormalization, activations, pools, reductions, arithmetic, and what
//! rearranges, joins or takes parts, with the chains that exporters compute shapes by; an error names any other operator.
//!
//! Trained are the weights and biases of Conv, Gemm and MatMul, a constant that is added right after one of them, and scales
//! and shifts of BatchNormalization, whose running statistics move along; every other array stays as it is. Labels that are
//! classes are learnt by the cross-entropy (of the logits, where the network ends in a Softmax or LogSoftmax), values by the
//! mean squared error. Weights are f32 while they are trained, and written in their own format.
//!
//! On the CPU (burn's flex backend) convolutions, products with weights and most pools are of this crate, which takes half as long
//! for an epoch of LeNet-5; sums are made in one order, so that the same seed gives the same bytes on any number of threads of one machine.
//!
//! Masks are held after every step: on the CPU by the project's apply kernel on the tensor's own memory, on a GPU by burn's
//! `mask_fill` with a mask that stays on the device. Without masks, zeros of a model are weights like any other, unless
//! [`TrainOptions::hold_zeros`].
//!
//! ```no_run
//! use secateur::Checkpoint;
//! use secateur::data::DataSet;
//! use secateur::train::{TrainOptions, Trainer};
//!
//! let data = DataSet::open("train.safetensors".as_ref())?;
//! let trainer = Trainer::new(data, TrainOptions { epochs: 2.0, fresh: true, ..TrainOptions::default() })?;
//! let model = Checkpoint::open("lenet5.onnx")?;
//! trainer.train(&model, None, "trained.onnx".as_ref(), false, &mut |event| {
//!     println!("{event:?}");
//!     Ok(())
//! })?;
//! # Ok::<(), secateur::Error>(())
//! ```

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
mod run;
mod trainer;
mod value;
mod weights;

pub use interpreter::{Interpreter, Output};
pub use options::{Device, LearningRate, Optimizer, TrainOptions};
pub use trainer::{Event, Trained, Trainer, Validation};
