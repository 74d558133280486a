//! A run: weights are read, cut and written, a unit that fits in memory after the other.

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;

use super::masks::{MaskWriter, keep_nan};
use super::outcome::{bytes, plan, summary};
use super::scored::{BelowKey, LowestOfEach};
use super::targets::{Target, Targets, What, columns};
use super::thresholds::{Global, Known};
use super::units::{Part, Units};
use super::{Keep, Masks, Plan, Summary, Task};
use crate::checkpoint::{Writer, check_outputs};
use crate::kernels::tie_scan::ENDLESS;
use crate::scan::{Buffer, File, HostRule, Job, Rule};
use crate::{Checkpoint, Engine, Progress, Result, Tensor};

/// Bytes that a thread reads or writes at a time.
const IO_BYTES: usize = 1 << 20;
/// Budgets of ties that every run has: none at all, and that of a threshold of the whole model.
pub(super) const NO_TIES: usize = 0;
pub(super) const GLOBAL_TIES: usize = 1;

/// Where the results of a run go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination<'a> {
    /// The pruned model, of the form of the model; without it nothing is written, and only said what would be.
    pub out: Option<&'a Path>,
    /// A safetensors file of the masks.
    pub mask: Option<&'a Path>,
    /// Whether files that are there may be replaced.
    pub force: bool,
    /// What may be held at once, on the host and on the device each, in bytes; 0 for 1 GiB. A task of options says it
    /// by itself.
    pub memory_bytes: u64,
}

/// What a run has done, and the plan that does it again.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened to each tensor. Run again it does the same, but for that of [`Task::Masks`], which says how many
    /// weights were cut and not which: the masks do that again.
    pub plan: Plan,
    /// What it came to.
    pub summary: Summary,
}

/// Cuts what `task` says of `model` and writes the result, whole or not at all.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) where the task contradicts itself or `to` may not be written;
/// [`Error::Tensor`](crate::Error::Tensor) and [`Error::Format`](crate::Error::Format) where plan or masks are not for
/// this model, or nothing is eligible; [`Error::Io`](crate::Error::Io) where something cannot be read or
/// written. Nothing appears under the output's name then.
pub fn run(model: &Checkpoint, engine: &Engine, task: &Task, to: &Destination, progress: &Progress) -> Result<Outcome> {
    let start = Instant::now();
    let sides: Vec<_> = to.mask.map(|mask| ("mask", mask)).into_iter().collect();
    check_outputs(model, to.out.map(|out| ("out", out)), &sides, &[])?;
    let memory_bytes = match task {
        Task::Options(options) => options.memory_bytes,
        _ if to.memory_bytes == 0 => 1 << 30,
        _ => to.memory_bytes,
    };
    // What cannot be written should be known before hours of work.
    let writer = to.out.map(|out| Writer::same(model, out, to.force)).transpose()?;
    let tensors: Vec<&Tensor> = model.tensors().iter().collect();
    let file = File { checkpoint: model, tensors: &tensors, progress };
    // Every tensor is read once, to be copied or cut; further passes are expected as they are known.
    progress.expect(if writer.is_some() { tensors.iter().map(|t| t.bytes()).sum() } else { 0 });
    let found = Targets::new(model, engine, task, &file)?;
    if writer.is_none() {
        progress.expect(found.targets.iter().map(|t| tensors[t.index].bytes()).sum());
    }
    let masks = to.mask.map(|path| MaskWriter::new(model, &found.targets, path, to.force)).transpose()?;
    let given = if let Task::Masks(masks) = task { Some(*masks) } else { None };
    let mut run =
        Run { model, engine, file: &file, found: &found, writer, masks, given, memory_bytes, budgets: vec![0, 0] };
    let targets = run.all()?;
    let Run { writer, masks, .. } = run;
    let bytes_after = writer.as_ref().map_or_else(|| bytes(model), Writer::bytes);
    if let Some(masks) = masks {
        masks.finish()?;
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    let plan = plan(model, &found, &targets);
    let mut summary = summary(model, engine, &found, &targets, bytes_after);
    summary.seconds = start.elapsed().as_secs_f64();
    Ok(Outcome { plan, summary })
}

/// A run on its way.
pub(super) struct Run<'a> {
    pub(super) model: &'a Checkpoint,
    pub(super) engine: &'a Engine,
    pub(super) file: &'a File<'a>,
    pub(super) found: &'a Targets,
    pub(super) writer: Option<Writer>,
    pub(super) masks: Option<MaskWriter>,
    pub(super) given: Option<&'a Masks>,
    pub(super) memory_bytes: u64,
    /// How many ties may still be cut, by the index in [`Rule`].
    pub(super) budgets: Vec<u64>,
}

impl Run<'_> {
    fn all(&mut self) -> Result<Vec<Target>> {
        let mut targets = self.found.targets.clone();
        self.copy_the_rest()?;
        let global = self.global()?;
        let mut buffer = Buffer::default();
        let mut streamed = None;
        for parts in Units::new(self.model, &self.found.targets, self.memory_bytes) {
            self.unit(&parts?, &global, &mut streamed, &mut buffer, &mut targets)?;
        }
        Ok(targets)
    }

    pub(super) fn above(&self) -> bool {
        self.found.keep == Keep::Smallest
    }

    pub(super) fn tensor(&self, target: usize) -> &Tensor {
        &self.model.tensors()[self.found.targets[target].index]
    }

    /// Tensors that are not cut.
    fn copy_the_rest(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let mut cut = vec![false; self.model.tensors().len()];
        self.found.targets.iter().for_each(|t| cut[t.index] = true);
        let rest: Vec<&Tensor> = self.model.tensors().iter().zip(cut).filter(|(_, cut)| !cut).map(|(t, _)| t).collect();
        self.engine.cpu_engine().pool().install(|| {
            rest.into_par_iter().try_for_each(|tensor| {
                writer.copy(self.model, tensor)?;
                self.file.progress.add(tensor.bytes());
                Ok(())
            })
        })
    }

    fn unit(
        &mut self,
        parts: &[Part],
        global: &Global,
        streamed: &mut Option<(usize, Known)>,
        buffer: &mut Buffer,
        targets: &mut [Target],
    ) -> Result<()> {
        // Budgets are those of this unit, and of a tensor that goes on from the last one.
        if streamed.as_ref().is_none_or(|(target, _)| parts.first().is_some_and(|part| part.target != *target)) {
            self.budgets.truncate(GLOBAL_TIES + 1);
        }
        let mut known = Vec::with_capacity(parts.len());
        for part in parts {
            known.push(self.known(part, global, streamed)?);
        }
        let width = |part: &Part| self.found.targets[part.target].float.bytes() as u64;
        let lengths: Vec<usize> = parts.iter().map(|part| (part.elements * width(part)) as usize).collect();
        // Every part starts where every format is aligned.
        let total = lengths.iter().map(|n| n.next_multiple_of(8)).sum();
        let mut pieces = Vec::with_capacity(parts.len());
        let mut rest = buffer.first(total);
        for length in &lengths {
            let (this, after) = rest.split_at_mut(length.next_multiple_of(8));
            pieces.push(&mut this[..*length]);
            rest = after;
        }
        self.read(parts, &mut pieces)?;
        self.rank(parts, &pieces, &mut known)?;
        let words = |part: &Part| part.elements.div_ceil(32) as usize;
        let given = self.given_masks(parts, &pieces)?;
        let mut masks: Vec<Vec<u32>> =
            parts.iter().map(|p| vec![0; if self.masks.is_some() { words(p) } else { 0 }]).collect();
        let wanted = self.masks.is_some();
        let mut budgets = std::mem::take(&mut self.budgets);
        let hosts: Vec<Option<Box<dyn HostRule + '_>>> =
            parts.iter().zip(&known).map(|(part, known)| self.host_rule(part, known)).collect();
        let mut jobs = Vec::with_capacity(parts.len());
        for ((((part, known), bytes), mask), (host, given)) in
            parts.iter().zip(&known).zip(&mut pieces).zip(&mut masks).zip(hosts.iter().zip(&given))
        {
            let target = &self.found.targets[part.target];
            let rule = match (host, known, target.what) {
                (Some(host), ..) => Rule::Host(&**host),
                (_, Known::Threshold(key, budget), _) => {
                    Rule::Threshold { key: *key, above: self.above(), budget: *budget }
                }
                (_, _, What::NofM { n, m, stride }) => Rule::NofM { n, m, stride, above: self.above() },
                (_, _, What::Masked) => Rule::Mask(given),
                // Below nothing.
                _ => Rule::Threshold { key: 0, above: false, budget: NO_TIES },
            };
            let mask = wanted.then_some(&mut mask[..]);
            jobs.push(Job { float: target.float, bytes, first: part.first, rule, mask });
        }
        // In order where tensors share ties, else those of a format together: a device takes them in one go.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        if matches!(budgets[GLOBAL_TIES], 0 | ENDLESS) {
            order.sort_by_key(|i| self.found.targets[parts[*i].target].float);
            jobs = in_order(jobs, &order);
        }
        let mut counts = Vec::with_capacity(jobs.len());
        for same in jobs.chunk_by_mut(|a, b| self.engine.is_gpu_for(a.float) == self.engine.is_gpu_for(b.float)) {
            let compute = self.engine.compute(same[0].float);
            counts.extend(compute.cut(same, &mut budgets, self.memory_bytes)?);
        }
        drop(jobs);
        drop(hosts);
        self.budgets = budgets;
        for (index, counts) in order.into_iter().zip(counts) {
            targets[parts[index].target].counts.add(&counts);
        }
        self.write(parts, &pieces, &masks)?;
        self.file.progress.add(lengths.iter().sum::<usize>() as u64);
        Ok(())
    }

    fn read(&self, parts: &[Part], pieces: &mut [&mut [u8]]) -> Result<()> {
        let mut reads = Vec::new();
        for (part, bytes) in parts.iter().zip(pieces) {
            let start = part.first * self.found.targets[part.target].float.bytes() as u64;
            for (i, chunk) in bytes.chunks_mut(IO_BYTES).enumerate() {
                reads.push((self.tensor(part.target), start + (i * IO_BYTES) as u64, chunk));
            }
        }
        self.engine.cpu_engine().pool().install(|| {
            reads
                .into_par_iter()
                .try_for_each(|(tensor, offset, chunk)| self.model.read_exact_at(tensor, offset, chunk))
        })
    }

    fn host_rule(&self, part: &Part, known: &Known) -> Option<Box<dyn HostRule + '_>> {
        let scored = self.scored(self.found.score()?, part.target);
        let lowest = |m, stride, cut| -> Option<Box<dyn HostRule + '_>> {
            Some(Box::new(LowestOfEach { scored, m, stride, cut }))
        };
        match (known, self.found.targets[part.target].what) {
            (Known::Score(key, budget), _) => Some(Box::new(BelowKey { scored, key: *key, budget: *budget })),
            (_, What::EachRow(cut)) => lowest(columns(self.tensor(part.target)).max(1), 1, cut),
            (_, What::NofM { n, m, stride }) => lowest(m.into(), stride, (m - n).into()),
            _ => None,
        }
    }

    fn given_masks(&self, parts: &[Part], pieces: &[&mut [u8]]) -> Result<Vec<Vec<u32>>> {
        let Some(masks) = self.given else { return Ok(vec![Vec::new(); parts.len()]) };
        let read = |(part, bytes): (&Part, &&mut [u8])| {
            let mut words = masks.read(self.tensor(part.target).name(), part.first, part.elements)?;
            let float = self.found.targets[part.target].float;
            self.engine.cpu_engine().pool().install(|| keep_nan(float, bytes, &mut words));
            Ok(words)
        };
        parts.iter().zip(pieces).map(read).collect()
    }

    fn write(&self, parts: &[Part], pieces: &[&mut [u8]], masks: &[Vec<u32>]) -> Result<()> {
        let mut writes = Vec::new();
        for ((part, bytes), mask) in parts.iter().zip(pieces).zip(masks) {
            let tensor = self.tensor(part.target);
            if let Some(masks) = &self.masks {
                masks.write(tensor.name(), part.first, mask)?;
            }
            let start = part.first * self.found.targets[part.target].float.bytes() as u64;
            for (i, chunk) in bytes.chunks(IO_BYTES).enumerate() {
                writes.push((tensor.name(), start + (i * IO_BYTES) as u64, chunk));
            }
        }
        let Some(writer) = &self.writer else { return Ok(()) };
        self.engine.cpu_engine().pool().install(|| {
            writes.into_par_iter().try_for_each(|(name, offset, chunk)| writer.write_all_at(name, offset, chunk))
        })
    }
}

/// The `order`-th of `items`, one after the other; each index occurs once.
fn in_order<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.iter().filter_map(|i| items.get_mut(*i).and_then(Option::take)).collect()
}
