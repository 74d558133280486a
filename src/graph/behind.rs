//! What makes a value, seen through operators that only move values.

use super::{Graph, Node};

/// What is behind a value.
pub(crate) struct Behind<'a> {
    /// The operator that makes it, itself none that only moves values; `None` where it is fed or held.
    pub(crate) maker: Option<&'a Node>,
    /// One of the operators that only move values on the way to it; `Identity` does not even that.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "what is trained has to end with it"))]
    pub(crate) moved: Option<&'a str>,
}

impl Graph {
    /// What makes `name`, but for what moves its values.
    pub(crate) fn behind<'a>(&'a self, name: &'a str) -> Behind<'a> {
        let (mut at, mut moved) = (name, None);
        // Each step goes to an earlier operator, where the file is sound.
        for _ in 0..=self.nodes.len() {
            let made = self.nodes.iter().find(|node| node.outputs.iter().any(|output| output == at));
            let Some(node) = made else { break };
            match (node.op.as_str(), node.inputs.first()) {
                ("Identity", Some(input)) => at = input,
                (op @ ("Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Cast" | "Dropout"), Some(input)) => {
                    (at, moved) = (input, Some(op));
                }
                _ => return Behind { maker: Some(node), moved },
            }
        }
        Behind { maker: None, moved }
    }
}
