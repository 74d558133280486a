//! Cutting in place, on all threads.

use rayon::prelude::*;

use super::CpuEngine;
use crate::Result;
use crate::kernels::apply_mask::apply_mask;
use crate::kernels::mask_counts::{kept, largest_cut, zeros};
use crate::kernels::nm_mask::nm_mask;
use crate::kernels::threshold_mask::{Threshold, threshold_mask};
use crate::kernels::tie_counts::count_ties;
use crate::kernels::tie_scan::{ENDLESS, grant};
use crate::scan::{CutCounts, Job, Rule};

/// Elements of a part that one thread cuts, or a unit if that is more.
const PART: usize = 1 << 15;

/// A part of a job: whole units, and whole words of its mask.
struct Part<'a> {
    /// Index of its job.
    of: usize,
    job: Job<'a>,
    /// Ties that it may cut.
    allowed: u64,
}

impl CpuEngine {
    pub(super) fn cut_jobs(&self, jobs: &mut [Job], budgets: &mut [u64]) -> Result<Vec<CutCounts>> {
        let mut counts = vec![CutCounts::default(); jobs.len()];
        let mut parts = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate() {
            parts.extend(job.split(PART).map(|job| Part { of: index, job, allowed: 0 }));
        }
        self.pool.install(|| {
            allow(&mut parts, budgets)?;
            let found: Vec<(usize, Result<CutCounts>)> =
                parts.into_par_iter().map_init(Vec::new, |words, part| (part.of, part.cut(words))).collect();
            found.into_iter().try_for_each(|(job, part)| {
                counts[job].add(&part?);
                Ok(())
            })
        })?;
        Ok(counts)
    }
}

/// Shares the budgets among the parts, in order.
fn allow(parts: &mut [Part], budgets: &mut [u64]) -> Result<()> {
    let budget_of = |part: &Part| match part.job.rule {
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
        let Job { float, bytes, first, rule, .. } = &self.job;
        match rule {
            Rule::Threshold { key, .. } => Ok(count_ties(*float, bytes, *key)),
            Rule::Host(rule) => rule.ties(*first, bytes),
            Rule::NofM { .. } | Rule::Mask(_) => Ok(0),
        }
    }

    fn cut(self, words: &mut Vec<u32>) -> Result<CutCounts> {
        let Self { job: Job { float, bytes, first, rule, mask }, allowed, .. } = self;
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
