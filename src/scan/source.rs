//! Where pieces come from: the checkpoint's files, or memory that they were loaded into.

use rayon::prelude::*;

use super::Piece;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::stats::layout::Region;
use crate::{Progress, Result};

/// Bytes that one thread reads at a time into memory.
const READ_BYTES: usize = 1 << 20;

/// Rows that start no further apart are read together with what lies between them: a page, which is read anyway.
const NEAR_BYTES: u64 = 4096;
/// Bytes read at a time, then.
const SPAN_BYTES: usize = 256 << 10;

/// Bytes aligned for every float.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u64>);

impl Buffer {
    pub(crate) fn with_len(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)])
    }

    /// At least the first `bytes` bytes, whatever they held.
    pub(crate) fn first(&mut self, bytes: usize) -> &mut [u8] {
        if self.0.len() * 8 < bytes {
            self.0 = vec![0; bytes.div_ceil(8)];
        }
        &mut bytemuck::cast_slice_mut(&mut self.0)[..bytes]
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Somewhere pieces are read from, by many threads at once.
pub(crate) trait Source: Sync {
    /// The piece's bytes, row after row, in `buffer` or elsewhere.
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]>;
}

/// The checkpoint's files.
pub(crate) struct File<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) tensors: &'a [&'a Tensor],
    pub(crate) progress: &'a Progress,
}

impl File<'_> {
    fn read(&self, piece: &Piece, out: &mut [u8]) -> Result<()> {
        Rows::of(piece, out).read(self)
    }
}

/// Bytes to be read into `out`: rows of `row_bytes` that lie `stride` apart in their tensor.
struct Rows<'a> {
    tensor: usize,
    offset: u64,
    row_bytes: usize,
    stride: u64,
    out: &'a mut [u8],
}

impl<'a> Rows<'a> {
    fn of(piece: &Piece, out: &'a mut [u8]) -> Self {
        let Region { row, rows, col, cols } = piece.region;
        let width = piece.float.bytes() as u64;
        let contiguous = rows == 1 || cols == piece.layout.cols;
        let row_bytes = if contiguous { out.len() } else { (cols * width) as usize };
        Self {
            tensor: piece.tensor,
            offset: (row * piece.layout.cols + col) * width,
            row_bytes,
            stride: piece.layout.cols * width,
            out,
        }
    }

    fn read(self, file: &File) -> Result<()> {
        let tensor = file.tensors[self.tensor];
        let bytes = self.out.len() as u64;
        let row_bytes = self.row_bytes.max(1);
        if row_bytes < self.out.len() && self.stride <= NEAR_BYTES {
            self.read_near(file)?;
        } else {
            for (i, row) in self.out.chunks_mut(row_bytes).enumerate() {
                file.checkpoint.read_exact_at(tensor, self.offset + i as u64 * self.stride, row)?;
            }
        }
        file.progress.add(bytes);
        Ok(())
    }

    /// Rows that share pages with what lies between them: reading it, too, takes far fewer calls.
    fn read_near(self, file: &File) -> Result<()> {
        let (stride, tensor) = (self.stride as usize, file.tensors[self.tensor]);
        let rows = (SPAN_BYTES / stride).max(1);
        let mut span = Vec::new();
        for (i, out) in self.out.chunks_mut(rows * self.row_bytes).enumerate() {
            span.resize((out.len() / self.row_bytes - 1) * stride + self.row_bytes, 0);
            file.checkpoint.read_exact_at(tensor, self.offset + (i * rows * stride) as u64, &mut span)?;
            for (row, from) in out.chunks_exact_mut(self.row_bytes).zip(span.chunks(stride)) {
                row.copy_from_slice(&from[..self.row_bytes]);
            }
        }
        Ok(())
    }

    /// Parts of about `bytes`, to be read by several threads.
    fn split(self, bytes: usize) -> impl Iterator<Item = Self> {
        let contiguous = self.row_bytes == self.out.len();
        let part_bytes = if contiguous { bytes } else { (bytes / self.row_bytes).max(1) * self.row_bytes };
        self.out.chunks_mut(part_bytes).enumerate().map(move |(i, out)| Self {
            tensor: self.tensor,
            offset: self.offset
                + if contiguous {
                    (i * part_bytes) as u64
                } else {
                    (i * (part_bytes / self.row_bytes)) as u64 * self.stride
                },
            row_bytes: if contiguous { out.len() } else { self.row_bytes },
            stride: self.stride,
            out,
        })
    }
}

impl Source for File<'_> {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let bytes = buffer.first(piece.bytes() as usize);
        self.read(piece, bytes)?;
        Ok(bytes)
    }
}

/// Regions of tensors held in memory.
pub(crate) struct Resident {
    bytes: Buffer,
    /// One region of each tensor from `first` on, and where its bytes start.
    regions: Vec<(Region, usize)>,
    first: usize,
}

impl Resident {
    /// Where the next region starts: every region is aligned for every float.
    fn aligned(offset: usize) -> usize {
        offset.next_multiple_of(8)
    }

    /// Loads `wholes`, each a piece that is one region of a tensor, tensors being consecutive; on all threads of the
    /// current pool.
    pub(crate) fn load(file: &File, wholes: &[Piece]) -> Result<Self> {
        let mut end = 0;
        let mut regions = Vec::with_capacity(wholes.len());
        for piece in wholes {
            regions.push((piece.region, end));
            end = Self::aligned(end + piece.bytes() as usize);
        }
        let mut bytes = Buffer::with_len(end);
        let mut rest = bytes.first(end);
        let mut parts = Vec::new();
        for piece in wholes {
            let held = piece.bytes() as usize;
            let (this, after) = rest.split_at_mut(Self::aligned(held));
            rest = after;
            parts.extend(Rows::of(piece, &mut this[..held]).split(READ_BYTES));
        }
        parts.into_par_iter().try_for_each(|part| part.read(file))?;
        Ok(Self { bytes, regions, first: wholes.first().map_or(0, |p| p.tensor) })
    }
}

impl Source for Resident {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let (held, start) = self.regions[piece.tensor - self.first];
        let width = piece.float.bytes() as u64;
        let offset = |row: u64| start + (((row - held.row) * held.cols + piece.region.col - held.col) * width) as usize;
        let from = offset(piece.region.row);
        if piece.region.rows == 1 || piece.region.cols == held.cols {
            return Ok(&self.bytes.as_bytes()[from..][..piece.bytes() as usize]);
        }
        let out = buffer.first(piece.bytes() as usize);
        let row_bytes = (piece.region.cols * width) as usize;
        for (part, row) in out.chunks_exact_mut(row_bytes).zip(piece.region.row..) {
            part.copy_from_slice(&self.bytes.as_bytes()[offset(row)..][..row_bytes]);
        }
        Ok(out)
    }
}
