//! Deleting channels: tensors are read, the kept slices gathered and written, and what names a width is rewritten.

mod edits;
mod slabs;
mod slices;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use self::slabs::Slab;
use self::slices::Sliced;
use crate::checkpoint::{Planned, Writer};
use crate::graph::{Dependencies, Graph};
use crate::prune::Destination;
use crate::scan::{Buffer, Gather};
use crate::{Checkpoint, Engine, Float, Progress, Result, Tensor};

/// Bytes that are read, gathered and written at once: enough for every thread and for a GPU's dispatch.
const TOGETHER_BYTES: u64 = 32 << 20;

/// A tensor that has lost slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deleted {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) new_shape: Vec<u64>,
}

/// What is to be deleted.
pub(super) struct Deletion<'a> {
    pub(super) model: &'a Checkpoint,
    pub(super) graph: &'a Graph,
    pub(super) dependencies: &'a Dependencies,
    /// For each class the channels that go, ascending.
    pub(super) cuts: &'a [Vec<u64>],
    /// What the file says of itself afterwards.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) memory_bytes: u64,
}

impl Deletion<'_> {
    /// Writes the model without those channels, if `to` says where: the tensors that have changed, in natural order of names, and
    /// the bytes of the new model.
    pub(super) fn run(&self, engine: &Engine, to: &Destination, progress: &Progress) -> Result<(Vec<Deleted>, u64)> {
        let mut sliced = slices::sliced(self.model, self.dependencies, self.cuts)?;
        let deleted = |s: &Sliced| Deleted {
            name: s.tensor.name().to_owned(),
            shape: s.tensor.shape().to_vec(),
            new_shape: s.shape(),
        };
        let mut found: Vec<Deleted> = sliced.iter().map(deleted).collect();
        let places: HashMap<&str, usize> = self.model.tensors().iter().map(Tensor::name).zip(0..).collect();
        found.sort_by_key(|tensor| places.get(tensor.name.as_str()).copied());
        let Some(out) = to.out else {
            let kept = |s: &Sliced| s.shape().iter().product::<u64>() * width(s);
            let lost = sliced.iter().map(|s| s.tensor.bytes().saturating_sub(kept(s))).sum();
            return Ok((found, crate::prune::outcome::bytes(self.model).saturating_sub(lost)));
        };
        let writer = self.writer(out, to.force, &sliced)?;
        progress.expect(self.model.tensors().iter().map(Tensor::bytes).sum());
        self.copy_the_rest(engine, &writer, &sliced, progress)?;
        // In the order of the file.
        sliced.sort_by_key(|s| (s.tensor.file(), s.tensor.start()));
        self.gather(engine, &writer, &sliced, progress)?;
        let bytes = writer.bytes();
        writer.finish()?;
        Ok((found, bytes))
    }

    fn writer(&self, out: &std::path::Path, force: bool, sliced: &[Sliced]) -> Result<Writer> {
        if self.model.is_onnx() {
            let before: Vec<u64> = self.dependencies.classes.iter().map(|class| class.channels).collect();
            let after: Vec<u64> = before.iter().zip(self.cuts).map(|(n, cut)| n - (cut.len() as u64).min(*n)).collect();
            let widths = (&before[..], &after[..]);
            let edits = edits::edits(self.graph, self.dependencies, sliced, widths, self.metadata.clone())?;
            return Writer::onnx(self.model, out, force, &edits);
        }
        let new: BTreeMap<&str, Vec<u64>> = sliced.iter().map(|s| (s.tensor.name(), s.shape())).collect();
        let mut files: Vec<Vec<&Tensor>> = vec![Vec::new(); self.model.files().count()];
        for tensor in self.model.tensors() {
            files[tensor.file()].push(tensor);
        }
        let planned = |tensor: &&Tensor| Planned {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: new.get(tensor.name()).cloned().unwrap_or_else(|| tensor.shape().to_vec()),
        };
        let in_order = |mut tensors: Vec<&Tensor>| {
            tensors.sort_by_key(|tensor| tensor.start());
            tensors.iter().map(planned).collect()
        };
        let files = files.into_iter().map(in_order).collect();
        Writer::resized(self.model, out, force, files, BTreeMap::new(), &self.metadata)
    }

    fn copy_the_rest(&self, engine: &Engine, writer: &Writer, sliced: &[Sliced], progress: &Progress) -> Result<()> {
        let changed: std::collections::BTreeSet<&str> = sliced.iter().map(|s| s.tensor.name()).collect();
        let rest = self.model.tensors().par_iter().filter(|tensor| !changed.contains(tensor.name()));
        engine.cpu_engine().pool().install(|| {
            rest.try_for_each(|tensor| {
                writer.copy(self.model, tensor)?;
                progress.add(tensor.bytes());
                Ok(())
            })
        })
    }

    fn gather(&self, engine: &Engine, writer: &Writer, sliced: &[Sliced], progress: &Progress) -> Result<()> {
        let together = TOGETHER_BYTES.min(self.memory_bytes / 4).max(1);
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (index, tensor) in sliced.iter().enumerate() {
            for slab in slabs::slabs(index, tensor, width(tensor), together) {
                let more = slab.bytes.end - slab.bytes.start;
                if bytes + more > together && !batch.is_empty() {
                    self.together(engine, writer, sliced, &std::mem::take(&mut batch))?;
                    bytes = 0;
                }
                bytes += more;
                batch.push(slab);
            }
            progress.add(tensor.tensor.bytes());
        }
        self.together(engine, writer, sliced, &batch)
    }

    /// Reads, gathers and writes some slabs.
    fn together(&self, engine: &Engine, writer: &Writer, sliced: &[Sliced], slabs: &[Slab]) -> Result<()> {
        let pool = engine.cpu_engine().pool();
        let read = |slab: &Slab| -> Result<Buffer> {
            let length = (slab.bytes.end - slab.bytes.start) as usize;
            let mut buffer = Buffer::with_len(length);
            self.model.read_exact_at(sliced[slab.tensor].tensor, slab.bytes.start, buffer.first(length))?;
            Ok(buffer)
        };
        let mut from: Vec<Buffer> = pool.install(|| slabs.par_iter().map(read).collect::<Result<_>>())?;
        let mut to: Vec<Vec<u8>> = slabs.iter().map(|slab| vec![0; slab.kept_bytes() as usize]).collect();
        let mut jobs = Vec::with_capacity(slabs.len());
        for ((slab, from), to) in slabs.iter().zip(&mut from).zip(&mut to) {
            let length = (slab.bytes.end - slab.bytes.start) as usize;
            let width = width(&sliced[slab.tensor]) as usize;
            let (from, kept) = (&*from.first(length), &*slab.kept);
            jobs.push(Gather { width, from, axis: slab.axis, inner: slab.inner, kept, to });
        }
        // Bytes are moved, whatever they mean: what computes F32 gathers everything.
        engine.compute(Float::F32).gather(&mut jobs, self.memory_bytes)?;
        drop(jobs);
        pool.install(|| {
            slabs
                .par_iter()
                .zip(&to)
                .try_for_each(|(slab, bytes)| writer.write_all_at(sliced[slab.tensor].tensor.name(), slab.to, bytes))
        })
    }
}

/// Bytes of an element.
fn width(sliced: &Sliced) -> u64 {
    sliced.tensor.bytes().checked_div(sliced.tensor.elements()).unwrap_or(1)
}
