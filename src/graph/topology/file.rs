//! What a file may say.

use serde::Deserialize;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) input: Vec<u64>,
    pub(super) layer: Vec<Layer>,
    #[serde(default)]
    pub(super) ignore: Vec<String>,
}

/// A layer: which of its fields are needed depends on `op`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Layer {
    pub(super) op: Op,
    pub(super) name: Option<String>,
    pub(super) from: Option<OneOrMore<String>>,
    #[serde(default)]
    pub(super) output: bool,
    /// What the names of its tensors begin with.
    pub(super) tensors: Option<String>,
    pub(super) weight: Option<String>,
    pub(super) bias: Option<String>,
    pub(super) mean: Option<String>,
    pub(super) variance: Option<String>,
    pub(super) kernel: Option<OneOrMore<u32>>,
    pub(super) stride: Option<OneOrMore<u32>>,
    pub(super) padding: Option<OneOrMore<u32>>,
    pub(super) dilation: Option<OneOrMore<u32>>,
    pub(super) groups: Option<u32>,
    pub(super) ceil: Option<bool>,
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

/// One, or an array.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Op {
    Conv,
    ConvTranspose,
    Linear,
    BatchNorm,
    InstanceNorm,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    Flatten,
    Dropout,
    Identity,
    Add,
    Mul,
    Concat,
    Relu,
    Relu6,
    LeakyRelu,
    Elu,
    Tanh,
    Gelu,
    HardSwish,
    Silu,
    Mish,
    Sigmoid,
    HardSigmoid,
    Softplus,
    Prelu,
    Softmax,
    LogSoftmax,
    Subsample,
    PadChannels,
}
