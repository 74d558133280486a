//! A network as a graph of operators, and which of its channels must be cut together.

mod dependencies;
mod ir;
pub mod topology;

pub use dependencies::{Class, Dependencies, Edit, Layer, Macs, Member, Role, Width};
pub use ir::{Attribute, Constant, Dim, Graph, Node, Value};
pub use topology::Topology;
