//! A network that can be run, a batch of a data set at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;

use super::score::Form;
use crate::data::DataSet;
use crate::graph::{self, Dim, Graph};
use crate::{Error, Result, shortened};

/// Elements of the inputs of a batch, where nobody says how many inputs it has: beyond, intermediate results leave the
/// caches (and memory, for large images).
const BATCH_ELEMENTS: usize = 1 << 18;
const MOST_INPUTS: usize = 256;

/// A network and where data go.
#[derive(Debug)]
pub(super) struct Network {
    model: Model,
    path: PathBuf,
    input: NodeId,
    outputs: Vec<NodeId>,
    /// The axes of one input, as the network takes it.
    axes: Vec<usize>,
    /// How many inputs it takes at a time, where that is fixed.
    batch: Option<usize>,
    /// Elements of one input.
    elements: usize,
}

/// A result of a network.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Network {
    /// `model`, whose operators are `graph`, with inputs from `data` and the values named `outputs` as results.
    pub(super) fn new<'o>(
        model: Model,
        path: &Path,
        graph: &Graph,
        data: &DataSet,
        outputs: impl IntoIterator<Item = &'o str>,
    ) -> Result<Self> {
        let input = fed(path, graph)?;
        check_padding(path, graph)?;
        let (batch, axes) = fit(path, input, data)?;
        let node = |name: &str| {
            let missing = || Error::Run(format!("{}: rten knows no value `{}`", path.display(), shortened(name)));
            model.find_node(name).ok_or_else(missing)
        };
        let outputs = outputs.into_iter().map(node).collect::<Result<_>>()?;
        let (input, elements) = (node(&input.name)?, data.elements());
        Ok(Self { input, outputs, axes, batch, elements, path: path.to_owned(), model })
    }

    /// How many inputs to run at a time: what the file says, else what was asked for, else as many as are quick.
    pub(super) fn batch(&self, asked: Option<usize>) -> usize {
        let quick = || (BATCH_ELEMENTS / self.elements.max(1)).min(MOST_INPUTS);
        self.batch.or(asked).unwrap_or_else(quick).max(1)
    }

    /// The results for the inputs of `data` from `first` on, `count` of them. A network of a fixed batch gets zeros beyond,
    /// and results are of its batch.
    pub(super) fn run(
        &self,
        pool: &Arc<ThreadPool>,
        data: &DataSet,
        first: usize,
        count: usize,
    ) -> Result<Vec<Output>> {
        let batch = self.batch.unwrap_or(count);
        let mut values = vec![0.0; batch * self.elements];
        let read = values.get_mut(..count * self.elements).unwrap_or_default();
        data.read(first, read)?;
        let shape: Vec<usize> = std::iter::once(batch).chain(self.axes.iter().copied()).collect();
        let input = Value::from_shape(&shape, values).map_err(|error| failed(&self.path, &error.to_string()))?;
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let run = || self.model.run(vec![(self.input, input.into())], &self.outputs, Some(options));
        let results = caught(&self.path, run)?.map_err(|error| failed(&self.path, &error.to_string()))?;
        let float = |value: Value| {
            let tensor = value.into_tensor::<f32>();
            let tensor = tensor.ok_or_else(|| failed(&self.path, "its outputs are not F32"))?;
            Ok(Output { shape: tensor.shape().to_vec(), values: tensor.into_data() })
        };
        results.into_iter().map(float).collect()
    }

    /// The name to report errors with.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file fixes how many inputs are run at a time.
    pub(super) fn is_fixed(&self) -> bool {
        self.batch.is_some()
    }
}

/// What rten does, which may be handed a damaged network: a panic in it is an error.
pub(super) fn caught<T>(path: &Path, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        failed(path, &format!("it gave up: {}", text.unwrap_or("for no reason it would tell")))
    })
}

/// What rten says.
pub(super) fn failed(path: &Path, why: &str) -> Error {
    let remedy = "check the file with onnx.checker, or let another runtime evaluate it by a command";
    Error::Run(format!("{}: running it with rten: {}; {remedy}", path.display(), shortened(why)))
}

/// An error where rten 0.27 would run another network than the file says: it takes SAME_LOWER for SAME_UPPER.
fn check_padding(path: &Path, graph: &Graph) -> Result<()> {
    let lower = graph::Attribute::Text("SAME_LOWER".to_owned());
    match graph.nodes.iter().find(|node| node.attributes.get("auto_pad") == Some(&lower)) {
        Some(node) => {
            Err(failed(path, &format!("`{}` pads SAME_LOWER, which it does not know", shortened(&node.name))))
        }
        None => Ok(()),
    }
}

/// The input that the data go to.
pub(super) fn fed<'g>(path: &Path, graph: &'g Graph) -> Result<&'g graph::Value> {
    let used = |name: &String| {
        graph.nodes.iter().any(|node| node.inputs.contains(name) || node.captured.contains(name))
            || graph.outputs.contains(name)
    };
    let mut inputs = graph.inputs.iter().filter(|input| used(&input.name));
    match (inputs.next(), inputs.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::Graph(format!("{}: nothing is fed to the network", path.display()))),
        (Some(first), Some(second)) => {
            let (first, second) = (shortened(&first.name), shortened(&second.name));
            let what = "it takes several inputs";
            Err(Error::Graph(format!("{}: {what} (`{first}`, `{second}`), a data set has one", path.display())))
        }
    }
}

/// How many inputs the network takes at a time, where that is fixed, and the axes of each.
fn fit(path: &Path, input: &graph::Value, data: &DataSet) -> Result<(Option<usize>, Vec<usize>)> {
    let own = data.shape();
    let Some(shape) = &input.shape else { return Ok((None, own.to_vec())) };
    let wrong = || {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => length.to_string(),
            Dim::Named(name) => shortened(name),
            Dim::Unknown => "?".to_owned(),
        };
        let wanted = shape.iter().map(length).collect::<Vec<_>>().join(", ");
        let message =
            format!("inputs of shape [n, {}] do not fit {}, which takes [{wanted}]", listed(own), path.display());
        Error::tensor(data.path(), "inputs", message)
    };
    let (batch, each) = shape.split_first().ok_or_else(wrong)?;
    let batch = match batch {
        Dim::Fixed(length) => {
            let length = usize::try_from(*length).ok().filter(|&length| length > 0);
            let fits = |length: &usize| length.checked_mul(data.elements()).is_some_and(|all| all <= 1 << 28);
            Some(length.filter(fits).ok_or_else(wrong)?)
        }
        _ => None,
    };
    let same = |(dim, own): (&Dim, &usize)| !matches!(dim, Dim::Fixed(length) if *length != *own as u64);
    if each.len() == own.len() && each.iter().zip(own).all(same) {
        return Ok((batch, own.to_vec()));
    }
    // The same elements in the same order: all in one axis, or more or fewer axes of length 1. Whatever else has as many
    // elements may have them in another order.
    let fixed = |dim: &Dim| if let Dim::Fixed(length) = dim { usize::try_from(*length).ok() } else { None };
    let axes: Vec<usize> = each.iter().map(fixed).collect::<Option<_>>().ok_or_else(wrong)?;
    let long = |axes: &[usize]| axes.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
    let flat = axes.len() == 1 && axes.first() == Some(&data.elements());
    if flat || long(&axes) == long(own) { Ok((batch, axes)) } else { Err(wrong()) }
}

fn listed(axes: &[usize]) -> String {
    axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the results of `name` are: the last operator tells, but for those that only move values.
pub(super) fn form(graph: &Graph, name: &str) -> Form {
    match graph.behind(name).maker.map(|node| node.op.as_str()) {
        Some("Softmax") => Form::Probabilities,
        Some("LogSoftmax") => Form::Logarithms,
        _ => Form::Logits,
    }
}

/// Pools of rten: several runs side by side with few threads each, or fewer with more, `threads` in all.
///
/// Small networks leave most of a pool idle, between operators and in those that are too small to share out.
pub(super) fn pools(threads: usize, batches: usize) -> Vec<Arc<ThreadPool>> {
    let runs = threads.min(batches).max(1);
    let own = |run: usize| threads / runs + usize::from(run < threads % runs);
    (0..runs).map(|run| Arc::new(ThreadPool::with_num_threads(own(run).max(1)))).collect()
}

/// Does `work` on all `items`, on a thread for each pool; of several errors, that of the first item.
pub(super) fn in_parallel<T: Send>(
    pools: &[Arc<ThreadPool>],
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(&Arc<ThreadPool>, T) -> Result<()> + Sync,
) -> Result<()> {
    let items = Mutex::new(Some(items.enumerate()));
    let error: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let run = |pool: &Arc<ThreadPool>| loop {
        let next = items.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Iterator::next);
        let Some((number, item)) = next else { return };
        if let Err(new) = work(pool, item) {
            // Items are handed out in order, so that those before are done or under way.
            *items.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let mut error = error.lock().unwrap_or_else(PoisonError::into_inner);
            if error.as_ref().is_none_or(|(first, _)| number < *first) {
                *error = Some((number, new));
            }
        }
    };
    thread::scope(|scope| {
        let (first, others) = pools.split_first()?;
        for pool in others {
            // Without a thread to spare, the others do its work.
            let _ = thread::Builder::new().name("evaluate".to_owned()).spawn_scoped(scope, || run(pool));
        }
        run(first);
        Some(())
    });
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}
