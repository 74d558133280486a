//! Scores of channels: by the CPU's code whatever the engine, so that they are the same bits everywhere.

use std::collections::BTreeMap;

use super::{ChannelOptions, GroupCriterion};
use crate::graph::{Class, Dependencies, Member, Role};
use crate::prune::{Random, Score};
use crate::scan::{Compute, Counts, File, Piece, Request, Values};
use crate::stats::fold::Groups;
use crate::stats::layout::Layout;
use crate::stats::{Grouping, Moments};
use crate::{Checkpoint, Engine, Error, Progress, Result, Tensor};

/// The scores of each class's channels; none where a class is not `chosen`.
pub(super) fn scores(
    model: &Checkpoint,
    dependencies: &Dependencies,
    chosen: &[bool],
    options: &ChannelOptions,
    engine: &Engine,
    progress: &Progress,
) -> Result<Vec<Vec<f64>>> {
    let classes = || dependencies.classes.iter().zip(chosen);
    if let GroupCriterion::Random { seed } = options.criterion {
        let random = Random::new(seed);
        return classes()
            .map(|(class, chosen)| if *chosen { drawn(model, class, random) } else { Ok(vec![]) })
            .collect();
    }
    // Of each tensor and axis, the members that lie along it: class, place among its scored members, member.
    let mut wanted: BTreeMap<(&str, usize), Vec<(usize, usize, &Member)>> = BTreeMap::new();
    let mut found: Vec<Vec<Vec<f64>>> = vec![Vec::new(); dependencies.classes.len()];
    for (index, (class, _)) in classes().enumerate().filter(|(_, (_, chosen))| **chosen) {
        for (place, member) in scored(model, class, options.coupled).enumerate() {
            wanted.entry((&member.tensor, member.axis)).or_default().push((index, place, member));
            found[index].push(Vec::new());
        }
    }
    progress.expect(wanted.keys().map(|(tensor, _)| model.get(tensor).map_or(0, Tensor::bytes)).sum());
    // The moments of one tensor at a time are held.
    for ((name, axis), members) in wanted {
        let groups = moments(model, name, axis, engine, progress)?;
        for (class, place, member) in members {
            found[class][place] = of_member(member, dependencies.classes[class].channels, &groups, options);
        }
    }
    let classes = found.into_iter().zip(&dependencies.classes);
    Ok(classes.map(|(members, class)| together(members, class, options)).collect())
}

/// The weights of a class that say something of its channels: all of them, or those of the first layer's outputs.
fn scored<'a>(model: &'a Checkpoint, class: &'a Class, coupled: bool) -> impl Iterator<Item = &'a Member> {
    let is_weight = move |member: &&Member| {
        matches!(member.role, Role::Output | Role::Input)
            && model.get(&member.tensor).is_some_and(|t| t.shape().len() >= 2 && t.float().is_some())
    };
    class.members.iter().filter(is_weight).take(if coupled { usize::MAX } else { 1 })
}

/// The moments of each index of an axis, and of the whole tensor.
fn moments(model: &Checkpoint, name: &str, axis: usize, engine: &Engine, progress: &Progress) -> Result<Groups> {
    let wrong = || Error::tensor(model.path(), name, "has no channels along the axis it should");
    let tensor = model.get(name).ok_or_else(wrong)?;
    let by = match axis {
        0 => Grouping::Output,
        1 => Grouping::Input,
        _ => return Err(wrong()),
    };
    let float = tensor.float().ok_or_else(wrong)?;
    let layout = Layout::new(tensor.shape(), by);
    let file = File { checkpoint: model, tensors: &[tensor], progress };
    let mut pieces = layout.pieces(float, layout.all()).map(|region| Piece { tensor: 0, float, layout, region });
    let mut found = Groups::new(0, layout.groups());
    let request = Request { moments: Some(Values::Weights), ..Request::default() };
    engine.cpu_engine().scan(&file, &mut pieces, &request, &mut Counts::default(), &mut |piece, moments| {
        layout.runs(piece.region).zip(moments).for_each(|(run, m)| found.add(run.group, m));
        Ok(())
    })?;
    Ok(found)
}

/// What each channel of a member is worth.
fn of_member(member: &Member, channels: u64, groups: &Groups, options: &ChannelOptions) -> Vec<f64> {
    let whole = options.standardize.then(|| groups.whole());
    let mut moments = vec![Moments::default(); channels as usize];
    for (index, group) in groups.iter() {
        let channel = index.checked_sub(member.start).map(|offset| offset / member.run.max(1));
        if let Some(channel) = channel.and_then(|channel| moments.get_mut(channel as usize)) {
            channel.combine(group);
        }
    }
    let standardized = |group: Moments| match &whole {
        // A tensor of equal weights has no deviations.
        Some(whole) => group.standardized(whole).unwrap_or_default(),
        None => group,
    };
    moments.into_iter().map(|group| options.criterion.of(&standardized(group))).collect()
}

/// The sum over members of what a channel is worth relative to the member's mean; of a single member, the worth itself.
fn together(members: Vec<Vec<f64>>, class: &Class, options: &ChannelOptions) -> Vec<f64> {
    if !options.coupled {
        return members.into_iter().next().unwrap_or_default();
    }
    let mut sums = vec![0.0; if members.is_empty() { 0 } else { class.channels as usize }];
    for scores in members {
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        if mean > 0.0 && mean.is_finite() {
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score / mean);
        }
    }
    sums
}

fn drawn(model: &Checkpoint, class: &Class, random: Random) -> Result<Vec<f64>> {
    let tensor = model.get(&class.name);
    let tensor = tensor.ok_or_else(|| Error::tensor(model.path(), &class.name, "is not in the model"))?;
    let mut scores = vec![0.0; class.channels as usize];
    random.score(tensor, 0, &[], &mut scores)?;
    Ok(scores.into_iter().map(f64::from).collect())
}
