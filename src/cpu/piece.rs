//! The moments of a piece's runs.

use crate::Float;
use crate::float::{table, to_f32, to_f64};
use crate::kernels::byte_histogram::count_bytes;
use crate::kernels::moments::{BLOCK, block_f32, column_moments_f32, log_moments, moments_f64, weighted_moments};
use crate::scan::{Piece, Values};
use crate::stats::Moments;
use crate::stats::layout::Run;

/// 8-bit runs from this length on are counted by value, which is exact and as fast as counting is.
pub(crate) const COUNTED: u64 = 1024;

/// Decoded weights, kept by a thread between pieces.
#[derive(Default)]
pub(crate) struct Scratch {
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

impl Scratch {
    /// The moments of each run of `piece`, whose bytes are `bytes`.
    pub(crate) fn moments(&mut self, piece: &Piece, bytes: &[u8], values: Values) -> Vec<Moments> {
        let mut found = Vec::with_capacity(piece.runs() as usize);
        let runs = piece.layout.runs(piece.region);
        match (piece.layout.runs_are_columns(), piece.float, values) {
            (true, Float::F64, _) | (true, _, Values::Logarithms) => {
                found.extend(runs.map(|run| self.strided(piece.float, bytes, run, values)));
            }
            (true, float, Values::Weights) => {
                let elements = piece.region.elements() as usize;
                let tile = self.decoded(float, bytes, elements);
                column_moments_f32(tile, piece.region.cols as usize, |m| found.push(m));
            }
            (false, float, values) => found.extend(runs.map(|run| {
                let width = float.bytes() as u64;
                let range = (run.start * width) as usize..((run.start + run.length) * width) as usize;
                self.contiguous(float, &bytes[range], values)
            })),
        }
        found
    }

    pub(crate) fn contiguous(&mut self, float: Float, bytes: &[u8], values: Values) -> Moments {
        let length = bytes.len() / float.bytes();
        let counted = float.bytes() == 1 && length as u64 >= COUNTED;
        if counted && values == Values::Weights {
            return counted_moments(float, bytes);
        }
        let mut total = Moments::default();
        let mut end = 0;
        for block in bytes.chunks(BLOCK * float.bytes()) {
            let n = block.len() / float.bytes();
            end += block.len();
            total.combine(&match (float, values) {
                (Float::F64, Values::Weights) => moments_f64(self.decoded_f64(block, n)),
                (Float::F64, Values::Logarithms) => log_moments(self.decoded_f64(block, n)),
                (_, Values::Weights) => block_f32(self.decoded(float, block, n), &bytes[end..]),
                (_, Values::Logarithms) => log_moments(self.decoded(float, block, n)),
            });
        }
        total
    }

    /// A run gathered element by element.
    fn strided(&mut self, float: Float, bytes: &[u8], run: Run, values: Values) -> Moments {
        let width = float.bytes();
        let mut gathered = Vec::with_capacity(run.length as usize * width);
        for i in 0..run.length {
            let at = (run.start + i * run.stride) as usize * width;
            gathered.extend_from_slice(&bytes[at..at + width]);
        }
        self.contiguous(float, &gathered, values)
    }

    /// Borrowed where the bytes are f32 already.
    fn decoded<'a>(&'a mut self, float: Float, bytes: &'a [u8], n: usize) -> &'a [f32] {
        if float == Float::F32
            && let Ok(values) = bytemuck::try_cast_slice(bytes)
        {
            return values;
        }
        self.narrow.resize(self.narrow.len().max(n), 0.0);
        to_f32(float, bytes, &mut self.narrow[..n]);
        &self.narrow[..n]
    }

    fn decoded_f64<'a>(&'a mut self, bytes: &'a [u8], n: usize) -> &'a [f64] {
        if let Ok(values) = bytemuck::try_cast_slice(bytes) {
            return values;
        }
        self.wide.resize(self.wide.len().max(n), 0.0);
        to_f64(bytes, &mut self.wide[..n]);
        &self.wide[..n]
    }
}

/// Every statistic of 8-bit weights follows from how often each of 256 values occurs.
fn counted_moments(float: Float, bytes: &[u8]) -> Moments {
    weighted_moments(&table(float).map(f64::from), &count_bytes(bytes))
}
