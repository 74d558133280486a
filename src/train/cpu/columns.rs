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

impl Place {
    fn count(self) -> usize {
        self.rows.1 - self.rows.0
    }
}

/// Fills columns with one image's channels from `first` on: `[channels · kernel, positions]`.
pub(super) fn gather(geometry: &Geometry, image: &[f32], first: usize, place: Place, columns: &mut [f32]) {
    let width = geometry.output[1];
    each_element(geometry, first, place, |seen| {
        let rows = &mut columns[seen.start..seen.start + place.count() * width];
        if !seen.whole(geometry, place) {
            rows.fill(0.0);
        }
        let valid = rows[seen.rows.0 * width..seen.rows.1 * width].chunks_exact_mut(width.max(1));
        for (row, from) in valid.zip(seen.sources(geometry, image)) {
            let inside = &mut row[seen.columns.0..seen.columns.1];
            match geometry.strides[1] {
                1 => copy(inside, &from[..inside.len()]),
                stride => inside.iter_mut().zip(from.iter().step_by(stride)).for_each(|(x, y)| *x = *y),
            }
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
    let width = geometry.output[1];
    each_element(geometry, first, place, |seen| {
        let valid =
            columns[seen.start + seen.rows.0 * width..seen.start + seen.rows.1 * width].chunks_exact(width.max(1));
        for (number, row) in valid.enumerate() {
            let row = &row[seen.columns.0..seen.columns.1];
            let into = &mut image[seen.from + number * seen.step..];
            match geometry.strides[1] {
                1 => into[..row.len()].iter_mut().zip(row).for_each(|(x, y)| *x += *y),
                stride => into.iter_mut().step_by(stride).zip(row).for_each(|(x, y)| *x += *y),
            }
        }
    });
}

/// What one element of the kernel sees of one channel.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Where its row of the matrix starts.
    start: usize,
    /// Rows of positions, counted from the place's first, at which it is inside the image.
    rows: (usize, usize),
    /// Positions of such a row.
    columns: (usize, usize),
    /// Where in the image the first of them looks.
    from: usize,
    /// From row to row of positions.
    step: usize,
}

impl Seen {
    fn whole(&self, geometry: &Geometry, place: Place) -> bool {
        self.rows == (0, place.count()) && self.columns == (0, geometry.output[1])
    }

    /// The image from where each row looks on.
    fn sources<'a>(self, geometry: &Geometry, image: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let length = (self.columns.1 - self.columns.0).saturating_sub(1) * geometry.strides[1] + 1;
        (0..self.rows.1 - self.rows.0).map(move |number| &image[self.from + number * self.step..][..length])
    }
}

/// Each element of the kernel over each channel of a group, in the order of the weight.
#[inline(always)]
fn each_element(geometry: &Geometry, first: usize, place: Place, mut element: impl FnMut(Seen)) {
    let &Geometry { kernel, strides, dilations, pads, input, output, .. } = geometry;
    // Positions p with 0 ≤ p · stride + shift − pad < length.
    let valid = |axis: usize, shift: usize, from: usize, to: usize| {
        let begin = pads[axis].0.saturating_sub(shift).div_ceil(strides[axis]).clamp(from, to);
        let end = (input[axis] + pads[axis].0).saturating_sub(shift).div_ceil(strides[axis]).clamp(begin, to);
        (begin, end)
    };
    for (channel, start) in (first..first + geometry.per_group()).zip(0..) {
        for y in 0..kernel[0] {
            let (top, bottom) = valid(0, y * dilations[0], place.rows.0, place.rows.1);
            for x in 0..kernel[1] {
                let (left, right) = valid(1, x * dilations[1], 0, output[1]);
                let some = top < bottom && left < right;
                let row = (top * strides[0] + y * dilations[0]).saturating_sub(pads[0].0);
                let column = (left * strides[1] + x * dilations[1]).saturating_sub(pads[1].0);
                element(Seen {
                    start: ((start * kernel[0] + y) * kernel[1] + x) * place.stride + place.offset,
                    rows: if some { (top - place.rows.0, bottom - place.rows.0) } else { (0, 0) },
                    columns: (left, right),
                    from: (channel * input[0] + row) * input[1] + column,
                    step: strides[0] * input[1],
                });
            }
        }
    }
}
