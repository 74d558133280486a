//! Layers as the operators of ONNX.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{Layer, OneOrMore, Op};
use crate::graph::{Attribute, Constant, Graph, Node};
use crate::{Checkpoint, Dtype, escape};

/// A graph that grows by layers.
pub(super) struct Build<'a> {
    model: &'a Checkpoint,
    graph: Graph,
    /// Results of layers by the names that `from` uses.
    named: BTreeMap<String, String>,
    /// The result of the latest layer.
    latest: String,
    /// Layers so far.
    layers: usize,
    /// Axes of a map: those of the sample but the channels.
    map_axes: usize,
    /// Results that are no maps any more.
    flat: BTreeSet<String>,
}

impl<'a> Build<'a> {
    pub(super) fn new(model: &'a Checkpoint, graph: Graph) -> Self {
        let sample = graph.inputs.first().and_then(|input| input.shape.as_ref()).map_or(0, Vec::len);
        let named = BTreeMap::from([("input".to_owned(), "input".to_owned())]);
        Self {
            model,
            graph,
            named,
            latest: "input".to_owned(),
            layers: 0,
            map_axes: sample.saturating_sub(2),
            flat: BTreeSet::new(),
        }
    }

    pub(super) fn finish(mut self) -> Graph {
        if !self.graph.outputs.contains(&self.latest) {
            self.graph.outputs.push(self.latest);
        }
        self.graph
    }

    pub(super) fn layer(&mut self, layer: &Layer) -> Result<(), String> {
        self.check_fields(layer)?;
        let inputs = self.inputs(layer)?;
        let several = matches!(layer.op, Op::Add | Op::Mul | Op::Concat);
        if !several && inputs.len() != 1 {
            return Err("`from` names one layer, since this takes one".to_owned());
        }
        let x = inputs.first().cloned().unwrap_or_default();
        let map_axes = if self.flat.contains(&x) { 0 } else { self.map_axes };
        self.layers += 1;
        let number = self.layers;
        let called = layer.name.clone().unwrap_or_else(|| format!("layer {number}"));
        let mut node = Node { name: called, ..Node::default() };
        node.op = onnx(layer.op).to_owned();
        node.inputs = vec![x.clone()];
        match layer.op {
            Op::Conv | Op::ConvTranspose => {
                let (weight, bias, axes) = self.weight_and_bias(layer, 3..)?;
                node.inputs.push(weight);
                node.inputs.extend(bias);
                let spatial = axes - 2;
                node.attributes.insert("strides".to_owned(), lengths(layer.stride.as_ref(), spatial, 1)?);
                node.attributes.insert("dilations".to_owned(), lengths(layer.dilation.as_ref(), spatial, 1)?);
                node.attributes.insert("pads".to_owned(), pads(layer, spatial)?);
                node.attributes.insert("group".to_owned(), Attribute::Int(layer.groups.unwrap_or(1).max(1).into()));
            }
            Op::Linear => {
                let (weight, bias, _) = self.weight_and_bias(layer, 2..3)?;
                node.inputs.push(weight);
                node.inputs.extend(bias);
                node.attributes.insert("transB".to_owned(), Attribute::Int(1));
            }
            Op::BatchNorm | Op::InstanceNorm => {
                let mut wanted = vec![(&layer.weight, "weight"), (&layer.bias, "bias")];
                if layer.op == Op::BatchNorm {
                    wanted.extend([(&layer.mean, "running_mean"), (&layer.variance, "running_var")]);
                }
                for (given, suffix) in wanted {
                    let name = name(layer, given.as_ref(), suffix);
                    let name =
                        name.ok_or_else(|| format!("it has no `tensors = \"…\"` to say where its {suffix} is"))?;
                    node.inputs.push(self.tensor(&name, 1..2)?.0);
                }
            }
            Op::MaxPool | Op::AveragePool => {
                let kernel = layer.kernel.as_ref().ok_or("a pool needs its `kernel`")?;
                let stride = layer.stride.as_ref().unwrap_or(kernel);
                let ints = |lengths_of| lengths(Some(lengths_of), map_axes, 1);
                node.attributes.insert("kernel_shape".to_owned(), ints(kernel)?);
                node.attributes.insert("strides".to_owned(), ints(stride)?);
                node.attributes.insert("pads".to_owned(), pads(layer, map_axes)?);
                node.attributes.insert("ceil_mode".to_owned(), Attribute::Int(layer.ceil.unwrap_or(false).into()));
            }
            Op::Add | Op::Mul | Op::Concat => {
                if inputs.len() < 2 {
                    return Err("`from` has to name two layers or more".to_owned());
                }
                node.inputs = inputs;
                if layer.op == Op::Concat {
                    node.attributes.insert("axis".to_owned(), Attribute::Int(1));
                } else if node.inputs.len() > 2 {
                    return Err("`from` names two layers: add a third one to their sum".to_owned());
                }
            }
            Op::Prelu => {
                let given = name(layer, layer.weight.as_ref(), "weight").ok_or("`weight` names its slopes")?;
                let (slope, _) = self.tensor(&given, 1..2)?;
                // It lies along the channels, not along the last axis.
                if let Some(constant) = self.graph.constants.get_mut(&slope) {
                    constant.shape.extend(vec![1; map_axes]);
                }
                node.inputs.push(slope);
            }
            Op::Softmax | Op::LogSoftmax => {
                node.attributes.insert("axis".to_owned(), Attribute::Int(1));
            }
            Op::Relu6 => {
                node.inputs.push(self.floats("0", &[0.0]));
                node.inputs.push(self.floats("6", &[6.0]));
            }
            Op::Subsample => {
                let stride = layer.stride.as_ref().ok_or("`stride` says how many positions are one")?;
                let Attribute::Ints(steps) = lengths(Some(stride), map_axes, 1)? else {
                    return Err(String::new());
                };
                let axes: Vec<i64> = (2..2 + map_axes as i64).collect();
                let whole = [vec![0; axes.len()], vec![i64::MAX; axes.len()], axes, steps];
                for (part, values) in ["starts", "ends", "axes", "steps"].into_iter().zip(whole) {
                    node.inputs.push(self.ints(&format!("{part} of {number}"), &values));
                }
            }
            Op::PadChannels => {
                if layer.before.is_none() && layer.after.is_none() {
                    return Err("`before` and `after` say how many channels of zeros there are".to_owned());
                }
                let mut padding = vec![0; 2 * (2 + map_axes)];
                padding[1] = layer.before.unwrap_or(0).into();
                padding[3 + map_axes] = layer.after.unwrap_or(0).into();
                node.inputs.push(self.ints(&format!("padding of {number}"), &padding));
            }
            _ => {}
        }
        let named = layer.name.as_ref().map_or(String::new(), |name| format!(" (`{name}`)"));
        let result = format!("result of layer {number}{named}");
        if matches!(layer.op, Op::Flatten | Op::Linear) || self.flat.contains(&node.inputs[0]) {
            self.flat.insert(result.clone());
        }
        node.outputs = vec![result.clone()];
        self.graph.nodes.push(node);
        // x · sigmoid(x), as exporters write it.
        let result = match layer.op {
            Op::Silu => {
                let product = format!("{result}, times its input");
                if self.flat.contains(&result) {
                    self.flat.insert(product.clone());
                }
                let inputs = vec![x, result];
                let outputs = vec![product.clone()];
                self.graph.nodes.push(Node { op: "Mul".to_owned(), inputs, outputs, ..Node::default() });
                product
            }
            _ => result,
        };
        if let Some(name) = &layer.name
            && self.named.insert(name.clone(), result.clone()).is_some()
        {
            return Err("another layer has this name".to_owned());
        }
        if layer.output {
            self.graph.outputs.push(result.clone());
        }
        self.latest = result;
        Ok(())
    }

    fn inputs(&self, layer: &Layer) -> Result<Vec<String>, String> {
        let Some(from) = &layer.from else { return Ok(vec![self.latest.clone()]) };
        let found = |name: &String| {
            let why = || format!("`from` names `{}`, and no layer before it is called so", escape(name));
            self.named.get(name).cloned().ok_or_else(why)
        };
        from.as_slice().iter().map(found).collect()
    }

    /// Its weight, its bias if it has one, and the weight's number of axes, which is within `axes`.
    fn weight_and_bias(
        &mut self,
        layer: &Layer,
        axes: impl std::ops::RangeBounds<usize>,
    ) -> Result<(String, Option<String>, usize), String> {
        let weight = name(layer, layer.weight.as_ref(), "weight")
            .ok_or("it has no `tensors = \"…\"` (or `weight`) to say which tensors are its own")?;
        let (weight, rank) = self.tensor(&weight, axes)?;
        let bias = match (&layer.bias, name(layer, None, "bias")) {
            (Some(bias), _) => Some(bias.clone()),
            (None, Some(bias)) if self.model.get(&bias).is_some() => Some(bias),
            _ => None,
        };
        let bias = bias.map(|bias| self.tensor(&bias, 1..2)).transpose()?;
        Ok((weight, bias.map(|(name, _)| name), rank))
    }

    /// A tensor of the checkpoint as a constant: its name, and its number of axes, which is within `axes`.
    fn tensor(&mut self, name: &str, axes: impl std::ops::RangeBounds<usize>) -> Result<(String, usize), String> {
        let shown = escape(name);
        let tensor = self.model.get(name).ok_or_else(|| format!("the model has no tensor `{shown}`"))?;
        let shape = tensor.shape().to_vec();
        if tensor.float().is_none() || !axes.contains(&shape.len()) {
            return Err(format!("the tensor `{shown}`, {} of shape {shape:?}, is not what it needs", tensor.dtype()));
        }
        let rank = shape.len();
        let constant = Constant { shape, dtype: Some(tensor.dtype()), values: None, is_tensor: true };
        self.graph.constants.insert(name.to_owned(), constant);
        Ok((name.to_owned(), rank))
    }

    fn constant(&mut self, name: &str, shape: Vec<u64>, dtype: Dtype, values: Vec<f64>) -> String {
        // Nothing else is called so.
        let mut name = format!("\0{name}");
        while self.model.get(&name).is_some() {
            name.insert(0, '\0');
        }
        let constant = Constant { shape, dtype: Some(dtype), values: Some(values), is_tensor: false };
        self.graph.constants.insert(name.clone(), constant);
        name
    }

    fn floats(&mut self, name: &str, values: &[f64]) -> String {
        self.constant(name, vec![], Dtype::F32, values.to_vec())
    }

    fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let exact = values.iter().map(|value| *value as f64).collect();
        self.constant(name, vec![values.len() as u64], Dtype::I64, exact)
    }

    /// An error where a field is given that the layer has no use for.
    fn check_fields(&self, layer: &Layer) -> Result<(), String> {
        use Op::{
            AveragePool, BatchNorm, Conv, ConvTranspose, InstanceNorm, Linear, MaxPool, PadChannels, Prelu, Subsample,
        };
        let is = |ops: &[Op]| ops.contains(&layer.op);
        let (conv, pool) = (is(&[Conv, ConvTranspose]), is(&[MaxPool, AveragePool]));
        let weights = conv || is(&[Linear, BatchNorm, InstanceNorm, Prelu]);
        for (field, given, fits) in [
            ("tensors", layer.tensors.is_some(), weights),
            ("weight", layer.weight.is_some(), weights),
            ("bias", layer.bias.is_some(), weights && !is(&[Prelu])),
            ("mean", layer.mean.is_some(), is(&[BatchNorm])),
            ("variance", layer.variance.is_some(), is(&[BatchNorm])),
            ("kernel", layer.kernel.is_some(), pool),
            ("stride", layer.stride.is_some(), conv || pool || is(&[Subsample])),
            ("padding", layer.padding.is_some(), conv || pool),
            ("dilation", layer.dilation.is_some(), conv),
            ("groups", layer.groups.is_some(), conv),
            ("ceil", layer.ceil.is_some(), pool),
            ("before", layer.before.is_some(), is(&[PadChannels])),
            ("after", layer.after.is_some(), is(&[PadChannels])),
        ] {
            if given && !fits {
                return Err(format!("`{field}` means nothing to a layer of this kind"));
            }
        }
        Ok(())
    }
}

fn name(layer: &Layer, given: Option<&String>, suffix: &str) -> Option<String> {
    given.cloned().or_else(|| layer.tensors.as_ref().map(|prefix| format!("{prefix}.{suffix}")))
}

/// One number for each of `axes`.
fn lengths(given: Option<&OneOrMore<u32>>, axes: usize, default: i64) -> Result<Attribute, String> {
    let Some(given) = given else { return Ok(Attribute::Ints(vec![default; axes])) };
    if default > 0 && given.as_slice().contains(&0) {
        return Err("a kernel, a stride and a dilation are at least 1".to_owned());
    }
    match given.as_slice() {
        [one] => Ok(Attribute::Ints(vec![i64::from(*one); axes])),
        all if all.len() == axes => Ok(Attribute::Ints(all.iter().map(|&length| length.into()).collect())),
        all => Err(format!("{} lengths for {axes} axes of a map", all.len())),
    }
}

/// Padding before and after each axis of a map.
fn pads(layer: &Layer, axes: usize) -> Result<Attribute, String> {
    let Attribute::Ints(mut each) = lengths(layer.padding.as_ref(), axes, 0)? else { return Err(String::new()) };
    each.extend(each.clone());
    Ok(Attribute::Ints(each))
}

fn onnx(op: Op) -> &'static str {
    match op {
        Op::Conv => "Conv",
        Op::ConvTranspose => "ConvTranspose",
        Op::Linear => "Gemm",
        Op::BatchNorm => "BatchNormalization",
        Op::InstanceNorm => "InstanceNormalization",
        Op::MaxPool => "MaxPool",
        Op::AveragePool => "AveragePool",
        Op::GlobalAveragePool => "GlobalAveragePool",
        Op::GlobalMaxPool => "GlobalMaxPool",
        Op::Flatten => "Flatten",
        Op::Dropout => "Dropout",
        Op::Identity => "Identity",
        Op::Add => "Add",
        Op::Mul => "Mul",
        Op::Concat => "Concat",
        Op::Relu => "Relu",
        Op::Relu6 => "Clip",
        Op::LeakyRelu => "LeakyRelu",
        Op::Elu => "Elu",
        Op::Tanh => "Tanh",
        Op::Gelu => "Gelu",
        Op::HardSwish => "HardSwish",
        Op::Mish => "Mish",
        Op::Silu | Op::Sigmoid => "Sigmoid",
        Op::HardSigmoid => "HardSigmoid",
        Op::Softplus => "Softplus",
        Op::Prelu => "PRelu",
        Op::Softmax => "Softmax",
        Op::LogSoftmax => "LogSoftmax",
        Op::Subsample => "Slice",
        Op::PadChannels => "Pad",
    }
}
