//! Operators, values and constants, as ONNX defines them, without the weights' data.

use std::collections::BTreeMap;

use crate::Dtype;

/// A network: operators in an order in which they can run.
///
/// Names are those of the file. Operators mean what ONNX says they mean in version `opset` of its default domain; a
/// topology declared for a safetensors file is told in the same terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The version of the default operator set.
    pub opset: i64,
    /// The operators, each after those that make its inputs; `Constant` nodes are left out, their outputs are constants.
    pub nodes: Vec<Node>,
    /// What is fed to the network; arrays that the file holds are left out.
    pub inputs: Vec<Value>,
    /// The names of its results.
    pub outputs: Vec<String>,
    /// Arrays that the file holds, by name: initializers, and outputs of `Constant` nodes.
    pub constants: BTreeMap<String, Constant>,
}

/// A value that is fed to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its axes; `None` where not even their number is said.
    pub shape: Option<Vec<Dim>>,
}

/// The length of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number.
    Fixed(u64),
    /// Whatever it is when the network runs; the same name means the same length.
    Named(String),
    /// Whatever it is when the network runs.
    Unknown,
}

/// An operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name, which may be empty.
    pub name: String,
    /// What it does: `Conv`, `Relu`, …
    pub op: String,
    /// Whose operator it is; empty (for `ai.onnx`, too) for those of ONNX itself.
    pub domain: String,
    /// The names of the values it takes, by position; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// The names of the values it makes, by position.
    pub outputs: Vec<String>,
    /// Its attributes, by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Names of values outside that graphs inside it use (bodies of `If`, `Loop`, `Scan`).
    pub captured: Vec<String>,
    /// Names of values that graphs inside it make.
    pub inside: Vec<String>,
}

/// An attribute of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Text; bytes that are no UTF-8 are replaced.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// The elements of an array of at most [`Constant::MOST_VALUES`].
    Array(Vec<f64>),
    /// A larger array, a graph, or whatever else.
    Other,
}

/// An array that the file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The axes, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// The format of an element; `None` where it is none that a checkpoint can hold (text, 4-bit integers).
    pub dtype: Option<Dtype>,
    /// Its elements where there are at most [`Constant::MOST_VALUES`] of them, exact for integers below 2^53.
    pub values: Option<Vec<f64>>,
    /// Whether it is a tensor of the checkpoint, so that it can be cut: some constants are attributes of operators.
    pub is_tensor: bool,
}

impl Constant {
    /// Elements of a constant whose values are at hand: shapes, axes, bounds, scalars.
    pub const MOST_VALUES: u64 = 64;
}
