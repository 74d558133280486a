//! From tiles to what is known of one tensor.

use super::COMMON;
use super::count::Counted;
use super::entry::{Bytes, Entry, Judgement, share};
use super::tiles::{Grid, Tile};
use crate::prune::NofM;
use crate::{Float, Tensor};

/// A tensor while its tiles come in.
pub(super) struct Fold {
    /// `None` where it has no elements.
    pub(super) grid: Option<Grid>,
    /// The M of every pattern that can run along its input axis.
    pub(super) sizes: Vec<u8>,
    /// For each of them, the most weights of a group that are not zero.
    pub(super) most: Vec<u8>,
    zeros: u64,
    empty_rows: u64,
    /// One bit a row, where tiles hold parts of rows.
    rows: Vec<u64>,
    /// One bit a column of the panel that is being visited, and that panel.
    columns: Vec<u64>,
    panel: u64,
    /// Columns of earlier panels that are not empty.
    kept_columns: u64,
}

impl Fold {
    /// For `tensor`, of format `float`, in tiles of about `piece_bytes`.
    pub(super) fn new(tensor: &Tensor, float: Float, asked: Option<NofM>, piece_bytes: u64) -> Self {
        let inputs = tensor.shape().get(tensor.input_axis()).filter(|_| tensor.shape().len() > 1);
        let divides = |m: &u8| inputs.is_some_and(|cols| cols.is_multiple_of(u64::from(*m)));
        let mut sizes: Vec<u8> = patterns(asked).map(NofM::of).filter(divides).collect();
        sizes.sort_unstable();
        sizes.dedup();
        // At most 16 · 31.
        let unit = sizes.iter().fold(1, |unit, m| least_common_multiple(unit, u64::from(*m)));
        let grid =
            (tensor.elements() > 0).then(|| Grid::new(tensor.shape(), tensor.input_axis(), float, unit, piece_bytes));
        let most = vec![0; sizes.len()];
        Self {
            grid,
            sizes,
            most,
            zeros: 0,
            empty_rows: 0,
            rows: Vec::new(),
            columns: Vec::new(),
            panel: 0,
            kept_columns: 0,
        }
    }

    /// Adds what a tile holds; tiles come in order.
    pub(super) fn add(&mut self, tile: &Tile, counted: &Counted) {
        let Some(grid) = &self.grid else { return };
        self.zeros += counted.zeros;
        self.most.iter_mut().zip(&counted.most).for_each(|(most, found)| *most = (*most).max(*found));
        if grid.whole_rows() {
            self.empty_rows += counted.empty_rows;
        } else if counted.empty_rows == 0 {
            set_bits(&mut self.rows, tile.row, &[1]);
        }
        let (panel, within) = (tile.col / grid.panel_cols(), tile.col % grid.panel_cols());
        if panel != self.panel {
            self.panel = panel;
            self.kept_columns += ones(&self.columns);
            self.columns.fill(0);
        }
        set_bits(&mut self.columns, within, &counted.columns);
    }

    /// What is to be said of the tensor; `asked` is the pattern asked for, and why the tensor is not judged by it, if so.
    pub(super) fn finish(self, tensor: &Tensor, float: Float, asked: Option<(NofM, Option<String>)>) -> Entry {
        let count = tensor.elements();
        let holds = |pattern: &NofM| {
            let place = self.sizes.iter().position(|m| *m == pattern.of());
            place.is_some_and(|place| self.most[place] <= pattern.kept())
        };
        let (empty_rows, empty_cols) = self.grid.map_or((0, 0), |grid| {
            let rows = if grid.whole_rows() { self.empty_rows } else { grid.rows - ones(&self.rows) };
            (rows, grid.cols - self.kept_columns - ones(&self.columns))
        });
        let has_channels = tensor.shape().len() >= 2;
        let width = float.bytes() as u64;
        let bytes = Bytes {
            dense: tensor.bytes(),
            bitmask: count.div_ceil(8) + (count - self.zeros) * width,
            without_empty_channels: match self.grid {
                Some(grid) if has_channels => (grid.rows - empty_rows) * (grid.cols - empty_cols) * grid.inner * width,
                _ => tensor.bytes(),
            },
        };
        Entry {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            count,
            zeros: self.zeros,
            sparsity: share(self.zeros, count),
            patterns: patterns(asked.as_ref().map(|(pattern, _)| *pattern)).filter(holds).collect(),
            // Elsewhere than along axis 0 they are not counted.
            empty_outputs: (has_channels && tensor.input_axis() == 1).then_some(empty_rows),
            empty_inputs: has_channels.then_some(empty_cols),
            bytes,
            judgement: asked.map(|(pattern, left_out)| Judgement {
                satisfies: left_out.is_none().then(|| holds(&pattern)),
                left_out,
            }),
        }
    }
}

/// Every pattern that is looked for, each once.
fn patterns(asked: Option<NofM>) -> impl Iterator<Item = NofM> {
    COMMON.into_iter().chain(asked.filter(|pattern| !COMMON.contains(pattern)))
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

fn ones(bits: &[u64]) -> u64 {
    bits.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Sets in `bits` those of `from`, of which the first is bit `offset`.
fn set_bits(bits: &mut Vec<u64>, offset: u64, from: &[u64]) {
    // A bitmap is smaller than what has been read to fill it, so it fits the address space.
    let (first, shift) = ((offset / 64) as usize, (offset % 64) as u32);
    let needed = first + from.len() + 1;
    if bits.len() < needed {
        bits.resize(needed, 0);
    }
    for (i, word) in from.iter().enumerate() {
        bits[first + i] |= word << shift;
        bits[first + i + 1] |= word.checked_shr(64 - shift).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_land_where_they_belong() {
        for offset in [0, 1, 63, 64, 100, 128] {
            let mut bits = Vec::new();
            set_bits(&mut bits, offset, &[0b101, 1 << 63]);
            let set: Vec<u64> =
                (0..bits.len() as u64 * 64).filter(|i| bits[*i as usize / 64] >> (i % 64) & 1 == 1).collect();
            assert_eq!(set, [offset, offset + 2, offset + 127]);
            assert_eq!(ones(&bits), 3);
        }
    }

    #[test]
    fn common_multiples() {
        for (a, b, multiple) in [(1, 1, 1), (16, 3, 48), (16, 24, 48), (16, 31, 496), (16, 32, 32)] {
            assert_eq!(least_common_multiple(a, b), multiple);
        }
    }
}
