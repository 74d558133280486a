//! The four moments of short runs, a thread for each: small groups, and columns. The CPU twin is that of
//! [`super::moments`], by rows and by columns.

use std::sync::Arc;

use crate::gpu::{Gpu, Kernel, format_constant};
use crate::scan::Values;
use crate::stats::layout::{Run, TILE_ROWS};
use crate::{Float, Result};

/// The shader, with what it shares with others.
pub(crate) const SOURCE: &str = concat!(
    include_str!("../../shaders/shared/decode.wgsl"),
    include_str!("../../shaders/shared/partial.wgsl"),
    include_str!("../../shaders/strided_moments.wgsl")
);

/// The longest run of a lane: chains of 32 additions of trees of four.
pub(crate) const LONGEST: u64 = 128;

/// Threads of a workgroup.
pub(crate) const THREADS: u32 = 256;

/// A run for one thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Lane {
    /// First element, from the start of the data.
    pub(crate) start: u32,
    /// Elements.
    pub(crate) length: u32,
    /// Elements from one to the next.
    pub(crate) stride: u32,
}

/// The lanes of a run that starts at element `start` of the data: one, or as many as a long column takes. These take
/// turns, so that neighbouring threads read neighbouring rows: where rows are short, the same lines of memory.
pub(crate) fn lanes(start: u64, run: Run) -> impl Iterator<Item = Lane> {
    let lanes = if run.length <= LONGEST { 1 } else { run.length.div_ceil(TILE_ROWS) };
    (0..lanes).map(move |i| Lane {
        start: (start + i * run.stride) as u32,
        length: (run.length - i).div_ceil(lanes) as u32,
        stride: (lanes * run.stride) as u32,
    })
}

/// The kernel for a format.
pub(crate) fn kernel(gpu: &Gpu, float: Float, values: Values) -> Result<Arc<Kernel>> {
    let logarithms = u32::from(values == Values::Logarithms);
    gpu.kernel("strided_moments", SOURCE, &[format_constant(float), ("LOGARITHMS", logarithms)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_share_a_run() {
        for length in [1, 2, 127, 128, 129, 191, 192, 193, 5440, 5441] {
            for stride in [1, 3, 2048] {
                let mut seen = vec![0; length as usize];
                for lane in lanes(7, Run { group: 0, start: 0, length, stride }) {
                    assert!(u64::from(lane.length) <= LONGEST && lane.length > 0);
                    for i in 0..lane.length {
                        let at = u64::from(lane.start + i * lane.stride) - 7;
                        assert_eq!(at % stride, 0);
                        seen[(at / stride) as usize] += 1;
                    }
                }
                assert!(seen.iter().all(|n| *n == 1), "{length} {stride}");
            }
        }
    }
}
