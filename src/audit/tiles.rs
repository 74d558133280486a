//! A tensor as tiles that are read and counted at once: whole groups of neighbours along the input axis, whatever the shape.

use crate::{Checkpoint, Float, Progress, Result, Tensor};

/// Input channels whose bits are held at once, 8 MiB of them; more are visited panel after panel.
const PANEL_COLS: u64 = 1 << 26;

/// A tensor of `rows` (axis 0) × `cols` (axis 1) × `inner` (all further axes) elements, of 1 × axis 0 × the rest where inputs
/// lie along axis 0; under two axes 1 × 1 × its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: u64,
    pub(super) cols: u64,
    pub(super) inner: u64,
    /// Columns that stay together: a multiple of every M that is judged. It divides `cols`.
    unit: u64,
    piece_elements: u64,
}

/// `rows` × `cols` × `run` elements from (`row`, `col`, `at`) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) row: u64,
    pub(super) rows: u64,
    pub(super) col: u64,
    pub(super) cols: u64,
    at: u64,
    pub(super) run: u64,
}

impl Grid {
    /// The grid of a tensor that has elements; tiles take at most about `piece_bytes`.
    pub(super) fn new(shape: &[u64], input_axis: usize, float: Float, unit: u64, piece_bytes: u64) -> Self {
        let (rows, cols, inner) = match shape {
            [inputs, rest @ ..] if input_axis == 0 && !rest.is_empty() => (1, *inputs, rest.iter().product()),
            [rows, cols, rest @ ..] => (*rows, *cols, rest.iter().product()),
            _ => (1, 1, shape.iter().product()),
        };
        Self { rows, cols, inner, unit, piece_elements: (piece_bytes / float.bytes() as u64).max(1) }
    }

    /// Whether every tile holds whole rows.
    pub(super) fn whole_rows(&self) -> bool {
        self.cols * self.inner <= self.piece_elements
    }

    /// Columns of a panel: tiles of one come after all those of the one before.
    pub(super) fn panel_cols(&self) -> u64 {
        PANEL_COLS / self.unit * self.unit
    }

    /// All tiles: panel after panel, rows within it.
    pub(super) fn tiles(self) -> impl Iterator<Item = Tile> {
        let Self { rows, cols, inner, unit, piece_elements } = self;
        let rows_each = if self.whole_rows() { piece_elements / (cols * inner) } else { 1 };
        let cols_each = if self.whole_rows() { cols } else { (piece_elements / inner / unit * unit).max(unit) };
        let run_each = if unit * inner <= piece_elements { inner } else { (piece_elements / unit).max(1) };
        steps(0, cols, self.panel_cols()).flat_map(move |(panel, width)| {
            steps(0, rows, rows_each).flat_map(move |(row, rows)| {
                steps(panel, panel + width, cols_each).flat_map(move |(col, cols)| {
                    steps(0, inner, run_each).map(move |(at, run)| Tile { row, rows, col, cols, at, run })
                })
            })
        })
    }

    /// Reads a tile: row after row, column after column.
    pub(super) fn load(
        &self,
        checkpoint: &Checkpoint,
        tensor: &Tensor,
        float: Float,
        tile: &Tile,
        progress: &Progress,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let width = float.bytes() as u64;
        // At most a piece, or a unit of single elements.
        buffer.resize((tile.rows * tile.cols * tile.run * width) as usize, 0);
        let start = ((tile.row * self.cols + tile.col) * self.inner + tile.at) * width;
        if tile.run == self.inner {
            checkpoint.read_exact_at(tensor, start, buffer)?;
        } else {
            for (part, column) in buffer.chunks_mut((tile.run * width) as usize).zip(0..) {
                checkpoint.read_exact_at(tensor, start + column * self.inner * width, part)?;
            }
        }
        progress.add(buffer.len() as u64);
        Ok(())
    }
}

/// `from..to` in parts of `each`, as (start, length).
fn steps(from: u64, to: u64, each: u64) -> impl Iterator<Item = (u64, u64)> {
    let next = move |start: &u64| start.checked_add(each).filter(|start| *start < to);
    std::iter::successors((from < to).then_some(from), next).map(move |start| (start, each.min(to - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once_and_keep_groups_together() {
        for shape in [
            &[][..],
            &[7],
            &[1],
            &[3, 8],
            &[5, 3],
            &[1, 64],
            &[64, 1],
            &[2, 16, 3, 3],
            &[2, 4, 100],
            &[1, 8, 5, 2],
            &[3, 1, 1, 1],
        ] {
            let unit = shape.get(1).map_or(1, |cols| [8, 4, 2, 1].into_iter().find(|m| cols % m == 0).unwrap_or(1));
            for piece in [1, 2, 7, 16, 33, 1000] {
                let grid = Grid::new(shape, 1, Float::E4M3, unit, piece);
                let mut seen = vec![0; shape.iter().product::<u64>() as usize];
                for tile in grid.tiles() {
                    assert_eq!((tile.col % unit, tile.cols % unit), (0, 0));
                    assert!(tile.rows == 1 || (tile.cols, tile.run) == (grid.cols, grid.inner), "{tile:?}");
                    assert!(tile.rows * tile.cols * tile.run <= piece.max(unit), "{shape:?} {piece} {tile:?}");
                    for row in tile.row..tile.row + tile.rows {
                        for col in tile.col..tile.col + tile.cols {
                            for at in tile.at..tile.at + tile.run {
                                seen[((row * grid.cols + col) * grid.inner + at) as usize] += 1;
                            }
                        }
                    }
                }
                assert!(seen.iter().all(|times| *times == 1), "{shape:?} {piece}");
            }
        }
    }

    #[test]
    fn panels_are_visited_one_after_the_other() {
        let grid = Grid::new(&[2, 3 * PANEL_COLS], 1, Float::E4M3, 1, 1 << 24);
        let panels: Vec<u64> = grid.tiles().map(|tile| tile.col / grid.panel_cols()).collect();
        assert!(panels.is_sorted() && panels.last() == Some(&2));
    }
}
