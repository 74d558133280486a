//! The tensors that are cut, and how many weights of each.

use std::collections::HashMap;

use super::allocation::{self, Candidate, Histograms};
use super::checks::nothing;
use super::magnitudes::{histograms as each_histogram, piece_of, pieces};
use super::{
    Allocation, Criterion, Keep, LeftOut, Masks, NofM, Options, Pattern, Plan, Rates, Score, Task, Within, left_out,
};
use crate::scan::{Compute, Counts, Request, Values};
use crate::scan::{CutCounts, File};
use crate::stats::Moments;
use crate::{Checkpoint, Engine, Error, Float, Result, Tensor};

/// A tensor that is cut.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its index in the model.
    pub(super) index: usize,
    pub(super) float: Float,
    pub(super) what: What,
    pub(super) counts: CutCounts,
}

/// How a tensor is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// So many weights, those that rank lowest.
    Lowest(u64),
    /// What falls below a threshold of the whole model.
    Global,
    /// So many of each row.
    EachRow(u64),
    /// All but `n` of every `m` that lie `stride` apart.
    NofM { n: u32, m: u32, stride: u64 },
    /// What its mask says.
    Masked,
}

/// What is to be done, in terms of the model.
#[derive(Debug)]
pub(super) struct Targets {
    /// Bytewise by name: the order of ties between tensors.
    pub(super) targets: Vec<Target>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) criterion: Criterion,
    pub(super) keep: Keep,
    pub(super) pattern: Pattern,
    pub(super) allocation: Option<Allocation>,
    /// How many weights are cut over all targets, under a threshold of the whole model.
    pub(super) global: u64,
}

impl Targets {
    pub(super) fn new(model: &Checkpoint, engine: &Engine, task: &Task, file: &File) -> Result<Self> {
        let mut found = match task {
            Task::Options(options) => Self::of_options(model, engine, options, file)?,
            Task::Plan(plan) => Self::of_plan(model, plan)?,
            Task::Masks(masks) => Self::of_masks(model, masks)?,
        };
        found.left_out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn of_options(model: &Checkpoint, engine: &Engine, options: &Options, file: &File) -> Result<Self> {
        options.check()?;
        let mut this = Self {
            targets: Vec::new(),
            left_out: Vec::new(),
            criterion: options.criterion.clone(),
            keep: options.keep,
            pattern: options.pattern,
            allocation: (options.pattern == Pattern::Element && options.rates.is_none()).then_some(options.allocation),
            global: 0,
        };
        if let Some(rates) = &options.rates {
            rates.check(model.tensors().iter().map(Tensor::name))?;
        }
        let mut chosen = Vec::new();
        let mut unfit = Vec::new();
        for (index, tensor) in model.tensors().iter().enumerate() {
            let mut why = left_out(tensor, &options.selection, options.only_given);
            if why.is_none() {
                why = this.unfit(tensor).or(unrated(options, tensor)?);
                let reason = why.clone();
                unfit.extend(reason.map(|reason| LeftOut { name: tensor.name().to_owned(), reason }));
            }
            match (why, tensor.float()) {
                (None, Some(float)) => chosen.push((index, float)),
                (why, _) => {
                    let reason = why.unwrap_or_default();
                    this.left_out.push(LeftOut { name: tensor.name().to_owned(), reason });
                }
            }
        }
        if chosen.is_empty() {
            return Err(Error::format(model.path(), nothing(model, options, &this.left_out, &unfit)));
        }
        chosen.sort_by_key(|(index, _)| model.tensors()[*index].name());
        let tensor = |index: usize| &model.tensors()[index];
        let whats: Vec<What> = match options.pattern {
            Pattern::NofM(pattern) => chosen.iter().map(|(i, _)| n_of_m(tensor(*i), pattern)).collect(),
            _ => this.shared(engine, options, file, &chosen)?,
        };
        this.targets = chosen
            .into_iter()
            .zip(whats)
            .map(|((index, float), what)| Target { index, float, what, counts: CutCounts::default() })
            .collect();
        Ok(this)
    }

    /// How the rate is shared among the tensors.
    fn shared(
        &mut self,
        engine: &Engine,
        options: &Options,
        file: &File,
        chosen: &[(usize, Float)],
    ) -> Result<Vec<What>> {
        if let Some(rates) = &options.rates {
            return self.rated(rates, file, chosen);
        }
        let rate = options.sparsity;
        let candidate = |(index, _): &(usize, Float)| {
            let tensor = file.tensors[*index];
            Candidate::new(tensor.name(), tensor.shape())
        };
        let candidates: Vec<Candidate> = chosen.iter().map(candidate).collect();
        if self.within() == Within::Row {
            let each = |(index, _): &(usize, Float)| {
                let tensor = file.tensors[*index];
                What::EachRow(allocation::round_half_even(rate, columns(tensor)))
            };
            return Ok(chosen.iter().map(each).collect());
        }
        let moments = || moments(engine, file, chosen, options.memory_bytes);
        let counts = match options.allocation {
            Allocation::Uniform => allocation::uniform(rate, &candidates),
            Allocation::Erk => allocation::erk(rate, &candidates),
            Allocation::Variance => allocation::variance(rate, &candidates, &moments()?),
            Allocation::Moments => allocation::moments(rate, &candidates, &moments()?),
            Allocation::Lamp => {
                let mut histograms = Histograms::new(options.memory_bytes / 4);
                each_histogram(engine, file, chosen, options.memory_bytes, |found| histograms.push(found))?;
                allocation::lamp(rate, &candidates, &mut histograms)?
            }
            Allocation::Global => {
                let all = candidates.iter().map(|c| c.count).sum();
                self.global = allocation::round_half_even(rate, all);
                return Ok(vec![What::Global; chosen.len()]);
            }
        };
        Ok(counts.into_iter().map(What::Lowest).collect())
    }

    /// A rate for each tensor, which every one of them has.
    fn rated(&self, rates: &Rates, file: &File, chosen: &[(usize, Float)]) -> Result<Vec<What>> {
        let each = |(index, _): &(usize, Float)| {
            let tensor = file.tensors[*index];
            let rate = rates.rate(tensor.name())?.unwrap_or(0.0);
            Ok(match self.within() {
                Within::Tensor => What::Lowest(allocation::round_half_even(rate, tensor.elements())),
                Within::Row => What::EachRow(allocation::round_half_even(rate, columns(tensor))),
            })
        };
        chosen.iter().map(each).collect()
    }

    pub(super) fn score(&self) -> Option<&dyn Score> {
        match &self.criterion {
            Criterion::Magnitude => None,
            Criterion::Scored(score) => Some(&**score),
        }
    }

    fn within(&self) -> Within {
        self.score().map_or(Within::Tensor, Score::within)
    }

    /// Why this criterion and pattern cannot be applied to a tensor.
    fn unfit(&self, tensor: &Tensor) -> Option<String> {
        if let Some(why) = self.score().and_then(|score| score.left_out(tensor)) {
            return Some(why);
        }
        let Pattern::NofM(pattern) = self.pattern else { return None };
        pattern.unfit(tensor)
    }

    fn of_plan(model: &Checkpoint, plan: &Plan) -> Result<Self> {
        plan.check(model)?;
        let wrong = |message: String| Error::Usage(format!("the plan: {message}"));
        let pattern: Pattern = plan.pattern.parse().map_err(|e: String| wrong(format!("pattern: {e}")))?;
        if pattern == Pattern::Channel {
            return Err(wrong("pattern `channel` is for ONNX models".to_owned()));
        }
        let mut this = Self {
            targets: Vec::new(),
            left_out: plan.left_out.clone(),
            criterion: plan.criterion()?,
            keep: plan.keep.parse().map_err(|e| wrong(format!("keep: {e}")))?,
            pattern,
            allocation: plan.allocation.as_deref().and_then(|name| name.parse().ok()),
            global: 0,
        };
        let indices: HashMap<&str, usize> = model.tensors().iter().map(Tensor::name).zip(0..).collect();
        let mut planned: Vec<_> = plan.tensors.iter().collect();
        planned.sort_by(|a, b| a.name.cmp(&b.name));
        for planned in planned {
            let index = indices.get(planned.name.as_str());
            let found = index.and_then(|&i| Some((i, &model.tensors()[i], model.tensors()[i].float()?)));
            let Some((index, tensor, float)) = found else { continue };
            if let Some(why) = this.unfit(tensor) {
                return Err(Error::tensor(model.path(), &planned.name, format!("the plan cannot be run: {why}")));
            }
            let what = match (this.pattern, this.within()) {
                (Pattern::NofM(pattern), _) => n_of_m(tensor, pattern),
                (_, Within::Tensor) => What::Lowest(planned.cut),
                (_, Within::Row) => What::EachRow(planned.cut / tensor.shape()[0].max(1)),
            };
            this.targets.push(Target { index, float, what, counts: CutCounts::default() });
        }
        Ok(this)
    }

    fn of_masks(model: &Checkpoint, masks: &Masks) -> Result<Self> {
        let mut this = Self {
            targets: Vec::new(),
            left_out: Vec::new(),
            criterion: Criterion::Magnitude,
            keep: Keep::Largest,
            pattern: Pattern::Element,
            allocation: None,
            global: 0,
        };
        masks.check(model)?;
        for (index, tensor) in model.tensors().iter().enumerate() {
            match (masks.has(tensor.name()), tensor.float()) {
                (true, Some(float)) => {
                    this.targets.push(Target { index, float, what: What::Masked, counts: CutCounts::default() });
                }
                _ => {
                    this.left_out.push(LeftOut { name: tensor.name().to_owned(), reason: "no mask for it".to_owned() })
                }
            }
        }
        this.targets.sort_by_key(|t| model.tensors()[t.index].name());
        Ok(this)
    }
}

/// Why a table of rates leaves a tensor out.
fn unrated(options: &Options, tensor: &Tensor) -> Result<Option<String>> {
    let Some(rates) = &options.rates else { return Ok(None) };
    Ok(rates.rate(tensor.name())?.is_none().then(|| rates.none()))
}

fn n_of_m(tensor: &Tensor, pattern: NofM) -> What {
    What::NofM {
        n: pattern.kept().into(),
        m: pattern.of().into(),
        stride: tensor.shape().iter().skip(tensor.input_axis() + 1).product(),
    }
}

/// Elements of an output row.
pub(super) fn columns(tensor: &Tensor) -> u64 {
    let rows = tensor.shape().first().copied().unwrap_or(1).max(1);
    tensor.elements() / rows
}

/// The moments of each tensor, by the CPU's code whatever the engine: the same bits everywhere, since an allocation
/// depends on them.
pub(super) fn moments(
    engine: &Engine,
    file: &File,
    chosen: &[(usize, Float)],
    memory_bytes: u64,
) -> Result<Vec<Moments>> {
    file.progress.expect(chosen.iter().map(|(t, _)| file.tensors[*t].bytes()).sum());
    let mut found = vec![Moments::default(); file.tensors.len()];
    let request = Request { moments: Some(Values::Weights), memory_bytes, ..Request::default() };
    let whole = |(t, float): &(usize, Float)| piece_of(*t, file.tensors[*t], *float);
    let mut pieces = chosen.iter().flat_map(|c| pieces(whole(c)));
    engine.cpu_engine().scan(file, &mut pieces, &request, &mut Counts::default(), &mut |piece, moments| {
        moments.iter().for_each(|m| found[piece.tensor].combine(m));
        Ok(())
    })?;
    Ok(chosen.iter().map(|(t, _)| found[*t]).collect())
}
