//! Gathering slices on the device: parts of jobs travel in chunks, and one dispatch makes the results of each.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::ops::Range;

use super::GpuEngine;
use super::chunk::{Chunk, Work, binding};
use super::slot::{PADDING, SLOTS, Slot};
use crate::kernels::gather;
use crate::scan::{Buffer, Gather, Piece, Slices, Source};
use crate::stats::layout::{Kind, Layout, Region};
use crate::{Float, Result};

/// Bytes of a part, which one thread copies to where the device can read it.
const PART: usize = if cfg!(test) { 1 << 14 } else { 1 << 20 };
/// A gap between kept slices that is not worth its way.
const GAP: usize = 4096;
/// What a part costs beside its weights and indices: its entry, a tile, and what is rounded up.
const OVERHEAD: usize = 64;

/// Kept slices of some blocks, with what lies between them, or a part of one slice.
struct Part {
    job: usize,
    blocks: Range<usize>,
    /// Positions among the kept indices.
    kept: Range<usize>,
    /// Bytes of each slice.
    inside: Range<usize>,
}

impl Part {
    /// The parts of a job, of at most [`PART`] bytes with their indices.
    fn of(job: usize, slices: Slices) -> impl Iterator<Item = Self> {
        let mut next = 0;
        let ranges = std::iter::from_fn(move || {
            let start = next;
            next = together(slices, start)?;
            Some(start..next)
        });
        ranges.flat_map(move |kept| {
            let bytes = span(slices, &kept).saturating_add(kept.len() * size_of::<u32>());
            let blocks = (PART / bytes).max(1);
            // More than one block only where slices are whole.
            (0..slices.outer()).step_by(blocks).flat_map(move |block| {
                let kept = kept.clone();
                (0..slices.slice).step_by(if bytes > PART { PART } else { slices.slice }).map(move |from| Self {
                    job,
                    blocks: block..(block + blocks).min(slices.outer()),
                    kept: kept.clone(),
                    inside: from..if bytes > PART { (from + PART).min(slices.slice) } else { slices.slice },
                })
            })
        })
    }

    /// The part as bytes of its job's tensor, a block a row.
    fn piece(&self, slices: Slices) -> Piece {
        let (rows, cols) = (slices.outer() as u64, slices.block as u64);
        let first = slices.kept[self.kept.start] as usize * slices.slice;
        let cut = slices.slice - self.inside.len();
        Piece {
            tensor: self.job,
            // Any format of one byte.
            float: Float::E4M3,
            layout: Layout { rows, cols, kind: Kind::Whole },
            region: Region {
                row: self.blocks.start as u64,
                rows: self.blocks.len() as u64,
                col: (first + self.inside.start) as u64,
                cols: (span(slices, &self.kept) - cut) as u64,
            },
        }
    }

    /// Bytes of a block that are kept.
    fn row(&self) -> usize {
        self.kept.len() * self.inside.len()
    }
}

/// Where the slices end that travel with the kept one at `start`: the next gap that is too wide, or a full part.
fn together(slices: Slices, start: usize) -> Option<usize> {
    slices.kept.get(start)?;
    let fits = |end: &usize| {
        let gap = (slices.kept[*end] - slices.kept[end - 1] - 1) as usize * slices.slice;
        let bytes = span(slices, &(start..end + 1)) + (end + 1 - start) * size_of::<u32>();
        gap < GAP && bytes <= PART
    };
    Some((start + 1..slices.kept.len()).find(|end| !fits(end)).unwrap_or(slices.kept.len()))
}

/// Bytes from the first of some slices to the last.
fn span(slices: Slices, kept: &Range<usize>) -> usize {
    ((slices.kept[kept.end - 1] - slices.kept[kept.start]) as usize + 1) * slices.slice
}

/// Jobs as a source: the `tensor` of a piece is the index of its job.
struct Jobs<'a, 'b>(&'b [Slices<'a>]);

impl Source for Jobs<'_, '_> {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let Slices { from, block, .. } = self.0[piece.tensor];
        let Region { row, rows, col, cols } = piece.region;
        let (start, cols) = (row as usize * block + col as usize, cols as usize);
        if rows == 1 || cols == block {
            return Ok(&from[start..start + piece.bytes() as usize]);
        }
        let out = buffer.first(piece.bytes() as usize);
        for (row, from) in out.chunks_exact_mut(cols).zip(from[start..].chunks(block)) {
            row.copy_from_slice(&from[..cols]);
        }
        Ok(out)
    }
}

/// A chunk that the device is working on.
struct Pending {
    slot: Slot,
    /// Each with where its result starts, in bytes.
    parts: Vec<(Part, usize)>,
    out_bytes: u64,
    submission: wgpu::SubmissionIndex,
}

impl GpuEngine {
    pub(super) fn gather_jobs(&self, jobs: &mut [Gather], memory_bytes: u64) -> Result<()> {
        let (slices, mut targets): (Vec<Slices>, Vec<&mut [u8]>) = jobs.iter_mut().filter_map(Gather::split).unzip();
        let max_bytes = self.chunk_bytes(memory_bytes) as usize;
        let mut parts = slices.iter().enumerate().flat_map(|(job, slices)| Part::of(job, *slices)).peekable();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        while parts.peek().is_some() {
            let slot = if pending.len() < SLOTS { None } else { pending.pop_front() };
            let slot = slot.map_or_else(|| Ok(self.slot()), |p| self.finish_gather(p, &slices, &mut targets))?;
            pending.push_back(self.start_gather(slot, next_chunk(&mut parts, &slices, max_bytes), &slices)?);
        }
        pending.into_iter().try_for_each(|p| self.finish_gather(p, &slices, &mut targets).map(|slot| self.keep(slot)))
    }

    /// Fills a slot with a chunk and submits its dispatch.
    fn start_gather(&self, mut slot: Slot, (chunk, parts): (Chunk, Vec<Part>), all: &[Slices]) -> Result<Pending> {
        let (mut tiles, mut entries, mut indices, mut words) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut placed: Vec<(Part, usize)> = Vec::with_capacity(parts.len());
        let mut listed = 0;
        for (part, (piece, start)) in parts.into_iter().zip(&chunk.pieces) {
            let kept = &all[part.job].kept[part.kept.clone()];
            // Blocks that follow share their indices.
            if placed.last().is_none_or(|(last, _)| (last.job, &last.kept) != (part.job, &part.kept)) {
                listed = indices.len();
                indices.extend(kept.iter().map(|k| k - kept[0]));
            }
            let (stride, count) = (piece.region.cols as usize, kept.len());
            let entry = gather::Part::new(*start, stride, part.inside.len(), part.blocks.len(), count);
            let entry = gather::Part { kept: listed as u32, out: words as u32, ..entry };
            tiles.extend(entry.tiles(entries.len()));
            entries.push(entry);
            let bytes = part.blocks.len() * part.row();
            placed.push((part, words * 4));
            words += bytes.div_ceil(4);
        }
        let mut work = Work::new(&self.gpu);
        let lists = [work.list(&tiles), work.list(&entries), work.list(&indices)];
        let out = work.results(words as u64 * 4);
        let mut encoder = self.gpu.encoder();
        self.fill(&mut slot, &mut encoder, &Jobs(all), &chunk, &work)?;
        let of_work = lists.each_ref().map(|list| binding(&slot.work, list));
        let data = binding(&slot.data, &(0..chunk.data_bytes + PADDING));
        let buffers: Vec<_> = [data].into_iter().chain(of_work).chain([binding(&slot.out, &out)]).flatten().collect();
        gather::kernel(&self.gpu)?.record(&self.gpu, &mut encoder, &buffers, tiles.len() as u32)?;
        self.record_readback(&mut slot, &mut encoder, work.out_bytes)?;
        let submission = self.submit(&slot, encoder);
        Ok(Pending { slot, parts: placed, out_bytes: work.out_bytes, submission })
    }

    /// Waits for a chunk and puts its results where they belong.
    fn finish_gather(&self, pending: Pending, all: &[Slices], targets: &mut [&mut [u8]]) -> Result<Slot> {
        let Pending { slot, parts, out_bytes, submission } = pending;
        self.read(&slot, submission, out_bytes, |results| {
            for (part, from) in &parts {
                let (slices, row) = (&all[part.job], part.row());
                let (every, inside) = (slices.kept_bytes(), part.kept.start * slices.slice + part.inside.start);
                let found = &results[*from..*from + part.blocks.len() * row];
                let to = &mut targets[part.job][part.blocks.start * every + inside..];
                if row == every {
                    to[..found.len()].copy_from_slice(found);
                } else {
                    for (to, found) in to.chunks_mut(every).zip(found.chunks_exact(row)) {
                        to[..row].copy_from_slice(found);
                    }
                }
            }
        })?;
        Ok(slot)
    }
}

/// The next parts whose weights and lists fit, at least one.
fn next_chunk(
    parts: &mut Peekable<impl Iterator<Item = Part>>,
    all: &[Slices],
    max_bytes: usize,
) -> (Chunk, Vec<Part>) {
    let (mut chunk, mut taken, mut used) = (Chunk::default(), Vec::new(), 0);
    let cost = |part: &Part| part.piece(all[part.job]).bytes() as usize + part.kept.len() * size_of::<u32>() + OVERHEAD;
    while let Some(part) = parts.next_if(|part| used == 0 || used + cost(part) <= max_bytes) {
        used += cost(&part);
        chunk.push(part.piece(all[part.job]));
        taken.push(part);
    }
    (chunk, taken)
}
