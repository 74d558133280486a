//! Rounds: candidates are made, trained, evaluated and compared with the best so far.

mod models;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::journal::{Journal, remove};
use super::subject::Subject;
use super::unit::Unit;
use super::{Event, Floor, Phase, Round, Saved, SearchOptions, Tools};
use crate::evaluate::Measure;
use crate::prune::Allocation;
use crate::{Checkpoint, Error, Result};

/// Why a strategy goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// Evaluations or time are used up.
    Spent,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What came of a candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    /// Whether what must be kept is kept.
    pub(super) held: bool,
    /// How much worse than the model it is: in loss, where there is one, else in the metric. Infinite where nothing can
    /// be said.
    pub(super) damage: f64,
}

/// A search on its way.
pub(super) struct Session<'a, 't> {
    model: &'a Checkpoint,
    subject: &'a dyn Subject,
    options: &'a SearchOptions<'a>,
    tools: Tools<'t>,
    journal: Journal,
    /// Rounds of an earlier run that are still to come.
    replay: VecDeque<Round>,
    rounds: Vec<Round>,
    /// Of each candidate that is known, its round: by its cuts, the round it came from, and whether it was trained.
    known: HashMap<(Vec<u64>, u32, bool), usize>,
    budget: u32,
    floor: f64,
    /// The round of the best; 0 is the model.
    best: usize,
    /// The round that the next one goes on from, whether or not it is the best: on the way to a rate, what is not good
    /// enough yet may be after the next training.
    trail: Option<usize>,
    /// When the last round ended.
    ended: Instant,
    watch: &'a mut dyn FnMut(&Event),
}

/// A candidate to be.
struct Candidate {
    phase: Phase,
    allocation: Option<String>,
    cuts: Vec<u64>,
    base: u32,
    tune: bool,
    epochs: Option<f64>,
    floor: Option<f64>,
}

impl<'a, 't> Session<'a, 't> {
    /// Evaluates the model itself.
    pub(super) fn begin(
        model: &'a Checkpoint,
        subject: &'a dyn Subject,
        options: &'a SearchOptions<'a>,
        tools: Tools<'t>,
        (journal, replay): (Journal, Vec<Round>),
        watch: &'a mut dyn FnMut(&Event),
    ) -> Result<Self> {
        let units = subject.units().len() as u64;
        let budget = options.evaluations.unwrap_or_else(|| options.usual_evaluations(units));
        let mut this = Self {
            model,
            subject,
            options,
            tools,
            journal,
            replay: replay.into(),
            rounds: Vec::new(),
            known: HashMap::new(),
            budget,
            floor: 0.0,
            best: 0,
            trail: None,
            ended: Instant::now(),
            watch,
        };
        let cuts = subject.units().iter().map(|unit| unit.gone).collect();
        let phase = Phase::Baseline;
        let baseline = Candidate { phase, allocation: None, cuts, base: 0, tune: false, epochs: None, floor: None };
        let found = this.round(baseline, |this, _| {
            let measure = this.tools.evaluator.evaluate(this.model.path())?;
            Ok((measure, false))
        })?;
        if this.rounds[found].metric.is_none() {
            let path = this.model.path();
            return Err(Error::Run(format!("{}: the model itself has no finite metric", path.display())));
        }
        Ok(this)
    }

    pub(super) fn units(&self) -> &'a [Unit] {
        self.subject.units()
    }

    pub(super) fn options(&self) -> &'a SearchOptions<'a> {
        self.options
    }

    pub(super) fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How many candidates are evaluated at most.
    pub(super) fn budget(&self) -> u32 {
        self.budget
    }

    /// How many can still be.
    pub(super) fn left(&self) -> u32 {
        self.budget.saturating_sub(self.rounds.len() as u32)
    }

    /// What must be kept.
    pub(super) fn floor(&self) -> f64 {
        self.floor
    }

    /// The best so far; the model itself, where nothing is.
    pub(super) fn best(&self) -> &Round {
        &self.rounds[self.best]
    }

    /// How much of each unit is cut where one rate is shared.
    pub(super) fn allocate(&self, allocation: Allocation, rate: f64) -> Result<Vec<u64>> {
        self.subject.allocate(allocation, rate)
    }

    /// What is to become small: the share that is saved.
    pub(super) fn saved(&self, cuts: &[u64]) -> Result<f64> {
        let mut cuts = cuts.to_vec();
        self.subject.settle(&mut cuts);
        self.value(&self.subject.saved(&cuts)?)
    }

    fn value(&self, saved: &Saved) -> Result<f64> {
        self.options.save.of(saved).ok_or_else(|| {
            let remedy = "give the graph's inputs fixed sizes, or leave --save macs out";
            Error::Usage(format!("the operations of the network cannot be counted: {remedy}"))
        })
    }

    /// Makes, trains and evaluates a candidate, unless it is known. It becomes the best, if it holds the floor (of its own, if
    /// it has one) and saves more.
    pub(super) fn attempt(
        &mut self,
        phase: Phase,
        allocation: Option<Allocation>,
        cuts: Vec<u64>,
        floor: Option<f64>,
    ) -> Result<Verdict, Stop> {
        self.candidate(phase, allocation, cuts, floor, self.tools.tuner.is_some())
    }

    /// The same without training: what a unit costs.
    pub(super) fn probe(&mut self, cuts: Vec<u64>) -> Result<Verdict, Stop> {
        self.candidate(Phase::Scan, None, cuts, None, false)
    }

    fn candidate(
        &mut self,
        phase: Phase,
        allocation: Option<Allocation>,
        mut cuts: Vec<u64>,
        floor: Option<f64>,
        tune: bool,
    ) -> Result<Verdict, Stop> {
        self.subject.settle(&mut cuts);
        let from = &self.rounds[self.trail.unwrap_or(self.best)];
        let further = cuts.iter().zip(&from.cuts).all(|(now, then)| now >= then);
        let base = if tune && self.subject.continues() && further { from.round } else { 0 };
        let same = Some(from.round as usize).filter(|_| cuts == from.cuts && self.trail.is_none());
        let known = if same.is_some() { same } else { self.known.get(&(cuts.clone(), base, tune)).copied() };
        if let Some(known) = known {
            return Ok(self.verdict(known, floor));
        }
        if self.left() == 0 || self.is_late()? {
            return Err(Stop::Spent);
        }
        let allocation = allocation.map(|allocation| allocation.to_string());
        let candidate = Candidate { phase, allocation, cuts, base, tune, epochs: None, floor };
        let found = self.round(candidate, Self::make)?;
        self.tidy()?;
        Ok(self.verdict(found, floor))
    }

    /// From here on rounds go on from the last one instead of the best, until [`leave`](Self::leave).
    pub(super) fn follow(&mut self) {
        self.trail = Some(self.rounds.len() - 1);
    }

    /// From here on rounds go on from the best.
    pub(super) fn leave(&mut self) {
        self.trail = None;
    }

    /// Trains the best once more, and keeps that if the metric does not fall.
    pub(super) fn finish(&mut self, epochs: f64) -> Result<()> {
        let (base, cuts, floor) = (self.best().round, self.best().cuts.clone(), self.best().metric);
        let phase = Phase::Final;
        let candidate = Candidate { phase, allocation: None, cuts, base, tune: true, epochs: Some(epochs), floor };
        self.round(candidate, Self::make)?;
        self.tidy()
    }

    /// The metric of the model and of the best on the test set, which nothing was chosen by.
    pub(super) fn test(&mut self) -> Result<Option<(Option<f64>, Option<f64>)>> {
        if self.tools.test.is_none() {
            return Ok(None);
        }
        let mut found = [None, None];
        for (found, base) in found.iter_mut().zip([0, self.best]) {
            let (base, cuts) = (self.rounds[base].round, self.rounds[base].cuts.clone());
            let phase = Phase::Test;
            let candidate = Candidate { phase, allocation: None, cuts, base, tune: false, epochs: None, floor: None };
            let round = self.round(candidate, |this, candidate| {
                let (path, made) = match candidate.base {
                    0 => (this.model.path().to_owned(), false),
                    base => this.model_of(base as usize)?,
                };
                let evaluated = match &mut this.tools.test {
                    Some(test) => test.evaluate(&path),
                    None => Ok(Measure::default()),
                };
                if made {
                    remove(&path)?;
                }
                Ok((evaluated?, false))
            })?;
            *found = self.rounds[round].metric;
        }
        Ok(Some((found[0], found[1])))
    }

    /// Whether no further round is to be started. What an earlier run has done is done again; where it had come to its end
    /// and there is time for more now, its end is forgotten.
    fn is_late(&mut self) -> Result<bool> {
        if self.replay.front().is_some_and(|next| !matches!(next.phase, Phase::Final | Phase::Test)) {
            return Ok(false);
        }
        let late = self.options.time_limit.is_some_and(|limit| self.spent() >= limit.as_secs_f64());
        if !self.replay.is_empty() && !self.is_there() {
            // The best was trained once more, and what it was before that is gone.
            return Ok(true);
        }
        if !late && !self.replay.is_empty() {
            self.replay.clear();
            self.journal.keep(self.rounds.len())?;
        }
        Ok(late)
    }

    /// Seconds that the search has taken, earlier runs included.
    pub(super) fn spent(&self) -> f64 {
        let rounds: f64 = self.rounds.iter().map(|round| round.seconds).sum();
        rounds + self.ended.elapsed().as_secs_f64()
    }

    fn verdict(&self, round: usize, floor: Option<f64>) -> Verdict {
        let (round, baseline) = (&self.rounds[round], &self.rounds[0]);
        let held = self.holds(round.metric, self.stricter(floor));
        let more = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
        let worse = match self.options.lower_is_better {
            true => more(round.metric, baseline.metric),
            false => more(baseline.metric, round.metric),
        };
        let damage = more(round.loss, baseline.loss).or(worse).filter(|_| round.metric.is_some());
        Verdict { held, damage: damage.unwrap_or(f64::INFINITY) }
    }

    /// A floor of a candidate's own, where it has one that is no laxer than that of all.
    fn stricter(&self, floor: Option<f64>) -> f64 {
        match floor {
            None => self.floor,
            Some(floor) if self.options.lower_is_better => floor.min(self.floor),
            Some(floor) => floor.max(self.floor),
        }
    }

    fn holds(&self, metric: Option<f64>, floor: f64) -> bool {
        metric.is_some_and(|metric| if self.options.lower_is_better { metric <= floor } else { metric >= floor })
    }

    /// One round, by the journal or by `work`: its index.
    fn round(
        &mut self,
        candidate: Candidate,
        work: impl FnOnce(&mut Self, &Candidate) -> Result<(Measure, bool)>,
    ) -> Result<usize> {
        let number = self.rounds.len() as u32;
        if let Some(found) = self.replay.pop_front() {
            if (found.phase, found.base, &found.cuts) != (candidate.phase, candidate.base, &candidate.cuts) {
                let message = format!("its round {number} is not what this search does there: name another --journal");
                return Err(Error::format(self.journal.folder().join("rounds.jsonl"), message));
            }
            self.ended = Instant::now();
            let index = self.add(found, candidate);
            self.tell(index, true);
            return Ok(index);
        }
        (self.watch)(&Event::Begin { round: number, phase: candidate.phase });
        let (measure, recalibrated) = work(self, &candidate).inspect_err(|error| {
            // What an evaluator has said should outlive the terminal. Nobody can be told if that fails, too.
            let _ = self.journal.write("failed.txt", format!("round {number}: {error}\n").as_bytes());
        })?;
        self.journal.clear("failed.txt")?;
        let saved = self.subject.saved(&candidate.cuts)?;
        let metric = Some(measure.metric).filter(|metric| metric.is_finite());
        let floor = self.stricter(candidate.floor);
        let held = candidate.phase == Phase::Baseline || self.holds(metric, floor);
        let accepted = match candidate.phase {
            Phase::Baseline | Phase::Test => false,
            Phase::Final => held,
            _ => held && self.value(&saved)? > self.value(&self.best().saved())?,
        };
        let round = Round {
            round: number,
            phase: candidate.phase,
            allocation: candidate.allocation.clone(),
            cuts: candidate.cuts.clone(),
            base: candidate.base,
            sparsity: saved.weights,
            params: saved.params,
            macs: saved.macs,
            metric,
            loss: measure.loss.filter(|loss| loss.is_finite()),
            floor: (number > 0 && candidate.phase != Phase::Test).then_some(floor),
            held,
            accepted,
            tuned: candidate.tune,
            recalibrated,
            seed: candidate.tune.then(|| self.options.seed.wrapping_add(number.into())),
            seconds: std::mem::replace(&mut self.ended, Instant::now()).elapsed().as_secs_f64(),
            log: measure.log,
        };
        self.journal.push(&round)?;
        let index = self.add(round, candidate);
        self.tell(index, false);
        Ok(index)
    }

    fn tell(&mut self, index: usize, replayed: bool) {
        let seconds_left = (self.left() > 0).then(|| {
            let last: Vec<f64> = self.rounds.iter().rev().take(8).map(|round| round.seconds).collect();
            last.iter().sum::<f64>() / last.len() as f64 * f64::from(self.left())
        });
        let (round, best, baseline) = (&self.rounds[index], &self.rounds[self.best], &self.rounds[0]);
        let (budget, floor) = (self.budget, self.floor);
        (self.watch)(&Event::End { round, best, baseline, budget, floor, replayed, seconds_left });
    }

    fn add(&mut self, round: Round, candidate: Candidate) -> usize {
        let index = self.rounds.len();
        if let (Phase::Baseline, Some(metric)) = (round.phase, round.metric) {
            self.floor = match self.options.floor {
                Floor::At(floor) => floor,
                Floor::Drop(drop) if self.options.lower_is_better => metric + drop,
                Floor::Drop(drop) => metric - drop,
            };
        }
        if round.accepted {
            self.best = index;
        }
        if !matches!(round.phase, Phase::Test | Phase::Final) {
            self.known.insert((candidate.cuts, candidate.base, candidate.tune), index);
        }
        self.rounds.push(round);
        index
    }
}
