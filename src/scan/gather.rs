//! Copying the kept slices of a tensor together: what an engine is asked.

/// The slices of a tensor in memory that stay, along one axis.
pub(crate) struct Gather<'a> {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub(crate) width: usize,
    /// outer × axis × inner elements.
    pub(crate) from: &'a [u8],
    pub(crate) axis: u64,
    pub(crate) inner: u64,
    /// Ascending indices along the axis.
    pub(crate) kept: &'a [u32],
    /// outer × kept × inner elements.
    pub(crate) to: &'a mut [u8],
}

impl Gather<'_> {
    /// Bytes of a slice.
    pub(crate) fn slice_bytes(&self) -> usize {
        self.inner as usize * self.width
    }

    /// Bytes of all slices of one outer index, before and after.
    pub(crate) fn row_bytes(&self) -> (usize, usize) {
        (self.axis as usize * self.slice_bytes(), self.kept.len() * self.slice_bytes())
    }

    /// Whether there is nothing to copy.
    pub(crate) fn is_empty(&self) -> bool {
        self.to.is_empty() || self.slice_bytes() == 0
    }
}
