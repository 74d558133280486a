//! Slices that are kept, copied together where they lie.

use std::ops::Range;

use super::Weights;
use super::tiling::apart;
use super::window::{part, room};
use crate::gpu::{Dispatch, Gpu, Pending, kernel};
use crate::kernels::gather;
use crate::{Error, Result};

/// The slices of a tensor that are kept along an axis, and where they go.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The tensor.
    pub from: Weights,
    /// Along which axis.
    pub axis: usize,
    /// Ascending indices along it.
    pub indices: Vec<u32>,
    /// The result: the same format and shape, but for the axis, which has as many elements as there are indices.
    pub to: Weights,
}

/// Channels deleted: kept slices of tensors copied together, by the kernel `gather`, out of one buffer into another.
#[derive(Debug)]
pub struct GatherPass {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
}

/// Blocks and kept slices of one tensor that are copied by one dispatch.
struct Part {
    blocks: Range<u64>,
    kept: Range<usize>,
}

impl GatherPass {
    /// A pass that copies each of `jobs`.
    ///
    /// # Errors
    /// Shapes, formats or indices that do not fit together; a tensor copied onto its own buffer; a device that is out of
    /// memory or sees too little of a buffer at once.
    pub fn new(gpu: &Gpu, jobs: &[Kept]) -> Result<Self> {
        apart(jobs.iter().map(|job| &job.to))?;
        let mut dispatches = Vec::new();
        for job in jobs {
            job.check()?;
            if job.to.elements() > 0 {
                job.dispatches(gpu, &mut dispatches)?;
            }
        }
        Ok(Self { gpu: gpu.clone(), dispatches })
    }

    /// Records the pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        kernel::record(encoder, "gather", &self.dispatches);
    }

    /// Encodes and submits: done when the device is.
    ///
    /// # Errors
    /// A device that is out of memory or refuses the commands.
    pub fn run(&self) -> Result<Pending<()>> {
        self.gpu.run("gather", |encoder| {
            self.encode(encoder);
            Pending::done(&self.gpu, encoder)
        })
    }
}

impl Kept {
    fn check(&self) -> Result<()> {
        let (from, to) = (self.from.shape(), self.to.shape());
        let fits = self.axis < from.len()
            && self.from.float() == self.to.float()
            && self.indices.is_sorted_by(|a, b| a < b)
            && self.indices.iter().all(|i| u64::from(*i) < from[self.axis]);
        let shape =
            from.iter().enumerate().map(|(axis, n)| if axis == self.axis { self.indices.len() as u64 } else { *n });
        if !fits || !shape.eq(to.iter().copied()) {
            return Err(Error::Device(format!(
                "{} slices of axis {} of {:?} ({from:?}) do not make {:?} ({to:?}): indices ascend, formats are the same",
                self.indices.len(),
                self.axis,
                self.from.float(),
                self.to.float(),
            )));
        }
        if self.from.buffer() == self.to.buffer() {
            return Err(Error::Device("kept slices go into another buffer than they come from".to_owned()));
        }
        Ok(())
    }

    fn dispatches(&self, gpu: &Gpu, dispatches: &mut Vec<Dispatch>) -> Result<()> {
        let width = self.from.float().bytes() as u64;
        let slice = self.from.shape()[self.axis + 1..].iter().product::<u64>() * width;
        let block = slice * self.from.shape()[self.axis];
        let every = slice * self.indices.len() as u64;
        for Part { blocks, kept } in self.parts(gpu, slice, block)? {
            let first = u64::from(self.indices[kept.start]);
            let last = u64::from(self.indices[kept.end - 1]);
            let start = self.from.offset() + blocks.start * block + first * slice;
            let end = self.from.offset() + (blocks.end - 1) * block + (last + 1) * slice;
            let bound = start / gpu.alignment() * gpu.alignment();
            let data = part(self.from.buffer(), bound..end.next_multiple_of(4));
            let out = self.to.offset() + blocks.start * every + kept.start as u64 * slice;
            let out_end = out + (blocks.end - blocks.start) * kept.len() as u64 * slice;
            let bound_out = out / gpu.alignment() * gpu.alignment();
            let found = part(self.to.buffer(), bound_out..out_end.next_multiple_of(4));
            let outer = (blocks.end - blocks.start) as usize;
            let entry = gather::Part::new(start - bound, block as usize, slice as usize, outer, kept.len());
            let entry = gather::Part { out: ((out - bound_out) / 4) as u32, ..entry };
            let tiles: Vec<_> = entry.tiles(0).collect();
            let indices: Vec<u32> = self.indices[kept].iter().map(|i| i - first as u32).collect();
            let usage = wgpu::BufferUsages::STORAGE;
            let lists = [
                gpu.filled("tiles", bytemuck::cast_slice(&tiles), usage)?,
                gpu.filled("parts", bytemuck::bytes_of(&entry), usage)?,
                gpu.filled("indices", bytemuck::cast_slice(&indices), usage)?,
            ];
            let lists = lists.each_ref().map(wgpu::Buffer::as_entire_buffer_binding);
            let buffers: Vec<_> = [data].into_iter().chain(lists).chain([found]).collect();
            dispatches.push(gather::kernel(gpu)?.prepare(gpu, &buffers, tiles.len() as u32)?);
        }
        Ok(())
    }

    /// Parts that a binding holds, whose results start at whole words.
    fn parts(&self, gpu: &Gpu, slice: u64, block: u64) -> Result<Vec<Part>> {
        let room = room(gpu);
        let outer = self.from.elements() * self.from.float().bytes() as u64 / block;
        let fits = |blocks: u64| blocks.checked_mul(block).is_some_and(|bytes| bytes <= room);
        let all = 0..self.indices.len();
        if fits(outer) {
            return Ok(vec![Part { blocks: 0..outer, kept: all }]);
        }
        // Four blocks, and four slices, make whole words whatever the format.
        if fits(4) {
            let most = room / block / 4 * 4;
            let starts = (0..outer).step_by(most as usize);
            return Ok(starts
                .map(|start| Part { blocks: start..(start + most).min(outer), kept: all.clone() })
                .collect());
        }
        let whole_words =
            slice.is_multiple_of(4) || (slice * self.indices.len() as u64).is_multiple_of(4) || outer == 1;
        let mut parts = Vec::new();
        for one in (0..outer).map(|start| start..start + 1) {
            let mut start = 0;
            while start < all.end {
                let bytes = |end: usize| u64::from(self.indices[end - 1] - self.indices[start] + 1) * slice;
                let most = (start + 1..=all.end).take_while(|end| bytes(*end) <= room).last().unwrap_or(start);
                let end = if most == all.end { most } else { start + (most - start) / 4 * 4 };
                if end == start || !whole_words {
                    return Err(Error::Device(format!(
                        "slices of {slice} bytes of shape {:?} cannot be copied in parts of {room} bytes",
                        self.from.shape()
                    )));
                }
                parts.push(Part { blocks: one.clone(), kept: start..end });
                start = end;
            }
        }
        Ok(parts)
    }
}
