//! Hand-made networks, and what is found out about them.

mod chains;
mod hostile;
mod joins;
mod layers;
mod random;
mod refused;
mod shapes;

use super::{Attribute, Constant, Dependencies, Dim, Graph, Node, Role, Value};
use crate::Dtype;

/// A network that is being written down: methods add an operator whose result has its name.
#[derive(Clone)]
pub(super) struct Net(pub(super) Graph);

pub(super) fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

pub(super) fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub(super) fn float(value: f32) -> Attribute {
    Attribute::Float(value)
}

pub(super) fn text(value: &str) -> Attribute {
    Attribute::Text(value.to_owned())
}

impl Net {
    pub(super) fn new(opset: i64) -> Self {
        Self(Graph { opset, ..Graph::default() })
    }

    /// −1 stands for the length `N`, −2 for an unknown one.
    pub(super) fn input(mut self, name: &str, shape: &[i64]) -> Self {
        let dim = |&length: &i64| match length {
            -1 => Dim::Named("N".to_owned()),
            -2 => Dim::Unknown,
            length => Dim::Fixed(length as u64),
        };
        self.0.inputs.push(Value { name: name.to_owned(), shape: Some(shape.iter().map(dim).collect()) });
        self
    }

    pub(super) fn output(mut self, name: &str) -> Self {
        self.0.outputs.push(name.to_owned());
        self
    }

    /// A tensor of weights.
    pub(super) fn tensor(mut self, name: &str, shape: &[u64]) -> Self {
        let dtype = Some(Dtype::F32);
        let constant = Constant { shape: shape.to_vec(), dtype, values: None, is_tensor: true };
        self.0.constants.insert(name.to_owned(), constant);
        self
    }

    /// A list of whole numbers.
    pub(super) fn list(self, name: &str, values: &[i64]) -> Self {
        let values: Vec<f64> = values.iter().map(|&value| value as f64).collect();
        self.known(name, Dtype::I64, &[values.len() as u64], &values)
    }

    /// A number.
    pub(super) fn number(self, name: &str, value: f64) -> Self {
        self.known(name, Dtype::F32, &[], &[value])
    }

    pub(super) fn known(mut self, name: &str, dtype: Dtype, shape: &[u64], values: &[f64]) -> Self {
        let values = Some(values.to_vec());
        let constant = Constant { shape: shape.to_vec(), dtype: Some(dtype), values, is_tensor: true };
        self.0.constants.insert(name.to_owned(), constant);
        self
    }

    pub(super) fn op(self, op: &str, name: &str, inputs: &[&str]) -> Self {
        self.with(op, name, inputs, &[])
    }

    pub(super) fn with(mut self, op: &str, name: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Self {
        self.0.nodes.push(Node {
            name: name.to_owned(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: vec![name.to_owned()],
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            ..Node::default()
        });
        self
    }

    /// A convolution of `kernel` × `kernel`, padded so that nothing is lost where `kernel` is odd; weight and bias `name.w`, `name.b`.
    pub(super) fn conv(self, name: &str, input: &str, into: u64, out: u64, kernel: u64) -> Self {
        let pad = (kernel / 2) as i64;
        self.conv_with(name, input, into, out, kernel, &[("pads", ints(&[pad; 4]))])
    }

    pub(super) fn conv_with(
        self,
        name: &str,
        input: &str,
        into: u64,
        out: u64,
        kernel: u64,
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let (weight, bias) = (format!("{name}.w"), format!("{name}.b"));
        let net = self.tensor(&weight, &[out, into, kernel, kernel]).tensor(&bias, &[out]);
        net.with("Conv", name, &[input, &weight, &bias], attributes)
    }

    /// As torch's Linear.
    pub(super) fn gemm(self, name: &str, input: &str, into: u64, out: u64) -> Self {
        let (weight, bias) = (format!("{name}.w"), format!("{name}.b"));
        let net = self.tensor(&weight, &[out, into]).tensor(&bias, &[out]);
        net.with("Gemm", name, &[input, &weight, &bias], &[("transB", int(1))])
    }

    pub(super) fn batch_norm(mut self, name: &str, input: &str, channels: u64) -> Self {
        let vectors: Vec<String> = ["s", "b", "m", "v"].iter().map(|vector| format!("{name}.{vector}")).collect();
        for vector in &vectors {
            self = self.tensor(vector, &[channels]);
        }
        self.op("BatchNormalization", name, &[input, &vectors[0], &vectors[1], &vectors[2], &vectors[3]])
    }

    pub(super) fn found(&self) -> Dependencies {
        Dependencies::of(&self.0).expect("a graph that fits together")
    }

    /// Classes as lines: channels, members as `tensor[axis]@start×run:role`, and why none can go.
    pub(super) fn classes(&self) -> Vec<String> {
        self.found().classes.iter().map(line).collect()
    }

    /// Why the class of that weight is frozen; empty where it is not.
    pub(super) fn frozen(&self, weight: &str) -> String {
        let found = self.found();
        let mut of = found
            .classes
            .iter()
            .filter(|class| class.members.iter().any(|m| m.tensor == weight && m.role == Role::Output));
        of.next().expect("a class of that weight").frozen.clone().unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn assert(&self, expected: &[&str]) {
        assert_eq!(self.classes().join("\n"), expected.join("\n"));
    }
}

fn line(class: &super::Class) -> String {
    let mut line = class.channels.to_string();
    for member in &class.members {
        line += &format!(" {}[{}]", member.tensor, member.axis);
        if member.start != 0 {
            line += &format!("@{}", member.start);
        }
        if member.run != 1 {
            line += &format!("×{}", member.run);
        }
        line += match member.role {
            Role::Output => ":o",
            Role::Bias => ":b",
            Role::Scale => ":s",
            Role::Statistic => ":m",
            Role::Input => ":i",
        };
    }
    if let Some(frozen) = &class.frozen {
        line += &format!(" | {frozen}");
    }
    line
}

/// What the last layer of these networks is.
pub(super) const RESULT: &str = "they are in `y`, a result of the network";
