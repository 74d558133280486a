//! What else changes in an ONNX file when channels are deleted.

use std::collections::BTreeMap;

use super::slices::Sliced;
use crate::checkpoint::onnx::Edits;
use crate::graph::{Dependencies, Edit, Graph};
use crate::{Error, Result};

/// The edits of `graph` where the classes have `before` and then `after` channels.
pub(super) fn edits(
    graph: &Graph,
    dependencies: &Dependencies,
    sliced: &[Sliced],
    (before, after): (&[u64], &[u64]),
    metadata: BTreeMap<String, String>,
) -> Result<Edits> {
    let shapes = sliced.iter().map(|s| (s.tensor.name().to_owned(), s.shape())).collect();
    let mut found = Edits { shapes, metadata, ..Edits::default() };
    for edit in &dependencies.edits {
        match edit {
            Edit::Group { node, width } if width.with(before) != width.with(after) => {
                found.groups.insert(*node, width.with(after));
            }
            Edit::Shape { node, input, name, index, width } if width.with(before) != width.with(after) => {
                let values = graph.constants.get(name).and_then(|constant| constant.values.as_ref());
                let values = values.ok_or_else(|| Error::Usage(format!("`{name}`: a shape without values")))?;
                let now = || values.iter().map(|value| *value as i64).collect();
                let entry = found.integers.entry((*node, *input)).or_insert_with(now);
                if let Some(value) = entry.get_mut(*index) {
                    *value = width.with(after) as i64;
                }
            }
            Edit::Group { .. } | Edit::Shape { .. } => {}
        }
    }
    for (name, axes) in &dependencies.values {
        let changed = axes.iter().filter(|(_, width)| width.with(before) != width.with(after));
        let changed: Vec<_> = changed.map(|(axis, width)| (*axis, width.with(after))).collect();
        if !changed.is_empty() {
            found.values.insert(name.clone(), changed);
        }
    }
    // Weights under other names.
    let mut names: BTreeMap<&str, &Vec<u64>> =
        found.shapes.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
    let mut others = Vec::new();
    for node in graph.nodes.iter().filter(|node| matches!(node.op.as_str(), "Identity" | "Cast")) {
        let of = node.inputs.first().and_then(|name| names.get(name.as_str()).copied());
        if let (Some(shape), Some(name)) = (of, node.outputs.first()) {
            names.insert(name, shape);
            others.push((name.clone(), shape.iter().copied().enumerate().collect()));
        }
    }
    found.values.extend(others);
    Ok(found)
}
