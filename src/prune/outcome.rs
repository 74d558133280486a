//! What a run has come to: its plan and its summary.

use super::targets::{Target, Targets, What};
use super::{LeftOut, Pattern, Plan, PlannedTensor, Pruned, Summary, Total};
use crate::{Checkpoint, Dtype, Engine};

/// Bytes of the model's weight files.
pub(super) fn bytes(model: &Checkpoint) -> u64 {
    model.files().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// The plan that does it again.
pub(super) fn plan(model: &Checkpoint, found: &Targets, targets: &[Target]) -> Plan {
    let planned = |target: &Target| {
        let tensor = &model.tensors()[target.index];
        let cut = match target.what {
            What::Lowest(k) => k,
            What::EachRow(k) => k * tensor.shape().first().copied().unwrap_or(1),
            What::NofM { n, m, .. } => tensor.elements() / u64::from(m) * u64::from(m - n),
            What::Global | What::Masked => target.counts.cut,
        };
        let (name, shape) = (tensor.name().to_owned(), tensor.shape().to_vec());
        PlannedTensor { name, dtype: tensor.dtype(), shape, count: tensor.elements(), cut }
    };
    Plan {
        secateur: env!("CARGO_PKG_VERSION").to_owned(),
        pattern: found.pattern.to_string(),
        criterion: found.criterion.to_string(),
        keep: found.keep.to_string(),
        allocation: found.allocation.map(|a| a.to_string()),
        coupled: None,
        transform: None,
        tensors: targets.iter().map(planned).collect(),
        classes: Vec::new(),
        left_out: found.left_out.clone(),
    }
}

/// What happened to each tensor.
pub(super) fn summary(
    model: &Checkpoint,
    engine: &Engine,
    found: &Targets,
    targets: &[Target],
    bytes_after: u64,
) -> Summary {
    let mut in_order: Vec<&Target> = targets.iter().collect();
    in_order.sort_by_key(|target| target.index);
    let mut dtypes: Vec<Dtype> = Vec::new();
    let pruned = |target: &&Target| {
        let tensor = &model.tensors()[target.index];
        if !dtypes.contains(&tensor.dtype()) {
            dtypes.push(tensor.dtype());
        }
        let n_of_m = matches!(found.pattern, Pattern::NofM(_));
        Pruned {
            name: tensor.name().to_owned(),
            shape: tensor.shape().to_vec(),
            count: tensor.elements(),
            cut: target.counts.cut,
            zeros_before: Some(target.counts.zeros_before),
            zeros_after: Some(target.counts.zeros_after),
            threshold: target.counts.largest.filter(|_| !n_of_m).map(|bits| target.float.value(bits)),
            new_shape: tensor.shape().to_vec(),
        }
    };
    let tensors: Vec<Pruned> = in_order.iter().map(pruned).collect();
    let (count, cut) = tensors.iter().fold((0, 0), |(n, k), t| (n + t.count, k + t.cut));
    let sparsity = if count == 0 { 0.0 } else { cut as f64 / count as f64 };
    let total = Total { count, cut, sparsity, bytes_before: bytes(model), bytes_after };
    let left_out: Vec<LeftOut> = found.left_out.clone();
    Summary { tensors, total, channels: None, left_out, engine: engine.info(&dtypes), seconds: 0.0 }
}
