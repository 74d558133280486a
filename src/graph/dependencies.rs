//! What depends on what: classes of channels, and what has to be rewritten when some are deleted.

use serde::{Deserialize, Serialize};

/// Which channels of a network can be deleted, and everything that goes with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependencies {
    /// Classes in the order of the graph.
    pub classes: Vec<Class>,
    /// What has to be rewritten beside the members of classes.
    pub edits: Vec<Edit>,
    /// For each value between operators (and each graph input or output) that carries channels: its name, and the width of
    /// each axis of it that is cut.
    pub values: Vec<(String, Vec<(usize, Width)>)>,
    /// The operators that hold parameters, in the order of the graph.
    pub layers: Vec<Layer>,
}

/// Channels that are cut together: channel `c` of every member goes, or none does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The weight of the first Conv, Gemm or MatMul, in graph order, whose output these channels are.
    pub name: String,
    /// How many channels there are.
    pub channels: u64,
    /// All that has these channels, in graph order, that of `name` first.
    pub members: Vec<Member>,
    /// Why none can be deleted; `None` where they can.
    pub frozen: Option<String>,
}

impl Class {
    /// What tells it from the others: its name, and where in that weight its channels start, unless that is at 0. Of a
    /// layer's outputs some may be in one class and some in another.
    pub fn key(&self) -> String {
        match self.members.first().map_or(0, |member| member.start) {
            0 => self.name.clone(),
            start => format!("{}[{start}]", self.name),
        }
    }
}

/// A stretch of an axis of a tensor of the checkpoint: channel `c` of the class is the `run` indices of the axis from
/// `start + c · run` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The tensor's name.
    pub tensor: String,
    /// Which axis.
    pub axis: usize,
    /// The index of the first channel.
    pub start: u64,
    /// Consecutive indices of a channel: 1, or as many columns as a flattened map has positions.
    pub run: u64,
    /// What it does to the channels.
    pub role: Role,
}

/// What a member does to the channels of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A weight that makes them; weights of depthwise convolutions, too.
    Output,
    /// What is added to them: a bias, the shift of a normalization.
    Bias,
    /// What they are multiplied by: the scale of a normalization, a slope.
    Scale,
    /// A running mean or variance.
    Statistic,
    /// A weight that takes them.
    Input,
}

/// The length of an axis that channels lie along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Width {
    /// Indices that stay whatever is cut.
    pub fixed: u64,
    /// Classes, by index, and how many indices each of their channels takes.
    pub classes: Vec<(usize, u64)>,
}

impl Width {
    /// The length where class `i` has `channels[i]` channels; saturates.
    pub fn with(&self, channels: &[u64]) -> u64 {
        let of = |&(class, run): &(usize, u64)| channels.get(class).copied().unwrap_or(0).saturating_mul(run);
        self.classes.iter().map(of).fold(self.fixed, u64::saturating_add)
    }
}

/// Something that names a width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The attribute `group` of the node of this index is the width.
    Group {
        /// Index in [`Graph::nodes`](super::Graph::nodes).
        node: usize,
        /// What it becomes.
        width: Width,
    },
    /// Element `index` of the constant `name`, which the node `node` takes as its input `input` and which is a shape, is the
    /// width.
    Shape {
        /// Index in [`Graph::nodes`](super::Graph::nodes).
        node: usize,
        /// Which input of the node the constant is.
        input: usize,
        /// The constant's name. Other nodes may take it, too: a copy is rewritten.
        name: String,
        /// Which element.
        index: usize,
        /// What it becomes.
        width: Width,
    },
}

/// An operator that holds parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Index in [`Graph::nodes`](super::Graph::nodes).
    pub node: usize,
    /// The name of its weight, or of its first parameter.
    pub name: String,
    /// Its tensors that are parameters: weights, biases, scales and shifts, not running statistics. A tensor that several
    /// layers share is in the first one alone.
    pub parameters: Vec<String>,
    /// Multiply-accumulate operations for one sample: `None` where the shapes do not say it, 0 for what is no Conv,
    /// ConvTranspose, Gemm or MatMul.
    pub macs: Option<Macs>,
}

/// Multiply-accumulate operations as a product: positions · kernel · output · input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Macs {
    /// Where the kernel is applied: positions of a map (of the output's, or of the input's where a convolution is
    /// transposed), rows of a matrix product, for one sample.
    pub positions: u64,
    /// Elements of the kernel for one input and one output channel.
    pub kernel: u64,
    /// Channels made.
    pub output: Width,
    /// Channels that each of those is made of.
    pub input: Width,
}

impl Macs {
    /// Their number where class `i` has `channels[i]` channels; saturates.
    pub fn with(&self, channels: &[u64]) -> u64 {
        let product = self.positions.saturating_mul(self.kernel);
        product.saturating_mul(self.output.with(channels)).saturating_mul(self.input.with(channels))
    }
}
