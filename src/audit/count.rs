//! Counting one tile.

use super::tiles::Tile;
use crate::Float;

/// What is found in a tile.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) zeros: u64,
    /// For each M asked about, the most weights of a group that are not zero.
    pub(super) most: Vec<u8>,
    /// How many of its rows are zero in this tile.
    pub(super) empty_rows: u64,
    /// One bit a column: whether anything in it is not zero.
    pub(super) columns: Vec<u64>,
}

/// What one thread keeps between tiles.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) bytes: Vec<u8>,
    /// One byte a weight: 1 where it is not zero.
    flags: Vec<u8>,
    /// For each place in a row, whether it is not zero in any row.
    any: Vec<u8>,
}

impl Scratch {
    /// Counts `self.bytes`, the weights of `tile`. `known` has, for each M of `sizes`, the most found so far: where that
    /// is M already, there is nothing to add.
    pub(super) fn count(&mut self, float: Float, tile: &Tile, sizes: &[u8], known: &[u8]) -> Counted {
        self.flag(float);
        let (row, run) = ((tile.cols * tile.run) as usize, tile.run as usize);
        // Bytes of 0 and 1, summed in parts that fit a byte.
        let kept: u64 = self.flags.chunks(255).map(|part| u64::from(part.iter().sum::<u8>())).sum();
        let zeros = self.flags.len() as u64 - kept;
        let most =
            |(m, known): (&u8, &u8)| if known < m { most_kept(&self.flags, usize::from(*m), run) } else { *known };
        let most = sizes.iter().zip(known).map(most).collect();
        self.any.clear();
        self.any.resize(row, 0);
        let mut empty_rows = 0;
        for flags in self.flags.chunks_exact(row) {
            let mut seen = 0;
            for (any, flag) in self.any.iter_mut().zip(flags) {
                *any |= flag;
                seen |= flag;
            }
            empty_rows += u64::from(seen == 0);
        }
        let mut columns = vec![0; (tile.cols as usize).div_ceil(64)];
        for (i, column) in self.any.chunks_exact(run).enumerate() {
            columns[i / 64] |= u64::from(column.iter().fold(0, |seen, any| seen | any)) << (i % 64);
        }
        Counted { zeros, most, empty_rows, columns }
    }

    /// A weight is zero where its bits without the sign are: NaN is not.
    fn flag(&mut self, float: Float) {
        let magnitude = float.sign() - 1;
        self.flags.clear();
        let bytes = &self.bytes;
        match float.bytes() {
            1 => self.flags.extend(bytes.iter().map(|b| u8::from(b & magnitude as u8 != 0))),
            2 => self
                .flags
                .extend(bytes.as_chunks().0.iter().map(|b| u8::from(u16::from_le_bytes(*b) & magnitude as u16 != 0))),
            4 => self
                .flags
                .extend(bytes.as_chunks().0.iter().map(|b| u8::from(u32::from_le_bytes(*b) & magnitude as u32 != 0))),
            _ => {
                self.flags.extend(bytes.as_chunks().0.iter().map(|b| u8::from(u64::from_le_bytes(*b) & magnitude != 0)))
            }
        }
    }
}

/// The most ones among `m` neighbours along the middle axis of […, columns, run]; columns are a multiple of `m`.
fn most_kept(flags: &[u8], m: usize, run: usize) -> u8 {
    if run == 1 {
        // Lengths known when compiling are summed in a few instructions.
        return match m {
            2 => most_of::<2>(flags),
            4 => most_of::<4>(flags),
            8 => most_of::<8>(flags),
            16 => most_of::<16>(flags),
            _ => flags.chunks_exact(m).map(|group| group.iter().sum()).max().unwrap_or(0),
        };
    }
    let mut sums = vec![0u8; run];
    let mut most = 0;
    for group in flags.chunks_exact(m * run) {
        sums.fill(0);
        for member in group.chunks_exact(run) {
            sums.iter_mut().zip(member).for_each(|(sum, flag)| *sum += flag);
        }
        most = sums.iter().fold(most, |most, sum| most.max(*sum));
    }
    most
}

fn most_of<const M: usize>(flags: &[u8]) -> u8 {
    flags.as_chunks::<M>().0.iter().map(|group| group.iter().sum()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_told_by_their_bits() {
        for float in Float::ALL {
            let nan = float.sign() - 1;
            let weights = [0, float.sign(), 1, float.sign() | 1, nan, float.sign() | nan, float.non_finite()];
            let bytes = weights.iter().flat_map(|bits| bits.to_le_bytes()[..float.bytes()].to_vec()).collect();
            let mut scratch = Scratch { bytes, ..Scratch::default() };
            scratch.flag(float);
            assert_eq!(scratch.flags, [0, 0, 1, 1, 1, 1, 1], "{float:?}");
        }
    }

    #[test]
    fn groups_run_along_the_middle_axis() {
        // Two rows of four columns of two.
        let flags = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        assert_eq!((most_kept(&flags, 2, 2), most_kept(&flags, 4, 2)), (2, 2));
        assert_eq!((most_kept(&flags, 2, 1), most_kept(&flags, 4, 1), most_kept(&flags, 16, 1)), (1, 2, 5));
        assert_eq!(most_kept(&flags[..15], 3, 1), 2);
        for m in 2..=32 {
            assert_eq!((most_kept(&[1; 64], m, 1), most_kept(&[1; 64], m, 2)), (m as u8, m as u8));
        }
    }
}
