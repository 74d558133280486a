//! A model to search in, and an evaluator whose answers are known.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;

use secateur::evaluate::Measure;
use secateur::search::{Floor, Found, SearchOptions, Tools, search};
use secateur::{Checkpoint, Engine, Result};

pub(crate) const MODEL: &str = "examples/data/cnn.safetensors";

/// A metric that knows what every weight is worth: 1 minus what the zeros of each matrix cost, by their share.
pub(crate) fn worth(path: &Path) -> Result<Measure> {
    let model = Checkpoint::open(path)?;
    let mut metric = 1.0;
    let mut cost = 0.002;
    for tensor in model.tensors().iter().filter(|tensor| tensor.shape().len() > 1) {
        let mut bytes = vec![0; tensor.bytes() as usize];
        model.read_exact_at(tensor, 0, &mut bytes)?;
        let zeros = bytes.chunks_exact(4).filter(|weight| weight.iter().all(|byte| *byte == 0)).count();
        let share = zeros as f64 / tensor.elements() as f64;
        metric -= cost * share * share;
        cost *= 1.5;
    }
    Ok(Measure { metric, loss: Some(1.0 - metric), log: String::new() })
}

pub(crate) fn find(options: &SearchOptions, out: &Path) -> Result<Found> {
    let model = Checkpoint::open(MODEL)?;
    let mut evaluator = worth;
    let tools = Tools { evaluator: &mut evaluator, test: None, tuner: None, recalibrator: None };
    search(&model, &Engine::cpu(None)?, options, tools, Some(out), false, &mut |_| {})
}

pub(crate) fn options() -> SearchOptions<'static> {
    SearchOptions { floor: Floor::Drop(0.005), ..SearchOptions::default() }
}
