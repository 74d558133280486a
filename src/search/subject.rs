//! What is searched: the units of a model, and how candidates are made of it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::unit::Unit;
use crate::prune::{Allocation, Plan};
use crate::{Checkpoint, Result};

/// Shares of the model, as it is given, that a candidate does without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Of the weights that can be cut; where channels go, of all parameters.
    pub weights: f64,
    /// Of all parameters.
    pub params: f64,
    /// Of the multiply-accumulate operations for one sample, those with a weight that is cut; `None` where they are not
    /// known.
    pub macs: Option<f64>,
}

/// A model whose units can be cut. `cuts` are as many as there are units: how many of each are gone.
pub(super) trait Subject {
    /// What has a rate of its own, in the order of the network: from the input to the output.
    fn units(&self) -> &[Unit];

    /// How much of each unit is cut where one rate is shared.
    fn allocate(&self, allocation: Allocation, rate: f64) -> Result<Vec<u64>>;

    /// What would really be cut: widths are rounded.
    fn settle(&self, cuts: &mut [u64]) {
        let _ = cuts;
    }

    /// Parameters of the model as it is given.
    fn parameters(&self) -> u64;

    /// Multiply-accumulate operations of it; `None` where they are not known.
    fn macs(&self) -> Option<u64>;

    /// What is saved.
    fn saved(&self, cuts: &[u64]) -> Result<Saved>;

    /// Whether a candidate can be cut further, after it was trained.
    fn continues(&self) -> bool;

    /// Cuts `base`, the model itself or a candidate that has no more cut of any unit, and writes the result to `out`,
    /// replacing what is there if `force`; the masks, where single weights are cut, to `mask`.
    fn cut(&self, base: &Checkpoint, cuts: &[u64], out: &Path, mask: Option<&Path>, force: bool) -> Result<()>;

    /// The plan that does it to the model itself.
    fn plan(&self, cuts: &[u64]) -> Result<Plan>;
}
