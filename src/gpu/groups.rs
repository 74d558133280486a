//! Questions about groups that lie whole in a piece.

use super::GpuEngine;
use super::chunk::{Chunk, Work, binding};
use super::slot::{PADDING, Slot};
use crate::kernels::select::View;
use crate::kernels::{bin_counts, select};
use crate::scan::{GroupAnswer, GroupRequest, Piece, Source};
use crate::{Float, Result};

impl GpuEngine {
    /// Answers `request`, chunk after chunk.
    pub(super) fn ask_groups(
        &self,
        source: &dyn Source,
        pieces: &[Piece],
        request: &GroupRequest,
    ) -> Result<GroupAnswer> {
        let max_bytes = self.chunk_bytes(request.memory_bytes);
        // Worklists and answers together are to take no more than the weights.
        let asked = request.ranks_each + request.thresholds_each.map_or(0, |each| each + 1);
        let max_runs = max_bytes / (size_of::<View>() + 8 * asked) as u64;
        let mut answer = GroupAnswer::default();
        let mut slot = self.slot();
        let mut rest = pieces.iter().copied().peekable();
        let mut group = 0;
        // A request is about one tensor, hence one format.
        while let Some(chunk) = Chunk::next(&mut rest, max_bytes, max_runs) {
            let float = chunk.pieces[0].0.float;
            let views = views(&chunk, float);
            self.ask_chunk(&mut slot, source, &chunk, float, &views, group, request, &mut answer)?;
            group += views.len();
        }
        self.keep(slot);
        Ok(answer)
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only name them again")]
    fn ask_chunk(
        &self,
        slot: &mut Slot,
        source: &dyn Source,
        chunk: &Chunk,
        float: Float,
        views: &[View],
        group: usize,
        request: &GroupRequest,
        answer: &mut GroupAnswer,
    ) -> Result<()> {
        let part = |all: &[u64], each: usize| -> Vec<u32> {
            let wanted = &all[group * each..(group + views.len()) * each];
            wanted.iter().map(|x| u32::try_from(*x).unwrap_or(u32::MAX)).chain([0]).collect()
        };
        let mut work = Work::new(&self.gpu);
        let list = work.list(views);
        let ranks = work.list(&part(request.ranks, request.ranks_each));
        let thresholds = work.list(&part(request.thresholds, request.thresholds_each.unwrap_or(0)));
        let keys = work.results((views.len() * request.ranks_each * 4) as u64);
        let bins = work.results(request.thresholds_each.map_or(0, |each| (views.len() * (each + 1) * 4) as u64));
        let mut encoder = self.gpu.encoder();
        self.fill(slot, &mut encoder, source, chunk, &work)?;
        let data = 0..chunk.data_bytes + PADDING;
        let mut record = |kernel: std::sync::Arc<super::Kernel>, asked, out, workgroups: usize| {
            let buffers = [
                binding(&slot.data, &data),
                binding(&slot.work, &list),
                binding(&slot.work, asked),
                binding(&slot.out, out),
            ];
            let buffers: Vec<_> = buffers.into_iter().flatten().collect();
            kernel.record(&self.gpu, &mut encoder, &buffers, workgroups as u32)
        };
        if request.ranks_each > 0 {
            record(
                select::kernel(&self.gpu, float, request.magnitude, request.ranks_each)?,
                &ranks,
                &keys,
                views.len() * request.ranks_each,
            )?;
        }
        if let Some(each) = request.thresholds_each {
            record(bin_counts::kernel(&self.gpu, float, request.magnitude, each)?, &thresholds, &bins, views.len())?;
        }
        self.record_readback(slot, &mut encoder, work.out_bytes)?;
        let submission = self.submit(slot, encoder);
        self.read(slot, submission, work.out_bytes, |results| {
            let words = |range: &std::ops::Range<u64>| {
                let bytes = &results[range.start as usize..range.end as usize];
                bytes.as_chunks().0.iter().map(|b| u64::from(u32::from_le_bytes(*b))).collect::<Vec<_>>()
            };
            answer.keys.extend(words(&keys));
            answer.bins.extend(words(&bins));
        })
    }
}

/// The groups of a chunk, numbered from its first.
fn views(chunk: &Chunk, float: Float) -> Vec<View> {
    let mut views = Vec::new();
    for (piece, offset) in &chunk.pieces {
        let first = offset / float.bytes() as u64;
        for view in piece.layout.views(piece.region) {
            views.push(View {
                start: (first + view.start) as u32,
                length: view.length as u32,
                run: view.run as u32,
                stride: view.stride as u32,
                group: views.len() as u32,
            });
        }
    }
    views
}
