//! What a run has done.

use serde::Serialize;

use super::{LayerCost, LeftOut};
use crate::EngineInfo;

/// What a run has done, tensor by tensor.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The tensors that were cut, in natural order of names.
    pub tensors: Vec<Pruned>,
    /// All of them together.
    pub total: Total,
    /// Of channels that were deleted: their classes, and what the network costs.
    #[serde(flatten)]
    pub channels: Option<Channels>,
    /// What stays as it is, and why.
    pub left_out: Vec<LeftOut>,
    /// What computed.
    pub engine: EngineInfo,
    /// How long it took, from the opened model to the file in place.
    pub seconds: f64,
}

/// What has happened to the channels of a network.
#[derive(Clone, Debug, Serialize)]
pub struct Channels {
    /// The classes of channels, in the order of the graph.
    pub classes: Vec<ClassWidth>,
    /// The layers, in the order of the graph.
    pub layers: Vec<PrunedLayer>,
    /// All layers together.
    pub cost: Cost,
}

/// A layer before and after.
#[derive(Clone, Debug, Serialize)]
pub struct PrunedLayer {
    /// What it does, as ONNX names it.
    pub operator: String,
    /// Channels that it makes; `None` where the shapes do not say it, and for what is no Conv, ConvTranspose, Gemm or MatMul.
    pub outputs_before: Option<u64>,
    /// Those that are left.
    pub outputs_after: Option<u64>,
    /// Its name, parameters and operations.
    #[serde(flatten)]
    pub cost: LayerCost,
}

/// What a whole network costs before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Weights, biases, scales and shifts; running means and variances are no parameters.
    pub parameters_before: u64,
    /// Those that are left.
    pub parameters_after: u64,
    /// Multiply-accumulate operations for one sample; `None` where those of a layer are not known.
    pub macs_before: Option<u64>,
    /// Those that are left.
    pub macs_after: Option<u64>,
}

/// The width of a class of channels.
#[derive(Clone, Debug, Serialize)]
pub struct ClassWidth {
    /// The weight whose outputs the channels are.
    pub name: String,
    /// How many there were.
    pub channels: u64,
    /// How many there were before any pruning.
    pub original: u64,
    /// How many there are now.
    pub kept: u64,
    /// Why none was to be deleted, if so: it could not be proven right, or was not asked for.
    pub whole: Option<String>,
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
    /// ±0 before; `None` where channels were deleted.
    pub zeros_before: Option<u64>,
    /// ±0 after; `None` where channels were deleted.
    pub zeros_after: Option<u64>,
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
