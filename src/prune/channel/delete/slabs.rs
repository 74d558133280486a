//! Parts of sliced tensors that are read and gathered at once.
//!
//! A tensor is seen as rows of slices along the last axis that is cut. Rows of which nothing stays are not read; what is
//! read at once is several rows, or a part of one.

use std::borrow::Cow;
use std::ops::Range;

use super::slices::Sliced;

/// A part of a sliced tensor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slab<'a> {
    /// Index of its tensor.
    pub(super) tensor: usize,
    /// Bytes of the tensor that are read.
    pub(super) bytes: Range<u64>,
    /// Where in the new tensor it goes, in bytes.
    pub(super) to: u64,
    /// Slices in a row of it.
    pub(super) axis: u64,
    /// Elements of a slice.
    pub(super) inner: u64,
    /// Which indices along the axis stay, counted from its first slice.
    pub(super) kept: Cow<'a, [u32]>,
}

impl Slab<'_> {
    /// Bytes that it becomes.
    pub(super) fn kept_bytes(&self) -> u64 {
        let read = self.bytes.end - self.bytes.start;
        read.checked_div(self.axis).unwrap_or(0) * self.kept.len() as u64
    }
}

/// The parts of a sliced tensor, of about `most` bytes or a row's slice.
pub(super) fn slabs<'a>(index: usize, sliced: &'a Sliced, width: u64, most: u64) -> Vec<Slab<'a>> {
    let shape = sliced.tensor.shape();
    let Some((&last, kept)) = sliced.kept.last_key_value() else { return Vec::new() };
    let (axis, inner) = (shape[last], shape[last + 1..].iter().product::<u64>());
    let row_bytes = axis * inner * width;
    let mut found = Vec::new();
    let mut to = 0;
    if row_bytes == 0 {
        return found;
    }
    for rows in rows(sliced, last) {
        let mut row = rows.start;
        while row < rows.end {
            if row_bytes <= most || axis == 1 {
                let count = (most / row_bytes).clamp(1, rows.end - row);
                let bytes = row * row_bytes..(row + count) * row_bytes;
                let slab = Slab { tensor: index, bytes, to, axis, inner, kept: Cow::Borrowed(&kept[..]) };
                to += slab.kept_bytes();
                found.push(slab);
                row += count;
                continue;
            }
            // A row that is too large goes in parts.
            let slice_bytes = inner * width;
            let step = (most / slice_bytes).clamp(1, axis) as u32;
            for first in (0..axis as u32).step_by(step as usize) {
                let end = first.saturating_add(step).min(axis as u32);
                let part = kept.partition_point(|i| *i < first)..kept.partition_point(|i| *i < end);
                let part: Vec<u32> = kept[part].iter().map(|i| i - first).collect();
                if part.is_empty() {
                    continue;
                }
                let start = row * row_bytes + u64::from(first) * slice_bytes;
                let bytes = start..start + u64::from(end - first) * slice_bytes;
                let slab = Slab { tensor: index, bytes, to, axis: (end - first).into(), inner, kept: Cow::Owned(part) };
                to += slab.kept_bytes();
                found.push(slab);
            }
            row += 1;
        }
    }
    found
}

/// Stretches of rows of which something stays: indices over the axes before `last`.
fn rows(sliced: &Sliced, last: usize) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = std::iter::once(0..1).collect();
    for (axis, &length) in sliced.tensor.shape()[..last].iter().enumerate() {
        let whole = |rows: &Range<u64>| rows.start * length..rows.end * length;
        found = match sliced.kept.get(&axis) {
            None => found.iter().map(whole).collect(),
            Some(kept) => {
                let mut split = Vec::new();
                for row in found.into_iter().flatten() {
                    for &index in kept {
                        let at = row * length + u64::from(index);
                        match split.last_mut() {
                            Some(Range { end, .. }) if *end == at => *end = at + 1,
                            _ => split.push(at..at + 1),
                        }
                    }
                }
                split
            }
        };
    }
    found
}
