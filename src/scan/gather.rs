//! Keeping slices of tensors that are in memory: what an engine is asked.

/// The kept slices of a tensor in memory along one axis, to be copied together.
pub(crate) struct Gather<'a> {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub(crate) width: usize,
    /// outer × axis × inner elements.
    pub(crate) from: &'a [u8],
    pub(crate) axis: u64,
    pub(crate) inner: u64,
    /// Ascending indices along the axis.
    pub(crate) kept: &'a [u32],
    /// outer × kept.len() × inner elements.
    pub(crate) to: &'a mut [u8],
}

/// What is copied from: [`Gather`] in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Slices<'a> {
    pub(crate) from: &'a [u8],
    /// Bytes of a slice.
    pub(crate) slice: usize,
    /// Bytes from a slice to the one of the same index that follows: those of all indices of the axis.
    pub(crate) block: usize,
    pub(crate) kept: &'a [u32],
}

impl<'a> Gather<'a> {
    /// The slices, and where they go; `None` where nothing is copied.
    pub(crate) fn split(&mut self) -> Option<(Slices<'a>, &mut [u8])> {
        // With something to copy the tensor has elements, and their bytes are in memory: nothing here overflows.
        if self.to.is_empty() {
            return None;
        }
        let slice = self.inner as usize * self.width;
        let slices = Slices { from: self.from, slice, block: self.axis as usize * slice, kept: self.kept };
        debug_assert_eq!(self.from.len() % slices.block, 0, "whole blocks");
        debug_assert_eq!(self.to.len(), slices.outer() * slices.kept_bytes(), "room for what is kept");
        debug_assert!(self.kept.is_sorted_by(|a, b| a < b) && self.kept.iter().all(|k| u64::from(*k) < self.axis));
        Some((slices, self.to))
    }
}

impl Slices<'_> {
    /// Blocks.
    pub(crate) fn outer(&self) -> usize {
        self.from.len() / self.block
    }

    /// Bytes that are kept of a block.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.len() * self.slice
    }

    /// How many indices follow each other without a gap from the `k`th kept one on.
    pub(crate) fn run(&self, k: usize) -> usize {
        1 + self.kept[k..].windows(2).take_while(|pair| pair[1] - pair[0] == 1).count()
    }
}
