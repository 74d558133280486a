//! Which arrays of a network are trained, and what each is to its operator.

use std::collections::BTreeMap;

use crate::graph::{Graph, Node};

/// What an array is to the operator that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A weight whose outputs are each a sum over so many inputs.
    Weight { fan_in: usize },
    /// What is added: biases, and the shift of a normalization.
    Bias,
    /// The scale of a normalization.
    Scale,
    /// A running mean.
    Mean,
    /// A running variance.
    Variance,
}

impl Role {
    /// Whether gradients move it.
    pub(super) fn is_trained(self) -> bool {
        !matches!(self, Self::Mean | Self::Variance)
    }
}

/// The trained arrays of a network, and running statistics: weights and biases of Conv, Gemm and MatMul, a constant that is
/// added right after one of them, and what a BatchNormalization has. Every other array stays as it is.
pub(super) fn roles(graph: &Graph) -> BTreeMap<String, Role> {
    let mut found = BTreeMap::new();
    let mut products: Vec<&str> = Vec::new();
    for node in &graph.nodes {
        let shape = |index: usize| {
            let constant = node.inputs.get(index).and_then(|name| graph.constants.get(name));
            constant.map(|constant| constant.shape.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect())
        };
        let mut give = |index: usize, role: Role| {
            if let Some(name) = node.inputs.get(index).filter(|name| graph.constants.contains_key(*name)) {
                // The first operator that takes it decides.
                found.entry(name.clone()).or_insert(role);
            }
        };
        match node.op.as_str() {
            "Conv" => {
                let shape: Vec<usize> = shape(1).unwrap_or_default();
                give(1, Role::Weight { fan_in: product(shape.get(1..)) });
                give(2, Role::Bias);
                products.extend(node.outputs.first().map(String::as_str));
            }
            "Gemm" | "MatMul" => {
                for (index, transposed) in [(0, true), (1, int(node, "transB") != 0)] {
                    let shape: Vec<usize> = shape(index).unwrap_or_default();
                    let axis = if transposed { shape.len().checked_sub(1) } else { shape.len().checked_sub(2) };
                    let fan_in = axis.and_then(|axis| shape.get(axis)).copied().unwrap_or(1);
                    give(index, Role::Weight { fan_in });
                }
                give(2, Role::Bias);
                products.extend(node.outputs.first().map(String::as_str));
            }
            "Add" if node.inputs.iter().any(|name| products.contains(&name.as_str())) => {
                (0..node.inputs.len()).for_each(|index| give(index, Role::Bias));
            }
            "BatchNormalization" => {
                let roles = [Role::Scale, Role::Bias, Role::Mean, Role::Variance];
                (1..).zip(roles).for_each(|(index, role)| give(index, role));
            }
            _ => {}
        }
    }
    found
}

fn product(lengths: Option<&[usize]>) -> usize {
    lengths.unwrap_or_default().iter().fold(1, |product: usize, &length| product.saturating_mul(length))
}

fn int(node: &Node, name: &str) -> i64 {
    match node.attributes.get(name) {
        Some(crate::graph::Attribute::Int(value)) => *value,
        _ => 0,
    }
}
