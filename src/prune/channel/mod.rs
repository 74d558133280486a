//! Deleting whole channels, and everything that depends on them.
//!
//! Classes and what belongs to them come from [`Dependencies`]. [`classes`] says which of them can lose channels,
//! [`scores`] what each channel is worth, [`amount`] how many of each class go, and [`costs`](layer_costs) what the network
//! has before and after: a plan, which is integers. [`run`] makes one or takes one, and [`delete`] does what it says.

mod amount;
mod classes;
mod costs;
mod criterion;
mod delete;
mod planned;
mod run;
mod scores;
mod shares;

pub use costs::{Costs, LayerCost, layer_costs};
pub use criterion::GroupCriterion;
pub use planned::PlannedClass;
pub use run::{channels, original_widths};

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::{Allocation, Keep, Plan, Rates};
use crate::graph::Dependencies;
use crate::{Checkpoint, Engine, Error, Progress, Result, Selection, Tensor};
use classes::Part;

/// Which channels are to go. The default cuts nothing: a rate of 0.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// How much is to go.
    pub amount: Amount,
    /// How a channel is scored.
    pub criterion: GroupCriterion,
    /// Which scores stay.
    pub keep: Keep,
    /// How the amount is shared among the classes: `uniform`, `global` or `variance`.
    pub allocation: Allocation,
    /// Whether a channel's score is summed over all weights of its class, those that take it included, each divided by
    /// its mean over the class; else it is that of the first weight alone.
    pub coupled: bool,
    /// Whether weights are taken as (w − mean)/σ of their tensor.
    pub standardize: bool,
    /// Widths that stay are rounded up to multiples of this, never above what is there.
    pub round_to: NonZeroU64,
    /// Which classes: those of which a weight that makes the channels is meant, and none skipped.
    pub selection: Selection,
    /// What may be held at once, in bytes.
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

/// What a run starts from.
#[derive(Clone, Copy, Debug)]
pub enum ChannelTask<'a> {
    /// Which channels are to go.
    Options(&'a ChannelOptions),
    /// A plan, of this model.
    Plan(&'a Plan),
}

/// How much is to go.
#[derive(Clone, Debug)]
pub enum Amount {
    /// A share of the channels that each class (under `global` and `variance`, that all classes together) had
    /// originally.
    Sparsity(f64),
    /// As little as reduces the parameters of the whole network by this share.
    Parameters(f64),
    /// As little as reduces the multiply-accumulate operations of the whole network by this share.
    Macs(f64),
    /// A share of the channels of each class, by the class's name; other classes stay whole.
    Rates(Rates),
    /// How many channels each class keeps, in the order of the classes of [`Dependencies`]; at least one stays, and a class
    /// that has no more than that stays as it is.
    Kept(Vec<u64>),
}

impl ChannelOptions {
    /// Checks what can be known to be wrong without a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where the options contradict each other.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.to_owned()));
        if !matches!(self.allocation, Allocation::Uniform | Allocation::Global | Allocation::Variance) {
            return Err(Error::Usage(format!(
                "--allocation {} is for single weights: channels are shared by uniform, global or variance",
                self.allocation
            )));
        }
        match self.amount {
            Amount::Sparsity(rate) if !(0.0..1.0).contains(&rate) => {
                return wrong("the rate (--sparsity) is at least 0 and less than 1");
            }
            Amount::Parameters(rate) if !(0.0..1.0).contains(&rate) => {
                return wrong("the reduction in parameters (--params) is at least 0 and less than 1");
            }
            Amount::Macs(rate) if !(0.0..1.0).contains(&rate) => {
                return wrong("the reduction in operations (--macs) is at least 0 and less than 1");
            }
            Amount::Rates(_) | Amount::Kept(_) if self.allocation != Allocation::Uniform => {
                return Err(Error::Usage(format!(
                    "how much is cut of each class is said by --rates: leave --allocation {} out",
                    self.allocation
                )));
            }
            _ => {}
        }
        if self.standardize && self.criterion == GroupCriterion::L1 {
            return wrong("--criterion l1 is not defined under --transform standardize: take l2, or leave one out");
        }
        Ok(())
    }
}

/// Decides which channels of `model` go. `original` is how many channels a class had before it was first pruned, by the
/// class's [`key`](crate::graph::Class::key): rates count against that, so that pruning twice by a rate does not compound. A class that is not in
/// it, or has more now, counts as it is.
///
/// Of each class the channels of the lowest scores go, ties by lower index; at least one stays. Scores are computed
/// by the CPU's code whatever the engine: the same plan everywhere. Each weight is read once, and once more where both
/// of its axes are scored; for `random` nothing is read, but under the allocation `variance`.
///
/// # Errors
/// [`Error::Usage`] where the options contradict each other or the asked reduction cannot be reached;
/// [`Error::Tensor`] where `dependencies` are not those of `model`; [`Error::Format`] where no class can lose a channel,
/// saying why; [`Error::Io`] where weights cannot be read.
pub fn plan_channels(
    model: &Checkpoint,
    dependencies: &Dependencies,
    original: &BTreeMap<String, u64>,
    options: &ChannelOptions,
    engine: &Engine,
    progress: &Progress,
) -> Result<Plan> {
    options.check()?;
    let standing = classes::standing(model, dependencies, original, options)?;
    let parts: Vec<Part> = standing.iter().filter_map(|class| class.part.as_ref().ok()).cloned().collect();
    if parts.iter().all(|part| part.class.channels < 2) {
        return Err(Error::format(model.path(), classes::nothing(dependencies, &standing)));
    }
    let scored = scores::scores(model, &parts, options, engine, progress)?;
    let shape = |name: &str| model.get(name).map(Tensor::shape);
    let originals: Vec<u64> = standing.iter().map(|class| class.original).collect();
    let network = costs::Network::new(dependencies, shape);
    let kept = amount::kept(&parts, &scored, options, &network, &originals)?;
    let mut cut: Vec<Vec<u64>> = vec![Vec::new(); standing.len()];
    for ((part, scored), kept) in parts.iter().zip(&scored).zip(kept) {
        let gone = usize::try_from(part.class.channels.saturating_sub(kept)).unwrap_or(usize::MAX);
        let mut channels: Vec<u64> = scored.ranks.iter().take(gone).copied().collect();
        channels.sort_unstable();
        if let Some(cut) = cut.get_mut(part.index) {
            *cut = channels;
        }
    }
    let planned = dependencies.classes.iter().zip(standing).zip(cut).map(|((class, standing), cut)| PlannedClass {
        name: class.name.clone(),
        channels: class.channels,
        original: standing.original,
        cut,
        members: class.members.clone(),
        frozen: standing.part.err(),
    });
    let rated = matches!(options.amount, Amount::Rates(_) | Amount::Kept(_));
    Ok(Plan {
        secateur: env!("CARGO_PKG_VERSION").to_owned(),
        pattern: super::Pattern::Channel.to_string(),
        criterion: options.criterion.to_string(),
        keep: options.keep.to_string(),
        allocation: (!rated).then(|| options.allocation.to_string()),
        coupled: Some(options.coupled),
        transform: options.standardize.then(|| "standardize".to_owned()),
        tensors: Vec::new(),
        classes: planned.collect(),
        left_out: Vec::new(),
    })
}
