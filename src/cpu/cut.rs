//! Cutting in place, on all threads.

use rayon::prelude::*;

use super::CpuEngine;
use crate::kernels::apply_mask::apply_mask;
use crate::kernels::mask_counts::{kept, largest_cut, zeros};
use crate::kernels::nm_mask::nm_mask;
use crate::kernels::threshold_mask::{Threshold, threshold_mask};
use crate::kernels::tie_counts::count_ties;
use crate::kernels::tie_scan::{ENDLESS, grant};
use crate::scan::{CutCounts, Job, Rule, aligned_unit};
use crate::{Float, Result};

/// Elements of a part that one thread cuts, or a unit if that is more.
const PART: u64 = 1 << 15;

/// A part of a job: whole units, and whole words of its mask.
struct Part<'a> {
    job: usize,
    float: Float,
    bytes: &'a mut [u8],
    first: u64,
    rule: Rule<'a>,
    mask: Option<&'a mut [u32]>,
    /// Ties that it may cut.
    allowed: u64,
}

impl CpuEngine {
    pub(super) fn cut_jobs(&self, jobs: &mut [Job], budgets: &mut [u64]) -> Result<Vec<CutCounts>> {
        let mut counts = vec![CutCounts::default(); jobs.len()];
        let mut parts = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate() {
            split(index, job, &mut parts);
        }
        self.pool.install(|| {
            allow(&mut parts, budgets)?;
            let found: Vec<(usize, Result<CutCounts>)> =
                parts.into_par_iter().map_init(Vec::new, |words, part| (part.job, part.cut(words))).collect();
            found.into_iter().try_for_each(|(job, part)| {
                counts[job].add(&part?);
                Ok(())
            })
        })?;
        Ok(counts)
    }
}

fn split<'a>(index: usize, job: &'a mut Job, parts: &mut Vec<Part<'a>>) {
    let width = job.float.bytes();
    let elements = job.bytes.len() / width;
    // A unit that does not fit in 64 bits is no smaller than the tensor.
    let unit = aligned_unit(job.rule.unit()).and_then(|unit| usize::try_from(unit).ok()).unwrap_or(elements).max(1);
    let most = (PART as usize).next_multiple_of(unit);
    let mut masks = job.mask.as_deref_mut().map(|mask| mask.chunks_mut(most / 32));
    for (i, bytes) in job.bytes.chunks_mut(most * width).enumerate() {
        let start = i * most;
        let words = start / 32..(start + bytes.len() / width).div_ceil(32);
        let rule = match job.rule {
            Rule::Mask(mask) => Rule::Mask(&mask[words]),
            other => other,
        };
        let mask = masks.as_mut().and_then(Iterator::next);
        parts.push(Part {
            job: index,
            float: job.float,
            bytes,
            first: job.first + start as u64,
            rule,
            mask,
            allowed: 0,
        });
    }
}

/// Shares the budgets among the parts, in order.
fn allow(parts: &mut [Part], budgets: &mut [u64]) -> Result<()> {
    let budget_of = |part: &Part| match part.rule {
        Rule::Threshold { budget, .. } => Some(budget),
        Rule::Host(rule) => rule.budget(),
        Rule::NofM { .. } | Rule::Mask(_) => None,
    };
    // Where nothing is to be cut of them, or everything, nobody has to count.
    let start = budgets.to_vec();
    let ties: Vec<Result<u64>> = parts
        .par_iter()
        .map(|part| match budget_of(part).map(|b| start[b]) {
            Some(limit) if limit != 0 && limit != ENDLESS => part.ties(),
            _ => Ok(0),
        })
        .collect();
    for (part, ties) in parts.iter_mut().zip(ties) {
        if let Some(budget) = budget_of(part) {
            part.allowed = grant(ties?, &mut budgets[budget]);
        }
    }
    Ok(())
}

impl Part<'_> {
    fn ties(&self) -> Result<u64> {
        match self.rule {
            Rule::Threshold { key, .. } => Ok(count_ties(self.float, self.bytes, key)),
            Rule::Host(rule) => rule.ties(self.first, self.bytes),
            Rule::NofM { .. } | Rule::Mask(_) => Ok(0),
        }
    }

    fn cut(self, words: &mut Vec<u32>) -> Result<CutCounts> {
        let Self { float, bytes, first, rule, mask, allowed, .. } = self;
        let elements = bytes.len() / float.bytes();
        let mask = match mask {
            Some(mask) => mask,
            None => {
                words.resize(elements.div_ceil(32), 0);
                &mut words[..]
            }
        };
        match rule {
            Rule::Threshold { key, above, .. } => {
                threshold_mask(float, bytes, Threshold::new(float, key, above), allowed, mask);
            }
            Rule::NofM { n, m, stride, above } => nm_mask(float, bytes, n, m, stride, above, mask),
            Rule::Mask(given) => mask.copy_from_slice(given),
            Rule::Host(rule) => rule.mask(first, bytes, allowed, mask)?,
        }
        let (zeros_before, largest) = (zeros(float, bytes), largest_cut(float, bytes, mask));
        apply_mask(float.bytes(), bytes, mask);
        let zeros_after = zeros(float, bytes);
        Ok(CutCounts { cut: elements as u64 - kept(mask), zeros_before, zeros_after, largest })
    }
}
