//! Parameters and multiply-accumulate operations, before and after.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::graph::{Dependencies, Layer, Width};
use crate::{Error, Result, escape};

/// What one layer costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerCost {
    /// Its name, as in [`Layer`].
    pub name: String,
    /// Parameters now.
    pub parameters_before: u64,
    /// Parameters then.
    pub parameters_after: u64,
    /// Multiply-accumulate operations for one sample now; `None` where shapes are unknown.
    pub macs_before: Option<u64>,
    /// Multiply-accumulate operations then.
    pub macs_after: Option<u64>,
}

/// What a network costs, before and after some of its channels go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// The layers, in the order of [`Dependencies::layers`].
    pub layers: Vec<LayerCost>,
    /// Parameters now.
    pub parameters_before: u64,
    /// Parameters then.
    pub parameters_after: u64,
    /// Multiply-accumulate operations for one sample now; `None` where those of a layer are unknown.
    pub macs_before: Option<u64>,
    /// Multiply-accumulate operations then.
    pub macs_after: Option<u64>,
}

/// What the network costs now, and where class `i` keeps `kept[i]` channels (all, if there is no such entry). `shape`
/// says the shape of a tensor.
///
/// # Errors
/// [`Error::Usage`] names a parameter whose shape is not known.
pub fn layer_costs<'a>(
    dependencies: &Dependencies,
    shape: impl Fn(&str) -> Option<&'a [u64]>,
    kept: &[u64],
) -> Result<Costs> {
    let network = Network::new(dependencies, shape);
    let now = network.channels();
    let then: Vec<u64> = now.iter().enumerate().map(|(i, now)| kept.get(i).copied().unwrap_or(*now)).collect();
    let each = |layer: &Cost| {
        Ok(LayerCost {
            name: layer.layer.name.clone(),
            parameters_before: layer.parameters(now)?,
            parameters_after: layer.parameters(&then)?,
            macs_before: layer.macs(now),
            macs_after: layer.macs(&then),
        })
    };
    Ok(Costs {
        layers: network.layers.iter().map(each).collect::<Result<_>>()?,
        parameters_before: network.parameters(now)?,
        parameters_after: network.parameters(&then)?,
        macs_before: network.macs(now).ok(),
        macs_after: network.macs(&then).ok(),
    })
}

/// The layers of a network, as functions of the widths of its classes.
pub(super) struct Network<'a> {
    now: Vec<u64>,
    layers: Vec<Cost<'a>>,
}

struct Cost<'a> {
    layer: &'a Layer,
    /// For each parameter, the widths of its axes, or the name of one whose shape is unknown.
    parameters: Vec<Result<Vec<Width>, &'a str>>,
}

impl<'a> Network<'a> {
    pub(super) fn new<'s>(dependencies: &'a Dependencies, shape: impl Fn(&str) -> Option<&'s [u64]>) -> Self {
        let mut along: HashMap<&str, Vec<(usize, usize, u64)>> = HashMap::new();
        let mut seen = HashSet::new();
        for (index, class) in dependencies.classes.iter().enumerate().filter(|(_, class)| class.frozen.is_none()) {
            for member in &class.members {
                // A tensor that several operators take is a member as often.
                if seen.insert((member.tensor.as_str(), member.axis, member.start)) {
                    along.entry(&member.tensor).or_default().push((member.axis, index, member.run));
                }
            }
        }
        let now: Vec<u64> = dependencies.classes.iter().map(|class| class.channels).collect();
        let widths = |name: &'a str| {
            let fixed = |&length: &u64| Width { fixed: length, classes: Vec::new() };
            let mut widths: Vec<Width> = shape(name).ok_or(name)?.iter().map(fixed).collect();
            for &(axis, class, run) in along.get(name).into_iter().flatten() {
                if let Some(width) = widths.get_mut(axis) {
                    width.fixed = width.fixed.saturating_sub(now[class].saturating_mul(run));
                    width.classes.push((class, run));
                }
            }
            Ok(widths)
        };
        let cost = |layer: &'a Layer| {
            let parameters = layer.parameters.iter().map(|name| widths(name)).collect();
            Cost { layer, parameters }
        };
        let layers = dependencies.layers.iter().map(cost).collect();
        Self { now, layers }
    }

    /// How many channels each class has.
    pub(super) fn channels(&self) -> &[u64] {
        &self.now
    }

    /// Parameters where class `i` has `channels[i]` channels; saturates.
    pub(super) fn parameters(&self, channels: &[u64]) -> Result<u64> {
        self.layers.iter().try_fold(0u64, |sum, layer| Ok(sum.saturating_add(layer.parameters(channels)?)))
    }

    /// Multiply-accumulate operations where class `i` has `channels[i]` channels; saturates.
    pub(super) fn macs(&self, channels: &[u64]) -> Result<u64> {
        self.layers.iter().try_fold(0u64, |sum, layer| {
            let macs = layer.macs(channels).ok_or_else(|| {
                Error::Usage(format!(
                    "layer `{}`: its operations cannot be counted, since the shape of its input is not known: give the \
                     graph's inputs fixed sizes, or ask for --params",
                    escape(&layer.layer.name)
                ))
            })?;
            Ok(sum.saturating_add(macs))
        })
    }
}

impl Cost<'_> {
    fn parameters(&self, channels: &[u64]) -> Result<u64> {
        self.parameters.iter().try_fold(0u64, |sum, parameter| {
            let widths = parameter.as_ref().map_err(|name| {
                let (layer, name) = (escape(&self.layer.name), escape(name));
                Error::Usage(format!("layer `{layer}`: the shape of its parameter `{name}` is not known"))
            })?;
            let size = widths.iter().map(|width| width.with(channels)).fold(1, u64::saturating_mul);
            Ok(sum.saturating_add(size))
        })
    }

    fn macs(&self, channels: &[u64]) -> Option<u64> {
        self.layer.macs.as_ref().map(|macs| macs.with(channels))
    }
}
