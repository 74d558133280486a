//! A network as a graph of operators, and which of its channels must be cut together.

mod atoms;
mod attach;
#[cfg(any(feature = "eval", feature = "train"))]
mod behind;
mod check;
mod classes;
mod dependencies;
mod ir;
mod layers;
mod operators;
mod site;
mod state;
pub mod topology;
mod value;
mod values;
mod widths;

#[cfg(test)]
mod tests;

#[cfg(feature = "train")]
pub(crate) use behind::Behind;
pub use dependencies::{Class, Dependencies, Edit, Layer, Macs, Member, Role, Width};
pub use ir::{Attribute, Constant, Dim, Graph, Node, Value};
pub use topology::Topology;
