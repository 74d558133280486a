//! A run: channels are scored, chosen, and deleted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cost::{Cost, Counter};
use super::delete::{Deleted, Deletion};
use super::scores::scores;
use super::widths::Widths;
use super::{ChannelOptions, ChannelTask, PlannedClass};
use crate::checkpoint::check_outputs;
use crate::graph::{Class, Dependencies, Graph, Role};
use crate::prune::outcome::bytes;
use crate::prune::targets;
use crate::prune::{
    Allocation, Channels, ClassWidth, Destination, Keep, LeftOut, Outcome, Plan, Pruned, Summary, Total,
};
use crate::scan::File;
use crate::stats::Moments;
use crate::{Checkpoint, Dtype, Engine, Error, Progress, Result, Tensor, escape};

/// Under which key the metadata of a model tell the widths that its classes had before any pruning: a JSON object.
const WIDTHS: &str = "secateur.channels";

/// Deletes the channels that `task` says from `model`, whose network is `graph`, and writes the result, whole or not at all.
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
    let original = originals(model, &dependencies)?;
    let (plan, memory_bytes) = match task {
        ChannelTask::Options(options) => {
            (plan(model, &dependencies, &original, options, engine, progress)?, options.memory_bytes)
        }
        ChannelTask::Plan(plan) => ((*plan).clone(), if to.memory_bytes == 0 { 1 << 30 } else { to.memory_bytes }),
    };
    let cuts = plan.cuts(model, &dependencies)?;
    let now: Vec<u64> = dependencies.classes.iter().map(|class| class.channels).collect();
    let after: Vec<u64> = now.iter().zip(&cuts).map(|(now, cut)| now - cut.len() as u64).collect();
    let metadata = widths_as_metadata(&dependencies, &original, &after);
    let deletion = Deletion { model, graph, dependencies: &dependencies, cuts: &cuts, metadata, memory_bytes };
    let (deleted, bytes_after) = deletion.run(engine, to, progress)?;
    let layers = Counter::new(model, &dependencies).layers(graph, &now, &after);
    let width = |((class, original), (channels, kept)): ((&Class, &u64), (&u64, &u64))| ClassWidth {
        name: class.name.clone(),
        channels: *channels,
        original: *original,
        kept: *kept,
        whole: whole(&plan.left_out, class),
    };
    let classes = dependencies.classes.iter().zip(&original).zip(now.iter().zip(&after)).map(width).collect();
    let channels = Channels { classes, cost: Cost::of(&layers), layers };
    let mut summary = summary(model, engine, &deleted, bytes_after, plan.left_out.clone());
    summary.channels = Some(channels);
    summary.seconds = start.elapsed().as_secs_f64();
    Ok(Outcome { plan, summary })
}

/// Why a class stays whole, as the plan says; the plan names those that share a name alike.
fn whole(left_out: &[LeftOut], class: &Class) -> Option<String> {
    let left = left_out.iter().find(|left| left.name == key(class)).map(|left| left.reason.clone());
    class.frozen.clone().or(left)
}

/// Channels of each class before any pruning.
fn originals(model: &Checkpoint, dependencies: &Dependencies) -> Result<Vec<u64>> {
    let known: BTreeMap<String, u64> = match model.metadata()?.get(WIDTHS) {
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let remedy = "take this entry out of the metadata to count from the widths that are there";
            Error::format(model.path(), format!("the metadata `{WIDTHS}` are no widths ({error}): {remedy}"))
        })?,
        None => BTreeMap::new(),
    };
    // What has grown since is another layer of the same name.
    let original = |class: &Class| known.get(&key(class)).copied().unwrap_or(0).max(class.channels);
    Ok(dependencies.classes.iter().map(original).collect())
}

/// What a class is called in metadata: several may be parts of one layer's outputs.
fn key(class: &Class) -> String {
    match class.members.first().map_or(0, |member| member.start) {
        0 => class.name.clone(),
        start => format!("{}[{start}]", class.name),
    }
}

fn widths_as_metadata(dependencies: &Dependencies, original: &[u64], after: &[u64]) -> BTreeMap<String, String> {
    let classes = dependencies.classes.iter().zip(original.iter().zip(after));
    let pruned = classes.filter(|(_, (original, after))| after < original);
    let widths: BTreeMap<String, u64> = pruned.map(|(class, (original, _))| (key(class), *original)).collect();
    match (widths.is_empty(), serde_json::to_string(&widths)) {
        (false, Ok(text)) => BTreeMap::from([(WIDTHS.to_owned(), text)]),
        _ => BTreeMap::new(),
    }
}

/// Which channels go.
fn plan(
    model: &Checkpoint,
    dependencies: &Dependencies,
    original: &[u64],
    options: &ChannelOptions,
    engine: &Engine,
    progress: &Progress,
) -> Result<Plan> {
    options.check()?;
    let reasons: Vec<Option<String>> = dependencies.classes.iter().map(|class| kept(class, options)).collect();
    let chosen: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    if !chosen.contains(&true) {
        return Err(Error::format(model.path(), nothing(dependencies, &reasons)));
    }
    let scores = scores(model, dependencies, &chosen, options, engine, progress)?;
    let order: Vec<Vec<usize>> = scores.iter().map(|scores| order(scores, options.keep)).collect();
    let moments = match options.allocation {
        Allocation::Variance => roots(model, dependencies, &chosen, options, engine, progress)?,
        _ => Vec::new(),
    };
    let (order, scores, moments) = (&order[..], &scores[..], &moments[..]);
    let widths = Widths { model, dependencies, original, chosen: &chosen, order, scores, moments, options };
    let mut classes = Vec::with_capacity(dependencies.classes.len());
    for ((class, cut), (order, original)) in
        dependencies.classes.iter().zip(widths.cut()?).zip(order.iter().zip(original))
    {
        let mut cut: Vec<u64> = order.iter().take(cut as usize).map(|channel| *channel as u64).collect();
        cut.sort_unstable();
        classes.push(PlannedClass::new(class, *original, cut));
    }
    let left_out = dependencies.classes.iter().zip(reasons);
    Ok(Plan {
        secateur: env!("CARGO_PKG_VERSION").to_owned(),
        pattern: "channel".to_owned(),
        criterion: options.criterion.to_string(),
        keep: options.keep.to_string(),
        allocation: Some(options.allocation.to_string()),
        coupled: Some(options.coupled),
        transform: options.standardize.then(|| "standardize".to_owned()),
        tensors: Vec::new(),
        left_out: left_out.filter_map(|(c, why)| Some(LeftOut { name: key(c), reason: why? })).collect(),
        classes,
    })
}

/// Why a class stays whole, if so.
fn kept(class: &Class, options: &ChannelOptions) -> Option<String> {
    let mut outputs = class.members.iter().filter(|member| member.role == Role::Output).map(|m| m.tensor.as_str());
    match &class.frozen {
        Some(why) => Some(why.clone()),
        None if class.channels < 2 => Some("it has a single channel".to_owned()),
        None if outputs.clone().any(|name| options.selection.skips(name)) => Some("--skip".to_owned()),
        None if !outputs.any(|name| options.selection.includes(name)) => Some("not chosen by --only".to_owned()),
        None => None,
    }
}

fn nothing(dependencies: &Dependencies, reasons: &[Option<String>]) -> String {
    let named = dependencies.classes.iter().zip(reasons);
    let mut why: Vec<String> = named
        .filter_map(|(class, why)| Some(format!("`{}`: {}", escape(&class.name), escape(why.as_ref()?))))
        .collect();
    let others = why.len().saturating_sub(3);
    why.truncate(3);
    match (why.is_empty(), others) {
        (true, _) => "it has no convolution and no fully connected layer whose weights are known".to_owned(),
        (false, 0) => format!("no channel of it can be cut: {}", why.join("; ")),
        (false, more) => format!("no channel of it can be cut: {}; and {more} more", why.join("; ")),
    }
}

/// Channels from the first to go to the last: ties by the lower index.
fn order(scores: &[f64], keep: Keep) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| match keep {
        Keep::Largest => scores[*a].total_cmp(&scores[*b]),
        Keep::Smallest => scores[*b].total_cmp(&scores[*a]),
    });
    order
}

/// The moments of the weights that classes are named after.
fn roots(
    model: &Checkpoint,
    dependencies: &Dependencies,
    chosen: &[bool],
    options: &ChannelOptions,
    engine: &Engine,
    progress: &Progress,
) -> Result<Vec<Moments>> {
    let tensors: Vec<&Tensor> = model.tensors().iter().collect();
    let file = File { checkpoint: model, tensors: &tensors, progress };
    let mut found = vec![Moments::default(); chosen.len()];
    let mut wanted = Vec::new();
    for (class, _) in dependencies.classes.iter().zip(chosen).filter(|(_, chosen)| **chosen) {
        let index = tensors.iter().position(|tensor| tensor.name() == class.name);
        wanted.extend(index.and_then(|index| Some((index, tensors[index].float()?))));
    }
    let moments = targets::moments(engine, &file, &wanted, options.memory_bytes)?;
    let chosen = chosen.iter().zip(&mut found).filter(|(chosen, _)| **chosen);
    chosen.zip(moments).for_each(|((_, found), moments)| *found = moments);
    Ok(found)
}

fn summary(
    model: &Checkpoint,
    engine: &Engine,
    deleted: &[Deleted],
    bytes_after: u64,
    left_out: Vec<LeftOut>,
) -> Summary {
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
    Summary { tensors, total, channels: None, left_out, engine, seconds: 0.0 }
}
