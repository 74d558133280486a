//! The JSON header of one safetensors file, checked so strictly that every byte of the file has one owner.
//!
//! The rules are those of the `safetensors` crate (a property test compares the two). They are checked here because
//! that crate keeps the last of two entries with the same name, and names the tensor at fault only now and then.

use super::tensor;
use crate::shortened;
use crate::{Dtype, Error, Result, Tensor};
use serde::Deserialize;
use serde::de::value::{Error as DtypeError, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

const DAMAGED: &str = "the header is damaged: download the file again, or write it again with the safetensors library";

/// One entry, as it is written.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Parses `json`, the header of `path`, which is number `file` of its checkpoint and has `data_bytes` bytes of data
/// from byte `data_start` on. The tensors come back in the natural order of their names.
pub(super) fn parse(path: &Path, json: &[u8], file: usize, data_start: u64, data_bytes: u64) -> Result<Vec<Tensor>> {
    let mut entries = entries(path, json)?;
    entries.sort_by_key(|(_, entry)| entry.data_offsets);

    let mut tensors: Vec<Tensor> = Vec::with_capacity(entries.len());
    let mut end = 0;
    for (name, entry) in entries {
        let fail = |message: String| Error::tensor(path, &name, message);
        let (first, last) = entry.data_offsets;
        let dtype = dtype(&entry.dtype).map_err(fail)?;
        if entry.shape.len() > MAX_AXES {
            return Err(fail(format!(
                "it has {} axes, and no tensor has more than {MAX_AXES}; {DAMAGED}",
                entry.shape.len()
            )));
        }
        let (elements, bytes) = size(&entry.shape, dtype).map_err(fail)?;
        if last < first || last - first != bytes {
            let shape = shortened(&format!("{:?}", entry.shape));
            return Err(fail(format!("{dtype} of shape {shape} takes {bytes} bytes, not {first}..{last}; {DAMAGED}")));
        }
        if first > end {
            return Err(fail(format!("its bytes start at {first}, leaving {end}..{first} to no tensor; {DAMAGED}")));
        }
        if first < end {
            let before = tensors.last().map_or("", |t| t.name());
            return Err(fail(format!("its bytes {first}..{last} overlap those of `{}`; {DAMAGED}", shortened(before))));
        }
        end = last;
        let start = data_start.checked_add(first).ok_or_else(|| fail(format!("its offset overflows; {DAMAGED}")))?;
        tensors.push(Tensor {
            name: name.into(),
            dtype,
            shape: entry.shape.into(),
            elements,
            file,
            start,
            bytes,
            input_axis: 1,
        });
    }

    if end > data_bytes {
        return Err(Error::format(
            path,
            format!("truncated: its tensors take {end} bytes, and {data_bytes} are there; download it again"),
        ));
    }
    if end < data_bytes {
        let extra = data_bytes - end;
        return Err(Error::format(path, format!("{extra} bytes after the last tensor belong to none; {DAMAGED}")));
    }
    tensor::sort(&mut tensors);
    Ok(tensors)
}

/// The `__metadata__` of a header that [`parse`] has accepted; `None` where it has none.
pub(super) fn metadata(path: &Path, json: &[u8]) -> Result<Option<BTreeMap<String, String>>> {
    #[derive(Deserialize)]
    struct Json {
        __metadata__: Option<BTreeMap<String, String>>,
    }
    let json: Json = serde_json::from_slice(json)
        .map_err(|error| Error::format(path, format!("the header has changed ({})", shortened(&error.to_string()))))?;
    Ok(json.__metadata__)
}

/// As many as numpy and PyTorch allow. A shape is repeated in every group's entry: a million axes must not be.
pub(super) const MAX_AXES: usize = 64;

/// Elements and bytes of an array, or why there cannot be one.
pub(super) fn size(shape: &[u64], dtype: Dtype) -> Result<(u64, u64), String> {
    let elements = shape.iter().try_fold(1u64, |product, &axis| product.checked_mul(axis));
    let bits = elements.and_then(|n| n.checked_mul(dtype.bitsize() as u64));
    match (elements, bits) {
        (Some(elements), Some(bits)) if bits % 8 == 0 => Ok((elements, bits / 8)),
        (Some(elements), Some(_)) => Err(format!("{elements} elements of {dtype} do not fill whole bytes; {DAMAGED}")),
        _ => Err(format!("its shape {} is beyond 64 bits; {DAMAGED}", shortened(&format!("{shape:?}")))),
    }
}

fn dtype(name: &str) -> Result<Dtype, String> {
    let name_only: StrDeserializer<'_, DtypeError> = name.into_deserializer();
    Dtype::deserialize(name_only).map_err(|_| {
        format!("unknown dtype `{}`: use a newer secateur, or convert the tensor to a known one", shortened(name))
    })
}

/// Every entry but `__metadata__`, no name twice.
fn entries(path: &Path, json: &[u8]) -> Result<Vec<(String, Entry)>> {
    let text = std::str::from_utf8(json)
        .map_err(|error| Error::format(path, format!("the header is not UTF-8 text ({error}); {DAMAGED}")))?;
    let mut current = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = Entries { current: &mut current }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    let found = parsed.map_err(|error| {
        let why = shortened(&error.to_string());
        match current {
            Some(name) => Error::tensor(path, &name, format!("its header entry makes no sense ({why}); {DAMAGED}")),
            None => Error::format(path, format!("the header is not what safetensors defines ({why}); {DAMAGED}")),
        }
    })?;

    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::tensor(path, twice[0], format!("the header has this name twice; {DAMAGED}")));
    }
    Ok(found)
}

/// Collects the header's map in order, leaving the name it was at in `current` when it fails.
struct Entries<'a> {
    current: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Vec<(String, Entry)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<(String, Entry)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        let mut metadata_seen = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut metadata_seen, true) {
                    return Err(serde::de::Error::custom("`__metadata__` appears twice"));
                }
                map.next_value::<Option<HashMap<String, String>>>().map_err(|error| {
                    serde::de::Error::custom(format_args!("`__metadata__` must map text to text: {error}"))
                })?;
                continue;
            }
            *self.current = Some(name);
            let entry = map.next_value()?;
            found.extend(self.current.take().map(|name| (name, entry)));
        }
        Ok(found)
    }
}
