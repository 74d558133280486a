//! Slices of a tensor that are kept along an axis, copied together.

use crate::scan::Slices;

/// The CPU twin: the bytes of the result from byte `first` on, as many as `to` has. Slices that follow each other are
/// copied at once.
pub(crate) fn gather(slices: Slices, first: usize, mut to: &mut [u8]) {
    let Slices { from, slice, block, kept } = slices;
    let (mut outer, rest) = (first / slices.kept_bytes(), first % slices.kept_bytes());
    let (mut k, mut inside) = (rest / slice, rest % slice);
    while !to.is_empty() {
        let run = slices.run(k);
        let start = outer * block + kept[k] as usize * slice + inside;
        let bytes = (run * slice - inside).min(to.len());
        let (part, later) = to.split_at_mut(bytes);
        part.copy_from_slice(&from[start..start + bytes]);
        (to, inside, k) = (later, 0, k + run);
        if k == kept.len() {
            (k, outer) = (0, outer + 1);
        }
    }
}

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::*;

#[cfg(feature = "gpu")]
mod on_gpu {
    use crate::Result;
    use crate::gpu::{Gpu, Kernel};

    /// The shader.
    pub(crate) const SOURCE: &str = include_str!("../../shaders/gather.wgsl");

    /// Words of a tile, at most: four for each thread.
    pub(crate) const TILE: usize = 1024;

    /// Words that a workgroup makes: see `shaders/gather.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Tile {
        /// Which part it belongs to.
        pub(crate) part: u32,
        /// First word, from the start of the part's result.
        pub(crate) first: u32,
        /// Words.
        pub(crate) words: u32,
    }

    /// Slices that travel together: see `shaders/gather.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub(crate) struct Part {
        /// First element, from the start of the data.
        pub(crate) start: u32,
        /// Elements from a block to the next.
        pub(crate) stride: u32,
        /// Elements of a slice.
        pub(crate) inner: u32,
        /// Slices kept of a block,
        pub(crate) count: u32,
        /// and the first of their indices, from the part's first slice.
        pub(crate) kept: u32,
        /// First word of the result.
        pub(crate) out: u32,
        /// Elements of the result.
        pub(crate) length: u32,
        /// Elements of a word, as a power of two.
        pub(crate) log2: u32,
    }

    impl Part {
        /// A part of blocks of so many bytes, whose data start at byte `start`: `outer` times `count` slices of `slice`
        /// bytes. What an element is does not matter to a copy: it is the largest of 1, 2 and 4 bytes that slices
        /// consist of.
        pub(crate) fn new(start: u64, block: usize, slice: usize, outer: usize, count: usize) -> Self {
            let width = 1 << slice.trailing_zeros().min(2);
            Self {
                start: (start / width) as u32,
                stride: (block as u64 / width) as u32,
                inner: (slice as u64 / width) as u32,
                count: count as u32,
                kept: 0,
                out: 0,
                length: ((outer * count * slice) as u64 / width) as u32,
                log2: 2 - width.trailing_zeros(),
            }
        }

        /// The tiles of the result, of the part of that index.
        pub(crate) fn tiles(&self, index: usize) -> impl Iterator<Item = Tile> + use<> {
            let words = self.length.div_ceil(1 << self.log2);
            (0..words).step_by(TILE).map(move |first| Tile {
                part: index as u32,
                first,
                words: (words - first).min(TILE as u32),
            })
        }
    }

    /// The kernel, for elements of every width.
    pub(crate) fn kernel(gpu: &Gpu) -> Result<std::sync::Arc<Kernel>> {
        gpu.kernel("gather", SOURCE, &[])
    }
}

/// A case for tests: a tensor of outer × axis × inner elements.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) width: usize,
    pub(crate) shape: [u64; 3],
    pub(crate) kept: Vec<u32>,
    pub(crate) from: Vec<u8>,
}

#[cfg(test)]
impl Case {
    /// Bytes that tell where they are from, more or less.
    pub(crate) fn new(width: usize, shape: [u64; 3], kept: impl Fn(u32) -> bool) -> Self {
        let bytes = shape.iter().product::<u64>() as usize * width;
        let from = (0..bytes as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        Self { width, shape, kept: (0..shape[1] as u32).filter(|k| kept(*k)).collect(), from }
    }

    /// Every width, the axis first, in the middle and last, and none, one, all, every other or some of it kept.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let shapes = [[1, 13, 1], [1, 40, 9], [1, 7, 300], [5, 13, 1], [3, 8, 3], [4, 33, 9], [70, 3, 1], [2, 1, 5]];
        for width in [1, 2, 4, 8] {
            for shape in shapes {
                let last = shape[1] as u32 - 1;
                let random = |k: u32| k.wrapping_mul(0x9e37_79b9).wrapping_add(shape[0] as u32) >> 29 < 4;
                let rules: [&dyn Fn(u32) -> bool; 7] =
                    [&|_| false, &|_| true, &|k| k % 2 == 0, &|k| k == last, &|k| k == 0, &|k| k > 0, &random];
                all.extend(rules.map(|rule| Self::new(width, shape, rule)));
            }
            all.extend([[0, 4, 3], [3, 0, 2], [2, 3, 0]].map(|shape| Self::new(width, shape, |_| true)));
            all.push(Self::new(width, [0, 1 << 20, 1 << 44], |k| k == 1));
        }
        all
    }

    fn result_bytes(&self) -> usize {
        (self.shape[0] * self.shape[2]) as usize * self.kept.len() * self.width
    }

    /// The definition, one element at a time.
    pub(crate) fn expected(&self) -> Vec<u8> {
        let (width, [outer, axis, inner]) = (self.width as u64, self.shape);
        let mut to = Vec::with_capacity(self.result_bytes());
        for a in 0..outer {
            for &k in &self.kept {
                for i in 0..inner {
                    let at = ((a * axis + u64::from(k)) * inner + i) * width;
                    to.extend_from_slice(&self.from[at as usize..(at + width) as usize]);
                }
            }
        }
        to
    }

    /// What an engine makes of cases, together.
    fn gathered(engine: &dyn crate::scan::Compute, cases: &[Self], memory_bytes: u64) -> Vec<Vec<u8>> {
        let mut results: Vec<Vec<u8>> = cases.iter().map(|case| vec![0xa5; case.result_bytes()]).collect();
        let mut jobs: Vec<crate::scan::Gather> = cases
            .iter()
            .zip(&mut results)
            .map(|(Self { width, shape: [_, axis, inner], kept, from }, to)| crate::scan::Gather {
                width: *width,
                from,
                axis: *axis,
                inner: *inner,
                kept,
                to,
            })
            .collect();
        engine.gather(&mut jobs, memory_bytes).unwrap();
        results
    }

    /// Asserts that an engine makes of cases, together and perhaps each alone, what they are defined to be.
    pub(crate) fn check(engine: &dyn crate::scan::Compute, cases: &[Self], memory_bytes: u64, alone: bool) {
        let check = |cases: &[Self]| {
            for (case, found) in cases.iter().zip(Self::gathered(engine, cases, memory_bytes)) {
                let label = format!("width {}, {:?}, {} kept", case.width, case.shape, case.kept.len());
                assert!(found == case.expected(), "{label}");
            }
        };
        check(cases);
        cases.chunks(1).filter(|_| alone).for_each(check);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::CpuEngine;

    #[test]
    fn equals_one_by_one() {
        let cpu = CpuEngine::new(None).unwrap();
        Case::check(&cpu, &Case::all(), 0, true);
        // Larger than a part, in blocks and slices that end inside one.
        let large = [[3, 2, 100_001], [90_001, 5, 3], [1, 400_003, 1]];
        let cases: Vec<Case> =
            large.into_iter().flat_map(|shape| [1, 2].map(|width| Case::new(width, shape, |k| k % 5 != 3))).collect();
        Case::check(&cpu, &cases, 0, false);
    }

    #[test]
    fn any_part_of_the_result() {
        for case in Case::all().into_iter().filter(|case| case.result_bytes() > 0) {
            let want = case.expected();
            let [_, axis, inner] = case.shape;
            let slice = inner as usize * case.width;
            let slices = Slices { from: &case.from, slice, block: axis as usize * slice, kept: &case.kept };
            for first in (0..want.len()).step_by(want.len() / 7 + 1) {
                let mut found = vec![0; want.len() / 3 + 1];
                let length = found.len().min(want.len() - first);
                gather(slices, first, &mut found[..length]);
                assert_eq!(found[..length], want[first..first + length], "{case:?} from {first} on");
            }
        }
    }
}
