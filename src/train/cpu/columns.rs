//! What a kernel sees at each position, as a column of a matrix.

use super::Geometry;

/// Where among the columns those of an image's positions are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Columns of the matrix.
    pub(super) stride: usize,
    /// The first of the image's.
    pub(super) offset: usize,
    /// The rows of the output that they are for.
    pub(super) rows: (usize, usize),
}

/// Fills columns with one image's channels from `first` on: `[channels · kernel, positions]`.
pub(super) fn gather(geometry: &Geometry, image: &[f32], first: usize, place: Place, columns: &mut [f32]) {
    each_row(geometry, first, place, |at, from, valid| {
        let row = &mut columns[at..at + geometry.output[1]];
        let Some(from) = from else { return row.fill(0.0) };
        row[..valid.0].fill(0.0);
        row[valid.1..].fill(0.0);
        let inside = &mut row[valid.0..valid.1];
        match geometry.strides[1] {
            1 => copy(inside, &image[from..from + inside.len()]),
            stride => inside.iter_mut().zip(image[from..].iter().step_by(stride)).for_each(|(x, y)| *x = *y),
        }
    });
}

/// A copy of a row, which is mostly short: a call would take longer.
#[inline(always)]
fn copy(into: &mut [f32], from: &[f32]) {
    let ((into, last), (from, rest)) = (into.as_chunks_mut::<8>(), from.as_chunks::<8>());
    into.iter_mut().zip(from).for_each(|(x, y)| *x = *y);
    last.iter_mut().zip(rest).for_each(|(x, y)| *x = *y);
}

/// The way back: adds each column to what its kernel saw.
pub(super) fn scatter(geometry: &Geometry, columns: &[f32], first: usize, place: Place, image: &mut [f32]) {
    each_row(geometry, first, place, |at, from, valid| {
        let Some(from) = from else { return };
        let row = &columns[at + valid.0..at + valid.1];
        match geometry.strides[1] {
            1 => image[from..from + row.len()].iter_mut().zip(row).for_each(|(x, y)| *x += *y),
            stride => image[from..].iter_mut().step_by(stride).zip(row).for_each(|(x, y)| *x += *y),
        }
    });
}

/// Each row of positions under each element of the kernel: where it starts among the columns, where in the image its
/// first valid position looks, if that row of the image is there, and which positions are valid.
#[inline(always)]
fn each_row(
    geometry: &Geometry,
    first: usize,
    place: Place,
    mut row: impl FnMut(usize, Option<usize>, (usize, usize)),
) {
    let &Geometry { kernel, strides, dilations, pads, input, output, .. } = geometry;
    let mut start = place.offset;
    for channel in first..first + geometry.per_group() {
        for y in 0..kernel[0] {
            for x in 0..kernel[1] {
                let shift = x * dilations[1];
                // Positions p with 0 ≤ p · stride + shift − pad < width.
                let begin = pads[1].0.saturating_sub(shift).div_ceil(strides[1]).min(output[1]);
                let end = (input[1] + pads[1].0).saturating_sub(shift).div_ceil(strides[1]).clamp(begin, output[1]);
                for (number, position) in (place.rows.0..place.rows.1).enumerate() {
                    let height = (position * strides[0] + y * dilations[0]).checked_sub(pads[0].0);
                    let from = height.filter(|&height| height < input[0] && begin < end).map(|height| {
                        (channel * input[0] + height) * input[1] + begin * strides[1] + shift - pads[1].0
                    });
                    row(start + number * output[1], from, (begin, end));
                }
                start += place.stride;
            }
        }
    }
}
