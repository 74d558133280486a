//! Quantiles and histograms of many small groups at once.

use super::distribution::Asked;
use super::histogram::thresholds;
use super::{Histogram, Options, Transform};
use crate::Result;
use crate::scan::{Compute, GroupRequest, Piece, Source};

/// Questions about groups of one format that an engine answers many of at once, whatever their tensors.
pub(super) struct Small {
    ranks: Vec<u64>,
    ranks_each: usize,
    thresholds: Vec<u64>,
    thresholds_each: Option<usize>,
    magnitude: bool,
    memory_bytes: u64,
}

impl Small {
    pub(super) fn new(options: &Options, asked: &[&mut Asked]) -> Self {
        let ranks_each = 2 * options.quantiles.len();
        let thresholds_each = options.histogram.map(|bins| bins - 1);
        let groups = asked.iter().map(|a| a.groups.len()).sum::<usize>();
        let mut small = Self {
            ranks: Vec::with_capacity(groups * ranks_each),
            ranks_each,
            thresholds: Vec::with_capacity(groups * thresholds_each.unwrap_or(0)),
            thresholds_each,
            magnitude: options.transform == Transform::Log,
            memory_bytes: options.memory_bytes,
        };
        for (asked, question) in asked.iter().flat_map(|a| a.groups.iter().map(move |g| (a, &g.2))) {
            // As many for every group: the last is repeated.
            let distinct = question.ranks.as_ref().map_or(&[][..], |r| &r.distinct);
            let last = distinct.last().copied().unwrap_or(0);
            small.ranks.extend(distinct.iter().copied().chain(std::iter::repeat(last)).take(ranks_each));
            let filled = small.thresholds.len() + thresholds_each.unwrap_or(0);
            small.thresholds.extend(question.edges.as_ref().map_or_else(Vec::new, |edges| {
                thresholds(asked.whole.float, small.magnitude, edges, |x| asked.map.apply(x))
            }));
            small.thresholds.resize(filled, u64::MAX);
        }
        small
    }

    pub(super) fn answer(
        &self,
        options: &Options,
        compute: &dyn Compute,
        source: &dyn Source,
        asked: &mut [&mut Asked],
    ) -> Result<()> {
        let pieces: Vec<Piece> = asked.iter().flat_map(|a| a.pieces(options)).collect();
        if pieces.is_empty() {
            return Ok(());
        }
        let answer = compute.groups(
            source,
            &pieces,
            &GroupRequest {
                ranks: &self.ranks,
                ranks_each: self.ranks_each,
                thresholds: &self.thresholds,
                thresholds_each: self.thresholds_each,
                magnitude: self.magnitude,
                memory_bytes: self.memory_bytes,
            },
        )?;
        let groups = asked.iter_mut().flat_map(|a| {
            let (float, map) = (a.whole.float, a.map);
            a.groups.iter_mut().map(move |(_, _, question, found)| (float, map, question, found))
        });
        for (i, (float, map, question, found)) in groups.enumerate() {
            if let Some(ranks) = &question.ranks {
                let keys = answer.keys.get(i * self.ranks_each..).unwrap_or_default();
                let value = |rank: usize| keys.get(rank).map(|key| map.apply(float.key_value(*key, map.magnitude)));
                found.quantiles = Some(ranks.interpolate(value));
            }
            if let (Some(edges), Some(each)) = (&question.edges, self.thresholds_each) {
                let counts = answer.bins.get(i * (each + 1)..(i + 1) * (each + 1)).unwrap_or_default().to_vec();
                found.histogram = Some(Some(Histogram { edges: edges.clone(), counts }));
            }
        }
        Ok(())
    }
}
