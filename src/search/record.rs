//! What is known of each round.

use serde::{Deserialize, Serialize};

use super::Saved;

/// What a round was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The model as it was given.
    Baseline,
    /// One rate that all units share by an allocation.
    Rate,
    /// One unit alone, to see what it costs.
    Scan,
    /// Rates of all units, by what the scan has shown.
    Knapsack,
    /// One unit of the best so far, a little further.
    Refine,
    /// One unit after the other.
    Order,
    /// The best of all, trained once more.
    Final,
    /// The best of all, on the test set.
    Test,
}

impl Phase {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Rate => "rate",
            Self::Scan => "scan",
            Self::Knapsack => "knapsack",
            Self::Refine => "refine",
            Self::Order => "order",
            Self::Final => "final",
            Self::Test => "test",
        }
    }
}

/// A round: one candidate, cut and evaluated. A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its number; the baseline is 0.
    pub round: u32,
    /// What it was for.
    pub phase: Phase,
    /// By which allocation the rate was shared, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<String>,
    /// How many weights or channels of each unit are cut, in the order of `units` of the journal's `search.json`.
    pub cuts: Vec<u64>,
    /// The round whose model it was cut from: 0 is the model that was given.
    pub base: u32,
    /// The share of the eligible weights that is cut; where channels go, of all parameters.
    pub sparsity: f64,
    /// The share of all parameters that is cut.
    pub params: f64,
    /// The share of the multiply-accumulate operations that goes with it; null where they are not known.
    pub macs: Option<f64>,
    /// What the evaluator said; null where it was no finite number.
    pub metric: Option<f64>,
    /// The loss, where the evaluator says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// What was to be kept in this round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Whether that was kept.
    pub held: bool,
    /// Whether it became the best so far.
    pub accepted: bool,
    /// Whether it was trained after it was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tuned: bool,
    /// Whether it was better with running statistics estimated anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recalibrated: bool,
    /// What training drew its random numbers from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long it took.
    pub seconds: f64,
    /// What external commands wrote to their stderr.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

impl Round {
    /// What it saves.
    pub fn saved(&self) -> Saved {
        Saved { weights: self.sparsity, params: self.params, macs: self.macs }
    }
}
