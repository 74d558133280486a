//! What a convolution is about, and what of it is made at once.

use super::columns::Place;

/// What a convolution is about; axes of positions are height and width.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Geometry {
    pub(in crate::train) images: usize,
    pub(in crate::train) channels: usize,
    pub(in crate::train) input: [usize; 2],
    pub(in crate::train) outputs: usize,
    pub(in crate::train) output: [usize; 2],
    pub(in crate::train) kernel: [usize; 2],
    pub(in crate::train) strides: [usize; 2],
    pub(in crate::train) dilations: [usize; 2],
    pub(in crate::train) pads: [(usize, usize); 2],
    pub(in crate::train) groups: usize,
}

/// Elements of a piece of columns: 1 MiB stays in the cache of a core.
const COLUMNS: usize = 1 << 18;

/// Columns that make a product worth its overhead.
const ENOUGH: usize = 256;

/// What of a convolution is made at once: images of a block, whole, or rows of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) images: (usize, usize),
    pub(super) rows: (usize, usize),
}

impl Geometry {
    pub(super) fn per_group(&self) -> usize {
        self.channels / self.groups
    }

    /// Products that an output sums.
    pub(super) fn depth(&self) -> usize {
        self.per_group() * self.kernel[0] * self.kernel[1]
    }

    pub(super) fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub(super) fn image(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    pub(super) fn weight(&self) -> usize {
        self.outputs * self.depth()
    }

    /// Images whose columns are made at once.
    pub(super) fn together(&self) -> usize {
        let positions = self.positions().max(1);
        ENOUGH.div_ceil(positions).min(COLUMNS / (self.depth() * positions).max(1)).max(1)
    }

    /// What a block of so many images is made of.
    pub(super) fn pieces(&self, images: usize) -> impl Iterator<Item = Piece> {
        let (together, height) = (self.together(), self.output[0]);
        let tile = match together {
            1 => (COLUMNS / (self.depth() * self.output[1]).max(1)).clamp(1, height.max(1)),
            _ => height.max(1),
        };
        let rows = move |first: usize| {
            let images = (first, (first + together).min(images));
            (0..height).step_by(tile).map(move |top| Piece { images, rows: (top, (top + tile).min(height)) })
        };
        (0..images).step_by(together).flat_map(rows)
    }

    /// Columns of a piece.
    pub(super) fn count(&self, piece: Piece) -> usize {
        (piece.images.1 - piece.images.0) * (piece.rows.1 - piece.rows.0) * self.output[1]
    }

    /// Where the columns of each of its images are.
    pub(super) fn places(&self, piece: Piece) -> impl Iterator<Item = (usize, Place)> {
        let (stride, each) = (self.count(piece), (piece.rows.1 - piece.rows.0) * self.output[1]);
        let place = move |(number, image)| (image, Place { stride, offset: number * each, rows: piece.rows });
        (piece.images.0..piece.images.1).enumerate().map(place)
    }

    /// The outputs of a group of an image, at a piece's rows: where they start, how far apart, how many.
    pub(super) fn outputs_of(&self, image: usize, output: usize, rows: (usize, usize)) -> std::ops::Range<usize> {
        let start = (image * self.outputs + output) * self.positions();
        start + rows.0 * self.output[1]..start + rows.1 * self.output[1]
    }
}
