//! Deleting whole channels, and everything that depends on them.
//!
//! ```
//! use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination};
//! use secateur::{Checkpoint, Engine, Progress, graph::Topology};
//!
//! let folder = tempfile::tempdir()?;
//! let model = Checkpoint::open("examples/data/cnn.safetensors")?;
//! // An ONNX file has its graph: `model.graph()?`. Weights alone need to be told.
//! let graph = Topology::read("examples/data/cnn.toml")?.graph(&model)?;
//! let options = ChannelOptions { amount: Amount::Parameters(0.5), ..ChannelOptions::default() };
//! let out = folder.path().join("small.safetensors");
//! let to = Destination { out: Some(&out), ..Destination::default() };
//! let done = prune::channels(&model, &graph, &Engine::cpu(None)?, &ChannelTask::Options(&options), &to, &Progress::default())?;
//! let cost = done.summary.channels.expect("it is about channels").cost;
//! assert!(cost.parameters_after * 2 <= cost.parameters_before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cost;
mod criterion;
mod delete;
mod plan;
mod run;
mod scores;
mod widths;

use std::num::NonZeroU64;

pub use cost::{Cost, LayerCost};
pub use criterion::GroupCriterion;
pub use plan::PlannedClass;
pub use run::channels;

use super::{Allocation, Keep, Plan, Rates};
use crate::{Error, Result, Selection};

/// How much is to be deleted.
#[derive(Clone, Debug)]
pub enum Amount {
    /// The share of channels: of each class, or of all of them, as the allocation says.
    Sparsity(f64),
    /// The share of the network's parameters that has to go: the least cut that reaches it.
    Parameters(f64),
    /// The share of its multiply-accumulate operations that has to go: the least cut that reaches it.
    Macs(f64),
    /// A share for each class.
    Rates(Rates),
}

/// What is to be deleted. Shares count against the model before any pruning, which its metadata tell. The default deletes
/// nothing: a share of 0.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// How much.
    pub amount: Amount,
    /// How channels are scored.
    pub criterion: GroupCriterion,
    /// Which scores stay.
    pub keep: Keep,
    /// How the share is spread over classes: uniform, global or variance.
    pub allocation: Allocation,
    /// Whether a channel is scored by every group of weights that goes with it, each relative to the mean of its tensor's,
    /// summed; else by the outputs of the class's first layer.
    pub coupled: bool,
    /// Whether the weights of each tensor are standardised first, so that layers compare.
    pub standardize: bool,
    /// Widths that are kept are rounded up to a multiple of it, never above what they are.
    pub round_to: NonZeroU64,
    /// Classes whose outputs it includes; one whose output it skips stays whole.
    pub selection: Selection,
    /// What may be held at once, on the host and on the device each, in bytes.
    pub memory_bytes: u64,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            amount: Amount::Sparsity(0.0),
            criterion: GroupCriterion::default(),
            keep: Keep::Largest,
            allocation: Allocation::Uniform,
            coupled: true,
            standardize: false,
            round_to: NonZeroU64::MIN,
            selection: Selection::default(),
            memory_bytes: 1 << 30,
        }
    }
}

impl ChannelOptions {
    /// An error where they contradict each other.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Usage(what.to_owned()));
        let rate = match &self.amount {
            Amount::Sparsity(rate) | Amount::Parameters(rate) | Amount::Macs(rate) => *rate,
            Amount::Rates(_) if self.allocation != Allocation::Uniform => {
                return wrong("rates say how much of each class goes: leave --allocation out");
            }
            Amount::Rates(_) => 0.0,
        };
        if !(0.0..1.0).contains(&rate) {
            return wrong("a rate is at least 0 and less than 1");
        }
        if !matches!(self.allocation, Allocation::Uniform | Allocation::Global | Allocation::Variance) {
            let rule = self.allocation;
            return Err(Error::Usage(format!(
                "{rule} is about single weights: uniform, global or variance for channels"
            )));
        }
        if self.standardize && self.criterion == GroupCriterion::L1 {
            return wrong(
                "l1 does not follow from a weight's moments where weights are standardised: use l2 or variance",
            );
        }
        Ok(())
    }
}

/// What a run starts from.
#[derive(Clone, Copy, Debug)]
pub enum ChannelTask<'a> {
    /// What is to be deleted.
    Options(&'a ChannelOptions),
    /// A plan, of this model.
    Plan(&'a Plan),
}
