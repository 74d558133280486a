//! `*.safetensors.index.json`: which shard holds which tensor.

use super::{natural, shard, tensor};
use crate::shortened;
use crate::{Error, Result, Tensor};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// The largest index that is read, in bytes.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// A parsed index.
#[derive(Debug)]
pub(super) struct Index {
    /// Paths relative to the index's folder, in natural order, each once, none leaving the folder.
    pub(super) shards: Vec<String>,
    /// Each tensor's position in `shards`.
    of_tensor: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Json {
    weight_map: Pairs,
}

/// A JSON object of strings in the order of the file, repetitions included.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor).map(Self)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from tensor names to file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// The index at `path` with another `weight_map`, of (tensor, shard) pairs, and another `metadata.total_size`; whatever
/// else it says is carried over. Laid out as Hugging Face's libraries do: two spaces, keys sorted.
pub(super) fn rewritten<'a>(
    path: &Path,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    total_bytes: u64,
) -> Result<Vec<u8>> {
    let changed = |error: serde_json::Error| Error::format(path, format!("the index has changed ({error})"));
    let mut index: Map<String, Value> = serde_json::from_slice(&bytes_of(path)?).map_err(changed)?;
    index.insert("weight_map".to_owned(), pairs.map(|(name, shard)| (name.to_owned(), Value::from(shard))).collect());
    let metadata = index.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata["total_size"] = total_bytes.into();
    let mut json = serde_json::to_vec_pretty(&index).map_err(changed)?;
    json.push(b'\n');
    Ok(json)
}

/// Reads and checks the index at `path`; opens no shard.
pub(super) fn read(path: &Path) -> Result<Index> {
    parse(path, &bytes_of(path)?)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let (file, bytes) = shard::open_regular(path)?;
    if bytes > MAX_INDEX_BYTES {
        return Err(Error::format(
            path,
            format!("{bytes} bytes are too many for an index ({MAX_INDEX_BYTES} at most)"),
        ));
    }
    shard::read_at(path, &file, 0, bytes)
}

fn parse(path: &Path, json: &[u8]) -> Result<Index> {
    let Json { weight_map: Pairs(pairs) } = serde_json::from_slice(json).map_err(|error| {
        let why = shortened(&error.to_string());
        Error::format(
            path,
            format!("not an index of a safetensors checkpoint ({why}): name the model.safetensors.index.json"),
        )
    })?;

    let mut shards: Vec<&str> = pairs.iter().map(|(_, shard)| shard.as_str()).collect();
    shards.sort_by(|a, b| natural::compare(a, b));
    shards.dedup();
    let number: HashMap<&str, usize> = shards.iter().enumerate().map(|(i, &shard)| (shard, i)).collect();
    let shards: Vec<String> = shards.iter().map(|&shard| shard.to_owned()).collect();

    let mut of_tensor = HashMap::with_capacity(pairs.len());
    for (name, shard) in &pairs {
        if !stays_inside(shard) {
            let message = format!("shard name `{}` leaves the index's folder: refused", shortened(shard));
            return Err(Error::tensor(path, name, message));
        }
        let position = number.get(shard.as_str()).copied().unwrap_or_default();
        if of_tensor.insert(name.clone(), position).is_some() {
            return Err(Error::tensor(path, name, "the index has this name twice: write the index again"));
        }
    }
    Ok(Index { shards, of_tensor })
}

/// Whether a shard's name is a plain relative path, on every operating system: no root, drive, `..` or backslash.
pub(super) fn stays_inside(shard: &str) -> bool {
    // Windows drops trailing dots and spaces, so `.. ` would climb as well; a colon starts a drive or a stream.
    shard.split('/').all(|part| !part.trim_end_matches(['.', ' ']).is_empty()) && !shard.contains(['\\', ':', '\0'])
}

impl Index {
    /// Checks that `tensors`, everything in the shards and sorted by name, is exactly what the index at `path` lists,
    /// each in the shard it names.
    pub(super) fn check(&self, path: &Path, tensors: &[Tensor]) -> Result<()> {
        let shard = |number: usize| shortened(self.shards.get(number).map_or("", String::as_str));
        if let Some((one, other)) = tensor::first_duplicate(tensors) {
            let (one_shard, other_shard) = (shard(one.file), shard(other.file));
            let message = format!("is in two shards, {one_shard} and {other_shard}: remove it from one of them");
            return Err(Error::tensor(path, one.name(), message));
        }
        for tensor in tensors {
            let held = shard(tensor.file);
            match self.of_tensor.get(tensor.name()) {
                Some(&listed) if listed == tensor.file => {}
                Some(&listed) => {
                    let message = format!("is in {held}, not in {} as listed: download both again", shard(listed));
                    return Err(Error::tensor(path, tensor.name(), message));
                }
                None => {
                    let message = format!("is in {held}, but not in the index: download the index again, or add it");
                    return Err(Error::tensor(path, tensor.name(), message));
                }
            }
        }
        if tensors.len() == self.of_tensor.len() {
            return Ok(());
        }
        // Every tensor found is listed, so some listed ones were not found; report the same one each time.
        let missing = |name: &&String| tensors.binary_search_by(|t| natural::compare(t.name(), name)).is_err();
        match self.of_tensor.keys().filter(missing).min_by(|a, b| natural::compare(a, b)) {
            Some(name) => {
                let listed = shard(self.of_tensor.get(name).copied().unwrap_or_default());
                Err(Error::tensor(path, name, format!("listed in {listed}, which does not hold it: download it again")))
            }
            None => Ok(()),
        }
    }
}
