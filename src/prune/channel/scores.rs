//! What each channel is worth: one canonical routine of the CPU's, whatever the engine.

use std::collections::HashMap;

use super::classes::Part;
use super::{Allocation, ChannelOptions, GroupCriterion};
use crate::graph::Member;
use crate::prune::{Keep, Random};
use crate::scan::{Compute, Counts, File, Piece, Request, Values};
use crate::stats::layout::Layout;
use crate::stats::{Grouping, Moments};
use crate::{Checkpoint, Engine, Float, Progress, Result, Tensor};

/// A class's channels, scored.
#[derive(Clone, Debug, Default)]
pub(super) struct Scored {
    /// By channel.
    pub(super) scores: Vec<f64>,
    /// Channels in the order in which they go.
    pub(super) ranks: Vec<u64>,
    /// The moments of the first weight, under `variance`.
    pub(super) root: Moments,
}

/// A read of a tensor by one of its axes, and who wants it.
struct Job<'a> {
    tensor: &'a Tensor,
    float: Float,
    layout: Layout,
    uses: Vec<Use<'a>>,
}

/// One of the scored weights of a class, by its place among them; `None` for the moments of all of the tensor.
struct Use<'a> {
    part: usize,
    term: Option<(usize, &'a Member)>,
}

/// The scores of the channels of each of `parts`.
pub(super) fn scores(
    model: &Checkpoint,
    parts: &[Part],
    options: &ChannelOptions,
    engine: &Engine,
    progress: &Progress,
) -> Result<Vec<Scored>> {
    let mut found: Vec<Scored> = vec![Scored::default(); parts.len()];
    // A score for each channel by each weight: 8 bytes a group, so that they are summed in the order of the members
    // whatever the order of reading.
    let mut terms: Vec<Vec<Vec<f64>>> = parts.iter().map(|part| vec![Vec::new(); part.scored.len()]).collect();
    let jobs = jobs(parts, options.allocation == Allocation::Variance);
    pass(model, &jobs, options.memory_bytes, engine, progress, |job, groups| {
        let mut whole = Moments::default();
        groups.iter().for_each(|moments| whole.combine(moments));
        for Use { part, term } in &job.uses {
            match term {
                None => found[*part].root = whole,
                Some((term, member)) => {
                    terms[*part][*term] = values(groups, &whole, member, parts[*part].class.channels, options);
                }
            }
        }
    })?;
    for ((part, found), terms) in parts.iter().zip(&mut found).zip(terms) {
        found.scores = match options.criterion {
            GroupCriterion::Random { seed } => {
                let random = Random::new(seed);
                (0..part.class.channels).map(|channel| random.channel(&part.class.name, channel)).collect()
            }
            _ => sum(part.class.channels, &terms, options.coupled),
        };
        found.ranks = ranks(&found.scores, options.keep);
    }
    Ok(found)
}

/// The order of `a` and `b` under which the first goes first.
pub(super) fn order(keep: Keep, a: f64, b: f64) -> std::cmp::Ordering {
    match keep {
        Keep::Largest => a.total_cmp(&b),
        Keep::Smallest => b.total_cmp(&a),
    }
}

fn ranks(scores: &[f64], keep: Keep) -> Vec<u64> {
    let mut ranks: Vec<usize> = (0..scores.len()).collect();
    // Stable: ties by lower index.
    ranks.sort_by(|&a, &b| order(keep, scores[a], scores[b]));
    ranks.into_iter().map(|channel| channel as u64).collect()
}

/// Each tensor once for each axis that is asked about, in the order of the classes.
fn jobs<'a>(parts: &[Part<'a>], roots: bool) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut known: HashMap<(&str, usize), usize> = HashMap::new();
    let mut add = |(member, tensor): (&'a Member, &'a Tensor), wanted: Use<'a>| {
        // A weight that takes channels and makes none of anything has no elements to read: it scores 0.
        let Some(float) = tensor.float().filter(|_| tensor.elements() > 0) else { return };
        let index = *known.entry((tensor.name(), member.axis)).or_insert_with(|| {
            jobs.push(Job { tensor, float, layout: layout(tensor.shape(), member.axis), uses: Vec::new() });
            jobs.len() - 1
        });
        jobs[index].uses.push(wanted);
    };
    for (index, part) in parts.iter().enumerate() {
        for (term, &(member, tensor)) in part.scored.iter().enumerate() {
            add((member, tensor), Use { part: index, term: Some((term, member)) });
        }
        if roots {
            add(part.root, Use { part: index, term: None });
        }
    }
    jobs
}

/// Groups along an axis of a tensor, which has elements.
fn layout(shape: &[u64], axis: usize) -> Layout {
    if axis == 0 {
        return Layout::new(shape, Grouping::Output);
    }
    let (before, rest) = shape.split_at(axis);
    let after = rest[1..].iter().product();
    Layout::new(&[before.iter().product(), rest[0], after], Grouping::Input)
}

/// Reads what `jobs` are about, once, and gives `each` of them the moments of its groups, in their order.
fn pass(
    model: &Checkpoint,
    jobs: &[Job],
    memory_bytes: u64,
    engine: &Engine,
    progress: &Progress,
    mut each: impl FnMut(&Job, &[Moments]),
) -> Result<()> {
    let tensors: Vec<&Tensor> = jobs.iter().map(|job| job.tensor).collect();
    progress.expect(tensors.iter().map(|tensor| tensor.bytes()).sum());
    let file = File { checkpoint: model, tensors: &tensors, progress };
    let request = Request { moments: Some(Values::Weights), memory_bytes, ..Request::default() };
    let mut pieces = jobs.iter().enumerate().flat_map(|(tensor, &Job { float, layout, .. })| {
        layout.pieces(float, layout.all()).map(move |region| Piece { tensor, float, layout, region })
    });
    let mut current = 0;
    let mut groups: Vec<Moments> = Vec::new();
    engine.cpu_engine().scan(&file, &mut pieces, &request, &mut Counts::default(), &mut |piece, moments| {
        if piece.tensor != current {
            each(&jobs[current], &groups);
            current = piece.tensor;
            groups.clear();
        }
        groups.resize(piece.layout.groups() as usize, Moments::default());
        for (run, moments) in piece.layout.runs(piece.region).zip(moments) {
            groups[run.group as usize].combine(moments);
        }
        Ok(())
    })?;
    if let Some(last) = jobs.get(current) {
        each(last, &groups);
    }
    Ok(())
}

/// The criterion of each channel of a class in one tensor.
fn values(groups: &[Moments], whole: &Moments, member: &Member, channels: u64, options: &ChannelOptions) -> Vec<f64> {
    let (start, run) = (member.start as usize, member.run as usize);
    let stretch = groups[start..].chunks(run).take(channels as usize);
    let value = |group: &[Moments]| {
        let mut moments = Moments::default();
        group.iter().for_each(|m| moments.combine(m));
        if !options.standardize {
            return options.criterion.score(&moments);
        }
        // Undefined where all weights of the tensor are equal.
        moments.standardized(whole).map_or(0.0, |moments| options.criterion.score(&moments))
    };
    stretch.map(value).collect()
}

/// The sum of the terms of each channel, each divided by its mean over the channels; a lone term is taken as it is.
/// A mean of 0 or beyond f64 adds nothing.
fn sum(channels: u64, terms: &[Vec<f64>], coupled: bool) -> Vec<f64> {
    let mut scores = vec![0.0; channels as usize];
    for term in terms {
        let mean = if coupled { term.iter().sum::<f64>() / channels as f64 } else { 1.0 };
        if mean > 0.0 && mean.is_finite() {
            scores.iter_mut().zip(term).for_each(|(score, value)| *score += value / mean);
        }
    }
    scores
}
