//! What changes in an ONNX file beside the elements of its tensors.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::{Dtype, Error, Result};

/// Changes of an ONNX file. Whatever is not named stays as it is, byte for byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    /// Whether elements of any floating tensor may be written: those that are stored as numbers become raw then.
    pub(crate) overwrites: bool,
    /// New shapes of tensors, by name.
    pub(crate) shapes: BTreeMap<String, Vec<u64>>,
    /// New numbers of groups of convolutions, by the node's index in [`Graph::nodes`].
    pub(crate) groups: BTreeMap<usize, u64>,
    /// New values of arrays of integers, for one input of one node each.
    pub(crate) integers: BTreeMap<(usize, usize), Vec<i64>>,
    /// New lengths of axes of values between operators, by name.
    pub(crate) values: BTreeMap<String, Vec<(usize, u64)>>,
    /// Metadata that is added, or takes the place of what has the same key.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// An input of a node, and what it is to be.
type Wanted<'a> = (&'a (usize, usize), &'a Vec<i64>);

/// Arrays of integers that are written instead of, or beside, those of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Integers {
    /// Arrays that nothing takes any more.
    pub(super) dropped: BTreeSet<String>,
    /// New arrays.
    pub(super) added: Vec<Added>,
    /// Inputs of nodes that take another array than before.
    pub(super) renamed: BTreeMap<(usize, usize), String>,
}

/// An array of integers that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    /// 64 bits each, else 32.
    pub(super) long: bool,
    pub(super) values: Vec<i64>,
}

impl Integers {
    /// An array that all its uses want changed alike keeps its name; else those that want it changed get one of their own.
    pub(super) fn of(edits: &Edits, graph: &Graph) -> Result<Self> {
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &graph.nodes {
            node.inputs.iter().chain(&node.captured).for_each(|name| *uses.entry(name).or_default() += 1);
        }
        graph.outputs.iter().for_each(|name| *uses.entry(name).or_default() += 1);
        let mut wanted: BTreeMap<&str, Vec<Wanted>> = BTreeMap::new();
        for (place, values) in &edits.integers {
            let name = graph.nodes.get(place.0).and_then(|node| node.inputs.get(place.1));
            let name = name.ok_or_else(|| Error::Usage("an edit of a node that does not exist".to_owned()))?;
            wanted.entry(name).or_default().push((place, values));
        }
        let mut found = Self::default();
        for (name, all) in wanted {
            let alike = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
            let constant = graph.constants.get(name);
            let added = |name: &str, values: &[i64]| {
                let long = constant.and_then(|constant| constant.dtype) != Some(Dtype::I32);
                // What is computed, and no constant, is a list.
                let shape = constant.map_or_else(|| vec![values.len() as u64], |constant| constant.shape.clone());
                Added { name: name.to_owned(), shape, long, values: values.to_vec() }
            };
            if alike && constant.is_some() && uses.get(name) == Some(&all.len()) {
                found.dropped.insert(name.to_owned());
                found.added.extend(all.first().map(|(_, values)| added(name, values)));
                continue;
            }
            for (place, values) in all {
                let taken = |name: &String| {
                    graph.constants.contains_key(name)
                        || graph.nodes.iter().any(|n| n.outputs.contains(name) || n.inside.contains(name))
                };
                let new = (1..).map(|i| format!("{name}.{i}")).find(|new| {
                    !taken(new)
                        && found.added.iter().all(|added| added.name != *new)
                        && graph.inputs.iter().all(|i| i.name != *new)
                });
                let new = new.unwrap_or_default();
                found.added.push(added(&new, values));
                found.renamed.insert(*place, new);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, Node};

    #[test]
    fn shared_shapes_are_changed_for_those_that_want_it() {
        let node = |inputs: [&str; 2]| Node { inputs: inputs.map(str::to_owned).to_vec(), ..Node::default() };
        let constant = |shape: &[u64]| Constant {
            shape: shape.to_vec(),
            dtype: Some(Dtype::I64),
            values: Some(vec![4.0]),
            is_tensor: true,
        };
        let constants = [("a", constant(&[1])), ("b", constant(&[]))].map(|(name, c)| (name.to_owned(), c)).into();
        let nodes = vec![node(["x", "a"]), node(["y", "a"]), node(["z", "b"])];
        let graph = Graph { nodes, constants, ..Graph::default() };
        let added = |name: &str, shape: &[u64], value: i64| Added {
            name: name.to_owned(),
            shape: shape.to_vec(),
            long: true,
            values: vec![value],
        };
        let edit = |integers: &[((usize, usize), i64)]| {
            let integers = integers.iter().map(|&(place, value)| (place, vec![value])).collect();
            Integers::of(&Edits { integers, ..Edits::default() }, &graph).unwrap()
        };
        let both = edit(&[((0, 1), 5), ((1, 1), 5), ((2, 1), 6)]);
        assert_eq!(both.added, [added("a", &[1], 5), added("b", &[], 6)]);
        assert!(both.renamed.is_empty() && both.dropped.len() == 2);
        let one = edit(&[((0, 1), 5)]);
        assert_eq!((one.added, one.dropped.len()), (vec![added("a.1", &[1], 5)], 0));
        assert_eq!(one.renamed[&(0, 1)], "a.1");
        let differently = edit(&[((0, 1), 5), ((1, 1), 6)]);
        assert_eq!(differently.added, [added("a.1", &[1], 5), added("a.2", &[1], 6)]);
    }
}
