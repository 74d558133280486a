//! Quantiles and the histogram of all weights of a model together, whatever their dtypes.
//!
//! Weights of at most 16 bits are counted by value, once, while their tensors are analysed. Wider ones are narrowed
//! down 16 bits at a time: as f32, or as f64 where any tensor is F64.

use super::analyse::Analysis;
use super::distribution::{Map, Question, fill_undefined};
use super::entry::Statistics;
use super::fold::{Total, statistics};
use super::histogram::thresholds;
use super::order_statistics::order_statistics;
use super::standardized::Standardized;
use super::{Histogram, Moments, Transform};
use crate::kernels::bit_histogram::Digit;
use crate::scan::{Compute, Counts, DIGIT_VALUES, Digits, Request, Resident, Source, Thresholds};
use crate::{Float, Result};

pub(crate) struct TotalCounts<'a> {
    analysis: &'a Analysis<'a>,
    /// Whether f32 weights are counted as f64.
    widen: bool,
    /// Counts of the first 16 bits, by dtype.
    first: Vec<(Float, Vec<u64>)>,
}

impl<'a> TotalCounts<'a> {
    pub(crate) fn new(analysis: &'a Analysis<'a>) -> Self {
        let widen = (0..analysis.tensors.len()).any(|tensor| analysis.float(tensor) == Float::F64);
        Self { analysis, widen, first: Vec::new() }
    }

    /// What to count of tensors of this dtype while they are analysed. Standardised weights have no bits to count.
    pub(crate) fn digits(&self, float: Float) -> Option<Digits<'static>> {
        let counted = self.analysis.options.transform != Transform::Standardize;
        counted.then_some(Digits { level: 0, prefixes: &[0], widen: self.widen && float == Float::F32 })
    }

    /// What computes them: f32 is widened on the CPU alone.
    pub(crate) fn compute(&self, float: Float) -> &'a dyn Compute {
        let widened = self.widen && float == Float::F32 && self.digits(float).is_some();
        if widened { self.analysis.engine.cpu_engine() } else { self.analysis.engine.compute(float) }
    }

    pub(crate) fn add(&mut self, float: Float, digits: &[u64]) {
        if digits.is_empty() {
            return;
        }
        match self.first.iter_mut().find(|(known, _)| *known == float) {
            Some((_, sum)) => sum.iter_mut().zip(digits).for_each(|(a, b)| *a += b),
            None => self.first.push((float, digits.to_vec())),
        }
    }

    /// The statistics of everything, given its moments. `resident` holds all tensors, or none.
    pub(crate) fn statistics(&self, total: &Total, resident: Option<&Resident>) -> Result<Statistics> {
        let (options, moments) = (self.analysis.options, &total.moments);
        let mut found = statistics(moments, moments, Transform::None);
        if options.transform == Transform::Standardize {
            Standardized { analysis: self.analysis, standards: &total.standards, resident }
                .fill(moments, &mut found)?;
        } else {
            self.fill(moments, resident, &mut found)?;
        }
        fill_undefined(options, &mut found);
        Ok(found)
    }

    fn fill(&self, moments: &Moments, resident: Option<&Resident>, found: &mut Statistics) -> Result<()> {
        let options = self.analysis.options;
        let question = Question::new(options, moments, found);
        let map = Map::new(options.transform, moments);
        let space = if self.widen { Float::F64 } else { Float::F32 };
        let mut in_bins = question.edges.as_ref().map(|edges| self.counted_bins(edges, map));
        let mut binned = false;
        if let Some(ranks) = &question.ranks {
            let (zeros, at_once) = (moments.zeros, self.analysis.prefixes_at_once(self.compute(Float::F32)));
            let bits = order_statistics(space, map.magnitude, zeros, &ranks.distinct, at_once, |level, prefixes| {
                let digits = Digits { level, prefixes, widen: self.widen };
                let mut counts = self.counted_digits(space, &digits);
                if level > 0 {
                    let edges = question.edges.as_deref().filter(|_| level == 1 && !binned);
                    self.wide(resident, Some(digits), edges, map, &mut counts, in_bins.as_deref_mut())?;
                    binned |= edges.is_some();
                }
                Ok(counts)
            })?;
            found.quantiles = Some(ranks.interpolate(|rank| bits.get(rank).map(|b| map.apply(space.value(*b)))));
        }
        if let Some(edges) = &question.edges {
            if !binned {
                self.wide(resident, None, Some(edges), map, &mut [], in_bins.as_deref_mut())?;
            }
            found.histogram = Some(in_bins.map(|counts| Histogram { edges: edges.clone(), counts }));
        }
        Ok(())
    }

    /// Every value of at most 16 bits that occurs, with its count.
    fn counted(&self) -> impl Iterator<Item = (f64, u64)> {
        let narrow = self.first.iter().filter(|(float, _)| float.bits() <= 16);
        narrow.flat_map(|(float, counts)| {
            let occurring = (0..).zip(counts).filter(|(bits, count)| **count > 0 && float.is_finite(*bits));
            occurring.map(|(bits, count)| (float.value(bits), *count))
        })
    }

    /// Digits that are known without a pass.
    fn counted_digits(&self, space: Float, digits: &Digits) -> Vec<u64> {
        let mut counts = vec![0; digits.prefixes.len() * DIGIT_VALUES];
        let digit = Digit::new(space.bits(), digits.level);
        for (value, count) in self.counted() {
            let bits = if space == Float::F64 { value.to_bits() } else { u64::from((value as f32).to_bits()) };
            if let Ok(table) = digits.prefixes.binary_search(&digit.prefix(bits)) {
                counts[table * DIGIT_VALUES + (bits >> digit.shift & digit.mask) as usize] += count;
            }
        }
        if digits.level == 0 {
            for (_, first) in self.first.iter().filter(|(float, _)| float.bits() > 16) {
                counts.iter_mut().zip(first).for_each(|(a, b)| *a += b);
            }
        }
        counts
    }

    fn counted_bins(&self, edges: &[f64], map: Map) -> Vec<u64> {
        let inner = &edges[1..edges.len() - 1];
        let mut counts = vec![0; inner.len() + 1];
        for (value, count) in self.counted().filter(|(value, _)| !(map.magnitude && *value == 0.0)) {
            let value = map.apply(if map.magnitude { value.abs() } else { value });
            counts[inner.partition_point(|edge| *edge <= value)] += count;
        }
        counts
    }

    /// Adds what a pass over the wider tensors counts.
    fn wide(
        &self,
        resident: Option<&Resident>,
        digits: Option<Digits>,
        edges: Option<&[f64]>,
        map: Map,
        in_digits: &mut [u64],
        mut in_bins: Option<&mut [u64]>,
    ) -> Result<()> {
        let analysis = self.analysis;
        let source: &dyn Source = resident.map_or(&analysis.file, |r| r);
        let wide: Vec<usize> = (0..analysis.tensors.len()).filter(|t| analysis.float(*t).bits() > 16).collect();
        for run in wide.chunk_by(|a, b| analysis.float(*a) == analysis.float(*b)) {
            let float = analysis.float(run[0]);
            let bins = edges.map(|edges| Thresholds {
                keys: thresholds(float, map.magnitude, edges, |x| map.apply(x)),
                magnitude: map.magnitude,
            });
            let request = Request { digits, bins: bins.as_ref(), ..analysis.request() };
            let mut counts = Counts::for_request(&request);
            if resident.is_none() {
                analysis.file.progress.expect(run.iter().map(|t| analysis.tensors[*t].bytes()).sum());
            }
            let mut pieces = run.iter().flat_map(|&tensor| {
                let layout = analysis.layout(tensor);
                analysis.pieces(tensor, layout, layout.all())
            });
            self.compute(float).scan(source, &mut pieces, &request, &mut counts, &mut |_, _| Ok(()))?;
            in_digits.iter_mut().zip(&counts.digits).for_each(|(a, b)| *a += b);
            in_bins.iter_mut().flat_map(|b| b.iter_mut()).zip(&counts.bins).for_each(|(a, b)| *a += b);
        }
        Ok(())
    }
}
