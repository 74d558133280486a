//! What a network costs: parameters, and multiply-accumulate operations for one sample.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Checkpoint;
use crate::graph::{Dependencies, Graph, Layer};

/// What a layer costs before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerCost {
    /// The name of its weight.
    pub name: String,
    /// What it does, as ONNX names it.
    pub operator: String,
    /// Channels that it makes; `None` where the shapes do not say it, and for what is no Conv, ConvTranspose, Gemm or MatMul.
    pub outputs_before: Option<u64>,
    /// Those that are left.
    pub outputs_after: Option<u64>,
    /// Weights, biases, scales and shifts; running means and variances are no parameters.
    pub parameters_before: u64,
    /// Those that are left.
    pub parameters_after: u64,
    /// Multiply-accumulate operations for one sample; `None` where the shapes do not say it.
    pub macs_before: Option<u64>,
    /// Those that are left.
    pub macs_after: Option<u64>,
}

/// The whole network before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Parameters of all layers.
    pub parameters_before: u64,
    /// Those that are left.
    pub parameters_after: u64,
    /// Multiply-accumulate operations for one sample; `None` where those of a layer are not known.
    pub macs_before: Option<u64>,
    /// Those that are left.
    pub macs_after: Option<u64>,
}

impl Cost {
    /// The sum over layers.
    pub fn of(layers: &[LayerCost]) -> Self {
        let macs = |of: fn(&LayerCost) -> Option<u64>| {
            layers.iter().map(of).try_fold(0u64, |sum, n| Some(sum.saturating_add(n?)))
        };
        let sum = |of: fn(&LayerCost) -> u64| layers.iter().map(of).fold(0, u64::saturating_add);
        Self {
            parameters_before: sum(|layer| layer.parameters_before),
            parameters_after: sum(|layer| layer.parameters_after),
            macs_before: macs(|layer| layer.macs_before),
            macs_after: macs(|layer| layer.macs_after),
        }
    }
}

/// How many parameters a network has for any widths.
pub(super) struct Counter<'a> {
    dependencies: &'a Dependencies,
    /// Of each layer's parameters: the axes that are not cut, as their product, and for each axis that is, what is cut
    /// along it.
    tensors: Vec<Vec<Sized>>,
}

/// The size of a tensor as a function of widths.
struct Sized {
    fixed: u64,
    /// Length now, and the classes along it with what a channel takes.
    axes: Vec<(u64, Vec<(usize, u64)>)>,
}

impl<'a> Counter<'a> {
    pub(super) fn new(model: &Checkpoint, dependencies: &'a Dependencies) -> Self {
        let mut along: BTreeMap<(&str, usize), Vec<(usize, u64)>> = BTreeMap::new();
        for (index, class) in dependencies.classes.iter().enumerate() {
            for member in &class.members {
                along.entry((&member.tensor, member.axis)).or_default().push((index, member.run));
            }
        }
        let sized = |name: &String| {
            let mut found = Sized { fixed: 1, axes: Vec::new() };
            for (axis, &length) in model.get(name).map_or(&[][..], |tensor| tensor.shape()).iter().enumerate() {
                match along.get(&(name.as_str(), axis)) {
                    Some(classes) => found.axes.push((length, classes.clone())),
                    None => found.fixed = found.fixed.saturating_mul(length),
                }
            }
            found
        };
        let tensors = dependencies.layers.iter().map(|layer| layer.parameters.iter().map(sized).collect()).collect();
        Self { dependencies, tensors }
    }

    /// Parameters of a layer where class `i`, of which there are `now[i]` channels, has `channels[i]`.
    fn parameters(&self, layer: usize, now: &[u64], channels: &[u64]) -> u64 {
        let size = |tensor: &Sized| {
            let axis = |(length, classes): &(u64, Vec<(usize, u64)>)| {
                classes.iter().fold(*length, |length, (class, run)| {
                    // More than now, where the original is counted.
                    (length + channels[*class].saturating_mul(*run)).saturating_sub(now[*class].saturating_mul(*run))
                })
            };
            tensor.axes.iter().map(axis).fold(tensor.fixed, u64::saturating_mul)
        };
        self.tensors[layer].iter().map(size).fold(0, u64::saturating_add)
    }

    /// Parameters of the whole network.
    pub(super) fn all_parameters(&self, now: &[u64], channels: &[u64]) -> u64 {
        (0..self.tensors.len()).map(|layer| self.parameters(layer, now, channels)).fold(0, u64::saturating_add)
    }

    /// Multiply-accumulate operations of the whole network, or the layer whose are not known.
    pub(super) fn all_macs(&self, channels: &[u64]) -> Result<u64, &'a Layer> {
        self.dependencies.layers.iter().try_fold(0u64, |sum, layer| {
            layer.macs.as_ref().map(|macs| sum.saturating_add(macs.with(channels))).ok_or(layer)
        })
    }

    /// Every layer, where widths go from `now` to `after`.
    pub(super) fn layers(&self, graph: &Graph, now: &[u64], after: &[u64]) -> Vec<LayerCost> {
        let outputs = |layer: &Layer, channels: &[u64]| {
            layer.macs.as_ref().filter(|macs| macs.kernel > 0).map(|macs| macs.output.with(channels))
        };
        let cost = |(index, layer): (usize, &Layer)| LayerCost {
            name: layer.name.clone(),
            operator: graph.nodes.get(layer.node).map(|node| node.op.clone()).unwrap_or_default(),
            outputs_before: outputs(layer, now),
            outputs_after: outputs(layer, after),
            parameters_before: self.parameters(index, now, now),
            parameters_after: self.parameters(index, now, after),
            macs_before: layer.macs.as_ref().map(|macs| macs.with(now)),
            macs_after: layer.macs.as_ref().map(|macs| macs.with(after)),
        };
        self.dependencies.layers.iter().enumerate().map(cost).collect()
    }
}
