//! The messages of ONNX that hold no weights, as far as they are needed: names and numbers of fields are those of
//! `onnx.proto` (onnx/onnx, version 1.17).

/// Numbers of fields.
pub(super) mod model {
    pub(in crate::checkpoint::onnx) const IR_VERSION: u32 = 1;
    pub(in crate::checkpoint::onnx) const GRAPH: u32 = 7;
    pub(in crate::checkpoint::onnx) const OPSET: u32 = 8;
    pub(in crate::checkpoint::onnx) const METADATA: u32 = 14;
}

/// Numbers of fields.
pub(super) mod graph {
    pub(in crate::checkpoint::onnx) const NODE: u32 = 1;
    pub(in crate::checkpoint::onnx) const INITIALIZER: u32 = 5;
    pub(in crate::checkpoint::onnx) const INPUT: u32 = 11;
    pub(in crate::checkpoint::onnx) const OUTPUT: u32 = 12;
    pub(in crate::checkpoint::onnx) const VALUE_INFO: u32 = 13;
    pub(in crate::checkpoint::onnx) const SPARSE: u32 = 15;
}

/// Numbers of fields.
pub(super) mod node {
    pub(in crate::checkpoint::onnx) const INPUT: u32 = 1;
    pub(in crate::checkpoint::onnx) const OUTPUT: u32 = 2;
    pub(in crate::checkpoint::onnx) const OP: u32 = 4;
    pub(in crate::checkpoint::onnx) const ATTRIBUTE: u32 = 5;
    pub(in crate::checkpoint::onnx) const DOMAIN: u32 = 7;
}

/// Numbers of fields.
pub(super) mod attribute {
    pub(in crate::checkpoint::onnx) const NAME: u32 = 1;
    pub(in crate::checkpoint::onnx) const INT: u32 = 3;
    pub(in crate::checkpoint::onnx) const TENSOR: u32 = 5;
}

/// Numbers of fields.
pub(super) mod tensor {
    pub(in crate::checkpoint::onnx) const DIMS: u32 = 1;
    pub(in crate::checkpoint::onnx) const DATA_TYPE: u32 = 2;
    pub(in crate::checkpoint::onnx) const SEGMENT: u32 = 3;
    pub(in crate::checkpoint::onnx) const FLOAT_DATA: u32 = 4;
    pub(in crate::checkpoint::onnx) const INT32_DATA: u32 = 5;
    pub(in crate::checkpoint::onnx) const STRING_DATA: u32 = 6;
    pub(in crate::checkpoint::onnx) const INT64_DATA: u32 = 7;
    pub(in crate::checkpoint::onnx) const NAME: u32 = 8;
    pub(in crate::checkpoint::onnx) const RAW_DATA: u32 = 9;
    pub(in crate::checkpoint::onnx) const DOUBLE_DATA: u32 = 10;
    pub(in crate::checkpoint::onnx) const UINT64_DATA: u32 = 11;
    pub(in crate::checkpoint::onnx) const EXTERNAL_DATA: u32 = 13;
    pub(in crate::checkpoint::onnx) const DATA_LOCATION: u32 = 14;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

/// A pair of texts: metadata, and where external data are.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, tag = "2")]
    pub(super) f: f32,
    #[prost(int64, tag = "3")]
    pub(super) i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(super) t: Option<Small>,
    #[prost(message, optional, tag = "6")]
    pub(super) g: Option<Body>,
    #[prost(float, repeated, tag = "7")]
    pub(super) floats: Vec<f32>,
    // As version 2 of protocol buffers writes them, which some readers insist on.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) graphs: Vec<Body>,
    /// What it is: 1 a float, 2 an integer, 3 text, 4 a tensor, 5 a graph, 6 floats, 7 integers, …
    #[prost(int32, tag = "20")]
    pub(super) kind: i32,
    /// An attribute of the function around it.
    #[prost(string, tag = "21")]
    pub(super) ref_attr_name: String,
}

/// An array that is an attribute: small ones alone are looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Small {
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(super) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(super) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(super) int64_data: Vec<i64>,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

/// A graph inside an operator: names alone.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Body {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Named>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<Type>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(super) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) dim_param: Option<String>,
}

/// A sparse array, as far as it is named.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sparse {
    #[prost(message, optional, tag = "1")]
    pub(super) values: Option<Named>,
    #[prost(int64, repeated, tag = "3")]
    pub(super) dims: Vec<i64>,
}

/// The name of an array.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Named {
    #[prost(string, tag = "8")]
    pub(super) name: String,
}

/// An array of integers that is written.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Integers {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

/// `data_type` of 32-bit integers.
pub(super) const INT32: i32 = 6;
/// `data_type` of 64-bit integers.
pub(super) const INT64: i32 = 7;
