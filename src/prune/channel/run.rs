//! A run: channels are scored, chosen, and deleted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::costs::{Costs, layer_costs};
use super::delete::{Deleted, Deletion};
use super::{ChannelTask, PlannedClass, plan_channels};
use crate::checkpoint::check_outputs;
use crate::graph::{Class, Dependencies, Graph};
use crate::prune::outcome::bytes;
use crate::prune::{Channels, ClassWidth, Cost, Destination, Outcome, Plan, Pruned, PrunedLayer, Summary, Total};
use crate::{Checkpoint, Dtype, Engine, Error, Progress, Result, Tensor, shortened};

/// Under which key the metadata of a model tell the widths that its classes had before any pruning: a JSON object.
const WIDTHS: &str = "secateur.channels";

/// More channels than any layer has had.
pub(super) const MOST_CHANNELS: u64 = 1 << 32;

/// Deletes the channels that `task` says from `model`, whose network is `graph`, and writes the result, whole or not at all.
///
/// An ONNX file has its graph ([`Checkpoint::graph`]); the layers of weights alone are declared
/// ([`Topology`](crate::graph::Topology)). The metadata of the result tell the widths that there were before any
/// pruning, which rates count against when it is pruned again.
///
/// ```
/// use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination};
/// use secateur::{Checkpoint, Engine, Progress, graph::Topology};
///
/// let folder = tempfile::tempdir()?;
/// let model = Checkpoint::open("examples/data/cnn.safetensors")?;
/// let graph = Topology::read("examples/data/cnn.toml")?.graph(&model)?;
/// let options = ChannelOptions { amount: Amount::Parameters(0.5), ..ChannelOptions::default() };
/// let out = folder.path().join("small.safetensors");
/// let to = Destination { out: Some(&out), ..Destination::default() };
/// let (engine, task) = (Engine::cpu(None)?, ChannelTask::Options(&options));
/// let done = prune::channels(&model, &graph, &engine, &task, &to, &Progress::default())?;
/// let cost = done.summary.channels.expect("it is about channels").cost;
/// assert!(cost.parameters_after * 2 <= cost.parameters_before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Usage`] where the task contradicts itself, asks for more than can go, or `to` may not be written;
/// [`Error::Tensor`] and [`Error::Format`] where a plan is not for this model, the graph is not sound, or
/// nothing of it can be cut; [`Error::Io`] where something cannot be read or written. Nothing appears under the
/// output's name then.
pub fn channels(
    model: &Checkpoint,
    graph: &Graph,
    engine: &Engine,
    task: &ChannelTask,
    to: &Destination,
    progress: &Progress,
) -> Result<Outcome> {
    let start = Instant::now();
    check_outputs(model, to.out.map(|out| ("out", out)), &[], &[])?;
    let dependencies = Dependencies::of(graph).map_err(|error| Error::format(model.path(), error.to_string()))?;
    let (mut plan, memory_bytes) = match task {
        ChannelTask::Options(options) => {
            let original = original_widths(model)?;
            let plan = plan_channels(model, &dependencies, &original, options, engine, progress)?;
            (plan, options.memory_bytes)
        }
        ChannelTask::Plan(plan) => ((*plan).clone(), if to.memory_bytes == 0 { 1 << 30 } else { to.memory_bytes }),
    };
    let cuts = plan.classes_for(model, &dependencies)?;
    // A plan may have been edited: from here on in the order of the graph.
    let place = |planned: &PlannedClass| dependencies.classes.iter().position(|class| class.members == planned.members);
    plan.classes.sort_by_cached_key(place);
    let metadata = widths(&dependencies, &plan);
    let deletion = Deletion { model, graph, dependencies: &dependencies, cuts: &cuts, metadata, memory_bytes };
    let (deleted, bytes_after) = deletion.run(engine, to, progress)?;
    let mut summary = summary(model, engine, &deleted, bytes_after);
    summary.channels = Some(channels_of(model, graph, &dependencies, &plan, &cuts)?);
    summary.seconds = start.elapsed().as_secs_f64();
    Ok(Outcome { plan, summary })
}

/// How many channels each class had before any pruning, by its [key](crate::graph::Class::key), for those that have fewer
/// now: what a pruned model's metadata tell.
///
/// # Errors
/// [`Error::Format`] where the metadata tell no widths; [`Error::Io`] where they cannot be read.
pub fn original_widths(model: &Checkpoint) -> Result<BTreeMap<String, u64>> {
    let Some(text) = model.metadata()?.remove(WIDTHS) else { return Ok(BTreeMap::new()) };
    let wrong = |why: String| {
        let remedy = "take this entry out of the metadata to count from the widths that are there";
        Error::format(model.path(), format!("the metadata `{WIDTHS}` are no widths ({why}): {remedy}"))
    };
    let widths: BTreeMap<String, u64> = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match widths.iter().find(|(_, width)| **width > MOST_CHANNELS) {
        Some((name, width)) => Err(wrong(format!("{width} for `{}`", shortened(name)))),
        None => Ok(widths),
    }
}

/// What the next pruning has to know.
fn widths(dependencies: &Dependencies, plan: &Plan) -> BTreeMap<String, String> {
    let classes = dependencies.classes.iter().zip(&plan.classes);
    let pruned = classes.filter(|(_, planned)| planned.kept() < planned.original);
    let widths: BTreeMap<String, u64> = pruned.map(|(class, planned)| (class.key(), planned.original)).collect();
    match (widths.is_empty(), serde_json::to_string(&widths)) {
        (false, Ok(text)) => BTreeMap::from([(WIDTHS.to_owned(), text)]),
        _ => BTreeMap::new(),
    }
}

/// Classes and layers before and after.
fn channels_of(
    model: &Checkpoint,
    graph: &Graph,
    dependencies: &Dependencies,
    plan: &Plan,
    cuts: &[Vec<u64>],
) -> Result<Channels> {
    let now: Vec<u64> = dependencies.classes.iter().map(|class| class.channels).collect();
    let kept: Vec<u64> = now.iter().zip(cuts).map(|(now, cut)| now.saturating_sub(cut.len() as u64)).collect();
    let found = layer_costs(dependencies, |name| model.get(name).map(Tensor::shape), &kept)?;
    let Costs { layers, parameters_before, parameters_after, macs_before, macs_after } = found;
    let layer = |(layer, cost): (&crate::graph::Layer, _)| {
        let made = layer.macs.as_ref().filter(|macs| macs.kernel > 0);
        PrunedLayer {
            operator: graph.nodes.get(layer.node).map(|node| node.op.clone()).unwrap_or_default(),
            outputs_before: made.map(|macs| macs.output.with(&now)),
            outputs_after: made.map(|macs| macs.output.with(&kept)),
            cost,
        }
    };
    let class = |((class, kept), of): ((&PlannedClass, &u64), &Class)| ClassWidth {
        name: of.key(),
        channels: class.channels,
        original: class.original,
        kept: *kept,
        whole: class.frozen.clone(),
    };
    Ok(Channels {
        classes: plan.classes.iter().zip(&kept).zip(&dependencies.classes).map(class).collect(),
        layers: dependencies.layers.iter().zip(layers).map(layer).collect(),
        cost: Cost { parameters_before, parameters_after, macs_before, macs_after },
    })
}

fn summary(model: &Checkpoint, engine: &Engine, deleted: &[Deleted], bytes_after: u64) -> Summary {
    let product = |shape: &[u64]| shape.iter().product::<u64>();
    let pruned = |tensor: &Deleted| Pruned {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        count: product(&tensor.shape),
        cut: product(&tensor.shape) - product(&tensor.new_shape),
        zeros_before: None,
        zeros_after: None,
        threshold: None,
        new_shape: tensor.new_shape.clone(),
    };
    let tensors: Vec<Pruned> = deleted.iter().map(pruned).collect();
    let (count, cut) = tensors.iter().fold((0, 0), |(count, cut), t| (count + t.count, cut + t.cut));
    let sparsity = if count == 0 { 0.0 } else { cut as f64 / count as f64 };
    let total = Total { count, cut, sparsity, bytes_before: bytes(model), bytes_after };
    let engine = engine.info(&[Dtype::F32]);
    Summary { tensors, total, channels: None, left_out: Vec::new(), engine, seconds: 0.0 }
}
