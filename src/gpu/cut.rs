//! Cutting weights on the device: masks are made there, applied there, and stay there unless they are asked for.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::GpuEngine;
use super::chunk::{Chunk, Work, binding};
use super::slot::{PADDING, SLOTS, Slot};
use crate::cpu::CpuEngine;
use crate::kernels::nm_mask::{Groups, Pattern};
use crate::kernels::threshold_mask::{Cut, TILE, Threshold, Tile};
use crate::kernels::{apply_mask, mask_counts, nm_mask, threshold_mask, tie_counts, tie_scan};
use crate::scan::{Buffer, Compute, CutCounts, Job, Piece, Rule, Source, aligned_unit};
use crate::stats::Grouping;
use crate::stats::layout::{Layout, Region};
use crate::{Float, Result};

/// Elements of a part, or a unit if that is more.
const PART: usize = 1 << 18;
/// Parts of a chunk: one thread grants them their ties, one after the other.
const MOST_PARTS: u64 = 1 << 14;

/// A part of a job that travels in one piece.
struct Part<'a> {
    job: usize,
    bytes: Mutex<&'a mut [u8]>,
    mask: Option<Mutex<&'a mut [u32]>>,
    /// Its words, where the mask is given.
    given: Option<&'a [u32]>,
}

/// Parts as a source: the `tensor` of a piece is the index of its part.
struct Parts<'a, 'b>(&'b [Part<'a>]);

impl Source for Parts<'_, '_> {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let bytes = self.0[piece.tensor].bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = buffer.first(bytes.len());
        copy.copy_from_slice(&bytes);
        Ok(copy)
    }
}

/// A chunk that the device is working on.
struct Pending {
    slot: Slot,
    chunk: Chunk,
    lists: Lists,
    submission: wgpu::SubmissionIndex,
}

/// The worklists of a chunk, and where its results are.
struct Lists {
    /// For each part, the first word of its mask.
    mask_starts: Vec<usize>,
    masks: Range<u64>,
    counts: Range<u64>,
    /// Whether masks are read back.
    wanted: bool,
    out_bytes: u64,
}

impl GpuEngine {
    pub(super) fn cut_jobs(&self, jobs: &mut [Job], budgets: &mut [u64], memory_bytes: u64) -> Result<Vec<CutCounts>> {
        // What only the host can judge, and groups that do not fit a chunk.
        let most = self.chunk_bytes(memory_bytes);
        let for_host = |job: &Job| {
            let unit = aligned_unit(job.rule.unit()).and_then(|unit| unit.checked_mul(job.float.bytes() as u64));
            matches!(job.rule, Rule::Host(_)) || unit.is_none_or(|unit| unit > most)
        };
        let mut counts = Vec::with_capacity(jobs.len());
        for same in jobs.chunk_by_mut(|a, b| a.float == b.float && for_host(a) == for_host(b)) {
            counts.extend(if for_host(&same[0]) {
                CpuEngine::with_pool(Arc::clone(&self.pool)).cut(same, budgets, memory_bytes)?
            } else {
                self.cut_format(same, budgets, most)?
            });
        }
        Ok(counts)
    }

    /// Jobs of one format.
    fn cut_format(&self, jobs: &mut [Job], budgets: &mut [u64], max_bytes: u64) -> Result<Vec<CutCounts>> {
        let float = jobs[0].float;
        let rules: Vec<Rule> = jobs.iter().map(|job| job.rule).collect();
        let mut counts = vec![CutCounts::default(); jobs.len()];
        let mut parts = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate() {
            parts.extend(job.split(PART).map(|part| Part {
                job: index,
                bytes: Mutex::new(part.bytes),
                mask: part.mask.map(Mutex::new),
                given: if let Rule::Mask(words) = part.rule { Some(words) } else { None },
            }));
        }
        let budget_bytes: Vec<u8> = budgets.iter().flat_map(|b| b.to_le_bytes()).collect();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let on_device = self.gpu.filled("budgets", &budget_bytes, usage)?;
        let width = float.bytes();
        let piece = |(index, part): (usize, &Part)| {
            let elements = part.bytes.lock().unwrap_or_else(PoisonError::into_inner).len() / width;
            let layout = Layout::new(&[elements as u64], Grouping::Tensor);
            let region = Region { row: 0, rows: 1, col: 0, cols: elements as u64 };
            Piece { tensor: index, float, layout, region }
        };
        let mut pieces = parts.iter().enumerate().map(piece).filter(|p| p.region.cols > 0).peekable();
        let mut pending: VecDeque<Pending> = VecDeque::new();
        while let Some(chunk) = Chunk::next(&mut pieces, max_bytes, MOST_PARTS) {
            let slot = if pending.len() < SLOTS { None } else { pending.pop_front() };
            let slot = slot.map_or_else(|| Ok(self.slot()), |p| self.finish_cut(p, &parts, &mut counts))?;
            pending.push_back(self.start_cut(slot, chunk, float, &parts, &rules, &on_device)?);
        }
        while let Some(next) = pending.pop_front() {
            let slot = self.finish_cut(next, &parts, &mut counts)?;
            self.keep(slot);
        }
        let left = self.download(&on_device)?;
        budgets.iter_mut().zip(left.as_chunks().0).for_each(|(budget, bytes)| *budget = u64::from_le_bytes(*bytes));
        Ok(counts)
    }

    /// Fills a slot and submits its cuts.
    fn start_cut(
        &self,
        mut slot: Slot,
        chunk: Chunk,
        float: Float,
        parts: &[Part],
        rules: &[Rule],
        budgets: &wgpu::Buffer,
    ) -> Result<Pending> {
        let mut work = Work::new(&self.gpu);
        let mut groups: BTreeMap<_, Vec<Groups>> = BTreeMap::new();
        let (mut tiles, mut cuts, mut starts, mut words) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (piece, offset) in &chunk.pieces {
            let part = &parts[piece.tensor];
            let first = (offset / float.bytes() as u64) as u32;
            let elements = piece.region.cols;
            starts.push(words);
            let first_tile = tiles.len();
            for start in (0..elements).step_by(TILE as usize) {
                tiles.push(Tile {
                    start: first + start as u32,
                    length: TILE.min(elements - start) as u32,
                    mask: (words + start as usize / 32) as u32,
                    cut: cuts.len() as u32,
                    index: tiles.len() as u32,
                });
            }
            let range = first_tile..tiles.len();
            cuts.push(match rules[part.job] {
                Rule::Threshold { key, above, budget } => {
                    Cut::new(Some(Threshold::new(float, key, above)), budget, range)
                }
                _ => Cut::new(None, 0, range),
            });
            if let Rule::NofM { n, m, stride, above } = rules[part.job] {
                let pattern = Pattern { n, m, stride: stride as u32, above };
                let lists = pattern.lists(float, first, elements as u32, words as u32);
                groups.entry(pattern.kind()).or_default().extend(lists);
            }
            words += elements.div_ceil(32) as usize;
        }
        let lists = [work.list(&tiles), work.list(&cuts)];
        let groups: Vec<_> =
            groups.iter().map(|(kind, groups)| (*kind, work.list(groups), groups.len() as u32)).collect();
        let given: Vec<(usize, Range<u64>)> = chunk
            .pieces
            .iter()
            .zip(&starts)
            .filter_map(|((piece, _), start)| Some((*start, work.list(parts[piece.tensor].given?))))
            .collect();
        // One more than there are tiles: what is before the end.
        let ties = work.results((tiles.len() as u64 + 1) * 4);
        let allowed = work.results(cuts.len() as u64 * 4);
        let masks = work.results(words as u64 * 4);
        let counts = work.results(cuts.len() as u64 * 16);
        let wanted = chunk.pieces.iter().any(|(piece, _)| parts[piece.tensor].mask.is_some());
        let out = Lists { mask_starts: starts, masks, counts, wanted, out_bytes: work.out_bytes };

        let mut encoder = self.gpu.encoder();
        self.fill(&mut slot, &mut encoder, &Parts(parts), &chunk, &work)?;
        let data = 0..chunk.data_bytes + PADDING;
        let gpu = &self.gpu;
        let workgroups = tiles.len() as u32;
        let [tiles, cuts] = &lists;
        let mut record = |kernel: Arc<super::Kernel>, buffers: &[Option<wgpu::BufferBinding>], workgroups| {
            let buffers: Vec<_> = buffers.iter().flatten().cloned().collect();
            kernel.record(gpu, &mut encoder, &buffers, workgroups)
        };
        let (of_data, of_work, of_out) =
            (|| binding(&slot.data, &data), |r| binding(&slot.work, r), |r| binding(&slot.out, r));
        record(
            tie_counts::kernel(gpu, float, false)?,
            &[of_data(), of_work(tiles), of_work(cuts), of_out(&ties)],
            workgroups,
        )?;
        let budgets = Some(budgets.as_entire_buffer_binding());
        record(tie_scan::kernel(gpu)?, &[of_work(cuts), of_out(&ties), of_out(&allowed), budgets], 1)?;
        let buffers = [of_data(), of_work(tiles), of_work(cuts), of_out(&ties), of_out(&allowed), of_out(&out.masks)];
        record(threshold_mask::kernel(gpu, float, false)?, &buffers, workgroups)?;
        for (kind, list, workgroups) in &groups {
            let buffers = [of_data(), of_work(list), of_out(&out.masks)];
            record(nm_mask::kernel(gpu, float, *kind)?, &buffers, *workgroups)?;
        }
        if let (Some(from), Some(to)) = (&slot.work, &slot.out) {
            for (start, list) in &given {
                encoder.copy_buffer_to_buffer(
                    from,
                    list.start,
                    to,
                    out.masks.start + *start as u64 * 4,
                    list.end - list.start,
                );
            }
        }
        let mut record = |kernel: Arc<super::Kernel>, buffers: &[Option<wgpu::BufferBinding>]| {
            let buffers: Vec<_> = buffers.iter().flatten().cloned().collect();
            kernel.record(gpu, &mut encoder, &buffers, workgroups)
        };
        let buffers = [of_data(), of_work(tiles), of_out(&out.masks), of_out(&out.counts)];
        record(mask_counts::kernel(gpu, float)?, &buffers)?;
        record(apply_mask::kernel(gpu, float.bytes())?, &[of_data(), of_work(tiles), of_out(&out.masks)])?;
        self.record_cut_readback(&mut slot, &mut encoder, &chunk, &out)?;
        let submission = self.submit(&slot, encoder);
        Ok(Pending { slot, chunk, lists: out, submission })
    }

    /// The weights come back, the counts, and the masks if somebody asks.
    fn record_cut_readback(
        &self,
        slot: &mut Slot,
        encoder: &mut wgpu::CommandEncoder,
        chunk: &Chunk,
        lists: &Lists,
    ) -> Result<()> {
        use wgpu::BufferUsages as Usage;
        let bytes = chunk.data_bytes + lists.out_bytes;
        let readback = self.at_least(&mut slot.readback, bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        if let (Some(data), Some(out)) = (&slot.data, &slot.out) {
            encoder.copy_buffer_to_buffer(data, 0, readback, 0, chunk.data_bytes);
            for range in [&lists.counts].into_iter().chain(lists.wanted.then_some(&lists.masks)) {
                let to = chunk.data_bytes + range.start;
                encoder.copy_buffer_to_buffer(out, range.start, readback, to, range.end - range.start);
            }
        }
        Ok(())
    }

    fn finish_cut(&self, pending: Pending, parts: &[Part], counts: &mut [CutCounts]) -> Result<Slot> {
        let Pending { slot, chunk, lists, submission } = pending;
        let bytes = chunk.data_bytes + lists.out_bytes;
        self.read(&slot, submission, bytes, |results| {
            let (data, out) = results.split_at(chunk.data_bytes as usize);
            let words = |range: &Range<u64>| &out[range.start as usize..range.end as usize];
            let found = words(&lists.counts).as_chunks::<16>().0;
            let masks = words(&lists.masks);
            for (((piece, offset), start), found) in chunk.pieces.iter().zip(&lists.mask_starts).zip(found) {
                let part = &parts[piece.tensor];
                let mut bytes = part.bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let from = *offset as usize;
                let length = bytes.len();
                bytes.copy_from_slice(&data[from..from + length]);
                if let Some(mask) = &part.mask {
                    let mut mask = mask.lock().unwrap_or_else(PoisonError::into_inner);
                    let length = mask.len() * 4;
                    bytemuck::cast_slice_mut::<u32, u8>(&mut mask)
                        .copy_from_slice(&masks[start * 4..start * 4 + length]);
                }
                let [kept, zeros, kept_zeros, largest] = bytemuck::pod_read_unaligned::<[u32; 4]>(found).map(u64::from);
                let cut = piece.region.cols - kept;
                let largest = largest.checked_sub(1).filter(|_| cut > 0);
                counts[part.job].add(&CutCounts { cut, zeros_before: zeros, zeros_after: cut + kept_zeros, largest });
            }
        })?;
        Ok(slot)
    }
}
