//! ONNX files as checkpoints: their initializers and constants are tensors, and the rest is kept as it is.
//!
//! A file is walked once, without reading weights. What is written later is the same file with holes where tensors lie
//! and with a few messages replaced: everything else, known or not, is carried over byte for byte.

#[cfg(feature = "eval")]
mod altered;
mod array;
mod dtype;
mod edits;
mod graph;
mod parts;
mod rewrite;
mod schema;
mod typed;
mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use prost::Message;

use super::shard::{self, Shard};
use super::{Tensor, foreign, index, tensor};
use crate::{Error, Result, escape};
#[cfg(feature = "eval")]
pub(crate) use altered::Alterations;
pub(crate) use edits::Edits;
pub(super) use parts::{Piece, length, pieces};

use array::{Array, Payload};
use typed::Spill;
use wire::{Field, Wire};

/// Bytes of what is no weights that a file may have: operators, names, shapes. Those of the largest networks take a
/// hundredth of it.
const MAX_STRUCTURE_BYTES: u64 = 256 << 20;

/// What is kept of a part of the graph, and of an array, in bytes, beside what it says itself.
const ITEM_BYTES: u64 = 64;
const ARRAY_BYTES: u64 = 512;
/// Operator sets, metadata and the like.
const MAX_MODEL_FIELDS: usize = 1 << 20;

/// What an ONNX file holds beside its tensors.
#[derive(Debug)]
pub(crate) struct Onnx {
    /// The fields of the model, the graph among them.
    model: Vec<Field>,
    graph: Field,
    /// The fields of the graph.
    items: Vec<Field>,
    /// Where each array is, in the order of the file.
    arrays: Vec<Array>,
    /// Names of weights whose input channels lie along axis 0.
    inputs_first: HashSet<String>,
    /// Numbers of `items` that are `Constant` nodes.
    constants: Vec<usize>,
    ir_version: u64,
    opset: i64,
    /// Elements that had to be decoded.
    spill: Option<Spill>,
}

/// Opens the file at `path`: it is the first shard, files of external data follow.
pub(super) fn open(path: &Path) -> Result<(Onnx, Vec<Shard>, Vec<Tensor>)> {
    let (file, bytes) = shard::open_regular(path)?;
    let start = shard::read_at(path, &file, 0, bytes.min(foreign::SNIFFED_BYTES))?;
    if bytes == 0 {
        return Err(Error::format(path, "is empty: download it again"));
    }
    let mut wire = Wire::new(path, &file, bytes);
    let mut onnx = Onnx::walk(&mut wire, bytes).map_err(|error| match foreign::by_content(&start) {
        // What a file really is says more than how it fails to be something else.
        Some(message) => Error::format(path, message),
        None => error,
    })?;
    let mut external = External { path, shards: Vec::new(), numbers: HashMap::new() };
    let mut tensors = Vec::with_capacity(onnx.arrays.len());
    let mut spilled = Vec::new();
    for array in &onnx.arrays {
        let Some(dtype) = array.dtype else { continue };
        let (file, start) = match &array.payload {
            Payload::Plain(start) => (0, *start),
            Payload::External { location, offset } => (external.number(array, location, *offset)?, *offset),
            Payload::Typed(fields) => {
                let spill = match &mut onnx.spill {
                    Some(spill) => spill,
                    none => none.insert(Spill::new().map_err(|e| Error::io(std::env::temp_dir(), e))?),
                };
                spilled.push(tensors.len());
                (0, spill.decode(&mut wire, array, fields)?)
            }
        };
        let (name, shape) = (array.name.as_str().into(), array.shape.as_slice().into());
        let input_axis = if onnx.inputs_first.contains(&array.name) { 0 } else { 1 };
        let (elements, bytes) = (array.elements, array.bytes);
        tensors.push(Tensor { name, dtype, shape, elements, file, start, bytes, input_axis });
    }
    let mut shards = vec![Shard {
        path: path.to_owned(),
        file: file.try_clone().map_err(|e| Error::io(path, e))?,
        data_start: 0,
        bytes,
    }];
    shards.append(&mut external.shards);
    // Behind every file that has a name.
    spilled.into_iter().for_each(|at| tensors[at].file = shards.len());
    tensor::sort(&mut tensors);
    if let Some((twice, _)) = tensor::first_duplicate(&tensors) {
        return Err(Error::tensor(path, twice.name(), "the file has two arrays of this name: export it again"));
    }
    Ok((onnx, shards, tensors))
}

impl Onnx {
    /// The fields of the model and its graph, and its arrays.
    fn walk(wire: &mut Wire, bytes: u64) -> Result<Self> {
        let (mut model, mut graph, mut ir_version, mut opset) = (Vec::new(), None, 0, None);
        let mut at = 0;
        while let Some(field) = wire.field(&mut at, bytes)? {
            match field.number {
                schema::model::IR_VERSION => ir_version = field.value,
                schema::model::GRAPH if graph.is_some() => return Err(wire.damaged("it has two graphs")),
                schema::model::GRAPH => graph = Some(field.whole(wire, "the graph")?),
                schema::model::OPSET => {
                    let set: schema::OperatorSet = message(wire, &field, "an operator set")?;
                    if matches!(set.domain.as_str(), "" | "ai.onnx") {
                        opset = Some(set.version);
                    }
                }
                _ => {}
            }
            if model.len() == MAX_MODEL_FIELDS {
                return Err(wire.damaged("it is of too many parts"));
            }
            model.push(field);
        }
        let Some(graph) = graph else { return Err(wire.damaged("it has no graph")) };
        // Files older than operator sets are of version 1.
        let opset = opset.unwrap_or(1);
        let mut onnx = Self {
            model,
            graph,
            items: Vec::new(),
            arrays: Vec::new(),
            inputs_first: HashSet::new(),
            constants: Vec::new(),
            ir_version,
            opset,
            spill: None,
        };
        let mut at = graph.body;
        let mut structure_bytes = bytes - graph.length();
        while let Some(field) = wire.field(&mut at, graph.end)? {
            let item = onnx.items.len();
            onnx.items.push(field);
            match field.number {
                schema::graph::INITIALIZER => {
                    let field = field.whole(wire, "an initializer")?;
                    onnx.arrays.push(Array::parse(wire, vec![field], None)?);
                    structure_bytes += ARRAY_BYTES;
                }
                schema::graph::NODE => {
                    if let Some(constant) = constant(wire, field)? {
                        onnx.constants.push(item);
                        onnx.arrays.extend(constant);
                        structure_bytes += ARRAY_BYTES;
                    } else {
                        structure_bytes += field.length() + ITEM_BYTES;
                        onnx.inputs_first.extend(inputs_first(wire, &field)?);
                    }
                }
                _ => structure_bytes += field.length() + ITEM_BYTES,
            }
            if structure_bytes > MAX_STRUCTURE_BYTES {
                return Err(wire.damaged(&format!("more than {MAX_STRUCTURE_BYTES} bytes of it are no weights")));
            }
        }
        Ok(onnx)
    }

    /// The metadata of the model, whose file is `shard`.
    pub(super) fn metadata(&self, shard: &Shard) -> Result<BTreeMap<String, String>> {
        let mut wire = Wire::new(&shard.path, &shard.file, shard.bytes);
        let of = |field: &&Field| field.number == schema::model::METADATA;
        let entries = self.model.iter().filter(of).map(|field| message::<schema::Entry>(&mut wire, field, "metadata"));
        entries.map(|entry| entry.map(|entry| (entry.key, entry.value))).collect()
    }

    /// The name of the array of this index.
    pub(super) fn array_name(&self, array: usize) -> Box<str> {
        self.arrays.get(array).map_or("", |array| &array.name).into()
    }

    /// The file of elements that had to be decoded.
    pub(super) fn spilled(&self) -> Option<&File> {
        self.spill.as_ref().map(|spill| &spill.file)
    }
}

/// Decodes a message that holds no weights.
fn message<M: Message + Default>(wire: &mut Wire, field: &Field, what: &str) -> Result<M> {
    let field = field.whole(wire, what)?;
    if field.length() > MAX_STRUCTURE_BYTES {
        return Err(wire.damaged(&format!("{what} takes {} bytes", field.length())));
    }
    let bytes = wire.read(field.body, field.end)?;
    M::decode(&bytes[..]).map_err(|error| wire.damaged(&format!("{what} at byte {}: {error}", field.start)))
}

/// `None` where `node` is no `Constant`; else the array it holds, if it is one.
fn constant(wire: &mut Wire, node: Field) -> Result<Option<Option<Array>>> {
    let node = node.whole(wire, "an operator")?;
    let (mut is_constant, mut output, mut within) = (false, None, None);
    let mut at = node.body;
    while let Some(field) = wire.field(&mut at, node.end)? {
        match field.number {
            schema::node::OP => is_constant = wire.text(&field, "the type of an operator")? == "Constant",
            schema::node::DOMAIN if !matches!(wire.text(&field, "a domain")?.as_str(), "" | "ai.onnx") => {
                return Ok(None);
            }
            schema::node::OUTPUT if output.is_none() => output = Some(wire.text(&field, "the name of a value")?),
            schema::node::ATTRIBUTE => {
                let attribute = field.whole(wire, "an attribute")?;
                let mut inner = attribute.body;
                while let Some(value) = wire.field(&mut inner, attribute.end)? {
                    if value.number == schema::attribute::TENSOR {
                        within = Some(vec![node, attribute, value.whole(wire, "a constant")?]);
                    }
                }
            }
            _ => {}
        }
    }
    match (is_constant, within, output) {
        (false, ..) => Ok(None),
        (true, Some(within), Some(output)) => Ok(Some(Some(Array::parse(wire, within, Some(&output))?))),
        (true, ..) => Ok(Some(None)),
    }
}

/// The weight of `node` whose input channels lie along axis 0, if it is an operator that has one.
fn inputs_first(wire: &mut Wire, node: &Field) -> Result<Option<String>> {
    let mut at = node.body;
    while let Some(field) = wire.field(&mut at, node.end)? {
        if field.number == schema::node::OP {
            let op = wire.text(&field, "the type of an operator")?;
            if !matches!(op.as_str(), "MatMul" | "Gemm" | "ConvTranspose") {
                return Ok(None);
            }
        }
    }
    let node: schema::Node = message(wire, node, "an operator")?;
    let transposed = node.attribute.iter().any(|attribute| attribute.name == "transB" && attribute.i != 0);
    Ok(node.input.into_iter().nth(1).filter(|_| !transposed))
}

/// The name of the first value that an operator makes.
fn output_of(wire: &mut Wire, node: &Field) -> Result<Option<String>> {
    let mut at = node.body;
    while let Some(field) = wire.field(&mut at, node.end)? {
        if field.number == schema::node::OUTPUT {
            return wire.text(&field, "the name of a value").map(Some);
        }
    }
    Ok(None)
}

/// Files of external data, each opened once.
struct External<'a> {
    /// The model.
    path: &'a Path,
    shards: Vec<Shard>,
    numbers: HashMap<String, usize>,
}

impl External<'_> {
    /// The number of the file at `location`, which has all of `array` from byte `offset` on.
    fn number(&mut self, array: &Array, location: &str, offset: u64) -> Result<usize> {
        let fail = |what: String| Error::tensor(self.path, &array.name, what);
        let number = match self.numbers.get(location) {
            Some(number) => *number,
            None => {
                let inner = location.strip_prefix("./").unwrap_or(location);
                if !index::stays_inside(inner) {
                    let shown = crate::shortened(location);
                    return Err(fail(format!("its data lie at `{shown}`, outside the model's folder: refused")));
                }
                let path: PathBuf = self.path.parent().unwrap_or(Path::new("")).join(inner);
                let (file, bytes) = shard::open_regular(&path).map_err(|error| match error {
                    Error::Io { source: e, .. } if e.kind() == std::io::ErrorKind::NotFound => fail(format!(
                        "its data lie in `{}`, which is missing: put that file beside the model",
                        escape(location)
                    )),
                    other => other,
                })?;
                self.shards.push(Shard { path, file, data_start: 0, bytes });
                self.numbers.insert(location.to_owned(), self.shards.len());
                self.shards.len()
            }
        };
        let there = self.shards[number - 1].bytes;
        if offset.checked_add(array.bytes).is_none_or(|end| end > there) {
            let (needed, shown) = (array.bytes, escape(location));
            let what = format!(
                "its {needed} bytes from byte {offset} on are beyond the {there} of `{shown}`: download it again"
            );
            return Err(Error::tensor(self.path, &array.name, what));
        }
        Ok(number)
    }
}
