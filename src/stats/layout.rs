//! How a tensor is cut into groups, and groups into pieces that are read and computed at once.

use crate::Float;
use crate::stats::Grouping;

/// A tensor seen as a matrix of `rows` × `cols`, and what a group is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) rows: u64,
    pub(crate) cols: u64,
    pub(crate) kind: Kind,
}

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The whole tensor, whose index is null; the matrix has one row.
    Whole,
    /// A row.
    Rows,
    /// This many consecutive elements of a row, at most.
    Blocks(u64),
    /// This many adjacent columns, of all rows.
    Columns(u64),
    /// Nothing, this many times: a group of a tensor without elements.
    Empty(u64),
}

/// Groups of a tensor without elements that are still listed one by one.
const EMPTY_GROUPS: u64 = 1 << 20;

/// Bytes of a contiguous piece: enough to hide the cost of a read, small enough to stay in a core's own cache.
const PIECE_BYTES: u64 = 128 << 10;
/// Rows of a tile of columns, or a multiple of it: a lane of the GPU takes as many.
pub(crate) const TILE_ROWS: u64 = 64;
/// Columns of a tile, which stays in a core's own cache as f32.
pub(crate) const TILE_COLS: u64 = 2048;

/// How many times as wide a group is whose runs are no columns.
const WIDE: u64 = 16;

impl Layout {
    /// The layout of a tensor of `shape` under `by`. A tensor under two dimensions, or without the axis, is one group.
    pub(crate) fn new(shape: &[u64], by: Grouping) -> Self {
        let elements: u64 = shape.iter().product();
        let whole = Self { rows: 1, cols: elements, kind: Kind::Whole };
        if shape.len() < 2 || by == Grouping::Tensor || by.axis().is_some_and(|axis| axis >= shape.len()) {
            return whole;
        }
        if elements == 0 {
            let groups = by.axis().map_or(0, |axis| shape[axis]);
            // A shape of [2^60, 0] takes no room in a file; nobody wants 2^60 empty answers.
            return if groups > EMPTY_GROUPS { whole } else { Self { kind: Kind::Empty(groups), ..whole } };
        }
        match (by.axis(), by) {
            (Some(axis), _) => {
                let (rows, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
                match rows {
                    // Nothing before the axis that counts: groups lie one after the other, and are done one by one.
                    1 => Self { rows: shape[axis], cols: inner, kind: Kind::Rows },
                    _ => Self { rows, cols: shape[axis] * inner, kind: Kind::Columns(inner) },
                }
            }
            (None, Grouping::Block(n)) => {
                let cols = elements / shape[0];
                Self { rows: shape[0], cols, kind: Kind::Blocks(n.get().min(cols)) }
            }
            (None, _) => whole,
        }
    }

    /// Whether the runs of [`Kind::Columns`] are columns. Where a group is many times as wide as a column of a tile is
    /// high, they are its parts of rows instead: fewer and longer runs. Not before, since neighbouring columns are summed
    /// together.
    pub(crate) fn runs_are_columns(&self) -> bool {
        matches!(self.kind, Kind::Columns(inner) if inner < WIDE * self.rows.min(TILE_ROWS))
    }

    pub(crate) fn groups(&self) -> u64 {
        match self.kind {
            Kind::Whole => 1,
            Kind::Rows => self.rows,
            Kind::Blocks(n) => self.rows * self.cols.div_ceil(n),
            Kind::Columns(inner) => self.cols / inner,
            Kind::Empty(groups) => groups,
        }
    }

    /// Elements of the largest group.
    pub(crate) fn largest_group(&self) -> u64 {
        match self.kind {
            Kind::Whole | Kind::Rows | Kind::Empty(_) => self.cols,
            Kind::Blocks(n) => n,
            Kind::Columns(inner) => self.rows * inner,
        }
    }

    /// The whole matrix.
    pub(crate) fn all(&self) -> Region {
        Region { row: 0, rows: self.rows, col: 0, cols: self.cols }
    }

    /// The first group of a region of whole groups, and how many it has.
    pub(crate) fn groups_of(&self, region: Region) -> (u64, u64) {
        match self.kind {
            Kind::Whole => (0, 1),
            Kind::Rows => (region.row, region.rows),
            Kind::Blocks(n) => (region.row * self.cols.div_ceil(n) + region.col / n, self.run_count(region)),
            Kind::Columns(inner) => (region.col / inner, region.cols / inner),
            Kind::Empty(groups) => (0, groups),
        }
    }

    /// The region of one group.
    pub(crate) fn group(&self, group: u64) -> Region {
        match self.kind {
            Kind::Whole | Kind::Empty(_) => self.all(),
            Kind::Rows => Region { row: group, rows: 1, col: 0, cols: self.cols },
            Kind::Blocks(n) => {
                let per_row = self.cols.div_ceil(n);
                let col = group % per_row * n;
                Region { row: group / per_row, rows: 1, col, cols: n.min(self.cols - col) }
            }
            Kind::Columns(inner) => Region { row: 0, rows: self.rows, col: group * inner, cols: inner },
        }
    }

    /// Cuts `within` into regions of whole groups of at most `elements` each, or of a single group.
    pub(crate) fn whole_groups(self, within: Region, elements: u64) -> impl Iterator<Item = Region> {
        let (rows, cols) = match self.kind {
            Kind::Whole | Kind::Empty(_) => (1, within.cols),
            Kind::Rows => (elements / within.cols, within.cols),
            Kind::Blocks(n) if within.cols > elements => (1, elements / n * n.max(1)),
            Kind::Blocks(_) => (elements / within.cols, within.cols),
            Kind::Columns(inner) => (within.rows, elements / within.rows / inner * inner),
        };
        let least = match self.kind {
            Kind::Blocks(n) | Kind::Columns(n) => n,
            Kind::Whole | Kind::Rows | Kind::Empty(_) => 1,
        };
        within.grid(rows.max(1), cols.max(least))
    }

    /// Cuts `within`, whole groups or one group, into the pieces that are read and computed at once: contiguous ones
    /// of about 128 KiB, tiles of 64 × 2048, or of more and shorter rows, where runs are columns. A piece that is neither
    /// a tile nor as wide as `within` is of one row, and starts at a group or lies in one. The cut of a group depends on
    /// nothing but the layout and the dtype.
    pub(crate) fn pieces(self, float: Float, within: Region) -> impl Iterator<Item = Region> {
        let elements = PIECE_BYTES / float.bytes() as u64;
        let (rows, cols) = match self.kind {
            // More rows where they are short; the same number whichever columns are asked for.
            Kind::Columns(_) if self.runs_are_columns() => {
                ((elements / 2 / self.cols / TILE_ROWS).max(1) * TILE_ROWS, TILE_COLS)
            }
            _ if within.cols <= elements => (elements / within.cols.max(1), within.cols),
            Kind::Blocks(n) | Kind::Columns(n) if n <= elements => (1, elements / n * n),
            _ => (1, elements),
        };
        // A block longer than a piece is cut from its own start, so that no piece crosses into the next block.
        let (outer_rows, outer_cols) = match self.kind {
            Kind::Blocks(n) | Kind::Columns(n) if n > elements && !self.runs_are_columns() => (1, n),
            _ => (within.rows, within.cols),
        };
        within.grid(outer_rows, outer_cols).flat_map(move |outer| outer.grid(rows, cols))
    }

    /// The runs of a piece in group order: `start` and `stride` in elements of the piece read row by row.
    pub(crate) fn runs(self, piece: Region) -> impl Iterator<Item = Run> {
        let columns = self.runs_are_columns();
        // Groups before the first of a row: the groups of columns are the same in every row.
        let (per_row, first) = match self.kind {
            Kind::Blocks(n) => (across(piece, n), self.cols.div_ceil(n)),
            Kind::Columns(n) => (across(piece, n), 0),
            _ => (1, 0),
        };
        (0..self.run_count(piece)).map(move |i| match self.kind {
            Kind::Whole | Kind::Empty(_) => Run { group: 0, start: 0, length: piece.cols, stride: 1 },
            Kind::Rows => Run { group: piece.row + i, start: i * piece.cols, length: piece.cols, stride: 1 },
            Kind::Columns(inner) if columns => {
                Run { group: (piece.col + i) / inner, start: i, length: piece.rows, stride: piece.cols }
            }
            Kind::Blocks(n) | Kind::Columns(n) => {
                let (row, block) = (i / per_row, piece.col / n + i % per_row);
                let from = (block * n).max(piece.col);
                let to = (block * n + n).min(piece.col + piece.cols);
                Run {
                    group: (piece.row + row) * first + block,
                    start: row * piece.cols + from - piece.col,
                    length: to - from,
                    stride: 1,
                }
            }
        })
    }

    /// The groups of a piece that holds whole groups, in order.
    pub(crate) fn views(self, piece: Region) -> impl Iterator<Item = View> {
        let columns = match self.kind {
            Kind::Columns(inner) => Some((0..piece.cols / inner).map(move |i| View {
                group: piece.col / inner + i,
                start: i * inner,
                run: inner,
                stride: piece.cols,
                length: inner * piece.rows,
            })),
            _ => None,
        };
        let contiguous = columns.is_none().then(|| {
            self.runs(piece).map(|run| View {
                group: run.group,
                start: run.start,
                run: run.length,
                stride: run.length,
                length: run.length,
            })
        });
        columns.into_iter().flatten().chain(contiguous.into_iter().flatten())
    }

    /// Number of runs of a piece.
    pub(crate) fn run_count(&self, piece: Region) -> u64 {
        match self.kind {
            Kind::Whole => 1,
            Kind::Empty(_) => 0,
            Kind::Rows => piece.rows,
            Kind::Columns(_) if self.runs_are_columns() => piece.cols,
            Kind::Blocks(n) | Kind::Columns(n) => piece.rows * across(piece, n),
        }
    }
}

/// How many spans of `n` columns a piece touches.
fn across(piece: Region, n: u64) -> u64 {
    (piece.col + piece.cols).div_ceil(n) - piece.col / n
}

/// A rectangle of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) row: u64,
    pub(crate) rows: u64,
    pub(crate) col: u64,
    pub(crate) cols: u64,
}

impl Region {
    pub(crate) fn elements(&self) -> u64 {
        self.rows * self.cols
    }

    /// Rectangles of at most `rows` × `cols`, row of rectangles after row of rectangles.
    fn grid(self, rows: u64, cols: u64) -> impl Iterator<Item = Self> {
        let across = self.cols.div_ceil(cols.max(1));
        (0..self.rows.div_ceil(rows.max(1)) * across).map(move |i| {
            let (row, col) = (i / across * rows, i % across * cols);
            Self {
                row: self.row + row,
                rows: rows.min(self.rows - row),
                col: self.col + col,
                cols: cols.min(self.cols - col),
            }
        })
    }
}

/// Elements of a piece that belong to one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) group: u64,
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) stride: u64,
}

/// A whole group in a piece: its element j is element `start` + j / `run` · `stride` + j % `run` of the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) group: u64,
    pub(crate) start: u64,
    pub(crate) run: u64,
    pub(crate) stride: u64,
    pub(crate) length: u64,
}

#[cfg(test)]
mod tests;
