//! Quantiles and the histogram of all weights of a model together, each standardised by its tensor.
//!
//! Such values have no dtype of their own: they are f64, mapped anew in every pass. A pass counts 16 of their 64 bits,
//! so that exact quantiles take four passes, and a histogram none beside them. They are reads of the file where the
//! model is not in memory.

use std::sync::Mutex;

use super::analyse::Analysis;
use super::distribution::Question;
use super::entry::Statistics;
use super::order_statistics::order_statistics;
use super::{Histogram, Moments, Standard};
use crate::kernels::bit_histogram::Digit;
use crate::order::for_each_bits;
use crate::scan::{DIGIT_VALUES, Piece, Resident, Source};
use crate::{Float, Result};

pub(crate) struct Standardized<'a> {
    pub(crate) analysis: &'a Analysis<'a>,
    /// The tensors that can be standardised, by index.
    pub(crate) standards: &'a [(usize, Standard)],
    /// All tensors, or none.
    pub(crate) resident: Option<&'a Resident>,
}

impl Standardized<'_> {
    /// Fills in what was asked for; `moments` are those of the standardised values.
    pub(crate) fn fill(&self, moments: &Moments, found: &mut Statistics) -> Result<()> {
        let question = Question::new(self.analysis.options, moments, found);
        let mut bins = None;
        if let Some(ranks) = &question.ranks {
            let at_once = self.analysis.prefixes_at_once(self.analysis.engine.cpu_engine());
            let bits = order_statistics(Float::F64, false, 0, &ranks.distinct, at_once, |level, prefixes| {
                let edges = question.edges.as_deref().filter(|_| level == 0);
                let counts = self.pass(Some((level, prefixes)), edges)?;
                bins = bins.take().or(edges.map(|_| counts.bins));
                Ok(counts.digits)
            })?;
            found.quantiles = Some(ranks.interpolate(|rank| bits.get(rank).map(|b| f64::from_bits(*b))));
        }
        if let Some(edges) = question.edges {
            let counts = match bins {
                Some(counts) => counts,
                None => self.pass(None, Some(&edges))?.bins,
            };
            found.histogram = Some(Some(Histogram { edges, counts }));
        }
        Ok(())
    }

    fn pass(&self, digits: Option<(u32, &[u64])>, edges: Option<&[f64]>) -> Result<Tables> {
        let analysis = self.analysis;
        let inner = edges.map(|edges| &edges[1..edges.len() - 1]);
        let tables = || Tables {
            digits: vec![0; digits.map_or(0, |(_, prefixes)| prefixes.len() * DIGIT_VALUES)],
            bins: vec![0; inner.map_or(0, |inner| inner.len() + 1)],
        };
        if self.resident.is_none() {
            let bytes = self.standards.iter().map(|(tensor, _)| analysis.tensors[*tensor].bytes()).sum();
            analysis.file.progress.expect(bytes);
        }
        let source: &dyn Source = self.resident.map_or(&analysis.file, |r| r);
        let engine = analysis.engine.cpu_engine();
        let partial: Vec<Mutex<Tables>> = (0..engine.tables()).map(|_| Mutex::new(tables())).collect();
        let mut pieces = self.standards.iter().flat_map(|&(tensor, standard)| {
            let layout = analysis.layout(tensor);
            analysis.pieces(tensor, layout, layout.all()).map(move |piece| (piece, standard))
        });
        engine.for_each(source, &mut pieces, |thread, piece: &Piece, standard: &Standard, bytes| {
            let mut tables = partial[thread % partial.len()].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            tables.count(piece.float, bytes, *standard, digits, inner);
        })?;
        let mut whole = tables();
        for part in partial {
            let part = part.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
            let add = |into: &mut [u64], from: &[u64]| into.iter_mut().zip(from).for_each(|(a, b)| *a += b);
            add(&mut whole.digits, &part.digits);
            add(&mut whole.bins, &part.bins);
        }
        Ok(whole)
    }
}

/// What a pass counts.
struct Tables {
    digits: Vec<u64>,
    bins: Vec<u64>,
}

impl Tables {
    fn count(
        &mut self,
        float: Float,
        bytes: &[u8],
        standard: Standard,
        digits: Option<(u32, &[u64])>,
        inner: Option<&[f64]>,
    ) {
        let wanted = digits.map(|(level, prefixes)| (Digit::new(64, level), prefixes));
        for_each_bits(float, bytes, |bits| {
            if !float.is_finite(bits) {
                return;
            }
            let value = standard.place(float.value(bits));
            if let Some((digit, prefixes)) = wanted {
                let bits = value.to_bits();
                if let Ok(table) = prefixes.binary_search(&digit.prefix(bits)) {
                    self.digits[table * DIGIT_VALUES + (bits >> digit.shift & digit.mask) as usize] += 1;
                }
            }
            if let Some(inner) = inner {
                self.bins[inner.partition_point(|edge| *edge <= value)] += 1;
            }
        });
    }
}
