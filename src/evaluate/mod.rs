//! What turns a candidate model into one number.

mod command;
mod metric;
#[cfg(feature = "eval")]
mod network;
#[cfg(feature = "eval")]
mod onnx;
#[cfg(feature = "eval")]
mod recalibrate;
#[cfg(any(feature = "eval", test))]
mod score;

use std::path::Path;

use crate::Result;

pub use crate::process::end_commands;
pub use command::CommandEvaluator;
pub use metric::Metric;
#[cfg(feature = "eval")]
pub use onnx::OnnxEvaluator;
#[cfg(feature = "eval")]
pub use recalibrate::{Recalibrated, Recalibration, recalibrate};

/// Whatever turns a model into one number: a closure, an external command, the built-in runner of ONNX models.
pub trait Evaluator {
    /// How good the model at `path` is.
    ///
    /// # Errors
    /// Whatever keeps it from a number; a search then ends, and can be continued.
    fn evaluate(&mut self, path: &Path) -> Result<Measure>;
}

/// How good a model is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measure {
    /// The number that counts.
    pub metric: f64,
    /// A loss that falls as the model gets better, where there is one: it moves where an accuracy stands still.
    pub loss: Option<f64>,
    /// What an external command wrote to its stderr, or the end of it.
    pub log: String,
}

impl<F: FnMut(&Path) -> Result<Measure>> Evaluator for F {
    fn evaluate(&mut self, path: &Path) -> Result<Measure> {
        self(path)
    }
}
