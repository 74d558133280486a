//! One tensor, decoded in bounded pieces.

use super::bits;
use super::parts::{DAMAGED, Part, fail};
use crate::checkpoint::Writer;
use crate::{Checkpoint, Progress, Result};

/// Bytes of a decoded piece at most.
const PIECE_BYTES: usize = 1 << 20;

/// What a thread holds at most: a decoded piece, its values, its bits (a byte for each element where rows have one
/// element), and as much again for the copying of others.
pub(super) const THREAD_BYTES: u64 = 4 * PIECE_BYTES as u64;

/// Buffers that a thread uses again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    mask: Vec<u8>,
    values: Vec<u8>,
    dense: Vec<u8>,
}

/// Rows that are decoded at once, or a stretch of one row.
struct Piece {
    rows: u64,
    columns: u64,
}

impl Piece {
    /// The next piece of a tensor of `rows` rows and `columns` columns, of which whole rows before `row` and whole bytes
    /// of bits before `column` are done.
    fn next(rows: u64, columns: u64, row: u64, column: u64, elements_at_once: u64) -> Self {
        if columns <= elements_at_once {
            Self { rows: (elements_at_once / columns).min(rows - row), columns }
        } else {
            Self { rows: 1, columns: elements_at_once.min(columns - column) }
        }
    }
}

/// Decodes `part` of `model` into its tensor of the output.
pub(super) fn decode(
    model: &Checkpoint,
    part: &Part,
    writer: &Writer,
    buffers: &mut Buffers,
    progress: &Progress,
) -> Result<()> {
    let (columns, width) = (part.columns(), part.restored.dtype.bitsize() as u64 / 8);
    let rows = part.restored.count.checked_div(columns).unwrap_or_default();
    // A multiple of 8, so that a stretch of a row begins with a byte of bits.
    let elements_at_once = PIECE_BYTES as u64 / width;
    let (mut row, mut column, mut mask_at, mut used, mut written) = (0, 0, 0, 0u64, 0);
    while row < rows {
        let piece = Piece::next(rows, columns, row, column, elements_at_once);
        let Buffers { mask, values, dense } = &mut *buffers;
        // All of these are at most PIECE_BYTES.
        mask.resize((piece.rows * piece.columns.div_ceil(8)) as usize, 0);
        model.read_exact_at(part.bitmask, mask_at, mask)?;
        let kept = bits::count(mask, piece.columns as usize);
        if used + kept as u64 > part.values.elements() {
            let message = format!("sets more bits than there are values ({}); {DAMAGED}", part.values.elements());
            return Err(fail(model, part.bitmask, &message));
        }
        values.resize(kept * width as usize, 0);
        model.read_exact_at(part.values, used * width, values)?;
        dense.resize((piece.rows * piece.columns * width) as usize, 0);
        bits::place(mask, piece.columns as usize, width as usize, values, dense);
        writer.write_all_at(&part.restored.name, written, dense)?;

        progress.add(dense.len() as u64);
        used += kept as u64;
        mask_at += mask.len() as u64;
        written += dense.len() as u64;
        column += piece.columns;
        if column == columns {
            (row, column) = (row + piece.rows, 0);
        }
    }
    if used < part.values.elements() {
        let message = format!("sets {used} bits for {} values; {DAMAGED}", part.values.elements());
        return Err(fail(model, part.bitmask, &message));
    }
    Ok(())
}
