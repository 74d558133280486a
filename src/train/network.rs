//! A network of an ONNX file, ready to run.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::{Device, Tensor};

use super::array::{Array, MOST_AXES};
use super::operators::{Mode, Site, Statistics, find};
use super::roles::{Role, roles};
use super::value::{Known, Value};
use super::weights;
use crate::graph::{Behind, Dim, Graph};
use crate::{Checkpoint, Error, Result, shortened};

/// A network, its weights on a device.
#[derive(Debug)]
pub(super) struct Network {
    graph: Graph,
    input: String,
    /// The axes of one input, where the file says them.
    shape: Option<Vec<Option<usize>>>,
    /// How many inputs at once the file was made for, where it says.
    exported: Option<usize>,
    device: Device,
    /// What is trained.
    pub(super) parameters: Vec<Parameter>,
    /// Running means and variances.
    pub(super) running: BTreeMap<String, Parameter>,
    /// Every other array.
    constants: HashMap<String, Value>,
}

/// An array of a network that training changes.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) shape: Vec<usize>,
    /// Its elements in a row, outside of any gradient.
    pub(super) flat: Tensor<1>,
}

impl Parameter {
    pub(super) fn array(&self) -> Array {
        Array::from(self.flat.clone()).reshape(&self.shape)
    }
}

/// The operators that some values take, and when each value is no longer needed.
#[derive(Clone, Debug)]
pub(super) struct Route {
    nodes: Vec<usize>,
    /// Values whose last use is that node, beside each of `nodes`.
    spent: Vec<Vec<String>>,
    wanted: Vec<String>,
}

impl Network {
    /// The network of an open file.
    pub(super) fn open(model: &Checkpoint, device: &Device) -> Result<Self> {
        let fail = |why: String| Error::format(model.path(), why);
        let graph = model.graph()?.ok_or_else(|| {
            fail("holds weights alone: to train a network, its .onnx file is needed, which says how layers are connected".to_owned())
        })?;
        let [input] = &graph.inputs[..] else {
            return Err(fail(format!("takes {} inputs: networks of one input can be trained", graph.inputs.len())));
        };
        let length = |dim: &Dim| if let Dim::Fixed(length) = dim { usize::try_from(*length).ok() } else { None };
        let axes: Option<Vec<Option<usize>>> = input.shape.as_ref().map(|axes| axes.iter().map(length).collect());
        let exported = axes.as_ref().and_then(|axes| *axes.first()?);
        let shape = axes.and_then(|axes| Some(axes.get(1..)?.to_vec()));
        let mut network = Self {
            input: input.name.clone(),
            shape,
            exported,
            device: device.clone(),
            parameters: Vec::new(),
            running: BTreeMap::new(),
            constants: HashMap::new(),
            graph,
        };
        network.load(model)?;
        Ok(network)
    }

    fn load(&mut self, model: &Checkpoint) -> Result<()> {
        let roles = roles(&self.graph);
        for (name, constant) in &self.graph.constants {
            let tensor = model.get(name).filter(|tensor| constant.is_tensor && tensor.float().is_some());
            let role = roles.get(name).copied();
            if let (Some(values), true) = (&constant.values, role.is_none() || tensor.is_none()) {
                let shape: Vec<usize> = constant.shape.iter().map(|&length| length as usize).collect();
                // A file may say of an array what its data are not; whatever takes that misses it.
                let count = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
                if count != Some(values.len()) {
                    continue;
                }
                let whole = constant.dtype.is_some_and(|dtype| crate::Float::from_dtype(dtype).is_none());
                self.constants.insert(name.clone(), Known { values: values.clone(), shape, whole }.into());
                continue;
            }
            // What is not there is missed by whatever takes it.
            let Some(tensor) = tensor else { continue };
            let shape: Vec<usize> = tensor.shape().iter().map(|&length| length as usize).collect();
            if shape.len() > MOST_AXES || tensor.elements() == 0 {
                let why =
                    format!("of shape {shape:?} is no weight that can be trained: 1 to {MOST_AXES} axes are known");
                return Err(Error::tensor(model.path(), name, why));
            }
            let values = weights::read(model, tensor)?;
            let count = values.len();
            let Array::R1(flat) = Array::new(values, &[count], &self.device) else { continue };
            match role {
                None => drop(self.constants.insert(name.clone(), Array::from(flat).reshape(&shape).into())),
                Some(role) => {
                    let parameter = Parameter { name: name.clone(), role, shape, flat };
                    match role.is_trained() {
                        true => self.parameters.push(parameter),
                        false => drop(self.running.insert(name.clone(), parameter)),
                    }
                }
            }
        }
        Ok(())
    }

    /// The only output.
    pub(super) fn output(&self) -> Result<&str, String> {
        match &self.graph.outputs[..] {
            [output] => Ok(output),
            outputs => Err(format!("has {} outputs: networks of one output can be trained", outputs.len())),
        }
    }

    /// All outputs.
    pub(super) fn outputs(&self) -> &[String] {
        &self.graph.outputs
    }

    /// What the Softmax or LogSoftmax takes that makes `name`, if one does: the logits, of which a loss is better computed.
    ///
    /// # Errors
    /// Where something else comes after it: its results would be taken for logits.
    pub(super) fn logits<'a>(&'a self, name: &'a str) -> Result<&'a str, String> {
        let Behind { maker: Some(node), moved } = self.graph.behind(name) else { return Ok(name) };
        let Some(input) = node.inputs.first().filter(|_| matches!(node.op.as_str(), "Softmax" | "LogSoftmax")) else {
            return Ok(name);
        };
        let along = match node.attributes.get("axis") {
            Some(crate::graph::Attribute::Int(axis)) => *axis,
            _ => -1,
        };
        match moved {
            Some(op) => {
                let remedy = "give the network without what follows its logits";
                Err(format!("has {op} after its {}: {remedy}", node.op))
            }
            None if matches!(along, 1 | -1) => Ok(input),
            None => Ok(name),
        }
    }

    /// The operators behind these values.
    ///
    /// # Errors
    /// Where one of them is not known.
    pub(super) fn route(&self, wanted: &[String]) -> Result<Route, String> {
        let mut needed: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let mut nodes = Vec::new();
        let mut spent = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate().rev() {
            if !node.outputs.iter().any(|output| !output.is_empty() && needed.contains(&output.as_str())) {
                continue;
            }
            find(&node.domain, &node.op)?;
            let last = node.inputs.iter().filter(|input| !needed.contains(&input.as_str())).cloned().collect();
            needed.extend(node.inputs.iter().map(String::as_str));
            nodes.push(index);
            spent.push(last);
        }
        nodes.reverse();
        spent.reverse();
        Ok(Route { nodes, spent, wanted: wanted.to_vec() })
    }

    /// Whether the data's inputs are what the network takes.
    pub(super) fn check_input(&self, shape: &[usize]) -> Result<(), String> {
        let fits = |known: &Vec<Option<usize>>| {
            known.len() == shape.len()
                && known.iter().zip(shape).all(|(known, &length)| known.is_none_or(|k| k == length))
        };
        match &self.shape {
            Some(known) if !fits(known) => {
                let lengths = known.iter().map(|length| length.map_or("?".to_owned(), |length| length.to_string()));
                let known = lengths.collect::<Vec<_>>().join(", ");
                Err(format!("takes inputs of shape [{known}], and the data's are {shape:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Runs the operators of `route`, with arrays for [`parameters`](Self::parameters) in that order.
    pub(super) fn run(
        &self,
        route: &Route,
        input: Array,
        parameters: &[Array],
        mode: Mode,
        statistics: &mut Vec<Statistics>,
    ) -> Result<Vec<Value>, String> {
        let batch = input.shape().first().copied().unwrap_or(1);
        let mut values: HashMap<&str, Value> = HashMap::new();
        values.insert(&self.input, input.into());
        for (parameter, array) in self.parameters.iter().zip(parameters) {
            values.insert(&parameter.name, array.clone().into());
        }
        for (&index, spent) in route.nodes.iter().zip(&route.spent) {
            let node = &self.graph.nodes[index];
            let value = |name: &String| {
                let running = || self.running.get(name).map(|parameter| parameter.array().into());
                let kept = values.get(name.as_str()).or_else(|| self.constants.get(name)).cloned();
                kept.or_else(running)
            };
            let inputs: Vec<Option<Value>> = node.inputs.iter().map(value).collect();
            let label = || match node.name.is_empty() {
                true => format!("`{}`", shortened(&node.op)),
                false => format!("`{}` ({})", shortened(&node.name), shortened(&node.op)),
            };
            let missing = node.inputs.iter().zip(&inputs).find(|(name, value)| !name.is_empty() && value.is_none());
            if let Some((name, _)) = missing {
                return Err(format!("{} takes `{}`, which cannot be read", label(), shortened(name)));
            }
            let mut site = Site {
                node,
                index,
                inputs,
                opset: self.graph.opset,
                mode,
                device: &self.device,
                batch,
                exported: self.exported,
                statistics,
            };
            spent.iter().for_each(|name| drop(values.remove(name.as_str())));
            let made = find(&node.domain, &node.op)?(&mut site).map_err(|why| format!("{} {why}", label()))?;
            if let Some(name) = node.outputs.first() {
                values.insert(name, made);
            }
        }
        let mut take = |name: &String| {
            let value = values.get(name.as_str()).or_else(|| self.constants.get(name)).cloned();
            value.ok_or_else(|| format!("its output `{}` is not computed", shortened(name)))
        };
        route.wanted.iter().map(&mut take).collect()
    }
}
