//! Pruning: criterion, pattern, allocation and schedule say what is cut; a plan says it in integers; a run does it.
//!
//! ```
//! use secateur::prune::{self, Allocation, Destination, Options, Task};
//! use secateur::{Checkpoint, Engine, Progress};
//!
//! let folder = tempfile::tempdir()?;
//! let model = Checkpoint::open("examples/data/cnn.safetensors")?;
//! let options = Options { sparsity: 0.5, allocation: Allocation::Global, ..Options::default() };
//! let out = folder.path().join("pruned.safetensors");
//! let to = Destination { out: Some(&out), ..Destination::default() };
//! let done = prune::run(&model, &Engine::cpu(None)?, &Task::Options(&options), &to, &Progress::default())?;
//! // Exactly half, whatever ties there are.
//! assert_eq!(done.summary.total.cut, done.summary.total.count / 2);
//!
//! // The plan does the same again, to this model and on whichever engine.
//! let again = prune::run(&model, &Engine::auto(None)?, &Task::Plan(&done.plan), &Destination::default(), &Progress::default())?;
//! assert_eq!(again.summary.total.cut, done.summary.total.cut);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The order in which weights are cut is that of ascending scores, ties by lower index, NaN last and never: what
//! `numpy.argsort(score, kind="stable")` says. Magnitudes are compared as integers, never as floats, so that every engine
//! cuts the same weights, and the files written are the same bytes.

pub mod allocation;
mod bracket;
mod channel;
mod checks;
mod criterion;
mod eligibility;
mod magnitudes;
mod masks;
mod n_of_m;
mod outcome;
mod pattern;
mod plan;
mod random;
mod rank;
mod rates;
mod run;
mod schedule;
mod scored;
mod summary;
mod targets;
mod thresholds;
mod units;
mod wanda;

pub use allocation::Allocation;
pub use channel::{
    Amount, ChannelOptions, ChannelTask, Costs, GroupCriterion, LayerCost, PlannedClass, channels, layer_costs,
    plan_channels,
};
pub use criterion::{Criterion, Keep, Score, Within};
pub use eligibility::left_out;
pub use magnitudes::kth_magnitude;
pub use masks::Masks;
pub use n_of_m::NofM;
pub use pattern::Pattern;
pub use plan::{LeftOut, Plan, PlannedTensor};
pub use random::Random;
#[cfg(feature = "train")]
pub(crate) use random::threefry;
pub use rates::{Rates, parse_rate};
pub use run::{Destination, Outcome, run};
pub use schedule::Schedule;
pub use summary::{Channels, ClassWidth, Cost, Pruned, PrunedLayer, Summary, Total};
pub use wanda::Wanda;

use crate::Selection;

/// What is to be cut. The default cuts nothing: a rate of 0.
#[derive(Clone, Debug)]
pub struct Options {
    /// The share of the eligible weights to cut, from 0 up to but not including 1. N:M says it by itself.
    pub sparsity: f64,
    /// What is cut at once.
    pub pattern: Pattern,
    /// How weights are scored.
    pub criterion: Criterion,
    /// Which scores stay.
    pub keep: Keep,
    /// How the rate is shared among the tensors.
    pub allocation: Allocation,
    /// A rate for each tensor instead of one for all: those without are left out. For elements, beside `uniform`.
    pub rates: Option<Rates>,
    /// Which tensors.
    pub selection: Selection,
    /// Whether the selection names tensors, which are then eligible whatever their rank and name.
    pub only_given: bool,
    /// What may be held at once, on the host and on the device each, in bytes.
    pub memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparsity: 0.0,
            pattern: Pattern::Element,
            criterion: Criterion::Magnitude,
            keep: Keep::Largest,
            allocation: Allocation::Uniform,
            rates: None,
            selection: Selection::default(),
            only_given: false,
            memory_bytes: 1 << 30,
        }
    }
}

/// What a run starts from.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// What is to be cut.
    Options(&'a Options),
    /// A plan, of this model.
    Plan(&'a Plan),
    /// Saved masks, of this model.
    Masks(&'a Masks),
}
