//! What is asked of a search.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::Saved;
use crate::graph::Graph;
use crate::prune::{self, Allocation, ChannelOptions, Pattern, Schedule};
use crate::{Error, Result};

/// What is cut, and by which rules; how much of it is what is searched.
#[derive(Clone, Debug)]
pub enum Cut {
    /// Single weights, or an N:M pattern: of the options, `sparsity`, `allocation` and `rates` do not count.
    Elements(prune::Options),
    /// Whole channels of the network: of the options, `amount` and `allocation` do not count.
    Channels(ChannelOptions),
}

/// What is to become as small as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Save {
    /// The eligible weights.
    #[default]
    Weights,
    /// All parameters.
    Params,
    /// Multiply-accumulate operations.
    Macs,
}

impl Save {
    /// That share; `None` where it is not known.
    pub fn of(self, saved: &Saved) -> Option<f64> {
        match self {
            Self::Weights => Some(saved.weights),
            Self::Params => Some(saved.params),
            Self::Macs => saved.macs,
        }
    }

    /// What it is called once it is gone, where whole `channels` go or single weights do.
    pub fn removed(self, channels: bool) -> &'static str {
        match self {
            Self::Macs => "MACs removed",
            Self::Weights if !channels => "weights cut",
            Self::Weights | Self::Params => "parameters removed",
        }
    }
}

/// The metric that must be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// At least this (at most, where lower is better).
    At(f64),
    /// So much below the model's own (above, where lower is better).
    Drop(f64),
}

/// How candidates are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// So much more at each round until the floor breaks, then bisection.
    Fixed {
        /// The share that is cut more.
        step: f64,
    },
    /// By what the evaluator says: each unit ends at a rate of its own.
    Dynamic,
}

/// In which order units are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// All at once.
    #[default]
    Together,
    /// One after the other, from the output to the input.
    LastToFirst,
    /// One after the other, from the input to the output.
    FirstToLast,
}

/// Rounds towards a rate, each of them trained before the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// How the rate grows.
    pub schedule: Schedule,
    /// Over how many rounds.
    pub rounds: u32,
    /// To which rate.
    pub target: f64,
}

/// What is asked of a search.
#[derive(Clone, Debug)]
pub struct SearchOptions<'a> {
    /// What is cut.
    pub cut: Cut,
    /// The network, for channels, for operations, and for the order of layers.
    pub graph: Option<&'a Graph>,
    /// How one rate is shared among units: the first is searched, the others are tried where it ends (dynamic alone).
    pub allocations: Vec<Allocation>,
    /// What is to become small.
    pub save: Save,
    /// What must be kept.
    pub floor: Floor,
    /// Whether the metric is better the lower it is.
    pub lower_is_better: bool,
    /// How candidates are found.
    pub strategy: Strategy,
    /// Rounds towards a rate instead of steps, under [`Strategy::Fixed`].
    pub ramp: Option<Ramp>,
    /// In which order units are cut.
    pub order: Order,
    /// How many candidates are evaluated at most, the model itself included; `None` by the number of units.
    pub evaluations: Option<u32>,
    /// When to start no further round.
    pub time_limit: Option<Duration>,
    /// What fine-tuning draws its random numbers from; each round adds its number.
    pub seed: u64,
    /// Train the best once more for so many epochs, and keep that if the metric does not fall.
    pub final_epochs: Option<f64>,
    /// Where rounds are kept, and taken up again.
    pub journal: Option<&'a Path>,
    /// More that tells this search from others, for the journal: how is evaluated and trained.
    pub about: serde_json::Value,
}

impl Default for SearchOptions<'_> {
    fn default() -> Self {
        Self {
            cut: Cut::Elements(prune::Options::default()),
            graph: None,
            allocations: vec![Allocation::Moments],
            save: Save::Weights,
            floor: Floor::Drop(0.01),
            lower_is_better: false,
            strategy: Strategy::Dynamic,
            ramp: None,
            order: Order::Together,
            evaluations: None,
            time_limit: None,
            seed: 0,
            final_epochs: None,
            journal: None,
            about: serde_json::Value::Null,
        }
    }
}

impl SearchOptions<'_> {
    /// How many candidates are evaluated at most, of so many units, where nobody says: 20 and 3 a unit, from 32 to 200, but as
    /// many as rounds or an order take.
    pub(super) fn usual_evaluations(&self, units: u64) -> u32 {
        let usual = (20 + 3 * units).clamp(32, 200);
        let each = match self.strategy {
            _ if self.order == Order::Together => 0,
            Strategy::Dynamic => 6,
            Strategy::Fixed { step } => (1.0 / step).ceil() as u64 + 3,
        };
        let rounds = self.ramp.map_or(0, |ramp| u64::from(ramp.rounds) + 7);
        u32::try_from(usual.max(units.saturating_mul(each).saturating_add(1)).max(rounds)).unwrap_or(u32::MAX)
    }

    /// Checks what can be known to be wrong without a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where the options contradict each other.
    pub fn check(&self, tunes: bool) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.to_owned()));
        if self.allocations.is_empty() {
            return wrong("a search needs an allocation");
        }
        for &allocation in &self.allocations {
            match &self.cut {
                Cut::Elements(options) if options.pattern == Pattern::Element => {
                    prune::Options { allocation, rates: None, sparsity: 0.0, ..options.clone() }.check()?;
                }
                Cut::Elements(options) => prune::Options { rates: None, ..options.clone() }.check()?,
                Cut::Channels(options) => {
                    let amount = prune::Amount::Sparsity(0.0);
                    ChannelOptions { allocation, amount, ..options.clone() }.check()?;
                }
            }
        }
        match self.floor {
            Floor::At(floor) if !floor.is_finite() => return wrong("the floor (--floor) is a finite number"),
            Floor::Drop(drop) if !(drop.is_finite() && drop >= 0.0) => {
                return wrong("the drop (--max-drop) is a number of at least 0");
            }
            _ => {}
        }
        if let Strategy::Fixed { step } = self.strategy
            && !(step > 0.0 && step < 1.0)
        {
            return wrong("the step (--step) is more than 0 and less than 1");
        }
        if let Some(ramp) = self.ramp {
            if self.strategy == Strategy::Dynamic {
                return wrong("--rounds is for --strategy fixed: dynamic rates go where the evaluator leads");
            }
            if matches!(&self.cut, Cut::Elements(elements) if elements.pattern != Pattern::Element) {
                return wrong("--rounds lead to a rate, and an N:M pattern has none: leave them out");
            }
            if self.evaluations.is_some_and(|evaluations| evaluations <= ramp.rounds) {
                return wrong("--evaluations are fewer than --rounds and the model itself");
            }
            if self.order != Order::Together {
                return wrong("--rounds is for all units together: leave --order out");
            }
            if ramp.rounds == 0 || !(ramp.target > 0.0 && ramp.target < 1.0) {
                return wrong("--rounds is at least 1, and its --sparsity more than 0 and less than 1");
            }
        }
        if self.evaluations.is_some_and(|evaluations| evaluations < 2) {
            return wrong("--evaluations is at least 2: the model itself, and a candidate");
        }
        if self.final_epochs.is_some() && !tunes {
            return wrong("--final-epochs needs --finetune or --train-data");
        }
        if self.final_epochs.is_some_and(|epochs| !(epochs > 0.0 && epochs.is_finite())) {
            return wrong("--final-epochs is more than 0");
        }
        if self.save == Save::Macs && self.graph.is_none() {
            return wrong("--save macs needs the network: an .onnx file, or a --topology");
        }
        Ok(())
    }
}

/// Names of the variants of an option, both ways.
macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+; $expected:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(concat!("expected ", $expected).to_owned()),
                }
            }
        }
    };
}

names!(Save: Weights = "weights", Params = "params", Macs = "macs"; "weights, params or macs");
names!(Order: Together = "together", LastToFirst = "last-to-first", FirstToLast = "first-to-last";
    "together, last-to-first or first-to-last");
