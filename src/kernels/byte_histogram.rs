//! How often each of 256 values occurs in runs of 8-bit weights. The CPU twin is a count in the loop that reads them;
//! every statistic follows from the table by [`super::moments::weighted_moments`].

/// The CPU twin: how often each byte occurs.
pub(crate) fn count_bytes(bytes: &[u8]) -> [u64; 256] {
    // Four tables, so that a run of one value does not wait for its own last count.
    let mut counts = [[0u32; 256]; 4];
    let (quads, rest) = bytes.as_chunks::<4>();
    for quad in quads {
        for (counts, byte) in counts.iter_mut().zip(quad) {
            counts[usize::from(*byte)] += 1;
        }
    }
    rest.iter().for_each(|byte| counts[0][usize::from(*byte)] += 1);
    std::array::from_fn(|i| counts.iter().map(|c| u64::from(c[i])).sum())
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Result;
    use crate::gpu::{Gpu, Kernel};

    /// The shader.
    pub(crate) const SOURCE: &str = include_str!("../../shaders/byte_histogram.wgsl");

    /// Weights of a tile: enough that clearing and adding its table is little work beside counting.
    pub(crate) const TILE: u64 = 64 << 10;

    /// A tile of a run.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Tile {
        /// First element, from the start of the data.
        pub(crate) start: u32,
        /// Elements.
        pub(crate) length: u32,
        /// Which table of 256 counts it is added to.
        pub(crate) table: u32,
    }

    /// The tiles of a run.
    pub(crate) fn tiles(start: u64, length: u64, table: u32) -> impl Iterator<Item = Tile> {
        (0..length.div_ceil(TILE)).map(move |i| Tile {
            start: (start + i * TILE) as u32,
            length: TILE.min(length - i * TILE) as u32,
            table,
        })
    }

    /// The kernel, the same for both formats.
    pub(crate) fn kernel(gpu: &Gpu) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("byte_histogram", SOURCE, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_byte() {
        let bytes: Vec<u8> = (0..1_001u32).map(|i| (i * i) as u8).collect();
        let found = count_bytes(&bytes);
        for (value, count) in found.iter().enumerate() {
            assert_eq!(*count, bytes.iter().filter(|b| usize::from(**b) == value).count() as u64);
        }
    }
}
