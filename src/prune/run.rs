//! A run: weights are read, cut and written, a unit that fits in memory after the other.

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;

use super::magnitudes::{Magnitudes, cut_of_memory, native, piece_of, pieces};
use super::masks::{MaskWriter, keep_nan};
use super::rank::{Cut, Ranking};
use super::scored::{BelowKey, KEY_BITS, LowestOfEach, Scored};
use super::targets::{Target, Targets, What, columns};
use super::units::{Part, Units};
use super::{Keep, LeftOut, Masks, Pattern, Plan, PlannedTensor, Pruned, Score, Summary, Task, Total};
use crate::checkpoint::Writer;
use crate::scan::{Buffer, File, HostRule, Job, Rule};
use crate::{Checkpoint, Dtype, Engine, Float, Progress, Result, Tensor};

/// Bytes that a thread reads or writes at a time.
const IO_BYTES: usize = 1 << 20;
/// Budgets of ties that every run has: none at all, and that of a threshold of the whole model.
const NO_TIES: usize = 0;
const GLOBAL_TIES: usize = 1;

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
    /// What happened to each tensor.
    pub plan: Plan,
    /// What it came to.
    pub summary: Summary,
}

/// Cuts what `task` says of `model` and writes the result, whole or not at all.
///
/// # Errors
/// [`Error::Usage`] where the task contradicts itself or `to` may not be written; [`Error::Tensor`] and [`Error::Format`]
/// where plan or masks are not for this model, or nothing is eligible; [`Error::Io`] where something cannot be read or
/// written. Nothing appears under the output's name then.
pub fn run(model: &Checkpoint, engine: &Engine, task: &Task, to: &Destination, progress: &Progress) -> Result<Outcome> {
    let start = Instant::now();
    let memory_bytes = match task {
        Task::Options(options) => options.memory_bytes,
        _ if to.memory_bytes == 0 => 1 << 30,
        _ => to.memory_bytes,
    };
    // What cannot be written should be known before hours of work.
    let writer = to.out.map(|out| Writer::same(model, out, to.force)).transpose()?;
    let tensors: Vec<&Tensor> = model.tensors().iter().collect();
    let file = File { checkpoint: model, tensors: &tensors, progress };
    let found = Targets::new(model, engine, task, &file, memory_bytes)?;
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

fn bytes(model: &Checkpoint) -> u64 {
    model.files().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

struct Run<'a> {
    model: &'a Checkpoint,
    engine: &'a Engine,
    file: &'a File<'a>,
    found: &'a Targets,
    writer: Option<Writer>,
    masks: Option<MaskWriter>,
    given: Option<&'a Masks>,
    memory_bytes: u64,
    /// How many ties may still be cut, by the index in [`Rule`].
    budgets: Vec<u64>,
}

/// What is known about a target before its weights are in memory.
enum Known {
    /// Nothing is cut.
    Nothing,
    /// A threshold among magnitudes, with the index of its budget.
    Threshold(u64, usize),
    /// A threshold among scores.
    Score(u32, usize),
    /// It follows from the weights.
    Open,
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

    fn above(&self) -> bool {
        self.found.keep == Keep::Smallest
    }

    fn tensor(&self, target: usize) -> &Tensor {
        &self.model.tensors()[self.found.targets[target].index]
    }

    /// Tensors that are not cut.
    fn copy_the_rest(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let mut cut = vec![false; self.model.tensors().len()];
        self.found.targets.iter().for_each(|t| cut[t.index] = true);
        let rest: Vec<&Tensor> = self.model.tensors().iter().zip(cut).filter(|(_, cut)| !cut).map(|(t, _)| t).collect();
        self.file.progress.expect(rest.iter().map(|t| t.bytes()).sum());
        self.engine.cpu_engine().pool().install(|| {
            rest.into_par_iter().try_for_each(|tensor| {
                writer.copy(self.model, tensor)?;
                self.file.progress.add(tensor.bytes());
                Ok(())
            })
        })
    }

    /// The threshold of the whole model, if there is one.
    fn global(&mut self) -> Result<Global> {
        if !self.found.targets.iter().any(|t| t.what == What::Global) {
            return Ok(Global { space: Float::F32, cut: None });
        }
        let chosen: Vec<usize> = (0..self.found.targets.len()).collect();
        let found = match self.found.score() {
            None => {
                let tensors = self.found.targets.iter().map(|t| (t.index, t.float)).collect();
                let mut all = Magnitudes::new(self.engine, self.file, tensors, self.memory_bytes);
                Global { space: all.space(), cut: all.cut(self.found.global, self.above())? }
            }
            Some(score) => Global { space: Float::F32, cut: self.cut_of_scores(score, &chosen, self.found.global)? },
        };
        self.budgets[GLOBAL_TIES] = found.cut.map_or(0, |cut| cut.budget());
        Ok(found)
    }

    fn scored<'s>(&'s self, score: &'s dyn Score, target: usize) -> Scored<'s> {
        let float = self.found.targets[target].float;
        Scored { score, tensor: self.tensor(target), float, above: self.above() }
    }

    /// What is cut of the `k` lowest scores of some targets, streamed from their files.
    fn cut_of_scores(&self, score: &dyn Score, targets: &[usize], k: u64) -> Result<Option<Cut>> {
        let cpu = self.engine.cpu_engine();
        Ranking::new(KEY_BITS, u32::MAX.into(), |level, prefix| {
            self.file.progress.expect(targets.iter().map(|t| self.tensor(*t).bytes()).sum());
            let tables: Vec<std::sync::Mutex<Vec<u64>>> =
                (0..cpu.tables()).map(|_| std::sync::Mutex::new(vec![0; 1 << 16])).collect();
            let failed = std::sync::Mutex::new(None);
            let mut all = targets.iter().flat_map(|t| {
                let target = &self.found.targets[*t];
                pieces(piece_of(target.index, self.tensor(*t), target.float)).map(|piece| (piece, *t))
            });
            cpu.for_each(self.file, &mut all, |thread, piece, target, bytes| {
                let unpoisoned = |e: std::sync::PoisonError<_>| e.into_inner();
                let mut counts = tables[thread % tables.len()].lock().unwrap_or_else(unpoisoned);
                let counted = self.scored(score, *target).count(piece.region.col, bytes, level, prefix, &mut counts);
                if let Err(error) = counted {
                    failed.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
                }
            })?;
            if let Some(error) = failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
                return Err(error);
            }
            let mut sum = vec![0; 1 << 16];
            for table in tables {
                let table = table.into_inner().unwrap_or_else(|e| e.into_inner());
                sum.iter_mut().zip(table).for_each(|(a, b): (&mut u64, u64)| *a += b);
            }
            Ok(sum)
        })?
        // Keys are turned already where the largest scores are cut.
        .cut(k, false)
    }

    /// What is known about a part before its weights are looked at.
    fn known(&mut self, part: &Part, global: &Global, streamed: &mut Option<(usize, Known)>) -> Result<Known> {
        let target = &self.found.targets[part.target];
        let known = |cut: Option<Cut>, scored: bool, budgets: &mut Vec<u64>| match cut {
            None => Known::Nothing,
            Some(cut) => {
                budgets.push(cut.budget());
                let budget = budgets.len() - 1;
                if scored { Known::Score(cut.key as u32, budget) } else { Known::Threshold(cut.key, budget) }
            }
        };
        match (target.what, self.found.score()) {
            (What::Global, score) => Ok(match (&global.cut, score) {
                (None, _) => Known::Nothing,
                (Some(cut), Some(_)) => Known::Score(cut.key as u32, GLOBAL_TIES),
                (Some(cut), None) => {
                    let (key, equal) = native(target.float, global.space, cut, self.above());
                    Known::Threshold(key, if equal { GLOBAL_TIES } else { NO_TIES })
                }
            }),
            (What::Lowest(0), _) => Ok(Known::Nothing),
            (What::Lowest(k), Some(score)) => {
                if streamed.as_ref().is_none_or(|(t, _)| *t != part.target) {
                    let cut = self.cut_of_scores(score, &[part.target], k)?;
                    *streamed = Some((part.target, known(cut, true, &mut self.budgets)));
                }
                Ok(streamed.as_ref().map_or(Known::Nothing, |(_, k)| k.again()))
            }
            (What::Lowest(k), None) if !part.whole => {
                if streamed.as_ref().is_none_or(|(t, _)| *t != part.target) {
                    let tensors = vec![(target.index, target.float)];
                    let mut all = Magnitudes::new(self.engine, self.file, tensors, self.memory_bytes);
                    let cut = all.cut(k, self.above())?;
                    *streamed = Some((part.target, known(cut, false, &mut self.budgets)));
                }
                Ok(streamed.as_ref().map_or(Known::Nothing, |(_, k)| k.again()))
            }
            _ => Ok(Known::Open),
        }
    }

    fn unit(
        &mut self,
        parts: &[Part],
        global: &Global,
        streamed: &mut Option<(usize, Known)>,
        buffer: &mut Buffer,
        targets: &mut [Target],
    ) -> Result<()> {
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
        self.file.progress.expect(lengths.iter().sum::<usize>() as u64);
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
        // Jobs of one engine at a time, in order.
        let mut counts = Vec::with_capacity(jobs.len());
        for same in jobs.chunk_by_mut(|a, b| self.engine.is_gpu_for(a.float) == self.engine.is_gpu_for(b.float)) {
            let compute = self.engine.compute(same[0].float);
            counts.extend(compute.cut(same, &mut budgets, self.memory_bytes)?);
        }
        drop(jobs);
        drop(hosts);
        self.budgets = budgets;
        for (part, counts) in parts.iter().zip(counts) {
            targets[part.target].counts.add(&counts);
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

    /// The thresholds of tensors that are in memory whole.
    fn rank(&mut self, parts: &[Part], pieces: &[&mut [u8]], known: &mut [Known]) -> Result<()> {
        let (engine, above, found, memory_bytes) = (self.engine, self.above(), self.found, self.memory_bytes);
        let one = |(part, bytes): (&Part, &&mut [u8])| {
            let target = &found.targets[part.target];
            match target.what {
                What::Lowest(k) if found.score().is_none() && part.whole && k > 0 => {
                    cut_of_memory(engine, target.float, bytes, k, above, memory_bytes).map(Some)
                }
                _ => Ok(None),
            }
        };
        let cuts: Vec<Result<Option<Option<Cut>>>> =
            engine.cpu_engine().pool().install(|| parts.par_iter().zip(pieces).map(one).collect());
        for (known, cut) in known.iter_mut().zip(cuts) {
            match cut? {
                None => {}
                Some(None) => *known = Known::Nothing,
                Some(Some(cut)) => {
                    self.budgets.push(cut.budget());
                    *known = Known::Threshold(cut.key, self.budgets.len() - 1);
                }
            }
        }
        Ok(())
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

/// The threshold of the whole model, among the magnitudes of a format or among scores.
struct Global {
    space: Float,
    cut: Option<Cut>,
}

impl Known {
    fn again(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Threshold(key, budget) => Self::Threshold(*key, *budget),
            Self::Score(key, budget) => Self::Score(*key, *budget),
            Self::Open => Self::Open,
        }
    }
}

fn plan(model: &Checkpoint, found: &Targets, targets: &[Target]) -> Plan {
    let planned = |target: &Target| {
        let tensor = &model.tensors()[target.index];
        let cut = match target.what {
            What::Lowest(k) => k,
            What::EachRow(k) => k * tensor.shape().first().copied().unwrap_or(1),
            What::NofM { n, m, .. } => tensor.elements() / u64::from(m) * u64::from(m - n),
            What::Global | What::Masked => target.counts.cut,
        };
        let (name, shape) = (tensor.name().to_owned(), tensor.shape().to_vec());
        PlannedTensor { name, dtype: tensor.dtype(), shape, count: tensor.elements(), cut }
    };
    Plan {
        secateur: env!("CARGO_PKG_VERSION").to_owned(),
        pattern: found.pattern.to_string(),
        criterion: found.criterion.to_string(),
        keep: found.keep.to_string(),
        allocation: found.allocation.map(|a| a.to_string()),
        tensors: targets.iter().map(planned).collect(),
        left_out: found.left_out.clone(),
    }
}

fn summary(model: &Checkpoint, engine: &Engine, found: &Targets, targets: &[Target], bytes_after: u64) -> Summary {
    let mut in_order: Vec<&Target> = targets.iter().collect();
    in_order.sort_by_key(|target| target.index);
    let mut dtypes: Vec<Dtype> = Vec::new();
    let pruned = |target: &&Target| {
        let tensor = &model.tensors()[target.index];
        if !dtypes.contains(&tensor.dtype()) {
            dtypes.push(tensor.dtype());
        }
        let n_of_m = matches!(found.pattern, Pattern::NofM(_));
        Pruned {
            name: tensor.name().to_owned(),
            shape: tensor.shape().to_vec(),
            count: tensor.elements(),
            cut: target.counts.cut,
            zeros_before: target.counts.zeros_before,
            zeros_after: target.counts.zeros_after,
            threshold: target.counts.largest.filter(|_| !n_of_m).map(|bits| target.float.value(bits)),
            new_shape: tensor.shape().to_vec(),
        }
    };
    let tensors: Vec<Pruned> = in_order.iter().map(pruned).collect();
    let (count, cut) = tensors.iter().fold((0, 0), |(n, k), t| (n + t.count, k + t.cut));
    let sparsity = if count == 0 { 0.0 } else { cut as f64 / count as f64 };
    let total = Total { count, cut, sparsity, bytes_before: bytes(model), bytes_after };
    let left_out: Vec<LeftOut> = found.left_out.clone();
    Summary { tensors, total, left_out, engine: engine.info(&dtypes), seconds: 0.0 }
}
