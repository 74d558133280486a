//! Thresholds: what is known about a part before its weights are cut.

use std::sync::{LockResult, Mutex, PoisonError};

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
#[derive(Clone, Copy)]
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
            let tables: Vec<Mutex<Vec<u64>>> = (0..cpu.tables()).map(|_| Mutex::new(vec![0; 1 << 16])).collect();
            let failed = Mutex::new(Ok(()));
            let mut all = targets.iter().flat_map(|t| {
                let target = &self.found.targets[*t];
                pieces(piece_of(target.index, self.tensor(*t), target.float)).map(|piece| (piece, *t))
            });
            cpu.for_each(self.file, &mut all, |thread, piece, target, bytes| {
                let mut counts = unpoisoned(tables[thread % tables.len()].lock());
                let counted = self.scored(score, *target).count(piece.region.col, bytes, level, prefix, &mut counts);
                if counted.is_err() {
                    *unpoisoned(failed.lock()) = counted;
                }
            })?;
            unpoisoned(failed.into_inner())?;
            let mut sum = vec![0; 1 << 16];
            for table in tables {
                sum.iter_mut().zip(unpoisoned(table.into_inner())).for_each(|(a, b): (&mut u64, u64)| *a += b);
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
            // What is in memory whole is ranked there.
            (What::Lowest(k), score) if !part.whole => {
                if streamed.as_ref().is_none_or(|(t, _)| *t != part.target) {
                    let cut = match score {
                        Some(score) => self.cut_of_scores(score, &[part.target], k)?,
                        None => {
                            let tensors = vec![(target.index, target.float)];
                            Magnitudes::new(self.engine, self.file, tensors, self.memory_bytes).cut(k, self.above())?
                        }
                    };
                    *streamed = Some((part.target, self.known_cut(cut)));
                }
                Ok(streamed.as_ref().map_or(Known::Nothing, |(_, known)| *known))
            }
            _ => Ok(Known::Open),
        }
    }

    /// A cut, with a budget of its own.
    fn known_cut(&mut self, cut: Option<Cut>) -> Known {
        let Some(cut) = cut else { return Known::Nothing };
        self.budgets.push(cut.budget());
        let budget = self.budgets.len() - 1;
        match self.found.score() {
            Some(_) => Known::Score(cut.key as u32, budget),
            None => Known::Threshold(cut.key, budget),
        }
    }

    /// The thresholds of tensors that are in memory whole.
    pub(super) fn rank(&mut self, parts: &[Part], pieces: &[&mut [u8]], known: &mut [Known]) -> Result<()> {
        let lowest: Vec<(usize, u64)> = (0..)
            .zip(parts)
            .filter_map(|(i, part)| match self.found.targets[part.target].what {
                What::Lowest(k) if part.whole && k > 0 => Some((i, k)),
                _ => None,
            })
            .collect();
        let cuts = match self.found.score() {
            Some(score) => self.cuts_of_scores(score, parts, pieces, &lowest)?,
            None => self.cuts_of_magnitudes(parts, pieces, &lowest)?,
        };
        for ((i, _), cut) in lowest.into_iter().zip(cuts) {
            known[i] = self.known_cut(cut);
        }
        Ok(())
    }

    /// What is cut of the `k` lowest magnitudes of some parts, by their index.
    fn cuts_of_magnitudes(
        &self,
        parts: &[Part],
        pieces: &[&mut [u8]],
        lowest: &[(usize, u64)],
    ) -> Result<Vec<Option<Cut>>> {
        let (engine, above, memory_bytes) = (self.engine, self.above(), self.memory_bytes);
        let float = |i: usize| self.found.targets[parts[i].target].float;
        let one = |(i, k): &(usize, u64)| cut_of_memory(engine, float(*i), pieces[*i], *k, above, memory_bytes);
        // A device counts one tensor after the other, in buffers of a bounded size.
        if lowest.iter().any(|(i, _)| engine.is_gpu_for(float(*i))) {
            return lowest.iter().map(one).collect();
        }
        engine.cpu_engine().pool().install(|| lowest.par_iter().map(one).collect())
    }

    /// What is cut of the `k` lowest scores of some parts, by their index.
    fn cuts_of_scores(
        &self,
        score: &dyn Score,
        parts: &[Part],
        pieces: &[&mut [u8]],
        lowest: &[(usize, u64)],
    ) -> Result<Vec<Option<Cut>>> {
        let cpu = self.engine.cpu_engine();
        let scored = |i: usize| self.scored(score, parts[i].target);
        let is_large = |i: usize| scored(i).is_large(pieces[i]);
        cpu.pool().install(|| {
            let few = |(i, k): &(usize, u64)| match is_large(*i) {
                true => Ok(None),
                false => scored(*i).cut_of_few(pieces[*i], *k),
            };
            let mut cuts = lowest.par_iter().map(few).collect::<Result<Vec<_>>>()?;
            // One after the other, so that the tables of one are held.
            for ((i, k), cut) in lowest.iter().zip(&mut cuts).filter(|((i, _), _)| is_large(*i)) {
                *cut = scored(*i).cut_of_many(pieces[*i], *k, cpu.tables())?;
            }
            Ok(cuts)
        })
    }
}

/// What a lock holds, whatever has become of other threads: they end the run anyhow.
fn unpoisoned<T>(lock: LockResult<T>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}
