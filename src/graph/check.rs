//! What must hold of a graph before it means anything.

use std::collections::{HashMap, HashSet};

use super::ir::{Graph, Node};
use crate::error::{Error, Result, shortened};

/// The operator and its name, or what it makes where it has none, to be shown.
pub(super) fn label(node: &Node) -> String {
    let op = shortened(&node.op);
    match (node.name.as_str(), node.outputs.iter().find(|name| !name.is_empty())) {
        ("", Some(made)) => format!("{op} (that makes `{}`)", shortened(made)),
        ("", None) => op,
        (name, _) => format!("{op} `{}`", shortened(name)),
    }
}

/// Every value is made once, before it is used.
pub(super) fn check(graph: &Graph) -> Result<()> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for made in node.outputs.iter().filter(|name| !name.is_empty()) {
            let given = graph.constants.contains_key(made) || graph.inputs.iter().any(|input| input.name == *made);
            if makers.insert(made, index).is_some() || given {
                let message = format!("{} makes `{}`, which is there already", label(node), shortened(made));
                return Err(Error::Graph(message));
            }
        }
    }
    let mut known: HashSet<&str> = graph.constants.keys().map(String::as_str).collect();
    for input in &graph.inputs {
        if !known.insert(&input.name) {
            return Err(Error::Graph(format!("the input `{}` is there twice", shortened(&input.name))));
        }
    }
    for node in &graph.nodes {
        for name in node.inputs.iter().chain(&node.captured).filter(|name| !name.is_empty()) {
            if !known.contains(name.as_str()) {
                return Err(Error::Graph(unknown(graph, node, name, &makers)));
            }
        }
        known.extend(node.outputs.iter().map(String::as_str));
    }
    match graph.outputs.iter().find(|name| !known.contains(name.as_str())) {
        Some(name) => Err(Error::Graph(format!("nothing makes `{}`, a result of the network", shortened(name)))),
        None => Ok(()),
    }
}

fn unknown(graph: &Graph, node: &Node, name: &str, makers: &HashMap<&str, usize>) -> String {
    let (taker, shown) = (label(node), shortened(name));
    match makers.get(name).and_then(|&maker| graph.nodes.get(maker)) {
        Some(maker) => format!(
            "{taker} takes `{shown}`, which {} makes only later: the graph is cyclic or out of order",
            label(maker)
        ),
        None => format!("{taker} takes `{shown}`, which nothing makes: the file is incomplete"),
    }
}
