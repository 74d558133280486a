//! How many channels of each class go.

use std::collections::BTreeMap;

use super::cost::Counter;
use super::{Amount, ChannelOptions};
use crate::graph::{Class, Dependencies};
use crate::prune::allocation::{self, Candidate, round_half_even};
use crate::prune::{Allocation, Keep};
use crate::stats::Moments;
use crate::{Checkpoint, Error, Result, escape};

/// Everything that decides how many channels go.
pub(super) struct Widths<'a> {
    pub(super) model: &'a Checkpoint,
    pub(super) dependencies: &'a Dependencies,
    /// Channels of each class before any pruning.
    pub(super) original: &'a [u64],
    /// Which classes may be cut.
    pub(super) chosen: &'a [bool],
    /// For each chosen class, its channels from the first to go to the last.
    pub(super) order: &'a [Vec<usize>],
    pub(super) scores: &'a [Vec<f64>],
    /// The moments of the weight that each class is named after, where the allocation needs them.
    pub(super) moments: &'a [Moments],
    pub(super) options: &'a ChannelOptions,
}

impl Widths<'_> {
    /// How many channels of each class go.
    pub(super) fn cut(&self) -> Result<Vec<u64>> {
        let counter = Counter::new(self.model, self.dependencies);
        let now: Vec<u64> = self.dependencies.classes.iter().map(|class| class.channels).collect();
        match &self.options.amount {
            Amount::Sparsity(rate) => Ok(self.at(*rate)),
            Amount::Rates(rates) => {
                let names: Vec<&str> = self.classes().map(|(_, class)| class.name.as_str()).collect();
                let of: BTreeMap<&str, f64> = rates.of(&names)?;
                Ok(self.each(|index, class| of.get(class.name.as_str()).map_or(0, |rate| self.uniform(index, *rate))))
            }
            Amount::Parameters(rate) => {
                let before = counter.all_parameters(&now, self.original);
                self.least(*rate, before, "parameters", |channels| counter.all_parameters(&now, channels))
            }
            Amount::Macs(rate) => {
                let unknown = |layer: &crate::graph::Layer| {
                    let why = "the shapes of the graph do not say how many operations it takes: fix the input's shape";
                    Error::tensor(self.model.path(), &layer.name, why)
                };
                let before = counter.all_macs(self.original).map_err(unknown)?;
                self.least(*rate, before, "multiply-accumulate operations", |channels| {
                    // Known for the original, hence for every width.
                    counter.all_macs(channels).unwrap_or(before)
                })
            }
        }
    }

    fn classes(&self) -> impl Iterator<Item = (usize, &Class)> {
        self.dependencies.classes.iter().enumerate().filter(|(index, _)| self.chosen[*index])
    }

    fn each(&self, cut: impl Fn(usize, &Class) -> u64) -> Vec<u64> {
        let classes = self.dependencies.classes.iter().enumerate();
        classes.map(|(i, class)| if self.chosen[i] { self.fit(class, cut(i, class)) } else { 0 }).collect()
    }

    /// At most all but one, so that the width kept is a multiple of what it is rounded up to, unless that is more than
    /// there is.
    fn fit(&self, class: &Class, cut: u64) -> u64 {
        let kept = class.channels.saturating_sub(cut).max(1);
        class.channels.saturating_sub(kept.next_multiple_of(self.options.round_to.get()))
    }

    /// A rate of the original width, less what has gone before.
    fn uniform(&self, class: usize, rate: f64) -> u64 {
        let (original, now) = (self.original[class], self.dependencies.classes[class].channels);
        round_half_even(rate, original).saturating_sub(original - now)
    }

    /// What goes at an overall rate.
    fn at(&self, rate: f64) -> Vec<u64> {
        match self.options.allocation {
            Allocation::Global => {
                let (original, now) = self.classes().fold((0u64, 0u64), |(original, now), (i, class)| {
                    (original.saturating_add(self.original[i]), now.saturating_add(class.channels))
                });
                self.lowest(round_half_even(rate, original).saturating_sub(original - now))
            }
            Allocation::Variance => {
                let candidates: Vec<Candidate> = self
                    .classes()
                    .map(|(i, class)| {
                        // Channels first, wherever they lie in the weight: the rest is what each is made of.
                        let elements = self.model.get(&class.name).map_or(0, crate::Tensor::elements);
                        let shape = vec![class.channels, elements / class.channels.max(1)];
                        Candidate { name: class.name.clone(), shape, count: self.original[i] }
                    })
                    .collect();
                let moments: Vec<Moments> = self.classes().map(|(i, _)| self.moments[i]).collect();
                let mut cut = allocation::variance(rate, &candidates, &moments).into_iter();
                let cut: BTreeMap<usize, u64> = self.classes().map(|(i, _)| (i, cut.next().unwrap_or(0))).collect();
                self.each(|i, class| cut.get(&i).map_or(0, |cut| cut.saturating_sub(self.original[i] - class.channels)))
            }
            _ => self.each(|index, _| self.uniform(index, rate)),
        }
    }

    /// The `k` lowest of all channels, but none that is the last of its class.
    fn lowest(&self, k: u64) -> Vec<u64> {
        let mut all: Vec<(f64, usize, usize)> = Vec::new();
        for (index, _) in self.classes() {
            // Those of a class go in its own order.
            let most = self.order[index].len().saturating_sub(1);
            all.extend(self.order[index][..most].iter().map(|&channel| (self.scores[index][channel], index, channel)));
        }
        let name = |class: usize| &self.dependencies.classes[class].name;
        let ascending = self.options.keep == Keep::Largest;
        all.sort_by(|a, b| {
            let by_score = if ascending { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) };
            by_score.then_with(|| name(a.1).cmp(name(b.1))).then(a.2.cmp(&b.2))
        });
        let mut counts = vec![0u64; self.dependencies.classes.len()];
        all.iter().take(usize::try_from(k).unwrap_or(usize::MAX)).for_each(|(_, class, _)| counts[*class] += 1);
        self.each(|index, _| counts[index])
    }

    /// The least that makes what `cost` counts, of which there were `before`, fall by `rate`.
    fn least(&self, rate: f64, before: u64, what: &str, cost: impl Fn(&[u64]) -> u64) -> Result<Vec<u64>> {
        let after = |cut: &[u64]| {
            let classes = self.dependencies.classes.iter().zip(cut);
            cost(&classes.map(|(class, cut)| class.channels - cut).collect::<Vec<_>>())
        };
        let allowed = before - round_half_even(rate, before);
        let reaches = |cut: &[u64]| after(cut) <= allowed;
        if self.options.allocation == Allocation::Global {
            let all: u64 = self.classes().map(|(_, class)| class.channels - 1).sum();
            let (mut low, mut high) = (0, all);
            self.check_reachable(&self.lowest(all), rate, before, what, &after)?;
            while low < high {
                let middle = low + (high - low) / 2;
                if reaches(&self.lowest(middle)) { high = middle } else { low = middle + 1 }
            }
            return Ok(self.lowest(low));
        }
        let most = f64::from_bits(1f64.to_bits() - 1);
        self.check_reachable(&self.at(most), rate, before, what, &after)?;
        // Bits of a positive f64 rise with its value, so that bisecting them ends, and at the same rate everywhere.
        let (mut low, mut high) = (0, most.to_bits());
        while low < high {
            let middle = low + (high - low) / 2;
            if reaches(&self.at(f64::from_bits(middle))) { high = middle } else { low = middle + 1 }
        }
        Ok(self.at(f64::from_bits(low)))
    }

    fn check_reachable(
        &self,
        cut: &[u64],
        rate: f64,
        before: u64,
        what: &str,
        after: &impl Fn(&[u64]) -> u64,
    ) -> Result<()> {
        let least = after(cut);
        if least <= before - round_half_even(rate, before) {
            return Ok(());
        }
        let share = (before.saturating_sub(least)) as f64 / before.max(1) as f64 * 100.0;
        let holder = self
            .dependencies
            .classes
            .iter()
            .filter_map(|c| Some((c.frozen.as_ref()?, c)))
            .max_by_key(|(_, c)| c.channels);
        let why = holder.map_or(String::new(), |(why, class)| {
            format!("; among what cannot be cut is `{}`: {}", escape(&class.name), escape(why))
        });
        Err(Error::Usage(format!("at most {share:.1} % of the {before} {what} can go this way{why}")))
    }
}
