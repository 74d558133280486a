//! Pieces that travel together, and the worklists that cover them.

use std::iter::Peekable;
use std::ops::Range;

use crate::cpu::COUNTED;
use crate::float::table;
use crate::kernels::moments::{Partial, Tile, tiles, weighted_moments};
use crate::kernels::strided_moments::{LONGEST, Lane, lanes};
use crate::kernels::{byte_histogram, moments, strided_moments};
use crate::scan::{Piece, Values};
use crate::stats::Moments;
use crate::stats::layout::Run;
use crate::{Float, Result};

use super::{Dispatch, Gpu, Kernel};

/// Pieces, and where each starts in the data, in bytes.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) pieces: Vec<(Piece, u64)>,
    pub(crate) data_bytes: u64,
}

impl Chunk {
    /// The next pieces that fit, at least one, or `None` at the end.
    pub(crate) fn next(
        pieces: &mut Peekable<impl Iterator<Item = Piece>>,
        max_bytes: u64,
        max_runs: u64,
    ) -> Option<Self> {
        let mut chunk = Self::default();
        let mut runs = 0;
        let fits = |chunk: &Self, piece: &Piece, runs: u64| {
            chunk.pieces.is_empty()
                || (chunk.data_bytes + piece.bytes() <= max_bytes && runs + piece.runs() <= max_runs)
        };
        while let Some(piece) = pieces.next_if(|piece| fits(&chunk, piece, runs)) {
            runs += piece.runs();
            // As it lies within the vectors of its tensor: results are the same as where all of that is in one buffer.
            let first = piece.region.row * piece.layout.cols + piece.region.col;
            chunk.data_bytes += first * piece.float.bytes() as u64 % 16;
            chunk.push(piece);
        }
        (!chunk.pieces.is_empty()).then_some(chunk)
    }

    /// Adds a piece where there is room; what follows is aligned for whole vectors.
    pub(crate) fn push(&mut self, piece: Piece) {
        self.pieces.push((piece, self.data_bytes));
        self.data_bytes = (self.data_bytes + piece.bytes()).next_multiple_of(16);
    }
}

/// Worklists and results of the dispatches over one chunk.
pub(crate) struct Work {
    /// The worklists, one after the other.
    pub(crate) words: Vec<u8>,
    pub(crate) out_bytes: u64,
    alignment: u64,
}

impl Work {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        Self { words: Vec::new(), out_bytes: 0, alignment: gpu.alignment() }
    }

    /// Appends a worklist, and says where it is.
    pub(crate) fn list<T: bytemuck::Pod>(&mut self, entries: &[T]) -> Range<u64> {
        self.words.resize(self.words.len().next_multiple_of(self.alignment as usize), 0);
        let start = self.words.len() as u64;
        self.words.extend_from_slice(bytemuck::cast_slice(entries));
        start..self.words.len() as u64
    }

    /// Reserves room for results.
    pub(crate) fn results(&mut self, bytes: u64) -> Range<u64> {
        let start = self.out_bytes.next_multiple_of(self.alignment);
        self.out_bytes = start + bytes;
        start..self.out_bytes
    }
}

/// A part of a buffer, to be bound.
pub(crate) fn binding<'a>(buffer: &'a Option<wgpu::Buffer>, range: &Range<u64>) -> Option<wgpu::BufferBinding<'a>> {
    let size = wgpu::BufferSize::new(range.end - range.start)?;
    Some(wgpu::BufferBinding { buffer: buffer.as_ref()?, offset: range.start, size: Some(size) })
}

/// How pieces lie in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Packed: a piece's rows follow each other from its own offset on.
    Packed,
    /// Each in its whole tensor, which starts at the offset.
    InTensor,
}

impl Lie {
    /// A run of a piece, in elements from the offset.
    fn place(self, piece: &Piece, run: Run) -> Run {
        let (layout, region) = (piece.layout, piece.region);
        if self == Self::Packed {
            return run;
        }
        let (row, col) = (run.start / region.cols, run.start % region.cols);
        let start = (region.row + row) * layout.cols + region.col + col;
        let stride = if layout.runs_are_columns() { layout.cols } else { run.stride };
        Run { start, stride, ..run }
    }
}

/// How the moments of a run are found.
enum Part {
    Tiles(Range<u32>),
    /// Parts of a run, which is one unless it is a long column.
    Lanes(Range<u32>),
    Table(u32),
}

/// The worklists of one format.
struct Lists {
    float: Float,
    tiles: Vec<Tile>,
    lanes: Vec<Lane>,
    bytes: Vec<byte_histogram::Tile>,
    tables: u32,
    /// Where the results of tiles, lanes and tables are.
    out: [Range<u64>; 3],
}

impl Lists {
    /// The `index`th result of the tiles, lanes or tables.
    fn result<T: bytemuck::AnyBitPattern>(&self, which: usize, index: u32, results: &[u8]) -> T {
        let start = self.out[which].start as usize + index as usize * size_of::<T>();
        bytemuck::pod_read_unaligned(&results[start..start + size_of::<T>()])
    }

    fn partial(&self, which: usize, index: u32, results: &[u8]) -> Partial {
        self.result(which, index, results)
    }
}

/// The moments of every run of a chunk, whatever the formats of its pieces: at most three dispatches a format.
pub(crate) struct MomentWork {
    values: Values,
    parts: Vec<Part>,
    lists: Vec<Lists>,
    dispatches: Vec<Planned>,
}

/// A kernel over one worklist: where that is, and where its results go.
struct Planned {
    kernel: std::sync::Arc<Kernel>,
    list: Range<u64>,
    out: Range<u64>,
    workgroups: u32,
    /// Whether it looks at the data as words, too.
    rest: bool,
}

impl MomentWork {
    /// The work for `pieces`, which lie at these offsets in bytes; with a `rest`, the data end in the middle of a vector.
    pub(crate) fn new(
        gpu: &Gpu,
        pieces: &[(Piece, i64)],
        lie: Lie,
        rest: bool,
        values: Values,
        work: &mut Work,
    ) -> Result<Self> {
        let mut this = Self { values, parts: Vec::new(), lists: Vec::new(), dispatches: Vec::new() };
        for (piece, offset) in pieces {
            let index = this.lists.iter().position(|l| l.float == piece.float).unwrap_or_else(|| {
                let none = || 0..0;
                let (tiles, lanes, bytes) = (Vec::new(), Vec::new(), Vec::new());
                let out = [none(), none(), none()];
                this.lists.push(Lists { float: piece.float, tiles, lanes, bytes, tables: 0, out });
                this.lists.len() - 1
            });
            let lists = &mut this.lists[index];
            let first = offset / piece.float.bytes() as i64;
            for run in piece.layout.runs(piece.region) {
                let placed = lie.place(piece, run);
                let start = first.saturating_add_unsigned(placed.start) as u64;
                if run.stride != 1 || run.length <= LONGEST {
                    let from = lists.lanes.len() as u32;
                    lists.lanes.extend(lanes(start, placed));
                    this.parts.push(Part::Lanes(from..lists.lanes.len() as u32));
                } else if piece.float.bytes() == 1 && run.length >= COUNTED && values == Values::Weights {
                    this.parts.push(Part::Table(lists.tables));
                    lists.bytes.extend(byte_histogram::tiles(start, run.length, lists.tables));
                    lists.tables += 1;
                } else {
                    let from = lists.tiles.len() as u32;
                    lists.tiles.extend(tiles(piece.float, start, run.length));
                    this.parts.push(Part::Tiles(from..lists.tiles.len() as u32));
                }
            }
        }
        for lists in &mut this.lists {
            let partial = size_of::<Partial>() as u64;
            let (tiles, lanes) = (lists.tiles.len() as u64, lists.lanes.len() as u64);
            lists.out = [
                work.results(tiles * partial),
                work.results(lanes * partial),
                work.results(u64::from(lists.tables) * 1024),
            ];
            let kernels = [
                (tiles > 0).then(|| moments::kernel(gpu, lists.float, values, rest)).transpose()?,
                (lanes > 0).then(|| strided_moments::kernel(gpu, lists.float, values)).transpose()?,
                (!lists.bytes.is_empty()).then(|| byte_histogram::kernel(gpu)).transpose()?,
            ];
            let lists_of = [work.list(&lists.tiles), work.list(&lists.lanes), work.list(&lists.bytes)];
            let groups = [tiles as u32, (lanes as u32).div_ceil(strided_moments::THREADS), lists.bytes.len() as u32];
            for (i, kernel) in kernels.into_iter().enumerate() {
                if let Some(kernel) = kernel {
                    let (list, out) = (lists_of[i].clone(), lists.out[i].clone());
                    let rest = rest && i == 0;
                    this.dispatches.push(Planned { kernel, list, out, workgroups: groups[i], rest });
                }
            }
        }
        Ok(this)
    }

    /// The dispatches over `data`, with worklists in `work` and results in `out`.
    pub(crate) fn prepare(
        &self,
        gpu: &Gpu,
        data: &wgpu::BufferBinding,
        work: &Option<wgpu::Buffer>,
        out: &Option<wgpu::Buffer>,
    ) -> Result<Vec<Dispatch>> {
        let prepared = self.dispatches.iter().map(|dispatch| {
            let words = dispatch.rest.then(|| data.clone());
            let buffers = [Some(data.clone()), binding(work, &dispatch.list), binding(out, &dispatch.out), words];
            let buffers: Vec<_> = buffers.into_iter().flatten().collect();
            dispatch.kernel.prepare(gpu, &buffers, dispatch.workgroups)
        });
        prepared.collect()
    }

    /// The moments of each piece's runs, out of the results: `None` where they lie outside what the GPU is good for.
    pub(crate) fn moments(
        &self,
        pieces: &[(Piece, u64)],
        results: &[u8],
        mut each: impl FnMut(&Piece, Option<&[Moments]>) -> Result<()>,
    ) -> Result<()> {
        let mut parts = self.parts.iter();
        let mut found = Vec::new();
        for (piece, _) in pieces {
            found.clear();
            let mut reliable = true;
            for part in parts.by_ref().take(piece.runs() as usize) {
                match self.part(piece.float, part, results) {
                    Some(moments) => found.push(moments),
                    None => reliable = false,
                }
            }
            each(piece, reliable.then_some(&found))?;
        }
        Ok(())
    }

    /// The pieces of which [`Self::moments`] gives `None`, in order.
    pub(crate) fn unreliable<'c>(&self, pieces: &'c [(Piece, u64)], results: &[u8]) -> Vec<&'c Piece> {
        let mut parts = self.parts.iter();
        let mut found = Vec::new();
        for (piece, _) in pieces {
            let Some(lists) = self.lists.iter().find(|l| l.float == piece.float) else { continue };
            let mut reliable = true;
            for part in parts.by_ref().take(piece.runs() as usize) {
                reliable &= match part {
                    Part::Lanes(range) => range.clone().all(|i| lists.partial(1, i, results).is_reliable(self.values)),
                    Part::Tiles(range) => range.clone().all(|i| lists.partial(0, i, results).is_reliable(self.values)),
                    Part::Table(_) => true,
                };
            }
            if !reliable {
                found.push(piece);
            }
        }
        found
    }

    fn part(&self, float: Float, part: &Part, results: &[u8]) -> Option<Moments> {
        let lists = self.lists.iter().find(|l| l.float == float)?;
        let total = |which, parts: &Range<u32>| {
            let mut total = Moments::default();
            for part in parts.clone() {
                total.combine(&lists.partial(which, part, results).moments(self.values)?);
            }
            Some(total)
        };
        match part {
            Part::Lanes(lanes) => total(1, lanes),
            Part::Tiles(tiles) => total(0, tiles),
            Part::Table(index) => {
                let counts: [u32; 256] = lists.result(2, *index, results);
                Some(weighted_moments(&table(float).map(f64::from), &counts.map(u64::from)))
            }
        }
    }
}
