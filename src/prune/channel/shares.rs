//! How many channels each class keeps, for every setting of an allocation.

use std::num::NonZeroU64;

use super::classes::Part;
use super::scores::{Scored, order};
use super::{Allocation, ChannelOptions};
use crate::prune::allocation::{Candidate, round_half_even, variance_within};
use crate::stats::Moments;

/// An allocation as a ladder of settings: 0 cuts nothing, and each rung at least as much in all as the one below it; of each
/// class, too, but for `variance`, where largest remainders may move a channel from one class to another.
pub(super) struct Shares<'a> {
    parts: &'a [Part<'a>],
    round_to: NonZeroU64,
    rule: Rule,
}

enum Rule {
    /// A setting is the bits of the rate: those of a positive f64 rise with its value.
    Uniform,
    /// A setting is how many of these are cut: the class of each channel, in the order in which they go.
    Global(Vec<usize>),
    /// A setting is how many channels are gone in all, those that are gone already included.
    Variance { candidates: Vec<Candidate>, moments: Vec<Moments>, capacity: Vec<u64> },
}

impl<'a> Shares<'a> {
    pub(super) fn new(parts: &'a [Part<'a>], scored: &[Scored], options: &ChannelOptions) -> Self {
        let rule = match options.allocation {
            Allocation::Global => Rule::Global(ranked(parts, scored, options)),
            Allocation::Variance => Rule::Variance {
                candidates: parts.iter().map(candidate).collect(),
                moments: scored.iter().map(|scored| scored.root).collect(),
                // One stays.
                capacity: parts.iter().map(|part| part.original - 1).collect(),
            },
            _ => Rule::Uniform,
        };
        Self { parts, round_to: options.round_to, rule }
    }

    /// The setting of a rate.
    pub(super) fn of_rate(&self, rate: f64) -> u64 {
        let sum = |of: fn(&Part) -> u64| self.parts.iter().map(of).fold(0, u64::saturating_add);
        let asked = || round_half_even(rate, sum(|part| part.original));
        match self.rule {
            Rule::Uniform => (rate + 0.0).to_bits(),
            Rule::Global(_) => asked().saturating_sub(sum(|part| part.gone())).min(self.most()),
            Rule::Variance { .. } => asked().min(self.most()),
        }
    }

    /// The largest setting.
    pub(super) fn most(&self) -> u64 {
        match &self.rule {
            Rule::Uniform => 1f64.next_down().to_bits(),
            Rule::Global(ranked) => ranked.len() as u64,
            Rule::Variance { capacity, .. } => capacity.iter().copied().fold(0, u64::saturating_add),
        }
    }

    /// How many channels each class keeps.
    pub(super) fn kept(&self, setting: u64) -> Vec<u64> {
        let cut: Vec<u64> = match &self.rule {
            Rule::Uniform => self.parts.iter().map(|part| uniform(part, f64::from_bits(setting))).collect(),
            Rule::Global(ranked) => {
                let mut cut = vec![0; self.parts.len()];
                let cut_now = usize::try_from(setting).unwrap_or(usize::MAX);
                ranked.iter().take(cut_now).for_each(|&part| cut[part] += 1);
                cut
            }
            Rule::Variance { candidates, moments, capacity } => {
                let gone: Vec<u64> = self.parts.iter().map(Part::gone).collect();
                let all = variance_within(setting, &gone, capacity, candidates, moments);
                all.into_iter().zip(gone).map(|(all, gone)| all.saturating_sub(gone)).collect()
            }
        };
        self.parts.iter().zip(cut).map(|(part, cut)| rounded(part, cut, self.round_to)).collect()
    }
}

/// How many more channels a class loses by a rate of its own.
pub(super) fn uniform(part: &Part, rate: f64) -> u64 {
    round_half_even(rate, part.original).saturating_sub(part.gone())
}

/// How many channels stay where `cut` may go: at least one, and a multiple of `round_to` unless that were more than there
/// are.
pub(super) fn rounded(part: &Part, cut: u64, round_to: NonZeroU64) -> u64 {
    let now = part.class.channels;
    let kept = now.saturating_sub(cut).max(1);
    kept.checked_next_multiple_of(round_to.get()).unwrap_or(now).min(now)
}

/// The class of each channel, but for the last of each, in the order in which they go: by score, ties by the class's
/// name, then by index.
fn ranked(parts: &[Part], scored: &[Scored], options: &ChannelOptions) -> Vec<usize> {
    let mut names: Vec<usize> = (0..parts.len()).collect();
    names.sort_by_key(|&part| parts[part].class.name.as_bytes());
    let mut all: Vec<(f64, usize)> = Vec::new();
    for part in names {
        let Scored { scores, ranks, .. } = &scored[part];
        let but_last = ranks.len().saturating_sub(1);
        all.extend(ranks.iter().take(but_last).map(|&channel| (scores[channel as usize], part)));
    }
    // Stable: what is equal stays in the order of names and ranks.
    all.sort_by(|(a, _), (b, _)| order(options.keep, *a, *b));
    all.into_iter().map(|(_, part)| part).collect()
}

/// A class as the rule of [`variance`](crate::prune::allocation::variance) sees it: its first weight as a matrix of a row
/// for each channel.
fn candidate(part: &Part) -> Candidate {
    let (member, tensor) = part.root;
    let length = tensor.shape().get(member.axis).copied().unwrap_or(1).max(1);
    let shape = vec![part.original, tensor.elements() / length];
    Candidate { name: part.class.name.clone(), shape, count: part.original }
}
