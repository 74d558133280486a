//! Where each tensor of the output lies, and the headers that say so.

use crate::checkpoint::{Checkpoint, header, shard};
use crate::{Dtype, Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A tensor of an output whose tensors differ from its source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The name, which no other tensor of the output has.
    pub name: String,
    /// The format of an element.
    pub dtype: Dtype,
    /// The axes, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
}

/// The bytes of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the output's files.
    pub(super) file: usize,
    /// From the beginning of that file.
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// Whether they are written with what is around them, so that nothing is to be written here.
    pub(super) carried: bool,
}

/// The place of every tensor, by name.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(Box<str>, Place)>);

impl Places {
    /// Those of the source itself.
    pub(super) fn same(source: &Checkpoint) -> Self {
        let place = |t: &crate::Tensor| {
            (t.name.clone(), Place { file: t.file, start: t.start, bytes: t.bytes, carried: false })
        };
        Self(source.tensors().iter().map(place).collect()).sorted()
    }

    /// These.
    pub(super) fn of(places: Vec<(Box<str>, Place)>) -> Self {
        Self(places).sorted()
    }

    fn sorted(mut self) -> Self {
        self.0.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<Place> {
        let found = self.0.binary_search_by(|(other, _)| (**other).cmp(name));
        found.ok().and_then(|position| self.0.get(position)).map(|(_, place)| *place)
    }

    /// The size of all tensors' data.
    pub(super) fn data_bytes(&self) -> u64 {
        self.0.iter().map(|(_, place)| place.bytes).sum()
    }

    /// Tensors with the number of their file, in bytewise order of names.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(name, place)| (&**name, place.file))
    }
}

/// A header with its length before it, and the size of its whole file.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) file_bytes: u64,
}

/// Headers and places for `files`, the tensors of each file in the order of their data; `added` goes to the metadata of the
/// first.
pub(super) fn plan(
    source: &Checkpoint,
    files: &[Vec<Planned>],
    added: &BTreeMap<String, String>,
) -> Result<(Vec<Head>, Places)> {
    if files.len() != source.shards.len() {
        let message = format!("{} files are planned for the {} of the model", files.len(), source.shards.len());
        return Err(Error::format(source.path(), message));
    }
    let (mut heads, mut places) = (Vec::with_capacity(files.len()), Vec::new());
    for (file, (tensors, shard)) in files.iter().zip(&source.shards).enumerate() {
        let mut metadata = shard.metadata()?;
        if file == 0 && !added.is_empty() {
            metadata.get_or_insert_default().extend(added.clone());
        }
        heads.push(head(&shard.path, file, metadata.as_ref(), tensors, &mut places)?);
    }
    let places = Places(places).sorted();
    if let Some(pair) = places.0.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::tensor(source.path(), &pair[0].0, "would be in the output twice"));
    }
    if places.0.iter().try_fold(0u64, |sum, (_, place)| sum.checked_add(place.bytes)).is_none() {
        return Err(Error::format(source.path(), "the output would be larger than 64 bits can say"));
    }
    Ok((heads, places))
}

/// Header and places of a single file.
pub(super) fn single(path: &Path, tensors: &[Planned], metadata: &BTreeMap<String, String>) -> Result<(Head, Places)> {
    let mut places = Vec::new();
    let head = head(path, 0, Some(metadata), tensors, &mut places)?;
    Ok((head, Places(places).sorted()))
}

/// The header of number `file` as the safetensors library writes it: metadata first, padded with spaces to whole 8 bytes.
fn head(
    path: &Path,
    file: usize,
    metadata: Option<&BTreeMap<String, String>>,
    tensors: &[Planned],
    places: &mut Vec<(Box<str>, Place)>,
) -> Result<Head> {
    let mut json = String::from("{");
    if let Some(metadata) = metadata {
        json += &format!("\"__metadata__\":{},", text(path, metadata)?);
    }
    let (first, mut end) = (places.len(), 0u64);
    for Planned { name, dtype, shape } in tensors {
        let fail = |message: String| Error::tensor(path, name, message);
        if name == "__metadata__" || shape.len() > header::MAX_AXES {
            return Err(fail("no safetensors file can hold a tensor of this name or of so many axes".to_owned()));
        }
        let (_, bytes) = header::size(shape, *dtype).map_err(fail)?;
        let start = end;
        end = end.checked_add(bytes).ok_or_else(|| fail("the file would be larger than 64 bits can say".to_owned()))?;
        let (name_json, dtype, shape) = (text(path, name)?, text(path, dtype)?, text(path, shape)?);
        json += &format!("{name_json}:{{\"dtype\":{dtype},\"shape\":{shape},\"data_offsets\":[{start},{end}]}},");
        places.push((name.as_str().into(), Place { file, start, bytes, carried: false }));
    }
    if json.ends_with(',') {
        json.pop();
    }
    json.push('}');
    while !json.len().is_multiple_of(8) {
        json.push(' ');
    }
    let length = json.len() as u64;
    if length > shard::MAX_HEADER_BYTES {
        let message = format!("the output's header would take {length} bytes, {} are allowed", shard::MAX_HEADER_BYTES);
        return Err(Error::format(path, message));
    }
    let data_start = shard::LENGTH_BYTES + length;
    let file_bytes = end.checked_add(data_start);
    let file_bytes = file_bytes.ok_or_else(|| Error::format(path, "would be larger than 64 bits can say"))?;
    places.iter_mut().skip(first).for_each(|(_, place)| place.start += data_start);
    Ok(Head { bytes: [&length.to_le_bytes(), json.as_bytes()].concat(), file_bytes })
}

fn text<T: serde::Serialize + ?Sized>(path: &Path, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::format(path, format!("its header cannot be written: {error}")))
}
