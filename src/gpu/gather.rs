//! Gathering slices on the device: the input goes up, the kept slices come back.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::GpuEngine;
use super::chunk::{Chunk, Work, binding};
use super::slot::{PADDING, SLOTS, Slot};
use crate::kernels::gather::{self, Job, TILE_WORDS, Tile};
use crate::scan::{Buffer, Gather, Piece, Source};
use crate::stats::Grouping;
use crate::stats::layout::{Layout, Region};
use crate::{Float, Result};

/// Parts of a chunk: a bound on the worklists, which hold the kept indices of each.
const MOST_PARTS: u64 = 1 << 12;

/// Rows of slices, or some slices of a row, that travel together.
struct Part<'a> {
    from: &'a [u8],
    axis: u32,
    inner: u32,
    /// Counted from the part's first slice.
    kept: Vec<u32>,
    to: Mutex<&'a mut [u8]>,
}

/// Parts as a source: the `tensor` of a piece is the index of its part, and an element is a byte.
struct Parts<'a, 'b>(&'b [Part<'a>]);

impl Source for Parts<'_, '_> {
    fn load<'a>(&'a self, piece: &Piece, _buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        Ok(self.0[piece.tensor].from)
    }
}

/// A chunk that the device is working on.
struct Pending {
    slot: Slot,
    chunk: Chunk,
    submission: wgpu::SubmissionIndex,
    /// Where each part's result is, in bytes.
    results: Vec<Range<usize>>,
    out_bytes: u64,
}

impl GpuEngine {
    pub(super) fn gather_jobs(&self, jobs: &mut [Gather], memory_bytes: u64) -> Result<()> {
        let most = self.chunk_bytes(memory_bytes);
        for same in jobs.chunk_by_mut(|a, b| a.width == b.width) {
            let width = same[0].width;
            let mut parts = Vec::new();
            for job in same.iter_mut().filter(|job| !job.is_empty()) {
                split(job, most as usize, &mut parts);
            }
            self.gather_parts(&parts, width, most)?;
        }
        Ok(())
    }

    fn gather_parts(&self, parts: &[Part], width: usize, most: u64) -> Result<()> {
        let piece = |(index, part): (usize, &Part)| {
            let bytes = part.from.len() as u64;
            let region = Region { row: 0, rows: 1, col: 0, cols: bytes };
            Piece { tensor: index, float: Float::E4M3, layout: Layout::new(&[bytes], Grouping::Tensor), region }
        };
        let mut pieces = parts.iter().enumerate().map(piece).peekable();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        while let Some(chunk) = Chunk::next(&mut pieces, most, MOST_PARTS) {
            let slot = if pending.len() < SLOTS { None } else { pending.pop_front() };
            let slot = slot.map_or_else(|| Ok(Slot::default()), |next| self.finish_gather(next, parts))?;
            pending.push_back(self.start_gather(slot, chunk, parts, width)?);
        }
        while let Some(next) = pending.pop_front() {
            self.finish_gather(next, parts)?;
        }
        Ok(())
    }

    fn start_gather(&self, mut slot: Slot, chunk: Chunk, parts: &[Part], width: usize) -> Result<Pending> {
        let (mut tiles, mut jobs, mut kept, mut results, mut words) = (vec![], vec![], Vec::<u32>::new(), vec![], 0u32);
        for (piece, offset) in &chunk.pieces {
            let part = &parts[piece.tensor];
            let bytes = part.to.lock().unwrap_or_else(PoisonError::into_inner).len();
            let job_words = bytes.div_ceil(4) as u32;
            for first in (0..job_words).step_by(TILE_WORDS as usize) {
                tiles.push(Tile { job: jobs.len() as u32, first, words: TILE_WORDS.min(job_words - first) });
            }
            jobs.push(Job {
                input: (offset / 4) as u32,
                output: words,
                elements: (bytes / width) as u32,
                axis: part.axis,
                inner: part.inner,
                kept: kept.len() as u32,
                count: part.kept.len() as u32,
            });
            kept.extend(&part.kept);
            results.push(words as usize * 4..words as usize * 4 + bytes);
            words += job_words;
        }
        let mut work = Work::new(self);
        let lists = [work.list(&tiles), work.list(&jobs), work.list(&kept)];
        let out = work.results(u64::from(words) * 4);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.fill(&mut slot, &mut encoder, &Parts(parts), &chunk, &work)?;
        let data = 0..chunk.data_bytes + PADDING;
        let of_work = |list: &Range<u64>| binding(&slot.work, list);
        let buffers = [
            binding(&slot.data, &data),
            of_work(&lists[0]),
            of_work(&lists[1]),
            of_work(&lists[2]),
            binding(&slot.out, &out),
        ];
        let buffers: Vec<_> = buffers.into_iter().flatten().collect();
        gather::kernel(self, width).record(&self.device, &mut encoder, &buffers, tiles.len() as u32);
        let out_bytes = work.out_bytes;
        self.record_readback(&mut slot, &mut encoder, out_bytes);
        let submission = self.submit(&slot, encoder);
        Ok(Pending { slot, chunk, submission, results, out_bytes })
    }

    fn finish_gather(&self, pending: Pending, parts: &[Part]) -> Result<Slot> {
        let Pending { slot, chunk, submission, results, out_bytes } = pending;
        self.read(&slot, submission, out_bytes, |out| {
            for ((piece, _), range) in chunk.pieces.iter().zip(results) {
                let mut to = parts[piece.tensor].to.lock().unwrap_or_else(PoisonError::into_inner);
                to.copy_from_slice(&out[range]);
            }
        })?;
        Ok(slot)
    }
}

/// Parts of a job whose input is at most `most` bytes: whole rows, else stretches of a row; a slice that is larger by itself is
/// copied here.
fn split<'a>(job: &'a mut Gather<'_>, most: usize, parts: &mut Vec<Part<'a>>) {
    let (slice, (row_bytes, kept_bytes), inner) = (job.slice_bytes(), job.row_bytes(), job.inner as u32);
    let kept = job.kept;
    if slice > most {
        gather::gather(job.from, job.axis as usize, slice, kept, job.to);
        return;
    }
    let rows = (most / row_bytes).max(1);
    for (from, to) in job.from.chunks(rows * row_bytes).zip(job.to.chunks_mut(rows * kept_bytes)) {
        if from.len() <= most {
            parts.push(Part { from, axis: job.axis as u32, inner, kept: kept.to_vec(), to: Mutex::new(to) });
            continue;
        }
        let step = most / slice;
        let mut rest = to;
        for (index, from) in from.chunks(step * slice).enumerate() {
            let (first, length) = ((index * step) as u32, from.len() / slice);
            let range = kept.partition_point(|k| *k < first)..kept.partition_point(|k| *k < first + length as u32);
            let kept: Vec<u32> = kept[range].iter().map(|k| k - first).collect();
            let (to, after) = rest.split_at_mut(kept.len() * slice);
            rest = after;
            if !kept.is_empty() {
                parts.push(Part { from, axis: length as u32, inner, kept, to: Mutex::new(to) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::tests::engines;
    use crate::kernels::gather::tests::oracle;
    use crate::scan::Compute;

    #[test]
    fn equals_the_twin_and_the_reference() {
        let Some((cpu, gpu)) = engines() else { return };
        let mut cases = Vec::new();
        for width in [1usize, 2, 4, 8] {
            for (outer, axis, inner) in
                [(1, 1, 1), (3, 7, 1), (5, 10, 9), (2, 64, 25), (1, 333, 3), (40, 3, 1), (2, 5, 40_001)]
            {
                for keep in [
                    |_| false,
                    |_| true,
                    |i: u32| i % 2 == 0,
                    |i: u32| i.wrapping_mul(2_654_435_761) >> 31 == 0,
                    |i| i == 0,
                ] {
                    cases.push((width, outer, axis, inner, (0..axis as u32).filter(|i| keep(*i)).collect::<Vec<_>>()));
                }
            }
        }
        // Rows, and then slices of a row, that do not fit a chunk.
        cases.push((1, 3, 1500, 1000, (0..1500).filter(|i| i % 3 > 0).collect()));
        cases.push((2, 1, 3, 600_000, vec![0, 2]));
        let input = |case: &(usize, usize, usize, usize, Vec<u32>)| -> Vec<u8> {
            (0..case.0 * case.1 * case.2 * case.3).map(|i| (i * 31 % 253) as u8).collect()
        };
        let inputs: Vec<Vec<u8>> = cases.iter().map(input).collect();
        let wanted: Vec<Vec<u8>> = cases
            .iter()
            .zip(&inputs)
            .map(|((width, _, axis, inner, kept), from)| oracle(from, *axis, *inner, *width, kept))
            .collect();
        for engine in [gpu as &dyn Compute, cpu] {
            let mut found: Vec<Vec<u8>> = wanted.iter().map(|wanted| vec![0xaa; wanted.len()]).collect();
            let mut jobs: Vec<Gather> = cases
                .iter()
                .zip(&inputs)
                .zip(&mut found)
                .map(|(((width, _, axis, inner, kept), from), to)| Gather {
                    width: *width,
                    from,
                    axis: *axis as u64,
                    inner: *inner as u64,
                    kept,
                    to,
                })
                .collect();
            // Chunks of 1 MiB.
            engine.gather(&mut jobs, 16 << 20).expect("it gathers");
            for ((found, wanted), case) in found.iter().zip(&wanted).zip(&cases) {
                assert!(found == wanted, "{:?}", (case.0, case.1, case.2, case.3, case.4.len()));
            }
        }
    }
}
