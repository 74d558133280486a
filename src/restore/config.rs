//! `config.json` without the words that say the weights are compressed. Everything else in it stays as it is written:
//! the order of keys and the digits of numbers.

use crate::{Checkpoint, Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::fs;
use std::path::Path;

/// The file, in the model's folder.
pub(super) const NAME: &str = "config.json";

/// The largest that is read, in bytes.
const MAX_BYTES: u64 = 100_000_000;

/// What is removed.
const SPARSITY: &str = "sparsity_config";
/// Where it is, in today's and in older files; the oldest have it at the top.
const AROUND: [&str; 2] = ["quantization_config", "compression_config"];

/// New contents for the `config.json` of `model`; `None` where there is none, or nothing in it is to be changed.
pub(super) fn dense(model: &Checkpoint) -> Result<Option<Vec<u8>>> {
    model.folder().map_or(Ok(None), dense_in)
}

/// Whether `model` is a single file beside a `config.json` that says it is compressed.
pub(super) fn left_beside(model: &Checkpoint) -> bool {
    let folder = model.path().parent().filter(|_| model.folder().is_none());
    // One that makes no sense is another program's.
    folder.is_some_and(|folder| dense_in(folder).is_ok_and(|config| config.is_some()))
}

fn dense_in(folder: &Path) -> Result<Option<Vec<u8>>> {
    let path = folder.join(NAME);
    // Anything but a file is not carried over either.
    let Some(meta) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) else { return Ok(None) };
    if meta.len() > MAX_BYTES {
        return Err(Error::format(&path, format!("{} bytes are too many for a configuration", meta.len())));
    }
    without_sparsity(&path, &fs::read(&path).map_err(|e| Error::io(&path, e))?)
}

/// The members of an object in the order of the file, values as they are written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Members {
    /// Removes the sparsity; whether it was there.
    fn strip(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| key != SPARSITY);
        self.0.len() < before
    }

    /// As text, members `depth` levels in.
    fn text(&self, depth: usize) -> Result<String, serde_json::Error> {
        if self.0.is_empty() {
            return Ok("{}".to_owned());
        }
        let indent = "  ".repeat(depth);
        let member = |(key, value): &(String, Box<RawValue>)| {
            serde_json::to_string(key).map(|key| format!("{indent}{key}: {}", value.get()))
        };
        let members = self.0.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("{{\n{}\n{}}}", members.join(",\n"), "  ".repeat(depth - 1)))
    }

    /// Whether nothing is left in the object around the sparsity but who wrote it, and that the weights are dense.
    fn says_nothing(&self) -> bool {
        self.0.iter().all(|(key, value)| {
            let Ok(value) = serde_json::from_str::<Value>(value.get()) else { return false };
            let empty = match &value {
                Value::Null => true,
                Value::Object(members) => members.is_empty(),
                Value::Array(items) => items.is_empty(),
                _ => false,
            };
            match key.as_str() {
                "version" | "quantization_status" | "global_compression_ratio" => true,
                "quant_method" => empty || value == "compressed-tensors",
                "format" => empty || value == "dense",
                _ => empty,
            }
        })
    }
}

fn without_sparsity(path: &Path, json: &[u8]) -> Result<Option<Vec<u8>>> {
    stripped(json).map_err(|error| Error::format(path, format!("not a configuration in JSON ({error}): mend it")))
}

fn stripped(json: &[u8]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let text = std::str::from_utf8(json).map_err(serde_json::Error::custom)?;
    let mut config: Members = serde_json::from_str(text)?;
    let mut changed = config.strip();
    let mut left = Vec::with_capacity(config.0.len());
    for (key, value) in config.0 {
        let object = value.get().starts_with('{') && AROUND.contains(&key.as_str());
        let mut inner = if object { serde_json::from_str(value.get())? } else { Members(Vec::new()) };
        if !inner.strip() {
            left.push((key, value));
            continue;
        }
        changed = true;
        if !inner.says_nothing() {
            left.push((key, RawValue::from_string(inner.text(2)?)?));
        }
    }
    if !changed {
        return Ok(None);
    }
    Ok(Some((Members(left).text(1)? + "\n").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sparsity_goes_and_the_rest_stays_as_written() {
        let cases: [(&str, Option<&str>); 8] = [
            // As compressed-tensors 0.14 writes it for a model that is sparse and nothing else.
            (
                r#"{"b": 1e-05, "quantization_config": {"quant_method": "compressed-tensors", "sparsity_config":
                {"format": "sparse-bitmask"}, "transform_config": {}, "version": "0.14.0"}, "a": [1.50, 2]}"#,
                Some("{\n  \"b\": 1e-05,\n  \"a\": [1.50, 2]\n}\n"),
            ),
            // Sparse and quantised.
            (
                r#"{"quantization_config": {"config_groups": {"group_0": {}}, "format": "float-quantized",
                "sparsity_config": {}}}"#,
                Some(
                    "{\n  \"quantization_config\": {\n    \"config_groups\": {\"group_0\": {}},\n    \"format\": \
                     \"float-quantized\"\n  }\n}\n",
                ),
            ),
            // Another program's.
            (
                r#"{"quantization_config": {"quant_method": "gptq", "sparsity_config": {}}}"#,
                Some("{\n  \"quantization_config\": {\n    \"quant_method\": \"gptq\"\n  }\n}\n"),
            ),
            // Older places.
            (
                r#"{"compression_config": {"format": "dense", "sparsity_config": {}, "config_groups": null}}"#,
                Some("{}\n"),
            ),
            (r#"{"sparsity_config": {}, "x": "é\u00e9"}"#, Some("{\n  \"x\": \"é\\u00e9\"\n}\n")),
            (r#"{"quantization_config": {"quant_method": "compressed-tensors"}}"#, None),
            (r#"{"quantization_config": null, "compression_config": 1}"#, None),
            (r#"{"x": {"sparsity_config": 1}}"#, None),
        ];
        for (json, expected) in cases {
            let found =
                without_sparsity(Path::new("config.json"), json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
            assert_eq!(found.map(|bytes| String::from_utf8(bytes).expect("UTF-8")).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_named() {
        for json in [&b"[]"[..], b"{", b"", b"{\"a\": \xff}", b"{} {}"] {
            let error = without_sparsity(Path::new("config.json"), json).expect_err("not a configuration");
            assert!(error.to_string().starts_with("config.json: not a configuration"), "{error}");
        }
    }
}
