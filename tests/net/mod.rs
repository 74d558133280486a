//! Small networks as ONNX files, and their results in a runtime that is not ours.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

use rten::Model;
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

/// An attribute of an operator.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Text(&'static str),
}

/// Operator, inputs, outputs, attributes.
type Operator = (String, Vec<String>, Vec<String>, Vec<(String, Value)>);

/// A network that is put together operator by operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    /// Name, axes (-1 for the batch), in order.
    pub(crate) inputs: Vec<(String, Vec<i64>)>,
    pub(crate) outputs: Vec<String>,
    pub(crate) nodes: Vec<Operator>,
    /// Weights by name.
    pub(crate) weights: BTreeMap<String, (Vec<u64>, Vec<f32>)>,
    /// Shapes and axes by name.
    pub(crate) integers: BTreeMap<String, Vec<i64>>,
    seed: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, input: &[i64]) -> Self {
        let inputs = vec![("x".to_owned(), input.to_vec())];
        Self { inputs, seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, ..Self::default() }
    }

    /// A number between -1 and 1.
    pub(crate) fn random(&mut self) -> f32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// Random weights of that shape around `centre`.
    pub(crate) fn weight(&mut self, name: &str, shape: &[u64], scale: f32, centre: f32) -> String {
        let values = (0..shape.iter().product()).map(|_| centre + scale * self.random()).collect();
        self.weights.insert(name.to_owned(), (shape.to_vec(), values));
        name.to_owned()
    }

    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> String {
        self.integers.insert(name.to_owned(), values.to_vec());
        name.to_owned()
    }

    /// An operator with one result, whose name is given back.
    pub(crate) fn op(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Value)]) -> String {
        let result = format!("{}_{}", op.to_lowercase(), self.nodes.len());
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.nodes.push((op.to_owned(), inputs, vec![result.clone()], attributes));
        result
    }

    /// A convolution of kernel 3 and padding 1, with a bias; `name`.weight and `name`.bias.
    pub(crate) fn conv(&mut self, name: &str, x: &str, from: u64, to: u64) -> String {
        self.grouped_conv(name, x, from, to, 1)
    }

    pub(crate) fn grouped_conv(&mut self, name: &str, x: &str, from: u64, to: u64, group: u64) -> String {
        let scale = 1.5 / (3.0 * ((from / group) as f32).sqrt());
        let weight = self.weight(&format!("{name}.weight"), &[to, from / group, 3, 3], scale, 0.0);
        let bias = self.weight(&format!("{name}.bias"), &[to], 0.3, 0.0);
        let ones = || Value::Ints(vec![1; 2]);
        let attributes = [
            ("kernel_shape", Value::Ints(vec![3; 2])),
            ("strides", ones()),
            ("dilations", ones()),
            ("pads", Value::Ints(vec![1; 4])),
            ("group", Value::Int(group as i64)),
        ];
        self.op("Conv", &[x, &weight, &bias], &attributes)
    }

    pub(crate) fn batch_norm(&mut self, name: &str, x: &str, channels: u64) -> String {
        let parts = [("weight", 0.5, 1.0), ("bias", 0.3, 0.0), ("running_mean", 0.3, 0.0), ("running_var", 0.4, 1.0)];
        let parts =
            parts.map(|(part, scale, centre)| self.weight(&format!("{name}.{part}"), &[channels], scale, centre));
        let inputs: Vec<&str> = std::iter::once(x).chain(parts.iter().map(String::as_str)).collect();
        self.op("BatchNormalization", &inputs, &[])
    }

    pub(crate) fn linear(&mut self, name: &str, x: &str, from: u64, to: u64) -> String {
        let weight = self.weight(&format!("{name}.weight"), &[to, from], 1.5 / (from as f32).sqrt(), 0.0);
        let bias = self.weight(&format!("{name}.bias"), &[to], 0.3, 0.0);
        self.op("Gemm", &[x, &weight, &bias], &[("transB", Value::Int(1))])
    }

    /// The file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut graph = Vec::new();
        for (op, inputs, outputs, attributes) in &self.nodes {
            let mut node = Vec::new();
            inputs.iter().for_each(|input| bytes(&mut node, 1, input.as_bytes()));
            outputs.iter().for_each(|output| bytes(&mut node, 2, output.as_bytes()));
            bytes(&mut node, 3, format!("node {}", outputs[0]).as_bytes());
            bytes(&mut node, 4, op.as_bytes());
            for (name, value) in attributes {
                bytes(&mut node, 5, &attribute(name, value));
            }
            bytes(&mut graph, 1, &node);
        }
        bytes(&mut graph, 2, b"net");
        for (name, (shape, values)) in &self.weights {
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            bytes(&mut graph, 5, &tensor(name, shape, 1, &raw));
        }
        for (name, values) in &self.integers {
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            bytes(&mut graph, 5, &tensor(name, &[values.len() as u64], 7, &raw));
        }
        for (name, axes) in &self.inputs {
            bytes(&mut graph, 11, &info(name, Some(axes)));
        }
        for name in &self.outputs {
            bytes(&mut graph, 12, &info(name, None));
        }
        let mut model = Vec::new();
        number(&mut model, 1, 8);
        bytes(&mut model, 7, &graph);
        let mut opset = Vec::new();
        number(&mut opset, 2, 17);
        bytes(&mut model, 8, &opset);
        model
    }
}

/// All results of a file for that input, one after the other.
pub(crate) fn results(file: Vec<u8>, shape: &[usize], input: &[f32]) -> Vec<Vec<f32>> {
    let model = Model::load(file).expect("a network that rten reads");
    let x = Tensor::from_data(shape, input.to_vec());
    let outputs = model.output_ids().to_vec();
    let results = model.run(vec![(model.input_ids()[0], x.into())], &outputs, None).expect("it runs");
    let floats = |value: rten::Value| value.into_tensor::<f32>().expect("floats").to_vec();
    results.into_iter().map(floats).collect()
}

/// max |a − b| ≤ 1e-4 · max |b|, for each result.
pub(crate) fn assert_close(found: &[Vec<f32>], wanted: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found.len(), wanted.len(), "{what}");
        let largest = wanted.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let apart = found.iter().zip(wanted).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(apart <= 1e-4 * largest, "{what}: {apart} apart, {largest} the largest");
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

pub(crate) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// A TensorProto with raw data.
pub(crate) fn tensor(name: &str, shape: &[u64], data_type: u64, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    shape.iter().for_each(|axis| number(&mut out, 1, *axis));
    number(&mut out, 2, data_type);
    bytes(&mut out, 8, name.as_bytes());
    bytes(&mut out, 9, raw);
    out
}

fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, name.as_bytes());
    let kind = match value {
        Value::Float(value) => {
            varint(&mut out, 2 << 3 | 5);
            out.extend(value.to_le_bytes());
            1
        }
        Value::Int(value) => {
            number(&mut out, 3, *value as u64);
            2
        }
        Value::Text(text) => {
            bytes(&mut out, 4, text.as_bytes());
            3
        }
        Value::Ints(values) => {
            values.iter().for_each(|value| number(&mut out, 8, *value as u64));
            7
        }
    };
    number(&mut out, 20, kind);
    out
}

/// A ValueInfoProto of floats; without axes, of no shape.
fn info(name: &str, axes: Option<&[i64]>) -> Vec<u8> {
    let mut kind = Vec::new();
    number(&mut kind, 1, 1);
    if let Some(axes) = axes {
        let mut shape = Vec::new();
        for axis in axes {
            let mut dim = Vec::new();
            match u64::try_from(*axis) {
                Ok(length) => number(&mut dim, 1, length),
                Err(_) => bytes(&mut dim, 2, b"batch"),
            }
            bytes(&mut shape, 1, &dim);
        }
        bytes(&mut kind, 2, &shape);
    }
    let (mut tensor, mut out) = (Vec::new(), Vec::new());
    bytes(&mut tensor, 1, &kind);
    bytes(&mut out, 1, name.as_bytes());
    bytes(&mut out, 2, &tensor);
    out
}

/// A sample of that shape.
pub(crate) fn sample(net: &mut Net, shape: &[usize]) -> Vec<f32> {
    (0..shape.iter().product()).map(|_| 2.0 * net.random()).collect()
}
