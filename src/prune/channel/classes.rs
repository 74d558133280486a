//! Which classes can lose channels, and why the others cannot.

use std::collections::BTreeMap;

use super::{Amount, ChannelOptions, GroupCriterion};
use crate::graph::{Class, Dependencies, Member, Role};
use crate::{Checkpoint, Error, Result, Selection, Tensor, escape};

/// A class that can lose channels.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// Its index among all classes.
    pub(super) index: usize,
    pub(super) class: &'a Class,
    /// Channels that it had before it was first pruned.
    pub(super) original: u64,
    /// The first weight that makes the channels, and its tensor.
    pub(super) root: (&'a Member, &'a Tensor),
    /// The weights that are scored.
    pub(super) scored: Vec<(&'a Member, &'a Tensor)>,
    /// Its rate, where each class has its own.
    pub(super) rate: f64,
}

impl Part<'_> {
    /// Channels that are gone already.
    pub(super) fn gone(&self) -> u64 {
        self.original - self.class.channels
    }
}

/// How a class stands.
#[derive(Clone, Debug)]
pub(super) struct Standing<'a> {
    pub(super) original: u64,
    /// Why it keeps all channels, if it does.
    pub(super) part: Result<Part<'a>, String>,
}

/// How each class of `dependencies` stands, in their order.
pub(super) fn standing<'a>(
    model: &'a Checkpoint,
    dependencies: &'a Dependencies,
    original: &BTreeMap<String, u64>,
    options: &ChannelOptions,
) -> Result<Vec<Standing<'a>>> {
    if let Amount::Rates(rates) = &options.amount {
        rates.check(dependencies.classes.iter().map(|class| class.name.as_str()))?;
    }
    let each = |(index, class): (usize, &'a Class)| {
        let before = original.get(&class.key()).copied().unwrap_or(0).max(class.channels);
        // What is frozen never was cut.
        let original = if class.frozen.is_some() { class.channels } else { before };
        Ok(Standing { original, part: part(model, index, class, original, options)? })
    };
    dependencies.classes.iter().enumerate().map(each).collect()
}

fn part<'a>(
    model: &'a Checkpoint,
    index: usize,
    class: &'a Class,
    original: u64,
    options: &ChannelOptions,
) -> Result<Result<Part<'a>, String>> {
    if let Some(why) = class.frozen.clone().or_else(|| unchosen(&class.members, &options.selection)) {
        return Ok(Err(why));
    }
    let mut rate = 0.0;
    if let Amount::Rates(rates) = &options.amount {
        match rates.rate(&class.name)? {
            Some(found) => rate = found,
            None => return Ok(Err(rates.none())),
        }
    }
    let tensors: Vec<(&Member, &Tensor)> =
        class.members.iter().map(|member| Ok((member, tensor(model, class, member)?))).collect::<Result<_>>()?;
    let weights: Vec<_> = tensors
        .into_iter()
        .filter(|(member, tensor)| matches!(member.role, Role::Output | Role::Input) && tensor.shape().len() > 1)
        .collect();
    let is_root = |(member, _): &&(&Member, &Tensor)| member.role == Role::Output && member.tensor == class.name;
    let Some(&root) = weights.iter().find(is_root) else {
        return Ok(Err("no matrix or kernel makes its channels".to_owned()));
    };
    if root.1.elements() == 0 || class.channels == 0 {
        return Ok(Err("no elements".to_owned()));
    }
    let scored = match options.criterion {
        GroupCriterion::Random { .. } => Vec::new(),
        _ if options.coupled => weights,
        _ => vec![root],
    };
    if let Some((_, tensor)) = scored.iter().chain([&root]).find(|(_, tensor)| tensor.float().is_none()) {
        let name = escape(tensor.name());
        return Ok(Err(format!("`{name}` is {}, which is not a floating format that is pruned", tensor.dtype())));
    }
    Ok(Ok(Part { index, class, original, root, scored, rate }))
}

/// Why the selection leaves a class of those members out.
pub(super) fn unchosen(members: &[Member], selection: &Selection) -> Option<String> {
    let mut names = members.iter().filter(|member| member.role == Role::Output).map(|member| member.tensor.as_str());
    if names.clone().any(|name| selection.skips(name)) {
        return Some("skipped by --skip".to_owned());
    }
    (!names.any(|name| selection.includes(name))).then(|| "not chosen by --only".to_owned())
}

/// The tensor of a member, which has the indices that the member says it has.
fn tensor<'a>(model: &'a Checkpoint, class: &Class, member: &Member) -> Result<&'a Tensor> {
    let fail = |why: String| {
        let message = format!("the graph is not that of the weights: {why}");
        Err(Error::tensor(model.path(), &member.tensor, message))
    };
    let Some(tensor) = model.get(&member.tensor) else { return fail("there is no such tensor".to_owned()) };
    let Some(&length) = tensor.shape().get(member.axis) else {
        return fail(format!("its shape {:?} has no axis {}", tensor.shape(), member.axis));
    };
    let end = class.channels.checked_mul(member.run).and_then(|indices| indices.checked_add(member.start));
    match end.filter(|&end| end <= length && member.run > 0) {
        Some(_) => Ok(tensor),
        None => fail(format!(
            "its axis {} has {length} indices, too few for {} channels of {} each from {} on",
            member.axis, class.channels, member.run, member.start
        )),
    }
}

/// Why no channel can go: the first few reasons.
pub(super) fn nothing(dependencies: &Dependencies, standing: &[Standing]) -> String {
    const TOLD: usize = 3;
    let why = |standing: &Standing| match &standing.part {
        Ok(_) => "its only channel stays".to_owned(),
        Err(why) => escape(why),
    };
    let told = |(class, standing): (&Class, &Standing)| format!("`{}`: {}", escape(&class.name), why(standing));
    let mut reasons: Vec<String> = dependencies.classes.iter().zip(standing).take(TOLD).map(told).collect();
    match standing.len() {
        0 => return "no channel can be cut: nothing makes channels in it".to_owned(),
        n if n > TOLD => reasons.push(format!("and {} more", n - TOLD)),
        _ => {}
    }
    format!("no channel can be cut ({})", reasons.join("; "))
}
