//! Fine-tuning: whatever trains a model that has been cut a little further.

mod command;

use std::path::Path;

use crate::Result;

pub use command::CommandTuner;

/// Whatever trains a model that has been cut a little further: an external command, or the built-in trainer.
pub trait FineTuner {
    /// Trains the model of `job` and writes the result to its output; gives what there is to tell of it.
    ///
    /// # Errors
    /// Whatever keeps it from that; a search then ends, and can be continued.
    fn fine_tune(&mut self, job: &Tuning) -> Result<String>;
}

/// One fine-tuning.
#[derive(Clone, Copy, Debug)]
pub struct Tuning<'a> {
    /// The model to start from.
    pub model: &'a Path,
    /// The masks to hold, as [`prune`](crate::prune) writes them; `None` where nothing is to be held.
    pub mask: Option<&'a Path>,
    /// Where the trained model goes: a file of the same form, which is not there yet.
    pub output: &'a Path,
    /// How often to go through the training data; `None` as the tuner is set.
    pub epochs: Option<f64>,
    /// What random numbers come from; each round of a search has its own.
    pub seed: u64,
}
