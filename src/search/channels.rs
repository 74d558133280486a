//! Searching for the widths of the layers of a network.

use std::collections::BTreeMap;
use std::path::Path;

use super::elements::MOST;
use super::subject::{Saved, Subject};
use super::unit::Unit;
use crate::graph::{Dependencies, Graph};
use crate::prune::{
    self, Allocation, Amount, ChannelOptions, ChannelTask, Costs, Destination, Plan, PlannedClass, layer_costs,
    plan_channels,
};
use crate::{Checkpoint, Engine, Error, Progress, Result, Tensor};

/// A network of which whole channels are deleted.
pub(super) struct Channels<'a> {
    model: &'a Checkpoint,
    graph: &'a Graph,
    dependencies: Dependencies,
    engine: &'a Engine,
    options: ChannelOptions,
    original: BTreeMap<String, u64>,
    units: Vec<Unit>,
    /// The index of each unit's class.
    classes: Vec<usize>,
}

impl<'a> Channels<'a> {
    pub(super) fn new(
        model: &'a Checkpoint,
        graph: &'a Graph,
        engine: &'a Engine,
        options: ChannelOptions,
    ) -> Result<Self> {
        let dependencies = Dependencies::of(graph).map_err(|e| Error::format(model.path(), e.to_string()))?;
        let original = prune::original_widths(model)?;
        let mut this =
            Self { model, graph, dependencies, engine, options, original, units: Vec::new(), classes: Vec::new() };
        let plan = this.planned(Amount::Sparsity(0.0), Allocation::Uniform)?;
        for (index, (class, planned)) in this.dependencies.classes.iter().zip(&plan.classes).enumerate() {
            if planned.frozen.is_none() && planned.channels > 1 {
                let gone = planned.original.saturating_sub(planned.channels);
                let (size, most) = (planned.original, planned.original.saturating_sub(1));
                this.units.push(Unit { name: class.key(), size, most, grain: 1, gone });
                this.classes.push(index);
            }
        }
        Ok(this)
    }

    fn planned(&self, amount: Amount, allocation: Allocation) -> Result<Plan> {
        let options = ChannelOptions { amount, allocation, ..self.options.clone() };
        plan_channels(self.model, &self.dependencies, &self.original, &options, self.engine, &Progress::default())
    }

    fn costs(&self, cuts: &[u64]) -> Result<Costs> {
        let shape = |name: &str| self.model.get(name).map(Tensor::shape);
        layer_costs(&self.dependencies, shape, &self.kept(cuts))
    }

    /// How many channels each class keeps.
    fn kept(&self, cuts: &[u64]) -> Vec<u64> {
        let mut kept: Vec<u64> = self.dependencies.classes.iter().map(|class| class.channels).collect();
        for ((unit, class), cut) in self.units.iter().zip(&self.classes).zip(cuts) {
            if let Some(kept) = kept.get_mut(*class) {
                *kept = unit.size.saturating_sub(*cut).clamp(1, *kept);
            }
        }
        kept
    }
}

impl Subject for Channels<'_> {
    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn allocate(&self, allocation: Allocation, rate: f64) -> Result<Vec<u64>> {
        let plan = self.planned(Amount::Sparsity(rate.clamp(0.0, MOST)), allocation)?;
        let cut = |planned: &PlannedClass| planned.original.saturating_sub(planned.kept());
        Ok(self.classes.iter().map(|&class| plan.classes.get(class).map_or(0, cut)).collect())
    }

    fn parameters(&self) -> u64 {
        self.costs(&[]).map_or(0, |costs| costs.parameters_before)
    }

    fn macs(&self) -> Option<u64> {
        self.costs(&[]).ok()?.macs_before
    }

    fn settle(&self, cuts: &mut [u64]) {
        for (unit, cut) in self.units.iter().zip(cuts) {
            let now = unit.size - unit.gone;
            let kept = unit.size.saturating_sub(*cut).max(1);
            let kept = kept.checked_next_multiple_of(self.options.round_to.get()).unwrap_or(now).min(now);
            *cut = unit.size - kept;
        }
    }

    fn saved(&self, cuts: &[u64]) -> Result<Saved> {
        let costs = self.costs(cuts)?;
        let share = |before: u64, after: u64| {
            if before == 0 { 0.0 } else { before.saturating_sub(after) as f64 / before as f64 }
        };
        let params = share(costs.parameters_before, costs.parameters_after);
        let macs = costs.macs_before.zip(costs.macs_after).map(|(before, after)| share(before, after));
        Ok(Saved { weights: params, params, macs })
    }

    fn continues(&self) -> bool {
        // A declared network is that of the model as it was given.
        self.model.is_onnx()
    }

    fn cut(&self, base: &Checkpoint, cuts: &[u64], out: &Path, _: Option<&Path>, force: bool) -> Result<()> {
        let own = base.graph()?;
        let graph = own.as_ref().unwrap_or(self.graph);
        let amount = Amount::Kept(self.kept(cuts));
        let options = ChannelOptions { amount, allocation: Allocation::Uniform, ..self.options.clone() };
        let to = Destination { out: Some(out), force, ..Destination::default() };
        prune::channels(base, graph, self.engine, &ChannelTask::Options(&options), &to, &Progress::default()).map(drop)
    }

    fn plan(&self, cuts: &[u64]) -> Result<Plan> {
        self.planned(Amount::Kept(self.kept(cuts)), Allocation::Uniform)
    }
}
