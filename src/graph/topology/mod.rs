//! A network declared in TOML, for weights that come without one.
//!
//! ```toml
//! # LeNet-5 for 28 × 28 images.
//! input = [1, 28, 28]            # one sample: channels first
//!
//! [[layer]]
//! op = "conv"
//! tensors = "conv1"              # conv1.weight, and conv1.bias if the checkpoint has it
//!
//! [[layer]]
//! op = "max-pool"
//! kernel = 2
//!
//! [[layer]]
//! op = "flatten"
//!
//! [[layer]]
//! op = "linear"
//! tensors = "fc1"
//!
//! [[layer]]
//! op = "relu"
//!
//! [[layer]]
//! op = "linear"
//! tensors = "fc2"
//! ```
//!
//! Layers are in an order in which they can run. A layer takes the result of the one before it, or those that `from` names:
//! layers by their `name`, or `"input"`. Results are those of the last layer and of layers with `output = true`.
//!
//! | op | what it needs, beside `name`, `from`, `output` |
//! |---|---|
//! | `conv`, `conv-transpose` | `tensors` (or `weight`, `bias`); `stride` 1, `padding` 0, `dilation` 1, `groups` 1 |
//! | `linear` | `tensors` (or `weight`, `bias`): weight is outputs × inputs |
//! | `batch-norm`, `instance-norm` | `tensors`: weight, bias and, of the first, running_mean and running_var; `bias`, `weight`, `mean`, `variance` name others |
//! | `max-pool`, `average-pool` | `kernel`; `stride` as the kernel, `padding` 0, `ceil` false |
//! | `global-average-pool`, `global-max-pool` | |
//! | `flatten`, `dropout`, `identity` | |
//! | `add`, `mul`, `concat` | `from`; concat joins channels |
//! | `relu`, `relu6`, `leaky-relu`, `elu`, `tanh`, `gelu`, `hard-swish`, `silu`, `mish`, `sigmoid`, `hard-sigmoid`, `softplus` | |
//! | `prelu` | `weight` |
//! | `softmax`, `log-softmax` | over the channels |
//! | `subsample` | `stride`: every so many positions of a map |
//! | `pad-channels` | `before`, `after`: channels of zeros |
//!
//! Lengths are numbers, or arrays of one number for each axis of a map. Tensors of the checkpoint that are floating and that
//! no layer names are an error, unless a glob of `ignore = ["ema.*"]` matches them: a forgotten layer would break the network.

mod build;
mod file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Dependencies, Dim, Graph, Value};
use crate::{Checkpoint, Error, Result, Selection, escape};
use build::Build;
use file::File;

/// A declared network: see the [module](self).
#[derive(Clone, Debug)]
pub struct Topology {
    path: PathBuf,
    file: File,
}

impl Topology {
    /// Reads a file, of at most 16 MiB.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read, [`Error::Format`] where it is not as the [module](self) says.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = crate::text::read(path, "a topology")?;
        let file = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::format(path, format!("line {line}: {}", escape(error.message())))
        })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// The network, whose weights are those of `model`.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] names the layer that is not as the [module](self) says, whose tensors `model` does not have, or
    /// that does not fit what comes before it.
    pub fn graph(&self, model: &Checkpoint) -> Result<Graph> {
        let fail = |what: String| Error::format(&self.path, what);
        if self.file.input.is_empty() || self.file.input.contains(&0) || self.file.layer.is_empty() {
            return Err(fail(
                "`input` needs the axes of a sample, such as [3, 32, 32], and there has to be a layer".into(),
            ));
        }
        let sample = self.file.input.iter().map(|axis| Dim::Fixed(*axis));
        let shape = std::iter::once(Dim::Named("batch".to_owned())).chain(sample).collect();
        let input = Value { name: "input".to_owned(), shape: Some(shape) };
        let mut build = Build::new(model, Graph { opset: 17, inputs: vec![input], ..Graph::default() });
        for (index, layer) in self.file.layer.iter().enumerate() {
            let named = layer.name.as_ref().map(|name| format!(" (`{}`)", escape(name))).unwrap_or_default();
            build.layer(layer).map_err(|what| fail(format!("layer {}{named}: {what}", index + 1)))?;
        }
        let ignored = if self.file.ignore.is_empty() { None } else { Some(Selection::new(&self.file.ignore, &[])?) };
        let graph = build.finish();
        let named: BTreeSet<&str> =
            graph.constants.iter().filter(|(_, c)| c.is_tensor).map(|(n, _)| n.as_str()).collect();
        let forgotten = |tensor: &&crate::Tensor| {
            let is_ignored = ignored.as_ref().is_some_and(|globs| globs.includes(tensor.name()));
            tensor.float().is_some() && !named.contains(tensor.name()) && !is_ignored
        };
        if let Some(tensor) = model.tensors().iter().find(forgotten) {
            let name = escape(tensor.name());
            return Err(fail(format!("no layer names the tensor `{name}`: declare its layer, or list it in `ignore`")));
        }
        self.check(&graph)?;
        Ok(graph)
    }

    /// An error where layers do not fit each other: what is declared is then not the network.
    fn check(&self, graph: &Graph) -> Result<()> {
        let fail = |what: String| Error::format(&self.path, what);
        let found = Dependencies::of(graph).map_err(|error| fail(error.to_string()))?;
        let Some(layer) = found.layers.iter().find(|layer| layer.macs.is_none()) else { return Ok(()) };
        let called = graph.nodes.get(layer.node).map_or("", |node| &node.name);
        let why = found.classes.iter().find(|class| class.name == layer.name).and_then(|class| class.frozen.as_deref());
        let why = why.unwrap_or("what it takes is not what its weight needs");
        Err(fail(format!("{} (`{}`) does not fit what comes before it: {why}", escape(called), escape(&layer.name))))
    }
}
