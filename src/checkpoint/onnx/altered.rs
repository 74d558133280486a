//! A copy of a model in memory, with further operators and other outputs: to be run, and not to be kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message;

use super::array::Payload;
use super::parts::{Part, Piece, length, pieces};
use super::schema::{self, Dimension, ValueInfo};
use super::wire::{Field, Wire, field, replaced};
use super::{Onnx, message};
use crate::checkpoint::{Checkpoint, positioned};
use crate::graph::{Attribute, Node};
use crate::{Error, Result};

/// What is other in the copy. Whatever is not named stays as it is, but for what the file says of the shapes of values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alterations {
    /// Operators that come before the node of that index in [`Graph::nodes`](crate::graph::Graph::nodes); their attributes
    /// are integers.
    pub(crate) before: BTreeMap<usize, Vec<Node>>,
    /// Other names for inputs of nodes: node, input.
    pub(crate) renamed: BTreeMap<(usize, usize), String>,
    /// New arrays of integers: names and values.
    pub(crate) integers: Vec<(String, Vec<i64>)>,
    /// The outputs, in place of all that the file has.
    pub(crate) outputs: Vec<String>,
    /// An input whose first axis may be of any length.
    pub(crate) freed: Option<String>,
}

/// The copy.
#[derive(Debug)]
pub(crate) struct Altered {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// The files of its external data, as it names them.
    pub(crate) external: BTreeSet<String>,
}

/// What a protocol buffer may be, and a copy of it may take.
const MOST_BYTES: u64 = i32::MAX as u64;

impl Checkpoint {
    /// A copy of an ONNX file with `alterations`.
    ///
    /// # Errors
    /// [`Error::Format`] where it is no ONNX file, or damaged, or larger than 2 GiB; [`Error::Io`].
    pub(crate) fn altered(&self, alterations: &Alterations) -> Result<Altered> {
        let (Some(onnx), Some(shard)) = (&self.onnx, self.shards.first()) else {
            return Err(Error::format(self.path(), "is no ONNX file"));
        };
        let mut wire = Wire::new(&shard.path, &shard.file, shard.bytes);
        let graph = Part::Message { field: onnx.graph, parts: graph(onnx, &mut wire, alterations)? };
        let mut graph = Some(graph);
        let model = onnx.model.iter().filter_map(|item| match item.number {
            schema::model::GRAPH => graph.take(),
            _ => Some(Part::whole(item)),
        });
        let parts: Vec<Part> = model.collect();
        let bytes = length(&parts);
        if bytes > MOST_BYTES {
            return Err(Error::format(&shard.path, "is larger than 2 GiB, which no protocol buffer may be"));
        }
        let mut copy = Vec::with_capacity(bytes as usize);
        for piece in pieces(parts) {
            match piece {
                Piece::Copy { start, end } => {
                    let at = copy.len();
                    copy.resize(at + (end - start) as usize, 0);
                    let room = copy.get_mut(at..).unwrap_or_default();
                    positioned::read_exact_at(&shard.file, room, start).map_err(|e| Error::io(&shard.path, e))?;
                }
                Piece::Bytes(bytes) => copy.extend(bytes),
                // There is none: arrays are copied with what is around them.
                Piece::Data { .. } => {}
            }
        }
        let external = onnx.arrays.iter().filter_map(|array| match &array.payload {
            Payload::External { location, .. } => Some(location.clone()),
            _ => None,
        });
        Ok(Altered { external: external.collect(), bytes: copy })
    }
}

fn graph(onnx: &Onnx, wire: &mut Wire, alterations: &Alterations) -> Result<Vec<Part>> {
    let nodes: HashMap<usize, usize> = onnx.nodes().enumerate().map(|(node, item)| (item, node)).collect();
    let mut parts = Vec::with_capacity(onnx.items.len());
    for (index, item) in onnx.items.iter().enumerate() {
        match (item.number, nodes.get(&index)) {
            (schema::graph::NODE, Some(node)) => {
                parts.extend(alterations.before.get(node).into_iter().flatten().map(new_node));
                parts.push(renamed(wire, item, *node, alterations)?);
            }
            (schema::graph::INPUT, _) => parts.push(freed(wire, item, alterations)?),
            // Shapes may depend on what is other now, and are known without.
            (schema::graph::OUTPUT | schema::graph::VALUE_INFO, _) => {}
            _ => parts.push(Part::whole(item)),
        }
    }
    for (name, values) in &alterations.integers {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dims = vec![values.len() as i64];
        let array = schema::Integers { dims, data_type: schema::INT64, name: name.clone(), raw_data };
        parts.push(Part::Bytes(field(schema::graph::INITIALIZER, &array.encode_to_vec())));
    }
    parts.extend(alterations.outputs.iter().map(|name| {
        let info = ValueInfo { name: name.clone(), kind: None };
        Part::Bytes(field(schema::graph::OUTPUT, &info.encode_to_vec()))
    }));
    Ok(parts)
}

fn renamed(wire: &mut Wire, item: &Field, node: usize, alterations: &Alterations) -> Result<Part> {
    if alterations.renamed.range((node, 0)..=(node, usize::MAX)).next().is_none() {
        return Ok(Part::whole(item));
    }
    let (path, bytes) = (wire.path, wire.read(item.body, item.end)?);
    let mut input = 0;
    let new = replaced(path, &bytes, &mut |number, _| {
        if number != schema::node::INPUT {
            return Ok(None);
        }
        input += 1;
        Ok(alterations.renamed.get(&(node, input - 1)).map(|name| name.clone().into_bytes()))
    })?;
    Ok(Part::Bytes(field(item.number, &new)))
}

fn freed(wire: &mut Wire, item: &Field, alterations: &Alterations) -> Result<Part> {
    let mut info: ValueInfo = message(wire, item, "an input")?;
    if alterations.freed.as_ref() != Some(&info.name) {
        return Ok(Part::whole(item));
    }
    let shape = info.kind.as_mut().and_then(|kind| kind.tensor_type.as_mut()).and_then(|tensor| tensor.shape.as_mut());
    if let Some(first) = shape.and_then(|shape| shape.dim.first_mut()) {
        *first = Dimension { dim_value: None, dim_param: Some("secateur.batch".to_owned()) };
    }
    Ok(Part::Bytes(field(item.number, &info.encode_to_vec())))
}

fn new_node(node: &Node) -> Part {
    let attribute = |(name, value): (&String, &Attribute)| {
        let (i, ints, kind) = match value {
            Attribute::Int(value) => (*value, Vec::new(), 2),
            Attribute::Ints(values) => (0, values.clone(), 7),
            _ => return None,
        };
        Some(schema::Attribute { name: name.clone(), i, ints, kind, ..schema::Attribute::default() })
    };
    let message = schema::Node {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: node.name.clone(),
        op_type: node.op.clone(),
        attribute: node.attributes.iter().filter_map(attribute).collect(),
        domain: node.domain.clone(),
    };
    Part::Bytes(field(schema::graph::NODE, &message.encode_to_vec()))
}
