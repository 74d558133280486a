//! The models of rounds: where they are, how they are made, and when they go.

use std::path::{Path, PathBuf};

use super::super::journal::remove;
use super::super::{Phase, Round};
use super::{Candidate, Session};
use crate::evaluate::Measure;
use crate::tune::Tuning;
use crate::{Checkpoint, Error, Result};

impl Session<'_, '_> {
    /// Writes the best to `out`.
    pub(in crate::search) fn write(&mut self, out: &Path, force: bool) -> Result<()> {
        let best = self.best().clone();
        if !self.keeps_models() {
            return self.subject.cut(self.model, &best.cuts, out, None, force).map(drop);
        }
        let kept = Checkpoint::open(self.file(&best))?;
        crate::checkpoint::copy(&kept, out, force)
    }

    /// Where the model of a round is, and whether it was made for this question alone.
    pub(super) fn model_of(&self, round: usize) -> Result<(PathBuf, bool)> {
        let round = &self.rounds[round];
        if self.keeps_models() {
            return Ok((self.file(round), false));
        }
        let path = self.journal.clear(&self.name("best"))?;
        self.subject.cut(self.model, &round.cuts, &path, None, false)?;
        Ok((path, true))
    }

    /// Whether a candidate is more than what its plan says.
    fn keeps_models(&self) -> bool {
        self.tools.tuner.is_some() || self.tools.recalibrator.is_some()
    }

    /// Whether the model of the best is where it can be gone on from.
    pub(super) fn is_there(&self) -> bool {
        self.best == 0 || !self.keeps_models() || self.file(self.best()).exists()
    }

    /// Cuts, trains, recalibrates and evaluates; whether the recalibrated one is better.
    pub(super) fn make(&mut self, candidate: &Candidate) -> Result<(Measure, bool)> {
        let number = self.rounds.len() as u32;
        let name = format!("round-{number}");
        let made = self.journal.clear(&self.name(&name))?;
        let cut = if candidate.tune { self.journal.clear(&self.name("cut"))? } else { made.clone() };
        let mask = self.journal.clear("mask.safetensors")?;
        let wanted = Some(mask.as_path()).filter(|_| candidate.tune);
        // What cannot be cut again has nothing more to be cut: the best itself is trained.
        let as_it_is = candidate.phase == Phase::Final && !self.subject.continues();
        let opened = match candidate.base {
            _ if as_it_is => None,
            0 => None,
            base => Some(Checkpoint::open(self.file(&self.rounds[base as usize]))?),
        };
        let base = opened.as_ref().unwrap_or(self.model);
        let cut = if as_it_is {
            self.file(self.best())
        } else {
            self.subject.cut(base, &candidate.cuts, &cut, wanted, false)?;
            cut
        };
        let mut log = String::new();
        if let Some(tuner) = self.tools.tuner.as_mut().filter(|_| candidate.tune) {
            let mask = Some(mask.as_path()).filter(|mask| mask.exists());
            let seed = self.options.seed.wrapping_add(number.into());
            log = tuner.fine_tune(&Tuning { model: &cut, mask, output: &made, epochs: candidate.epochs, seed })?;
            if !as_it_is {
                remove(&cut)?;
            }
            remove(&self.journal.folder().join("mask.safetensors"))?;
        }
        let mut measure = self.tools.evaluator.evaluate(&made)?;
        let mut recalibrated = false;
        let again = self.name(&format!("round-{number}-recalibrated"));
        let again = self.journal.clear(&again)?;
        let recalibrator = self.tools.recalibrator.as_mut();
        if recalibrator.map_or(Ok(false), |recalibrator| recalibrator.recalibrate(&made, &again))? {
            let second = self.tools.evaluator.evaluate(&again)?;
            recalibrated = match self.options.lower_is_better {
                _ if !second.metric.is_finite() => false,
                _ if !measure.metric.is_finite() => true,
                true => second.metric < measure.metric,
                false => second.metric > measure.metric,
            };
            remove(if recalibrated { &made } else { &again })?;
            if recalibrated {
                measure = second;
            }
        }
        measure.log = log + &measure.log;
        Ok((measure, recalibrated))
    }

    /// Removes models that nobody needs any more.
    pub(super) fn tidy(&self) -> Result<()> {
        if !self.replay.is_empty() {
            return Ok(());
        }
        let mut kept = vec![self.best];
        if self.trail.is_some() {
            kept.push(self.rounds.len() - 1);
        }
        kept.retain(|round| *round > 0 && self.keeps_models());
        let kept: Vec<PathBuf> = kept.into_iter().map(|round| self.file(&self.rounds[round])).collect();
        let found = std::fs::read_dir(self.journal.folder()).map_err(|e| Error::io(self.journal.folder(), e))?;
        for entry in found.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_model = name.to_str().is_some_and(|name| name.starts_with("round-") && !name.ends_with(".data"));
            if is_model && !kept.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, round: &Round) -> PathBuf {
        let suffix = if round.recalibrated { "-recalibrated" } else { "" };
        self.journal.folder().join(self.name(&format!("round-{}{suffix}", round.round)))
    }

    /// A name of the model's form.
    fn name(&self, stem: &str) -> String {
        match self.model.is_folder() {
            true => stem.to_owned(),
            false if self.model.is_onnx() => format!("{stem}.onnx"),
            false => format!("{stem}.safetensors"),
        }
    }
}
