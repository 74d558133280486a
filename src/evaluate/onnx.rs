//! The built-in evaluator: ONNX networks, run by rten.

use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;

use rten::ModelOptions;

use super::network::{Network, caught, failed, form, in_parallel, pools};
use super::score::{Score, Scorer};
use super::{Evaluator, Measure, Metric};
use crate::data::DataSet;
use crate::graph::Graph;
use crate::{Checkpoint, Error, Result, shortened};

/// Runs ONNX networks over a data set, with [rten](https://docs.rs/rten).
///
/// Networks with one input are run, in batches as their files allow: all at once where the first axis is fixed, the last
/// batch filled up. Batches run side by side. What is held at once: a batch of inputs and of intermediate results for each
/// thread, labels, and 16 bytes an input.
///
/// A metric does not depend on batches and threads more than the outputs themselves do, which for matrix products means
/// their last bits.
///
/// ```no_run
/// use secateur::data::DataSet;
/// use secateur::evaluate::{Evaluator, Metric, OnnxEvaluator};
/// # use std::path::Path;
///
/// let data = DataSet::open(Path::new("validation.safetensors"))?;
/// let measure = OnnxEvaluator::new(data, Metric::Accuracy).evaluate(Path::new("lenet5.onnx"))?;
/// println!("{} right, cross-entropy {:?}", measure.metric, measure.loss);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Debug)]
pub struct OnnxEvaluator {
    data: DataSet,
    metric: Metric,
    batch: Option<NonZeroUsize>,
    threads: Option<NonZeroUsize>,
    output: Option<String>,
}

impl OnnxEvaluator {
    /// Of the first output of networks, with all threads.
    pub fn new(data: DataSet, metric: Metric) -> Self {
        Self { data, metric, batch: None, threads: None, output: None }
    }

    /// With so many inputs at a time, where a file does not fix that; else as many as make 262,144 elements, at most 256.
    pub fn batch(mut self, inputs: Option<NonZeroUsize>) -> Self {
        self.batch = inputs;
        self
    }

    /// With so many threads; else with as many as the machine runs at a time.
    pub fn threads(mut self, threads: Option<NonZeroUsize>) -> Self {
        self.threads = threads;
        self
    }

    /// With the output of that name; else with the first.
    pub fn output(mut self, name: Option<String>) -> Self {
        self.output = name;
        self
    }

    /// The data that networks are run over.
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// What is measured.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The output that is asked for.
    fn chosen<'g>(&self, path: &Path, graph: &'g Graph) -> Result<&'g str> {
        let found = match &self.output {
            None => graph.outputs.first(),
            Some(name) => graph.outputs.iter().find(|output| *output == name),
        };
        found.map(String::as_str).ok_or_else(|| {
            let named = |name: &String| format!("`{}`", shortened(name));
            let there: Vec<String> = graph.outputs.iter().take(8).map(named).collect();
            let asked =
                self.output.as_ref().map_or("no output".to_owned(), |name| format!("no output {}", named(name)));
            Error::Graph(format!("{}: the network has {asked}, but [{}]", path.display(), there.join(", ")))
        })
    }
}

impl Evaluator for OnnxEvaluator {
    fn evaluate(&mut self, path: &Path) -> Result<Measure> {
        let data = &self.data;
        let checkpoint = Checkpoint::open(path)?;
        let no_network = || {
            let remedy = "only .onnx can be run: evaluate it by a command";
            Error::format(path, format!("holds weights and no network: {remedy}"))
        };
        let graph = checkpoint.graph()?.ok_or_else(no_network)?;
        // Its file stays open no longer than that.
        drop(checkpoint);
        let output = self.chosen(path, &graph)?;
        let scorer = Scorer { metric: self.metric, form: form(&graph, output), labels: data.labels() };
        let load = || ModelOptions::with_all_ops().load_file(path);
        let model = caught(path, load)?.map_err(|error| failed(path, &error.to_string()))?;
        let network = Network::new(model, path, &graph, data, [output])?;
        let batch = network.batch(self.batch.map(NonZeroUsize::get));
        let mut scores = vec![Score::default(); data.len()];
        let threads = self.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let pools = pools(threads, data.len().div_ceil(batch));
        in_parallel(&pools, scores.chunks_mut(batch).enumerate(), |pool, (number, scores)| {
            let first = number * batch;
            let results = network.run(pool, data, first, scores.len())?;
            let Some(result) = results.into_iter().next() else { return Ok(()) };
            let (&rows, axes) = result.shape.split_first().unwrap_or((&0, &[]));
            let wanted = if network.is_fixed() { batch } else { scores.len() };
            let long = axes.iter().filter(|&&length| length != 1).count();
            let by_class = self.metric != Metric::MeanSquaredError;
            if rows != wanted || result.values.is_empty() || (by_class && long > 1) {
                let (found, needed) = (format!("{:?}", result.shape), if by_class { "[n, classes]" } else { "[n, …]" });
                let why = format!("its output is of shape {found} for {wanted} inputs: {needed} is expected");
                let remedy = "choose another --output, or --batch 1";
                return Err(Error::Graph(format!("{}: {why} ({remedy})", path.display())));
            }
            let outputs = result.values.chunks_exact(result.values.len() / rows);
            for ((index, score), outputs) in (first..).zip(scores.iter_mut()).zip(outputs) {
                *score = scorer.score(index, outputs).map_err(|why| {
                    let why = format!("{why} ({})", path.display());
                    if *data.labels() == crate::data::Labels::None {
                        Error::format(data.path(), why)
                    } else {
                        Error::tensor(data.path(), "labels", why)
                    }
                })?;
            }
            Ok(())
        })?;
        Ok(scorer.measure(&scores))
    }
}
