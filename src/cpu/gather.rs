//! Gathering slices, on all threads.

use rayon::prelude::*;

use super::CpuEngine;
use crate::kernels::gather::gather;
use crate::scan::Gather;

/// Bytes of the input that one thread takes at once.
const PART_BYTES: usize = 1 << 20;

impl CpuEngine {
    pub(super) fn gather_jobs(&self, jobs: &mut [Gather]) {
        self.pool.install(|| jobs.par_iter_mut().filter(|job| !job.is_empty()).for_each(rows_or_slices));
    }
}

/// Rows in parallel, or the slices of long rows.
fn rows_or_slices(job: &mut Gather) {
    let (slice, (row_bytes, kept_bytes)) = (job.slice_bytes(), job.row_bytes());
    let (axis, kept) = (job.axis as usize, job.kept);
    if row_bytes <= PART_BYTES {
        let rows = (PART_BYTES / row_bytes).max(1);
        let parts = job.from.par_chunks(rows * row_bytes).zip(job.to.par_chunks_mut(rows * kept_bytes));
        parts.for_each(|(from, to)| gather(from, axis, slice, kept, to));
        return;
    }
    let each = (PART_BYTES / slice).max(1);
    for (from, to) in job.from.chunks_exact(row_bytes).zip(job.to.chunks_exact_mut(kept_bytes)) {
        let parts = kept.par_chunks(each).zip(to.par_chunks_mut(each * slice));
        parts.for_each(|(kept, to)| gather(from, axis, slice, kept, to));
    }
}
