//! The parts of an output, made from its source and what changes in it.

use std::collections::HashMap;

use prost::Message;

use super::array::{Array, Payload, is_data};
use super::edits::{Added, Edits, Integers};
use super::parts::Part;
use super::schema::{self, Entry, ValueInfo};
use super::wire::{Field, Wire, field, number_field, replaced};
use super::{Onnx, message};
use crate::checkpoint::Checkpoint;
use crate::{Error, Float, Result};

/// An output that is to be written.
#[derive(Debug)]
pub(in crate::checkpoint) struct Rewritten {
    /// The parts of the file.
    pub(in crate::checkpoint) parts: Vec<Part>,
    /// Arrays in the file of external data: index, offset and bytes.
    pub(in crate::checkpoint) external: Vec<(usize, u64, u64)>,
    /// Arrays whose elements are in the parts that are copied, or written anew there.
    pub(in crate::checkpoint) carried: Vec<usize>,
}

/// What the file of external data aligns arrays to, small and large ones; the latter can then be mapped.
const ALIGNMENT: u64 = 64;
const PAGE: u64 = 4096;
const LARGE: u64 = 1 << 20;

impl Onnx {
    /// The model with `edits`; external data go to the file named `data`.
    pub(in crate::checkpoint) fn rewritten(&self, model: &Checkpoint, edits: &Edits, data: &str) -> Result<Rewritten> {
        let Some(shard) = model.shards.first() else { return Err(Error::format(model.path(), "has no file")) };
        let integers = match edits.integers.is_empty() {
            true => Integers::default(),
            false => Integers::of(edits, &self.graph(model)?)?,
        };
        let wire = Wire::new(&shard.path, &shard.file, shard.bytes);
        let mut rewrite = Rewrite { onnx: self, wire, edits, data, data_bytes: 0, external: vec![], carried: vec![] };
        let graph = Part::Message { field: self.graph, parts: rewrite.graph(&integers)? };
        let mut parts = Vec::with_capacity(self.model.len() + 2);
        let mut graph = Some(graph);
        let mut left = edits.metadata.clone();
        for item in &self.model {
            match item.number {
                schema::model::GRAPH => parts.extend(graph.take()),
                schema::model::METADATA if !left.is_empty() => {
                    let entry: Entry = message(&mut rewrite.wire, item, "metadata")?;
                    parts.push(match left.remove(&entry.key) {
                        Some(value) => metadata(&entry.key, value),
                        None => Part::whole(item),
                    });
                }
                _ => parts.push(Part::whole(item)),
            }
        }
        parts.extend(left.into_iter().map(|(key, value)| metadata(&key, value)));
        Ok(Rewritten { parts, external: rewrite.external, carried: rewrite.carried })
    }
}

fn metadata(key: &str, value: String) -> Part {
    Part::Bytes(field(schema::model::METADATA, &Entry { key: key.to_owned(), value }.encode_to_vec()))
}

struct Rewrite<'a> {
    onnx: &'a Onnx,
    wire: Wire<'a>,
    edits: &'a Edits,
    /// The name of the file of external data, and how much is in it.
    data: &'a str,
    data_bytes: u64,
    external: Vec<(usize, u64, u64)>,
    carried: Vec<usize>,
}

impl Rewrite<'_> {
    fn graph(&mut self, integers: &Integers) -> Result<Vec<Part>> {
        let onnx = self.onnx;
        let nodes: HashMap<usize, usize> = onnx.nodes().enumerate().map(|(node, item)| (item, node)).collect();
        let arrays: HashMap<u64, usize> =
            onnx.arrays.iter().enumerate().filter_map(|(i, array)| Some((array.within.first()?.start, i))).collect();
        let mut parts = Vec::with_capacity(onnx.items.len());
        let mut inputs = Vec::new();
        for (index, item) in onnx.items.iter().enumerate() {
            let is_constant = onnx.constants.binary_search(&index).is_ok();
            match item.number {
                schema::graph::INITIALIZER | schema::graph::NODE
                    if is_constant || item.number != schema::graph::NODE =>
                {
                    let array = arrays.get(&item.start).copied();
                    let name = match array {
                        Some(array) => Some(onnx.arrays[array].name.clone()),
                        None => super::output_of(&mut self.wire, item)?,
                    };
                    match (name.filter(|name| integers.dropped.contains(name)), array) {
                        // Written anew at the end.
                        (Some(_), array) => self.carried.extend(array),
                        (None, Some(array)) => self.array(array, &mut parts)?,
                        (None, None) => parts.push(Part::whole(item)),
                    }
                }
                schema::graph::NODE => {
                    let node = nodes.get(&index).copied().unwrap_or(usize::MAX);
                    parts.push(self.node(item, node, integers)?);
                }
                schema::graph::INPUT | schema::graph::OUTPUT | schema::graph::VALUE_INFO => {
                    let (name, part) = self.value(item)?;
                    if item.number == schema::graph::INPUT {
                        inputs.push(name);
                    }
                    parts.push(part);
                }
                _ => parts.push(Part::whole(item)),
            }
        }
        for array in &integers.added {
            parts.push(new_integers(array));
            // Before version 4 every initializer is an input, too.
            if onnx.ir_version < 4 && !inputs.contains(&array.name) {
                parts.push(new_input(array));
            }
        }
        Ok(parts)
    }

    fn node(&mut self, item: &Field, node: usize, integers: &Integers) -> Result<Part> {
        let group = self.edits.groups.get(&node);
        if group.is_none() && integers.renamed.range((node, 0)..=(node, usize::MAX)).next().is_none() {
            return Ok(Part::whole(item));
        }
        let bytes = self.wire.read(item.body, item.end)?;
        let path = self.wire.path;
        let mut input = 0;
        let new = replaced(path, &bytes, &mut |number, body| match number {
            schema::node::INPUT => {
                input += 1;
                Ok(integers.renamed.get(&(node, input - 1)).map(|name| name.clone().into_bytes()))
            }
            schema::node::ATTRIBUTE => match group {
                Some(group) => regrouped(path, body, *group),
                None => Ok(None),
            },
            _ => Ok(None),
        })?;
        Ok(Part::Bytes(field(item.number, &new)))
    }

    /// A value's name, and the part that declares its shape.
    fn value(&mut self, item: &Field) -> Result<(String, Part)> {
        let info: ValueInfo = message(&mut self.wire, item, "a value")?;
        let tensor = self.edits.shapes.get(&info.name);
        let axes: Vec<(usize, u64)> = match tensor {
            Some(shape) => shape.iter().copied().enumerate().collect(),
            None => self.edits.values.get(&info.name).cloned().unwrap_or_default(),
        };
        if axes.is_empty() {
            return Ok((info.name, Part::whole(item)));
        }
        let (path, bytes) = (self.wire.path, self.wire.read(item.body, item.end)?);
        // ValueInfoProto.type, TypeProto.tensor_type, TensorTypeProto.shape, TensorShapeProto.dim.
        let new = replaced(path, &bytes, &mut |number, kind| match number {
            2 => replaced(path, kind, &mut |number, tensor| match number {
                1 => replaced(path, tensor, &mut |number, shape| match number {
                    2 => resized(path, shape, &axes).map(Some),
                    _ => Ok(None),
                })
                .map(Some),
                _ => Ok(None),
            })
            .map(Some),
            _ => Ok(None),
        })?;
        Ok((info.name, Part::Bytes(field(item.number, &new))))
    }

    /// An initializer, or a `Constant` with its array.
    fn array(&mut self, index: usize, parts: &mut Vec<Part>) -> Result<()> {
        let array = &self.onnx.arrays[index];
        let (Some(outer), Some(own)) = (array.within.first().copied(), array.within.last().copied()) else {
            return Ok(());
        };
        let shape = self.edits.shapes.get(&array.name).filter(|shape| **shape != array.shape);
        let is_float = array.dtype.is_some_and(|dtype| Float::from_dtype(dtype).is_some());
        let body = match (&array.payload, shape) {
            (Payload::Plain(start), None) => {
                parts.push(Part::Copy { start: outer.start, end: *start });
                parts.push(Part::Data { array: index, bytes: array.bytes });
                parts.push(Part::Copy { start: start + array.bytes, end: outer.end });
                return Ok(());
            }
            // Numbers of the wire format cannot be overwritten in place.
            (Payload::Typed(_), None) if !(is_float && self.edits.overwrites) => {
                self.carried.push(index);
                parts.push(Part::whole(&outer));
                return Ok(());
            }
            _ => self.new_array(index, own, shape)?,
        };
        let mut part = Part::Message { field: own, parts: body };
        for (around, inner) in array.within.iter().zip(&array.within[1..]).rev() {
            let before = Part::Copy { start: around.body, end: inner.start };
            let after = Part::Copy { start: inner.end, end: around.end };
            part = Part::Message { field: *around, parts: vec![before, part, after] };
        }
        parts.push(part);
        Ok(())
    }

    /// The fields of an array that is stored anew.
    fn new_array(&mut self, index: usize, own: Field, shape: Option<&Vec<u64>>) -> Result<Vec<Part>> {
        use schema::tensor::{DATA_LOCATION, DIMS, EXTERNAL_DATA, RAW_DATA};
        let array: &Array = &self.onnx.arrays[index];
        let (shape, bytes) = match (shape, array.bytes.checked_div(array.elements)) {
            (Some(shape), Some(width)) => {
                (shape, shape.iter().fold(width, |product, axis| product.saturating_mul(*axis)))
            }
            (shape, _) => (shape.unwrap_or(&array.shape), array.bytes),
        };
        let mut parts: Vec<Part> = shape.iter().map(|axis| Part::Bytes(number_field(DIMS, *axis))).collect();
        let mut at = own.body;
        while let Some(field) = self.wire.field(&mut at, own.end)? {
            if !is_data(field.number) && !matches!(field.number, DIMS | EXTERNAL_DATA | DATA_LOCATION) {
                parts.push(Part::whole(&field));
            }
        }
        if let Payload::External { .. } = array.payload {
            let start = self.data_bytes.next_multiple_of(if bytes >= LARGE { PAGE } else { ALIGNMENT });
            self.data_bytes = start.saturating_add(bytes);
            self.external.push((index, start, bytes));
            let places =
                [("location", self.data.to_owned()), ("offset", start.to_string()), ("length", bytes.to_string())];
            for (key, value) in places {
                let entry = Entry { key: key.to_owned(), value }.encode_to_vec();
                parts.push(Part::Bytes(field(EXTERNAL_DATA, &entry)));
            }
            parts.push(Part::Bytes(number_field(DATA_LOCATION, 1)));
        } else {
            parts.push(Part::Bytes([super::wire::key(RAW_DATA), super::wire::varint(bytes)].concat()));
            parts.push(Part::Data { array: index, bytes });
        }
        Ok(parts)
    }
}

/// The attribute `group` with another value; `None` for other attributes.
fn regrouped(path: &std::path::Path, attribute: &[u8], group: u64) -> Result<Option<Vec<u8>>> {
    let mut is_group = false;
    let new = replaced(path, attribute, &mut |number, body| {
        is_group |= number == schema::attribute::NAME && body == b"group";
        Ok((number == schema::attribute::INT).then(|| super::wire::varint(group)))
    })?;
    Ok(is_group.then_some(new))
}

/// A shape with other lengths of axes; names of lengths stay.
fn resized(path: &std::path::Path, shape: &[u8], axes: &[(usize, u64)]) -> Result<Vec<u8>> {
    let mut axis = 0;
    replaced(path, shape, &mut |number, dim| {
        if number != 1 {
            return Ok(None);
        }
        axis += 1;
        let Some((_, length)) = axes.iter().find(|(changed, _)| *changed == axis - 1) else { return Ok(None) };
        replaced(path, dim, &mut |number, _| Ok((number == 1).then(|| super::wire::varint(*length)))).map(Some)
    })
}

fn new_integers(array: &Added) -> Part {
    let four = |value: &i64| (*value as i32).to_le_bytes();
    let raw_data = match array.long {
        true => array.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        false => array.values.iter().flat_map(four).collect(),
    };
    let dims = array.shape.iter().map(|axis| *axis as i64).collect();
    let array = schema::Integers { dims, data_type: data_type(array), name: array.name.clone(), raw_data };
    Part::Bytes(field(schema::graph::INITIALIZER, &array.encode_to_vec()))
}

fn data_type(array: &Added) -> i32 {
    if array.long { schema::INT64 } else { schema::INT32 }
}

fn new_input(array: &Added) -> Part {
    let length = |axis: &u64| schema::Dimension { dim_value: Some(*axis as i64), dim_param: None };
    let shape = Some(schema::Shape { dim: array.shape.iter().map(length).collect() });
    let tensor = schema::TensorType { elem_type: data_type(array), shape };
    let info = ValueInfo { name: array.name.clone(), kind: Some(schema::Type { tensor_type: Some(tensor) }) };
    Part::Bytes(field(schema::graph::INPUT, &info.encode_to_vec()))
}
