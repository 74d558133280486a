//! Slices along an axis, copied together: whatever the elements mean.

/// The CPU twin: of each row of `axis` slices of `slice_bytes` the `kept` ones, ascending; `to` is filled from its first row
/// on. Neighbours are copied together.
pub(crate) fn gather(from: &[u8], axis: usize, slice_bytes: usize, kept: &[u32], to: &mut [u8]) {
    let row_bytes = kept.len() * slice_bytes;
    if row_bytes == 0 {
        return;
    }
    let runs: Vec<(usize, usize)> =
        kept.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0] as usize * slice_bytes, run.len() * slice_bytes)).collect();
    for (row, to) in from.chunks_exact(axis * slice_bytes).zip(to.chunks_exact_mut(row_bytes)) {
        let mut rest = to;
        for &(start, length) in &runs {
            let (this, after) = rest.split_at_mut(length);
            this.copy_from_slice(&row[start..start + length]);
            rest = after;
        }
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::gpu::{GpuEngine, Kernel};
    use bytemuck::{Pod, Zeroable};

    /// The shader.
    pub(crate) const SOURCE: &str = include_str!("../../shaders/gather.wgsl");

    /// Words of the output that a workgroup writes.
    pub(crate) const TILE_WORDS: u32 = 1024;

    /// Consecutive words of the output of one job: what a workgroup writes.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Pod, Zeroable)]
    pub(crate) struct Tile {
        /// Index of its job.
        pub(crate) job: u32,
        /// The first word, counted from the job's first.
        pub(crate) first: u32,
        /// How many.
        pub(crate) words: u32,
    }

    /// One gather.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Pod, Zeroable)]
    pub(crate) struct Job {
        /// Where its input starts, in words.
        pub(crate) input: u32,
        /// Where its output starts, in words.
        pub(crate) output: u32,
        /// Elements of its output.
        pub(crate) elements: u32,
        /// Slices of a row of its input.
        pub(crate) axis: u32,
        /// Elements of a slice.
        pub(crate) inner: u32,
        /// Where its kept indices start.
        pub(crate) kept: u32,
        /// How many it keeps.
        pub(crate) count: u32,
    }

    /// The kernel for elements of so many bytes.
    pub(crate) fn kernel(gpu: &GpuEngine, width: usize) -> std::sync::Arc<Kernel> {
        gpu.kernel("gather", SOURCE, &[("WIDTH", width as u32 * 8)])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive reference: one element at a time.
    pub(crate) fn oracle(from: &[u8], axis: usize, inner: usize, width: usize, kept: &[u32]) -> Vec<u8> {
        let outer = from.len() / (axis * inner * width).max(1);
        let mut to = Vec::new();
        for o in 0..outer {
            for &k in kept {
                for i in 0..inner {
                    let element = (o * axis + k as usize) * inner + i;
                    to.extend(&from[element * width..(element + 1) * width]);
                }
            }
        }
        to
    }

    proptest! {
        #[test]
        fn equals_one_by_one(
            outer in 0usize..5,
            flags in prop::collection::vec(any::<bool>(), 1..20),
            inner in 0usize..10,
            width in prop::sample::select(vec![1usize, 2, 4, 8]),
        ) {
            let kept: Vec<u32> = (0..).zip(&flags).filter(|(_, kept)| **kept).map(|(i, _)| i).collect();
            let from: Vec<u8> = (0..outer * flags.len() * inner * width).map(|i| (i * 37 % 251) as u8).collect();
            let wanted = oracle(&from, flags.len(), inner, width, &kept);
            let mut to = vec![0; wanted.len()];
            gather(&from, flags.len(), inner * width, &kept, &mut to);
            prop_assert_eq!(to, wanted);
        }
    }
}
