//! A pass over weights that stream through the ring.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::GpuEngine;
use super::chunk::{Chunk, Lie, MomentWork, Work, binding};
use super::kernel;
use super::slot::{PADDING, SLOTS, Slot};
use crate::cpu::Scratch;
use crate::kernels::moments::tiles;
use crate::kernels::select::View;
use crate::kernels::{bin_counts, bit_histogram, byte_histogram};
use crate::scan::{
    Buffer, Compute, Counts, CutCounts, DIGIT_VALUES, Gather, GroupAnswer, GroupRequest, Job, MomentSink, Piece,
    Request, Source,
};
use crate::stats::Moments;
use crate::{Float, Result};

/// A chunk that the device is working on.
struct Pending {
    slot: Slot,
    chunk: Chunk,
    moments: Option<MomentWork>,
    out_bytes: u64,
    submission: wgpu::SubmissionIndex,
}

/// Counts that add up on the device over many chunks.
struct Tally {
    digits: Option<wgpu::Buffer>,
    bytes: Option<wgpu::Buffer>,
    bins: Option<wgpu::Buffer>,
    thresholds: Option<wgpu::Buffer>,
    prefixes: Option<wgpu::Buffer>,
    /// Elements counted since the last time it was read.
    elements: u64,
}

/// Elements after which counts are read, long before 32 bits are full.
const TALLY_ELEMENTS: u64 = if cfg!(test) { 1 << 16 } else { 1 << 31 };

impl Compute for GpuEngine {
    fn scan(
        &self,
        source: &dyn Source,
        pieces: &mut dyn Iterator<Item = Piece>,
        request: &Request,
        counts: &mut Counts,
        sink: MomentSink,
    ) -> Result<()> {
        let max_bytes = self.chunk_bytes(request.memory_bytes);
        let max_runs = max_bytes / 48;
        let mut pieces = pieces.peekable();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        let mut tally = Tally::new(self, request)?;
        while let Some(chunk) = Chunk::next(&mut pieces, max_bytes, max_runs) {
            let slot = if pending.len() < SLOTS { None } else { pending.pop_front() };
            let slot = slot.map_or_else(|| Ok(self.slot()), |p| self.finish(p, source, request, sink))?;
            let elements: u64 = chunk.pieces.iter().map(|(piece, _)| piece.region.elements()).sum();
            if tally.elements + elements > TALLY_ELEMENTS {
                tally.read(self, counts)?;
            }
            tally.elements += elements;
            pending.push_back(self.start(slot, chunk, source, request, &tally)?);
        }
        while let Some(next) = pending.pop_front() {
            let slot = self.finish(next, source, request, sink)?;
            self.keep(slot);
        }
        tally.read(self, counts)
    }

    fn groups(&self, source: &dyn Source, pieces: &[Piece], request: &GroupRequest) -> Result<GroupAnswer> {
        self.ask_groups(source, pieces, request)
    }

    fn cut(&self, jobs: &mut [Job], budgets: &mut [u64], memory_bytes: u64) -> Result<Vec<CutCounts>> {
        self.cut_jobs(jobs, budgets, memory_bytes)
    }

    fn gather(&self, jobs: &mut [Gather], memory_bytes: u64) -> Result<()> {
        self.gather_jobs(jobs, memory_bytes)
    }

    fn group_elements(&self) -> u64 {
        1 << 16
    }

    fn prefixes_at_once(&self) -> usize {
        (self.gpu.binding_bytes() / (DIGIT_VALUES as u64 * 4)) as usize
    }
}

impl GpuEngine {
    /// Fills a slot with a chunk and submits all that is asked of it.
    fn start(
        &self,
        mut slot: Slot,
        chunk: Chunk,
        source: &dyn Source,
        request: &Request,
        tally: &Tally,
    ) -> Result<Pending> {
        let mut work = Work::new(&self.gpu);
        let placed: Vec<_> = chunk.pieces.iter().map(|(piece, offset)| (*piece, *offset as i64)).collect();
        let moments = request
            .moments
            .map(|values| MomentWork::new(&self.gpu, &placed, Lie::Packed, false, values, &mut work))
            .transpose()?;
        let counted = tally.lists(self, &chunk, request, &mut work)?;
        let mut encoder = self.gpu.encoder();
        self.fill(&mut slot, &mut encoder, source, &chunk, &work)?;
        let data = chunk.data_bytes + PADDING;
        if let (Some(moments), Some(data)) = (&moments, binding(&slot.data, &(0..data))) {
            let dispatches = moments.prepare(&self.gpu, &data, &slot.work, &slot.out)?;
            kernel::record(&mut encoder, "moments", &dispatches);
        }
        for Counted { kernel, list, target, groups } in counted {
            let buffers = [
                binding(&slot.data, &(0..data)),
                binding(&slot.work, &list),
                target.0.and_then(|b| binding(b, &(0..b.as_ref().map_or(0, wgpu::Buffer::size)))),
                binding(target.1, &(0..target.1.as_ref().map_or(0, wgpu::Buffer::size))),
            ];
            let buffers: Vec<_> = buffers.into_iter().flatten().collect();
            kernel.record(&self.gpu, &mut encoder, &buffers, groups)?;
        }
        self.record_readback(&mut slot, &mut encoder, work.out_bytes)?;
        let submission = self.submit(&slot, encoder);
        Ok(Pending { slot, chunk, moments, out_bytes: work.out_bytes, submission })
    }

    /// Waits for a chunk and hands its moments on. Runs of values outside what the GPU is good for are computed again
    /// on the CPU.
    fn finish(&self, pending: Pending, source: &dyn Source, request: &Request, sink: MomentSink) -> Result<Slot> {
        let Pending { slot, chunk, moments, out_bytes, submission } = pending;
        self.read(&slot, submission, out_bytes, |results| {
            let (Some(work), Some(values)) = (&moments, request.moments) else { return Ok(()) };
            // What the GPU is not good for is read once more and computed by the CPU's code, on all threads.
            let again: Vec<&Piece> = work.unreliable(&chunk.pieces, results);
            let compute = |(buffer, scratch): &mut (Buffer, Scratch), piece: &&Piece| -> Result<Vec<Moments>> {
                Ok(scratch.moments(piece, source.load(piece, buffer)?, values))
            };
            let again: Result<Vec<_>> =
                self.pool.install(|| again.par_iter().map_init(Default::default, compute).collect());
            let mut again = again?.into_iter();
            work.moments(&chunk.pieces, results, |piece, found| match found {
                Some(found) => sink(piece, found),
                None => sink(piece, &again.next().unwrap_or_default()),
            })
        })??;
        Ok(slot)
    }
}

/// A dispatch that adds to the tally.
struct Counted<'a> {
    kernel: std::sync::Arc<super::Kernel>,
    list: std::ops::Range<u64>,
    /// Thresholds or prefixes, where there are any, and counts.
    target: (Option<&'a Option<wgpu::Buffer>>, &'a Option<wgpu::Buffer>),
    groups: u32,
}

impl Tally {
    fn new(engine: &GpuEngine, request: &Request) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let gpu = &engine.gpu;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let table = |counts: usize| (counts > 0).then(|| gpu.buffer("counts", counts as u64 * 4, usage)).transpose();
        let thresholds = request.bins.map(|bins| {
            // A group without inner edges still needs something to bind.
            let keys: Vec<u32> = bins.keys.iter().map(|k| *k as u32).chain([u32::MAX]).collect();
            gpu.filled("thresholds", bytemuck::cast_slice(&keys), Usage::STORAGE)
        });
        let prefixes = request.digits.map(|digits| {
            let prefixes: Vec<u32> = digits.prefixes.iter().map(|p| *p as u32).collect();
            gpu.filled("prefixes", bytemuck::cast_slice(&prefixes), Usage::STORAGE)
        });
        Ok(Self {
            digits: table(request.digits.map_or(0, |d| d.prefixes.len() * DIGIT_VALUES))?,
            bytes: table(request.digits.map_or(0, |_| 256))?,
            bins: table(request.bins.map_or(0, |b| b.keys.len() + 1))?,
            thresholds: thresholds.transpose()?,
            prefixes: prefixes.transpose()?,
            elements: 0,
        })
    }

    /// The dispatches that count a chunk.
    fn lists(&self, engine: &GpuEngine, chunk: &Chunk, request: &Request, work: &mut Work) -> Result<Vec<Counted<'_>>> {
        let gpu = &engine.gpu;
        let mut counted = Vec::new();
        for float in Float::ALL {
            let pieces = || chunk.pieces.iter().filter(|(p, _)| p.float == float);
            let span = |(piece, offset): &(Piece, u64)| (offset / float.bytes() as u64, piece.region.elements());
            if pieces().next().is_none() {
                continue;
            }
            if let Some(digits) = &request.digits {
                if float.bytes() == 1 {
                    let tiles: Vec<_> = pieces()
                        .map(span)
                        .flat_map(|(start, length)| byte_histogram::tiles(start, length, 0))
                        .collect();
                    let (list, groups) = (work.list(&tiles), tiles.len() as u32);
                    let target = (None, &self.bytes);
                    counted.push(Counted { kernel: byte_histogram::kernel(gpu)?, list, target, groups });
                } else {
                    let tiles: Vec<_> =
                        pieces().map(span).flat_map(|(start, length)| tiles(float, start, length)).collect();
                    let (list, groups) = (work.list(&tiles), tiles.len() as u32);
                    let kernel = bit_histogram::kernel(gpu, float, digits.level)?;
                    counted.push(Counted { kernel, list, target: (Some(&self.prefixes), &self.digits), groups });
                }
            }
            if let Some(bins) = request.bins {
                let views: Vec<View> = pieces()
                    .map(span)
                    .flat_map(|(start, length)| tiles(float, start, length))
                    .map(|t| View { start: t.start, length: t.length, run: t.length, stride: t.length, group: 0 })
                    .collect();
                let (list, groups) = (work.list(&views), views.len() as u32);
                let kernel = bin_counts::kernel(gpu, float, bins.magnitude, bins.keys.len())?;
                counted.push(Counted { kernel, list, target: (Some(&self.thresholds), &self.bins), groups });
            }
        }
        Ok(counted)
    }

    /// Adds what has been counted to `counts`, and starts again from zero.
    fn read(&mut self, gpu: &GpuEngine, counts: &mut Counts) -> Result<()> {
        self.elements = 0;
        let add = |buffer: &Option<wgpu::Buffer>, into: &mut [u64]| -> Result<()> {
            let Some(buffer) = buffer else { return Ok(()) };
            let found = gpu.download(buffer)?;
            into.iter_mut().zip(bytemuck::cast_slice::<u8, u32>(&found)).for_each(|(a, b)| *a += u64::from(*b));
            Ok(())
        };
        add(&self.digits, &mut counts.digits)?;
        // Bytes are digits, too: the first 256 of the first table.
        add(&self.bytes, &mut counts.digits)?;
        add(&self.bins, &mut counts.bins)
    }
}
