//! Statistics of `BatchNormalization`, estimated anew: a network that has been cut has others than those it was trained with.

mod layers;
mod statistics;

use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;

use half::{bf16, f16};
use rten::{Model, ModelOptions};

use super::network::{Network, caught, failed, fed, in_parallel, pools};
use crate::checkpoint::Writer;
use crate::data::DataSet;
use crate::graph::{Dim, Graph};
use crate::{Checkpoint, Dtype, Error, Result, Tensor};
use layers::{Layer, alterations, layers};
use statistics::Total;

/// Fewer inputs at a time say little of a variance.
const FEWEST_INPUTS: usize = 64;
/// How many batches are under way or waiting to be added up, for each thread.
const BATCHES_A_ROUND: usize = 4;

/// How statistics are estimated anew.
#[derive(Clone, Debug, Default)]
pub struct Recalibration {
    /// Inputs at a time: by default as many as [`OnnxEvaluator`](super::OnnxEvaluator) takes, and at least 64. A batch that
    /// is fixed in the file below that is not heeded.
    pub batch: Option<NonZeroUsize>,
    /// Threads of the CPU to use: by default all.
    pub threads: Option<NonZeroUsize>,
    /// Whether the output may be there already.
    pub force: bool,
}

/// What was estimated anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalibrated {
    /// How many layers have new statistics.
    pub layers: usize,
    /// From how many batches.
    pub batches: usize,
    /// Of so many inputs each.
    pub batch: usize,
}

/// Writes `model` to `out` with means and variances of its `BatchNormalization` layers estimated from the inputs of `data`;
/// labels are not looked at, and everything else stays the same bytes.
///
/// Batches go through the network as in training: each layer normalises by the mean and variance of the batch at hand. A
/// layer's new mean is the mean of its batches' means, its new variance the mean of its batches' unbiased variances (n/(n−1)
/// of those they normalise by, n being values of a channel in a batch), as PyTorch's running statistics are with `momentum=None`
/// over one epoch: for batches drawn at random an unbiased estimate of both. A last batch that is not full is left out, unless
/// it is the only one.
///
/// `None`, and nothing is written, where what goes into a layer is not finite, or its statistics are not as the file's numbers.
///
/// # Errors
/// [`Error::Graph`] where it is not possible: the network has no `BatchNormalization` whose statistics are arrays of the file
/// (exporters fold them into convolutions); [`Error::Run`] where rten cannot run it; otherwise as
/// [`Writer::same`] and [`DataSet::read`].
pub fn recalibrate(
    model: &Checkpoint,
    data: &DataSet,
    options: &Recalibration,
    out: &Path,
) -> Result<Option<Recalibrated>> {
    let path = model.path();
    let no_network = || Error::format(path, "holds weights and no network: only .onnx can be recalibrated");
    let mut graph = model.graph()?.ok_or_else(no_network)?;
    let layers = layers(path, model, &graph)?;
    let freed = free(path, &mut graph, data.len())?;
    let altered = alterations(&graph, &layers, freed);
    let copy = model.altered(&altered)?;
    let mut loading = ModelOptions::with_all_ops();
    for location in &copy.external {
        let file = path.parent().unwrap_or(Path::new("")).join(location);
        let bytes = std::fs::read(&file).map_err(|error| Error::io(file, error))?;
        loading.external_data(location, bytes);
    }
    let load = || loading.load(copy.bytes);
    let loaded: Model = caught(path, load)?.map_err(|error| failed(path, &error.to_string()))?;
    let network = Network::new(loaded, path, &graph, data, altered.outputs.iter().map(String::as_str))?;
    let least = if options.batch.is_some() { 1 } else { FEWEST_INPUTS };
    let batch = match network.is_fixed() {
        true => network.batch(None),
        false => network.batch(options.batch.map(NonZeroUsize::get)).max(least).min(data.len()),
    };
    let batches = data.len() / batch;
    if batches == 0 {
        let message =
            format!("not possible: {} takes {batch} inputs at a time, {} are there", path.display(), data.len());
        return Err(Error::Graph(message));
    }
    let Some(totals) = estimate(&network, data, &layers, options.threads, batch, batches)? else { return Ok(None) };
    let written = write(model, &layers, &totals, options.force, out)?;
    Ok(written.then_some(Recalibrated { layers: layers.len(), batches, batch }))
}

/// Lets the network take any number of inputs at a time where it is fixed to few; the name of the input.
fn free(path: &Path, graph: &mut Graph, inputs: usize) -> Result<Option<String>> {
    let name = fed(path, graph)?.name.clone();
    let input = graph.inputs.iter_mut().find(|input| input.name == name);
    let first = input.and_then(|input| input.shape.as_mut()).and_then(|shape| shape.first_mut());
    let few =
        |dim: &Dim| matches!(dim, Dim::Fixed(length) if *length < FEWEST_INPUTS as u64 || *length > inputs as u64);
    Ok(first.filter(|dim| few(dim)).map(|dim| {
        *dim = Dim::Unknown;
        name
    }))
}

/// The statistics of all batches, added up in their order; `None` where they are not finite.
fn estimate(
    network: &Network,
    data: &DataSet,
    layers: &[Layer],
    threads: Option<NonZeroUsize>,
    batch: usize,
    batches: usize,
) -> Result<Option<Vec<Total>>> {
    let threads = threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let pools = pools(threads, batches);
    let mut totals: Vec<Total> = layers.iter().map(|layer| Total::new(layer.channels)).collect();
    let round = pools.len().saturating_mul(BATCHES_A_ROUND).max(1);
    for start in (0..batches).step_by(round) {
        let mut results = vec![Vec::new(); round.min(batches - start)];
        in_parallel(&pools, results.iter_mut().zip(start..), |pool, (result, number)| {
            *result = network.run(pool, data, number * batch, batch)?;
            Ok(())
        })?;
        for result in &results {
            for ((total, layer), outputs) in totals.iter_mut().zip(layers).zip(result.chunks_exact(3)) {
                if !total.add(outputs).map_err(|why| layer.impossible(network.path(), why))? {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(totals))
}

/// Writes them, unless the file's numbers cannot hold them: whether they can.
fn write(model: &Checkpoint, layers: &[Layer], totals: &[Total], force: bool, out: &Path) -> Result<bool> {
    let writer = Writer::same(model, out, force)?;
    for tensor in model.tensors() {
        let found = layers.iter().zip(totals).find_map(|(layer, total)| {
            if layer.mean == tensor.name() {
                Some(total.mean())
            } else if layer.variance == tensor.name() {
                Some(total.variance())
            } else {
                None
            }
        });
        match found {
            None => writer.copy(model, tensor)?,
            Some(values) => {
                let Some(bytes) = encoded(tensor, &values) else { return Ok(false) };
                writer.write_all_at(tensor.name(), 0, &bytes)?;
            }
        }
    }
    writer.finish()?;
    Ok(true)
}

/// `values` as `tensor` stores them; `None` where they are not finite then.
fn encoded(tensor: &Tensor, values: &[f64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(values.len().saturating_mul(8));
    for &value in values {
        let finite = match tensor.dtype() {
            Dtype::F64 => {
                bytes.extend(value.to_le_bytes());
                value.is_finite()
            }
            Dtype::F32 => {
                bytes.extend((value as f32).to_le_bytes());
                (value as f32).is_finite()
            }
            Dtype::F16 => {
                bytes.extend(f16::from_f64(value).to_le_bytes());
                f16::from_f64(value).is_finite()
            }
            Dtype::BF16 => {
                bytes.extend(bf16::from_f64(value).to_le_bytes());
                bf16::from_f64(value).is_finite()
            }
            _ => false,
        };
        if !finite {
            return None;
        }
    }
    Some(bytes)
}
