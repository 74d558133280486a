//! What an audit finds: one entry a tensor, and a summary.

use safetensors::Dtype;
use serde::Serialize;

use crate::prune::NofM;
use crate::stats::Skipped;

/// One floating tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The tensor's name.
    pub name: String,
    /// Its dtype, spelled as in safetensors.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Number of weights.
    pub count: u64,
    /// How many of them are ±0; NaN is not zero.
    pub zeros: u64,
    /// zeros / count; `None` without weights.
    pub sparsity: Option<f64>,
    /// Which of [`COMMON`](super::COMMON) and the pattern asked for it satisfies; none whose M does not divide its input axis.
    pub patterns: Vec<NofM>,
    /// Output channels (axis 0) that are zero throughout; `None` under two axes, and where a graph has them elsewhere.
    pub empty_outputs: Option<u64>,
    /// Input channels ([`Tensor::input_axis`](crate::Tensor::input_axis)) that are zero throughout; `None` under two axes.
    pub empty_inputs: Option<u64>,
    /// What it weighs, in bytes.
    #[serde(flatten)]
    pub bytes: Bytes,
    /// Whether it satisfies the pattern asked for, if one was.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// As it is.
    #[serde(rename = "bytes_dense")]
    pub dense: u64,
    /// As one bit a weight, in whole bytes for each tensor, and the weights that are not zero.
    #[serde(rename = "bytes_bitmask")]
    pub bitmask: u64,
    /// Dense, without its empty output and input channels.
    #[serde(rename = "bytes_without_empty_channels")]
    pub without_empty_channels: u64,
}

/// What is said of a tensor about the pattern asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Whether the tensor satisfies it; `None` where it is left out.
    pub satisfies: Option<bool>,
    /// Why the tensor is not judged.
    pub left_out: Option<String>,
}

/// Over every audited tensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Total {
    /// Number of tensors.
    pub tensors: u64,
    /// Number of weights.
    pub count: u64,
    /// How many of them are ±0.
    pub zeros: u64,
    /// zeros / count; `None` without weights.
    pub sparsity: Option<f64>,
    /// What they weigh.
    #[serde(flatten)]
    pub bytes: Bytes,
}

/// What became of the pattern asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The pattern.
    pub pattern: NofM,
    /// Tensors that were judged.
    pub judged: u64,
    /// How many of them do not satisfy it.
    pub failed: u64,
    /// The first of those, in the order of entries.
    pub first_failed: Option<String>,
}

/// The end of an audit.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Over every audited tensor.
    pub total: Total,
    /// Tensors that are not floating, and why they are not audited.
    pub skipped: Vec<Skipped>,
    /// About the pattern asked for, if one was.
    pub verdict: Option<Verdict>,
    /// Bytes read.
    pub bytes: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

impl Total {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.tensors += 1;
        self.count += entry.count;
        self.zeros += entry.zeros;
        self.sparsity = share(self.zeros, self.count);
        self.bytes.dense += entry.bytes.dense;
        self.bytes.bitmask += entry.bytes.bitmask;
        self.bytes.without_empty_channels += entry.bytes.without_empty_channels;
    }
}

impl Verdict {
    pub(super) fn new(pattern: NofM) -> Self {
        Self { pattern, judged: 0, failed: 0, first_failed: None }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let Some(satisfies) = entry.judgement.as_ref().and_then(|judgement| judgement.satisfies) else { return };
        self.judged += 1;
        if !satisfies {
            self.failed += 1;
            self.first_failed.get_or_insert_with(|| entry.name.clone());
        }
    }
}

pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
