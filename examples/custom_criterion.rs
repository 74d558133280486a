//! A criterion of one's own, without touching the crate: how large a weight is beside the others of its output row.
//!
//!     cargo run --release --example custom_criterion -- examples/data/cnn.safetensors
//!
//! Rows of a layer can differ in scale by a lot, above all where a normalisation follows that takes the scale out again.
//! Magnitude then cuts the rows of small weights to nothing, and leaves those of large weights whole. Relative to the
//! root mean square of its row a weight competes with the rest of the model as if the rows were scaled alike.
#![expect(clippy::print_stdout, reason = "an example that is run from a terminal")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use secateur::prune::{self, Allocation, Criterion, Destination, Options, Score, Summary, Task};
use secateur::stats::{self, Grouping};
use secateur::{Checkpoint, Engine, Progress, Result, Tensor};

/// |w| / rms of its output row.
#[derive(Debug)]
struct RelativeToRow {
    /// By the name of the tensor: 1 / rms of each row.
    scales: HashMap<String, Vec<f32>>,
}

impl RelativeToRow {
    /// One pass over the model, in bounded memory, whatever its size. The moments are those of the CPU, so that the
    /// scores are the same on any machine.
    fn of(model: &Checkpoint) -> Result<Self> {
        let mut scales: HashMap<String, Vec<f32>> = HashMap::new();
        let options = stats::Options { by: Grouping::Output, ..stats::Options::default() };
        stats::analyse(model, &Engine::cpu(None)?, &options, &Progress::default(), &mut |entry| {
            let row = &entry.statistics;
            let finite = (row.count - row.nan - row.inf) as f64;
            let rms = row.l2.filter(|l2| *l2 > 0.0).map_or(0.0, |l2| l2 / finite.sqrt());
            // A row of zeros scores 0 whatever its scale.
            let scale = if rms > 0.0 { 1.0 / rms } else { 1.0 };
            // Groups of a tensor come in order; tensors of one dimension have no rows, and a single group.
            scales.entry(entry.name).or_default().push(scale as f32);
            Ok(())
        })?;
        Ok(Self { scales })
    }
}

impl Score for RelativeToRow {
    fn name(&self) -> String {
        "relative-to-row".to_owned()
    }

    fn left_out(&self, tensor: &Tensor) -> Option<String> {
        let rows = tensor.shape().first().copied().unwrap_or(0);
        let known = self.scales.get(tensor.name()).is_some_and(|scales| scales.len() as u64 == rows);
        (!known).then(|| "it has no output rows".to_owned())
    }

    fn score(&self, tensor: &Tensor, first: u64, weights: &[f32], scores: &mut [f32]) -> Result<()> {
        let scales = &self.scales[tensor.name()];
        let columns = tensor.elements() / scales.len() as u64;
        for ((index, weight), score) in (first..).zip(weights).zip(scores) {
            *score = weight.abs() * scales[(index / columns) as usize];
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/data/cnn.safetensors".to_owned());
    let model = Checkpoint::open(&path)?;
    let folder = tempfile::tempdir().map_err(|e| secateur::Error::io("a temporary folder", e))?;
    let relative = Criterion::Scored(Arc::new(RelativeToRow::of(&model)?));

    for allocation in [Allocation::Uniform, Allocation::Global] {
        let out = folder.path().join(format!("{allocation}.safetensors"));
        let own = prune(&model, relative.clone(), allocation, Some(&out))?;
        // Beside it, without writing anything.
        let usual = prune(&model, Criterion::Magnitude, allocation, None)?;
        println!("{:<24}{:>9}{:>17}{:>11}   ({allocation})", "tensor", "weights", "relative-to-row", "magnitude");
        for (own, usual) in own.tensors.iter().zip(&usual.tensors) {
            println!("{:<24}{:>9}{:>17}{:>11}", secateur::escape(&own.name), own.count, own.cut, usual.cut);
        }
        let written = Checkpoint::open(&out)?;
        println!("{} of {} weights cut, {} tensors written\n", own.total.cut, own.total.count, written.tensors().len());
    }
    Ok(())
}

/// Cuts four of five weights.
fn prune(model: &Checkpoint, criterion: Criterion, allocation: Allocation, out: Option<&Path>) -> Result<Summary> {
    let options = Options { sparsity: 0.8, criterion, allocation, ..Options::default() };
    let to = Destination { out, ..Destination::default() };
    Ok(prune::run(model, &Engine::auto(None)?, &Task::Options(&options), &to, &Progress::default())?.summary)
}
