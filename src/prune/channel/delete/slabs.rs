//! Parts of sliced tensors that are read and gathered at once.
//!
//! A tensor is seen as rows of slices along the last axis that is cut. Rows of which nothing stays are not read; what is
//! read at once is several rows, some slices of one, or a part of a slice.

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

/// The parts of a sliced tensor, of at most `most` bytes, or an element.
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
            if row_bytes <= most {
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
            if slice_bytes > most {
                let each = (most / width).max(1);
                for slice in kept.iter().map(|index| row * row_bytes + u64::from(*index) * slice_bytes) {
                    for first in (0..inner).step_by(usize::try_from(each).unwrap_or(usize::MAX)) {
                        let elements = each.min(inner - first);
                        let bytes = slice + first * width..slice + (first + elements) * width;
                        let kept = Cow::Borrowed(&[0][..]);
                        found.push(Slab { tensor: index, bytes, to, axis: 1, inner: elements, kept });
                        to += elements * width;
                    }
                }
                row += 1;
                continue;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gather::gather;
    use crate::scan::Gather;
    use std::collections::BTreeMap;

    #[test]
    fn slabs_hold_what_stays_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        for shape in [&[7usize][..], &[4, 5], &[3, 4, 6], &[1, 9, 2, 2], &[6, 1, 5]] {
            let bytes: Vec<u8> = (0..shape.iter().product::<usize>() * 4).map(|i| (i % 251) as u8).collect();
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &bytes).unwrap();
            safetensors::serialize_to_file([("w", view)], None, &path).unwrap();
            let model = crate::Checkpoint::open(&path).unwrap();
            let tensor = model.get("w").unwrap();
            // Every axis, and pairs of them, keeping two of three.
            let kept = |axis: usize| (0..shape[axis] as u32).filter(|i| i % 3 != 1).collect::<Vec<_>>();
            let axes = (0..shape.len()).flat_map(|a| (a..shape.len()).map(move |b| [a, b]));
            for [a, b] in axes {
                let sliced = Sliced { tensor, kept: BTreeMap::from([(a, kept(a)), (b, kept(b))]) };
                let stays = |mut at: usize| {
                    shape.iter().enumerate().rev().all(|(axis, length)| {
                        let index = (at % length) as u32;
                        at /= length;
                        sliced.kept.get(&axis).is_none_or(|kept| kept.contains(&index))
                    })
                };
                let each = bytes.chunks(4).enumerate();
                let wanted: Vec<u8> = each.filter(|(at, _)| stays(*at)).flat_map(|(_, b)| b.to_vec()).collect();
                for most in [1, 4, 12, 40, 1000] {
                    let mut found = vec![0xaa; wanted.len()];
                    for slab in slabs(0, &sliced, 4, most) {
                        let read = slab.bytes.end - slab.bytes.start;
                        assert!(read <= most.max(4), "{shape:?} {a} {b} {most}: {read}");
                        let to = &mut found[slab.to as usize..][..slab.kept_bytes() as usize];
                        let from = &bytes[slab.bytes.start as usize..slab.bytes.end as usize];
                        let (axis, inner, kept) = (slab.axis, slab.inner, &slab.kept[..]);
                        if let Some((slices, to)) = (Gather { width: 4, from, axis, inner, kept, to }).split() {
                            gather(slices, 0, to);
                        }
                    }
                    assert!(found == wanted, "{shape:?} {a} {b} {most}");
                }
            }
        }
    }
}
