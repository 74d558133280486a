//! Quantiles and the histogram of a group that is too large for one workgroup, or for memory: by passes over it.

use super::analyse::Analysis;
use super::distribution::{Map, Question};
use super::entry::Statistics;
use super::histogram::thresholds;
use super::order_statistics::order_statistics;
use super::{Histogram, Moments};
use crate::Result;
use crate::kernels::bin_counts::bin_of;
use crate::scan::{Counts, Digits, Piece, Request, Source, Thresholds};

pub(crate) struct Large<'a> {
    pub(crate) analysis: &'a Analysis<'a>,
    pub(crate) source: &'a dyn Source,
    /// Whether a pass is a read of the file.
    pub(crate) streamed: bool,
    /// The group, whole.
    pub(crate) piece: Piece,
    pub(crate) map: Map,
    /// Counts of its first 16 bits, where a pass has made them already.
    pub(crate) first_digits: Option<&'a [u64]>,
}

impl Large<'_> {
    /// Answers `question` into `found`; `moments` are the group's.
    pub(crate) fn fill(&self, moments: &Moments, question: &Question, found: &mut Statistics) -> Result<()> {
        let (float, magnitude) = (self.piece.float, self.map.magnitude);
        let map = |x| self.map.apply(x);
        let bins = question.edges.as_ref().map(|edges| {
            let keys = thresholds(float, magnitude, edges, map);
            Thresholds { keys, magnitude }
        });
        // Values of at most 16 bits are all in the first table. Of others, bins are counted with the second digit.
        let counted = float.bits() <= 16;
        let mut in_bins = None;
        let mut first = None;
        if let Some(ranks) = &question.ranks {
            let at_once = self.analysis.prefixes_at_once(self.analysis.engine.compute(float));
            let bits =
                order_statistics(float, magnitude, moments.zeros, &ranks.distinct, at_once, |level, prefixes| {
                    let bins = bins.as_ref().filter(|_| level == 1 && in_bins.is_none());
                    let counts = self.pass(Some(Digits { level, prefixes, widen: false }), bins)?;
                    in_bins = in_bins.take().or(bins.map(|_| counts.bins));
                    if counted && level == 0 {
                        first = Some(counts.digits.clone());
                    }
                    Ok(counts.digits)
                })?;
            let value = |bits: u64| map(float.value(bits));
            found.quantiles = Some(ranks.interpolate(|rank| bits.get(rank).map(|b| value(*b))));
        }
        if let (Some(edges), Some(bins)) = (&question.edges, &bins) {
            let counts = match in_bins {
                Some(counts) => counts,
                None if counted => {
                    let digits = match first {
                        Some(digits) => digits,
                        None => self.pass(Some(Digits { level: 0, prefixes: &[0], widen: false }), None)?.digits,
                    };
                    let mut counts = vec![0; bins.keys.len() + 1];
                    for (bits, count) in (0..).zip(digits) {
                        if let Some(bin) = bin_of(float, bits, &bins.keys, magnitude).filter(|_| count > 0) {
                            counts[bin as usize] += count;
                        }
                    }
                    counts
                }
                None => self.pass(None, Some(bins))?.bins,
            };
            found.histogram = Some(Some(Histogram { edges: edges.clone(), counts }));
        }
        Ok(())
    }

    fn pass(&self, digits: Option<Digits>, bins: Option<&Thresholds>) -> Result<Counts> {
        if let (Some(known), Some(Digits { level: 0, .. })) = (self.first_digits, digits) {
            return Ok(Counts { digits: known.to_vec(), bins: Vec::new() });
        }
        if self.streamed {
            self.analysis.file.progress.expect(self.piece.bytes());
        }
        let request = Request { digits, bins, ..self.analysis.request() };
        let mut counts = Counts::for_request(&request);
        let Piece { tensor, float, layout, region } = self.piece;
        let mut pieces = self.analysis.pieces(tensor, layout, region);
        let compute = self.analysis.engine.compute(float);
        compute.scan(self.source, &mut pieces, &request, &mut counts, &mut |_, _| Ok(()))?;
        Ok(counts)
    }
}
