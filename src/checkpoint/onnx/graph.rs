//! The operators of an ONNX file, as [`graph::Graph`](crate::graph::Graph) tells them.

use std::collections::{BTreeMap, HashSet};

use half::{bf16, f16};

use super::schema::{self, Body, Node, ValueInfo};
use super::wire::{Field, Wire};
use super::{Onnx, message};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::graph::{self, Attribute, Constant, Dim, Graph, Value};
use crate::{Dtype, Result};

impl Onnx {
    /// The operators and values of `model`, whose structure this is.
    pub(in crate::checkpoint) fn graph(&self, model: &Checkpoint) -> Result<Graph> {
        let Some(shard) = model.shards.first() else { return Ok(Graph::default()) };
        let mut wire = Wire::new(&shard.path, &shard.file, shard.bytes);
        let mut found = Graph { opset: self.opset, constants: self.constants(model)?, ..Graph::default() };
        for (index, field) in self.items.iter().enumerate() {
            match field.number {
                schema::graph::NODE if self.constants.binary_search(&index).is_ok() => {
                    let (name, constant) = match constant_without_array(&mut wire, field, &found)? {
                        Some(named) => named,
                        None => continue,
                    };
                    found.constants.insert(name, constant);
                }
                schema::graph::NODE => found.nodes.push(node(message(&mut wire, field, "an operator")?)),
                schema::graph::INPUT => {
                    let input: ValueInfo = message(&mut wire, field, "an input")?;
                    if !found.constants.contains_key(&input.name) {
                        found.inputs.push(value(input));
                    }
                }
                schema::graph::OUTPUT => {
                    found.outputs.push(message::<ValueInfo>(&mut wire, field, "an output")?.name);
                }
                schema::graph::SPARSE => {
                    let (name, constant) = sparse(&mut wire, field)?;
                    found.constants.insert(name, constant);
                }
                _ => {}
            }
        }
        // Inputs may be listed before what initializes them.
        let constants = &found.constants;
        found.inputs.retain(|input| !constants.contains_key(&input.name));
        Ok(found)
    }

    /// The items of the file that are operators, constants left out: those of [`Graph::nodes`], in that order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> {
        let is_node = |(index, field): &(usize, &Field)| {
            field.number == schema::graph::NODE && self.constants.binary_search(index).is_err()
        };
        self.items.iter().enumerate().filter(is_node).map(|(index, _)| index)
    }

    fn constants(&self, model: &Checkpoint) -> Result<BTreeMap<String, Constant>> {
        let mut found = BTreeMap::new();
        for array in &self.arrays {
            let tensor = array.dtype.and_then(|_| model.get(&array.name));
            let values = match tensor {
                Some(tensor) if tensor.elements() <= Constant::MOST_VALUES => values(model, tensor)?,
                _ => None,
            };
            let (shape, dtype, is_tensor) = (array.shape.clone(), array.dtype, tensor.is_some());
            found.insert(array.name.clone(), Constant { shape, dtype, values, is_tensor });
        }
        Ok(found)
    }
}

/// The elements of a small tensor.
fn values(model: &Checkpoint, tensor: &Tensor) -> Result<Option<Vec<f64>>> {
    let mut bytes = vec![0; tensor.bytes() as usize];
    model.read_exact_at(tensor, 0, &mut bytes)?;
    Ok(numbers(tensor.dtype(), &bytes))
}

/// Elements as numbers; `None` for formats that no shape and no bound is in.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    let four = || bytes.as_chunks::<4>().0.iter().copied();
    let eight = || bytes.as_chunks::<8>().0.iter().copied();
    let two = || bytes.as_chunks::<2>().0.iter().copied();
    Some(match dtype {
        Dtype::I64 => eight().map(|b| i64::from_le_bytes(b) as f64).collect(),
        Dtype::U64 => eight().map(|b| u64::from_le_bytes(b) as f64).collect(),
        Dtype::F64 => eight().map(f64::from_le_bytes).collect(),
        Dtype::I32 => four().map(|b| i32::from_le_bytes(b).into()).collect(),
        Dtype::U32 => four().map(|b| u32::from_le_bytes(b).into()).collect(),
        Dtype::F32 => four().map(|b| f32::from_le_bytes(b).into()).collect(),
        Dtype::I16 => two().map(|b| i16::from_le_bytes(b).into()).collect(),
        Dtype::U16 => two().map(|b| u16::from_le_bytes(b).into()).collect(),
        Dtype::F16 => two().map(|b| f16::from_le_bytes(b).into()).collect(),
        Dtype::BF16 => two().map(|b| bf16::from_le_bytes(b).into()).collect(),
        Dtype::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
        Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&b| f64::from(b)).collect(),
        _ => return None,
    })
}

/// The elements of an attribute, where they are few.
fn small(array: &schema::Small) -> Option<Vec<f64>> {
    let dtype = super::dtype::dtype(array.data_type.into())?;
    let found = match (array.raw_data.is_empty(), dtype) {
        (false, _) if array.raw_data.len() as u64 <= 8 * Constant::MOST_VALUES => numbers(dtype, &array.raw_data)?,
        (false, _) => return None,
        (true, Dtype::F32) => array.float_data.iter().map(|&value| value.into()).collect(),
        (true, Dtype::I64) => array.int64_data.iter().map(|&value| value as f64).collect(),
        (true, Dtype::I32) => array.int32_data.iter().map(|&value| value.into()).collect(),
        _ => return None,
    };
    (found.len() as u64 <= Constant::MOST_VALUES).then_some(found)
}

fn node(node: Node) -> graph::Node {
    let (mut captured, mut inside) = (Vec::new(), Vec::new());
    for attribute in &node.attribute {
        attribute.g.iter().chain(&attribute.graphs).for_each(|body| names_in(body, &mut captured, &mut inside));
    }
    let attributes = node.attribute.into_iter().map(|a| (a.name.clone(), attribute(a))).collect();
    graph::Node {
        name: node.name,
        op: node.op_type,
        domain: if node.domain == "ai.onnx" { String::new() } else { node.domain },
        inputs: node.input,
        outputs: node.output,
        attributes,
        captured,
        inside,
    }
}

/// The names that a graph inside an operator takes from outside, those that nothing in it makes; and those that it makes.
fn names_in(body: &Body, names: &mut Vec<String>, inside: &mut Vec<String>) {
    let mut taken = Vec::new();
    for node in &body.node {
        taken.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|inner| names_in(inner, &mut taken, inside));
        }
    }
    taken.extend(body.output.iter().map(|output| output.name.clone()));
    let made: HashSet<&str> = (body.node.iter().flat_map(|node| &node.output).map(String::as_str))
        .chain(body.initializer.iter().map(|array| array.name.as_str()))
        .chain(body.input.iter().map(|input| input.name.as_str()))
        .collect();
    inside.extend(made.iter().map(|&name| name.to_owned()));
    names.extend(taken.into_iter().filter(|name| !made.contains(name.as_str())));
}

fn attribute(attribute: schema::Attribute) -> Attribute {
    if !attribute.ref_attr_name.is_empty() {
        return Attribute::Other;
    }
    match attribute.kind {
        1 => Attribute::Float(attribute.f),
        2 => Attribute::Int(attribute.i),
        3 => Attribute::Text(String::from_utf8_lossy(&attribute.s).into_owned()),
        6 => Attribute::Floats(attribute.floats),
        7 => Attribute::Ints(attribute.ints),
        4 => attribute.t.and_then(|array| small(&array)).map_or(Attribute::Other, Attribute::Array),
        _ => Attribute::Other,
    }
}

/// A `Constant` that is no array: a number, numbers, or text.
fn constant_without_array(wire: &mut Wire, field: &Field, known: &Graph) -> Result<Option<(String, Constant)>> {
    // Its array, if it has one, may be large, and is known already.
    let Some(name) = super::output_of(wire, field)?.filter(|name| !known.constants.contains_key(name)) else {
        return Ok(None);
    };
    let constant: Node = message(wire, field, "a constant")?;
    let (shape, dtype, values) = match constant.attribute.into_iter().next().map(attribute) {
        Some(Attribute::Int(value)) => (vec![], Some(Dtype::I64), Some(vec![value as f64])),
        Some(Attribute::Float(value)) => (vec![], Some(Dtype::F32), Some(vec![value.into()])),
        Some(Attribute::Ints(all)) => {
            (vec![all.len() as u64], Some(Dtype::I64), Some(all.iter().map(|&v| v as f64).collect()))
        }
        Some(Attribute::Floats(all)) => {
            (vec![all.len() as u64], Some(Dtype::F32), Some(all.iter().map(|&v| v.into()).collect()))
        }
        _ => (vec![], None, None),
    };
    let values = values.filter(|values: &Vec<f64>| values.len() as u64 <= Constant::MOST_VALUES);
    Ok(Some((name, Constant { shape, dtype, values, is_tensor: false })))
}

/// A sparse initializer, which is named and has a shape, and is otherwise left alone.
fn sparse(wire: &mut Wire, field: &Field) -> Result<(String, Constant)> {
    let sparse: schema::Sparse = message(wire, field, "a sparse initializer")?;
    let shape = sparse.dims.iter().map(|&axis| u64::try_from(axis).unwrap_or(0)).collect();
    let name = sparse.values.map(|values| values.name).unwrap_or_default();
    Ok((name, Constant { shape, dtype: None, values: None, is_tensor: false }))
}

fn value(info: ValueInfo) -> Value {
    let shape = info.kind.and_then(|kind| kind.tensor_type).and_then(|tensor| tensor.shape);
    let dim = |dim: schema::Dimension| match (dim.dim_value, dim.dim_param) {
        (Some(length), _) => u64::try_from(length).map_or(Dim::Unknown, Dim::Fixed),
        (None, Some(name)) if !name.is_empty() => Dim::Named(name),
        _ => Dim::Unknown,
    };
    Value { name: info.name, shape: shape.map(|shape| shape.dim.into_iter().map(dim).collect()) }
}
