//! The closed loop: cut, train a little, evaluate, again, until the best fit.
//!
//! A model has *units*: tensors that are cut, or classes of channels. A *candidate* says how much of each unit is cut, in
//! integers, always counted from the model as it was given; a *strategy* says which candidate is tried next; a *round* makes
//! one (and trains it, where somebody trains), and an [`Evaluator`] turns it into a number. The *best* is the candidate that
//! saves most of those that keep the floor. Strategies are functions of what evaluators said, and every round is in a
//! *journal* as soon as it has ended: a search that was killed takes them from there and goes on.

mod bisection;
mod channels;
mod dynamic;
mod elements;
mod fixed;
mod journal;
mod options;
mod order;
mod record;
mod recorded;
mod run;
mod session;
mod subject;
mod unit;

pub use options::{Cut, Floor, Order, Ramp, Save, SearchOptions, Strategy};
pub use record::{Phase, Round};
pub use recorded::Recorded;
pub use run::{Found, SearchedUnit, identity, search};
pub use subject::Saved;

use std::path::Path;

use crate::Result;
use crate::evaluate::Evaluator;
use crate::tune::FineTuner;

/// Who evaluates and trains.
pub struct Tools<'a> {
    /// What steers: it is asked about every candidate.
    pub evaluator: &'a mut dyn Evaluator,
    /// What is asked at the end, about the model and about the best: it steers nothing.
    pub test: Option<&'a mut dyn Evaluator>,
    /// What trains each candidate after it was cut.
    pub tuner: Option<&'a mut dyn FineTuner>,
    /// What estimates running statistics anew.
    pub recalibrator: Option<&'a mut dyn Recalibrator>,
}

/// Whatever estimates the running statistics of a network's normalizations anew, without labels.
pub trait Recalibrator {
    /// Writes `model` with new statistics to `out`; `false`, and nothing is written, where this candidate has none: what goes
    /// through it is not finite.
    ///
    /// # Errors
    /// Whatever keeps it from that; the search then ends, and can be continued.
    fn recalibrate(&mut self, model: &Path, out: &Path) -> Result<bool>;
}

impl<F: FnMut(&Path, &Path) -> Result<bool>> Recalibrator for F {
    fn recalibrate(&mut self, model: &Path, out: &Path) -> Result<bool> {
        self(model, out)
    }
}

/// What happens in a search, for whoever watches it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A round begins.
    Begin {
        /// Its number.
        round: u32,
        /// What it is for.
        phase: Phase,
    },
    /// A round has ended.
    End {
        /// The round.
        round: &'a Round,
        /// The best so far: the baseline, where nothing is.
        best: &'a Round,
        /// The model as it was given.
        baseline: &'a Round,
        /// How many candidates are evaluated at most, the baseline included.
        budget: u32,
        /// What must be kept.
        floor: f64,
        /// Whether it is an earlier run's, out of the journal.
        replayed: bool,
        /// How long the others will take if each takes as long as the last few.
        seconds_left: Option<f64>,
    },
}
