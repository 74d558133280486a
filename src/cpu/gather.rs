//! Gathering slices, on all threads.

use rayon::prelude::*;

use super::CpuEngine;
use crate::kernels::gather::gather;
use crate::scan::Gather;

/// Bytes of a part that one thread fills.
const PART: usize = 256 << 10;

impl CpuEngine {
    pub(super) fn gather_jobs(&self, jobs: &mut [Gather]) {
        let mut parts = Vec::new();
        for (slices, to) in jobs.iter_mut().filter_map(Gather::split) {
            parts.extend(to.chunks_mut(PART).enumerate().map(|(i, to)| (slices, i * PART, to)));
        }
        self.pool.install(|| parts.into_par_iter().for_each(|(slices, first, to)| gather(slices, first, to)));
    }
}
