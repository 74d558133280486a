//! Thresholds: what is known about a part before its weights are cut.

use rayon::prelude::*;

use super::Score;
use super::magnitudes::{Magnitudes, cut_of_memory, native, piece_of, pieces};
use super::rank::{Cut, Ranking};
use super::run::{GLOBAL_TIES, NO_TIES, Run};
use super::scored::{KEY_BITS, Scored};
use super::targets::What;
use super::units::Part;
use crate::{Float, Result};

/// What is known about a target before its weights are in memory.
pub(super) enum Known {
    /// Nothing is cut.
    Nothing,
    /// A threshold among magnitudes, with the index of its budget.
    Threshold(u64, usize),
    /// A threshold among scores.
    Score(u32, usize),
    /// It follows from the weights.
    Open,
}

/// The threshold of the whole model, among the magnitudes of a format or among scores.
pub(super) struct Global {
    pub(super) space: Float,
    pub(super) cut: Option<Cut>,
}

impl Known {
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Threshold(key, budget) => Self::Threshold(*key, *budget),
            Self::Score(key, budget) => Self::Score(*key, *budget),
            Self::Open => Self::Open,
        }
    }
}

impl Run<'_> {
    /// The threshold of the whole model, if there is one.
    pub(super) fn global(&mut self) -> Result<Global> {
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

    pub(super) fn scored<'s>(&'s self, score: &'s dyn Score, target: usize) -> Scored<'s> {
        let float = self.found.targets[target].float;
        Scored { score, tensor: self.tensor(target), float, above: self.above() }
    }

    /// What is cut of the `k` lowest scores of some targets, streamed from their files.
    pub(super) fn cut_of_scores(&self, score: &dyn Score, targets: &[usize], k: u64) -> Result<Option<Cut>> {
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
    pub(super) fn known(
        &mut self,
        part: &Part,
        global: &Global,
        streamed: &mut Option<(usize, Known)>,
    ) -> Result<Known> {
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

    /// The thresholds of tensors that are in memory whole.
    pub(super) fn rank(&mut self, parts: &[Part], pieces: &[&mut [u8]], known: &mut [Known]) -> Result<()> {
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
        // A device counts one tensor after the other, in buffers of a bounded size.
        let on_device = parts.iter().any(|part| engine.is_gpu_for(found.targets[part.target].float));
        let cuts: Vec<Result<Option<Option<Cut>>>> = if on_device {
            parts.iter().zip(pieces).map(one).collect()
        } else {
            engine.cpu_engine().pool().install(|| parts.par_iter().zip(pieces).map(one).collect())
        };
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
}
