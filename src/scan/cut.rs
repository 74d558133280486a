//! Cutting weights that are in memory: what an engine is asked.

use crate::{Float, Result};

/// Consecutive weights of one tensor, to be cut in place.
pub(crate) struct Job<'a> {
    pub(crate) float: Float,
    /// Whole elements; cut weights become all-zero bits.
    pub(crate) bytes: &'a mut [u8],
    /// Index in its tensor of the first element: a multiple of [`unit`](Rule::unit), and of 32.
    pub(crate) first: u64,
    pub(crate) rule: Rule<'a>,
    /// Where its mask goes, if it is wanted: ⌈elements / 32⌉ words, 1 = kept, the bits beyond the elements 0.
    pub(crate) mask: Option<&'a mut [u32]>,
}

impl<'a> Job<'a> {
    /// Parts of about `elements`, in order: whole units, and whole words of the mask, given or wanted.
    pub(crate) fn split(&mut self, elements: usize) -> impl Iterator<Item = Job<'_>> {
        let (float, first, rule) = (self.float, self.first, self.rule);
        let (width, all) = (float.bytes(), self.bytes.len() / float.bytes());
        // A unit that does not fit in 64 bits is no smaller than the tensor.
        let unit = aligned_unit(rule.unit()).and_then(|unit| usize::try_from(unit).ok()).unwrap_or(all).max(1);
        let most = elements.next_multiple_of(unit);
        let mut masks = self.mask.as_deref_mut().map(|mask| mask.chunks_mut(most / 32));
        self.bytes.chunks_mut(most * width).enumerate().map(move |(i, bytes)| {
            let start = i * most;
            let words = start / 32..(start + bytes.len() / width).div_ceil(32);
            let rule = if let Rule::Mask(mask) = rule { Rule::Mask(&mask[words]) } else { rule };
            let mask = masks.as_mut().and_then(Iterator::next);
            Job { float, bytes, first: first + start as u64, rule, mask }
        })
    }
}

/// Which weights are cut. NaN never is.
#[derive(Clone, Copy)]
pub(crate) enum Rule<'a> {
    /// Magnitudes below (or `above`) that of the bits `key`; of those that equal it the first ones, as many as the
    /// budget of this index still has.
    Threshold { key: u64, above: bool, budget: usize },
    /// Of every `m` elements that lie `stride` apart, the `m − n` that rank lowest (or, under `above`, highest).
    NofM { n: u32, m: u32, stride: u64, above: bool },
    /// Those whose bit is 0 in these words, whose first bit is that of the job's first element.
    Mask(&'a [u32]),
    /// Whatever a function of the host says.
    Host(&'a dyn HostRule),
}

/// A rule that only the host knows: it makes masks.
pub(crate) trait HostRule: Sync {
    /// Elements that have to be judged together.
    fn unit(&self) -> u64;

    /// Ties that the budget is needed for, among these elements from `first` on; 0 where there are none.
    fn ties(&self, first: u64, bytes: &[u8]) -> Result<u64>;

    /// The budget that ties are taken from.
    fn budget(&self) -> Option<usize>;

    /// Sets the `mask` of the elements from `first` on, cutting the first `allowed` ties.
    fn mask(&self, first: u64, bytes: &[u8], allowed: u64, mask: &mut [u32]) -> Result<()>;
}

impl Rule<'_> {
    /// Elements that have to be judged together: a job holds a multiple, or ends with its tensor.
    pub(crate) fn unit(&self) -> u64 {
        match self {
            Self::Threshold { .. } | Self::Mask(_) => 1,
            Self::NofM { m, stride, .. } => u64::from(*m) * stride,
            Self::Host(rule) => rule.unit(),
        }
    }
}

/// What a cut has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CutCounts {
    /// Weights whose mask is 0, zeros among them included.
    pub(crate) cut: u64,
    /// Weights that were ±0.
    pub(crate) zeros_before: u64,
    /// Weights that are ±0.
    pub(crate) zeros_after: u64,
    /// The largest magnitude among those that were cut, as bits of their format.
    pub(crate) largest: Option<u64>,
}

impl CutCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.cut += other.cut;
        self.zeros_before += other.zeros_before;
        self.zeros_after += other.zeros_after;
        self.largest = self.largest.max(other.largest);
    }
}

/// The smallest number of elements that is a multiple of `unit` and of the bits of a mask's word; `None` beyond 64 bits.
pub(crate) fn aligned_unit(unit: u64) -> Option<u64> {
    let twos = unit.trailing_zeros().min(5);
    unit.checked_mul(32 >> twos)
}
