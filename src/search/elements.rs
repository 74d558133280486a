//! Searching for the rates of single weights, or for the tensors that take an N:M pattern.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::subject::{Saved, Subject};
use super::unit::Unit;
use crate::graph::{Dependencies, Graph};
use crate::prune::{
    self, Allocation, Criterion, Destination, LeftOut, Options, Pattern, Plan, PlannedTensor, Task, Within,
};
use crate::{Checkpoint, Engine, Error, Progress, Result};

/// The largest rate that is asked for.
pub(super) const MOST: f64 = 1.0 - 1e-9;

/// A model of which single weights are cut.
pub(super) struct Elements<'a> {
    model: &'a Checkpoint,
    engine: &'a Engine,
    options: Options,
    units: Vec<Unit>,
    /// A plan that cuts nothing, of the tensors that can be cut, in the order of units.
    empty: Plan,
    /// Elements of all floating tensors.
    parameters: u64,
    /// Operations of the network, and those of a weight of each unit.
    macs: Option<(f64, Vec<f64>)>,
}

impl<'a> Elements<'a> {
    pub(super) fn new(
        model: &'a Checkpoint,
        graph: Option<&Graph>,
        engine: &'a Engine,
        options: Options,
    ) -> Result<Self> {
        let dry = Options { sparsity: 0.0, allocation: Allocation::Uniform, rates: None, ..options.clone() };
        let nowhere = Destination::default();
        let mut empty = prune::run(model, engine, &Task::Options(&dry), &nowhere, &Progress::default())?.plan;
        let dependencies = graph.map(Dependencies::of).transpose();
        let dependencies = dependencies.map_err(|error| Error::format(model.path(), error.to_string()))?;
        order(&mut empty.tensors, model, dependencies.as_ref());
        let rows = matches!(&options.criterion, Criterion::Scored(score) if score.within() == Within::Row);
        let unit = |tensor: &PlannedTensor| {
            let most = if options.pattern == Pattern::Element { tensor.count } else { tensor.cut };
            let grain = match options.pattern {
                Pattern::Element if rows => tensor.shape.first().copied().unwrap_or(1).max(1),
                Pattern::Element => 1,
                _ => tensor.cut.max(1),
            };
            Unit { name: tensor.name.clone(), size: tensor.count, most, grain, gone: 0 }
        };
        let units: Vec<Unit> = empty.tensors.iter().map(unit).collect();
        empty.tensors.iter_mut().for_each(|tensor| tensor.cut = 0);
        empty.allocation = None;
        let parameters = model.tensors().iter().filter(|t| t.float().is_some()).map(|t| t.elements()).sum();
        let macs = dependencies.and_then(|dependencies| macs(&dependencies, &units));
        Ok(Self { model, engine, options, units, empty, parameters, macs })
    }

    fn planned(&self, cuts: &[u64]) -> Plan {
        let mut plan = self.empty.clone();
        plan.tensors.iter_mut().zip(cuts).for_each(|(tensor, cut)| tensor.cut = *cut);
        if self.options.pattern != Pattern::Element {
            // Whatever is in such a plan takes the pattern.
            let (cut, whole): (Vec<_>, Vec<_>) = plan.tensors.into_iter().partition(|tensor| tensor.cut > 0);
            let reason = "the search left it whole";
            plan.left_out.extend(whole.into_iter().map(|t| LeftOut { name: t.name, reason: reason.to_owned() }));
            plan.tensors = cut;
        }
        plan.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        plan
    }
}

impl Subject for Elements<'_> {
    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn allocate(&self, allocation: Allocation, rate: f64) -> Result<Vec<u64>> {
        if self.options.pattern != Pattern::Element {
            return Ok(self.units.iter().map(|unit| if rate > 0.0 { unit.most } else { 0 }).collect());
        }
        let options = Options { sparsity: rate.clamp(0.0, MOST), allocation, ..self.options.clone() };
        let nowhere = Destination::default();
        let done = prune::run(self.model, self.engine, &Task::Options(&options), &nowhere, &Progress::default())?;
        let cut: HashMap<&str, u64> = done.plan.tensors.iter().map(|t| (t.name.as_str(), t.cut)).collect();
        Ok(self.units.iter().map(|unit| cut.get(unit.name.as_str()).copied().unwrap_or(0)).collect())
    }

    fn parameters(&self) -> u64 {
        self.parameters
    }

    fn macs(&self) -> Option<u64> {
        self.macs.as_ref().map(|(all, _)| *all as u64)
    }

    fn saved(&self, cuts: &[u64]) -> Result<Saved> {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let cut = cuts.iter().fold(0u64, |sum, &cut| sum.saturating_add(cut));
        let all = self.units.iter().fold(0u64, |sum, unit| sum.saturating_add(unit.size));
        let macs = self.macs.as_ref().map(|(all, each)| {
            let saved: f64 = cuts.iter().zip(each).map(|(&cut, each)| cut as f64 * each).sum();
            if *all == 0.0 { 0.0 } else { saved / all }
        });
        Ok(Saved { weights: share(cut, all), params: share(cut, self.parameters), macs })
    }

    fn continues(&self) -> bool {
        // The smallest that are kept are zeros of the last cut, and not to be taken for new ones.
        self.options.keep == prune::Keep::Largest
    }

    fn cut(&self, base: &Checkpoint, cuts: &[u64], out: &Path, mask: Option<&Path>, force: bool) -> Result<()> {
        let plan = self.planned(cuts);
        let to = Destination { out: Some(out), mask, force, memory_bytes: self.options.memory_bytes };
        prune::run(base, self.engine, &Task::Plan(&plan), &to, &Progress::default()).map(drop)
    }

    fn plan(&self, cuts: &[u64]) -> Result<Plan> {
        Ok(self.planned(cuts))
    }
}

/// From the input to the output, as far as that is known; else as the model lists its tensors.
fn order(tensors: &mut [PlannedTensor], model: &Checkpoint, dependencies: Option<&Dependencies>) {
    let mut place: HashMap<&str, usize> = HashMap::new();
    let layers = dependencies.into_iter().flat_map(|found| &found.layers).flat_map(|layer| &layer.parameters);
    for name in layers.map(String::as_str).chain(model.tensors().iter().map(|tensor| tensor.name())) {
        let next = place.len();
        place.entry(name).or_insert(next);
    }
    tensors.sort_by_key(|tensor| place.get(tensor.name.as_str()).copied());
}

/// Operations of the whole network, and of one weight of each unit.
fn macs(dependencies: &Dependencies, units: &[Unit]) -> Option<(f64, Vec<f64>)> {
    let channels: Vec<u64> = dependencies.classes.iter().map(|class| class.channels).collect();
    let mut all = 0.0;
    let mut of: BTreeMap<&str, f64> = BTreeMap::new();
    for layer in &dependencies.layers {
        let macs = layer.macs.as_ref()?.with(&channels) as f64;
        all += macs;
        *of.entry(&layer.name).or_default() += macs;
    }
    let each = |unit: &Unit| of.get(unit.name.as_str()).map_or(0.0, |macs| macs / unit.size.max(1) as f64);
    Some((all, units.iter().map(each).collect()))
}
