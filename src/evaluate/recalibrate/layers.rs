//! The layers that have statistics, and the operators that make those of a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::checkpoint::onnx::Alterations;
use crate::graph::{Attribute, Graph, Node};
use crate::{Checkpoint, Error, Result, shortened};

/// A `BatchNormalization` whose statistics are arrays of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// Its index in [`Graph::nodes`].
    node: usize,
    pub(super) mean: String,
    pub(super) variance: String,
    pub(super) channels: usize,
}

impl Layer {
    /// Why it cannot be recalibrated.
    pub(super) fn impossible(&self, path: &Path, why: &str) -> Error {
        let name = shortened(&self.mean);
        Error::Graph(format!("{}: recalibrating is not possible: the layer of `{name}`: {why}", path.display()))
    }
}

/// All layers that have statistics.
pub(super) fn layers(path: &Path, model: &Checkpoint, graph: &Graph) -> Result<Vec<Layer>> {
    let mut found: Vec<Layer> = Vec::new();
    let mut taken = BTreeSet::new();
    for (node, operator) in graph.nodes.iter().enumerate() {
        let is_one = operator.op == "BatchNormalization" && operator.domain.is_empty();
        let training = matches!(operator.attributes.get("training_mode"), Some(Attribute::Int(1..)));
        let [_, _, _, mean, variance] = operator.inputs.as_slice() else { continue };
        let (true, Some(means), Some(variances)) = (is_one && !training, model.get(mean), model.get(variance)) else {
            continue;
        };
        let floats = means.float().is_some() && variances.float().is_some();
        let channels = match (means.shape(), variances.shape()) {
            ([channels], [same]) if channels == same && floats => usize::try_from(*channels).unwrap_or(usize::MAX),
            _ => continue,
        };
        let layer = Layer { node, mean: mean.clone(), variance: variance.clone(), channels };
        if !taken.insert(mean) || !taken.insert(variance) {
            return Err(layer.impossible(path, "another one has the same statistics"));
        }
        found.push(layer);
    }
    if found.is_empty() {
        let why = "the network has no BatchNormalization with statistics (exporters fold them into convolutions)";
        return Err(Error::Graph(format!("{}: recalibrating is not possible: {why}", path.display())));
    }
    Ok(found)
}

/// What makes each layer normalise by its batch, with three outputs a layer: the batch's means, its variances, and the
/// axes of what they are of as [inputs, channels, places].
///
/// The layers stay as they are, scale, shift and epsilon included, but take other means and variances. Values are looked at
/// as [inputs, channels, places], which needs no number of axes.
pub(super) fn alterations(graph: &Graph, layers: &[Layer], freed: Option<String>) -> Alterations {
    let prefix = unused(graph);
    let name = |what: &str| format!("{prefix}{what}");
    let (shape, axes) = (name("shape"), name("axes"));
    let mut altered = Alterations { freed, ..Alterations::default() };
    altered.integers.push((shape.clone(), vec![0, 0, -1]));
    // From version 18 on, axes are an input.
    let as_input = graph.opset >= 18;
    if as_input {
        altered.integers.push((axes.clone(), vec![0, 2]));
    }
    let mean = |from: &str, to: &str, keep: i64| {
        let mut inputs = vec![from];
        let mut attributes = vec![("keepdims", Attribute::Int(keep))];
        if as_input {
            inputs.push(&axes);
        } else {
            attributes.push(("axes", Attribute::Ints(vec![0, 2])));
        }
        operator("ReduceMean", &inputs, to, attributes)
    };
    for (number, layer) in layers.iter().enumerate() {
        let own = |what: &str| name(&format!("{number}.{what}"));
        let input = graph.nodes.get(layer.node).and_then(|node| node.inputs.first()).map_or("", String::as_str);
        let (flat, centre, centred, squares) = (own("flat"), own("centre"), own("centred"), own("squares"));
        let (means, variances, counted, lengths) = (own("mean"), own("variance"), own("counted"), own("lengths"));
        let before = vec![
            operator("Reshape", &[input, &shape], &flat, vec![]),
            mean(&flat, &centre, 1),
            operator("Sub", &[&flat, &centre], &centred, vec![]),
            operator("Mul", &[&centred, &centred], &squares, vec![]),
            mean(&flat, &means, 0),
            mean(&squares, &variances, 0),
            operator("Shape", &[&flat], &counted, vec![]),
            // 1 is F32.
            operator("Cast", &[&counted], &lengths, vec![("to", Attribute::Int(1))]),
        ];
        altered.before.insert(layer.node, before);
        altered.renamed.insert((layer.node, 3), means.clone());
        altered.renamed.insert((layer.node, 4), variances.clone());
        altered.outputs.extend([means, variances, lengths]);
    }
    altered
}

fn operator(op: &str, inputs: &[&str], output: &str, attributes: Vec<(&str, Attribute)>) -> Node {
    Node {
        name: output.to_owned(),
        op: op.to_owned(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
        ..Node::default()
    }
}

/// The beginning of names that no value has.
fn unused(graph: &Graph) -> String {
    let made = graph.nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs).chain(&node.inside));
    let names: Vec<&String> = made.chain(graph.constants.keys()).chain(graph.inputs.iter().map(|i| &i.name)).collect();
    let mut prefix = "secateur.".to_owned();
    while names.iter().any(|name| name.starts_with(&prefix)) {
        prefix.push('.');
    }
    prefix
}
