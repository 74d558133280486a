//! What a run has done.

use serde::Serialize;

use super::LeftOut;
use crate::EngineInfo;

/// What a run has done, tensor by tensor.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The tensors that were cut, in natural order of names.
    pub tensors: Vec<Pruned>,
    /// All of them together.
    pub total: Total,
    /// What stays as it is, and why.
    pub left_out: Vec<LeftOut>,
    /// What computed.
    pub engine: EngineInfo,
    /// How long it took, from the opened model to the file in place.
    pub seconds: f64,
}

/// What has happened to one tensor.
#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its elements.
    pub count: u64,
    /// How many this run chose to cut, zeros among them included.
    pub cut: u64,
    /// ±0 before.
    pub zeros_before: u64,
    /// ±0 after.
    pub zeros_after: u64,
    /// The largest |w| that was cut; `None` where nothing was, or under N:M.
    #[serde(serialize_with = "finite_or_null")]
    pub threshold: Option<f64>,
    /// Its shape after.
    pub new_shape: Vec<u64>,
}

/// Sums over the tensors that were cut, and the size of the model's files.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Total {
    /// Elements.
    pub count: u64,
    /// Elements cut.
    pub cut: u64,
    /// cut / count; 0 where there is nothing.
    pub sparsity: f64,
    /// Bytes of the model's weight files.
    pub bytes_before: u64,
    /// Bytes of those written.
    pub bytes_after: u64,
}

/// JSON has no infinity.
fn finite_or_null<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.filter(|x| x.is_finite()).serialize(serializer)
}
