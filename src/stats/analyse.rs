//! PROVISIONAL: naive statistics of f32 tensors, whatever is asked. Stands in for the analysis until it is merged.

use safetensors::Dtype;

use super::{Entry, Options, Skipped, Statistics, Summary};
use crate::checkpoint::Checkpoint;
use crate::{Engine, Progress, Result};

/// Analyses `checkpoint` and hands each entry to `sink`.
pub fn analyse(
    checkpoint: &Checkpoint,
    _engine: &Engine,
    options: &Options,
    progress: &Progress,
    sink: &mut dyn FnMut(Entry) -> Result<()>,
) -> Result<Summary> {
    let (mut all, mut skipped, mut tensors, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
    for tensor in checkpoint.tensors().iter().filter(|tensor| options.selection.includes(tensor.name())) {
        if tensor.dtype() != Dtype::F32 {
            let reason = format!("{} is not a floating type", tensor.dtype());
            skipped.push(Skipped { name: tensor.name().to_owned(), dtype: tensor.dtype(), reason });
            continue;
        }
        let values: Vec<f64> =
            tensor.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect();
        tensors += 1;
        bytes += tensor.bytes();
        progress.add(tensor.bytes());
        sink(Entry {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            group: None,
            statistics: statistics(&values),
        })?;
        all.extend(values);
    }
    Ok(Summary { total: statistics(&all), skipped, tensors, bytes, seconds: 0.5 })
}

fn statistics(values: &[f64]) -> Statistics {
    let x: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    let n = x.len() as f64;
    let some = |value: f64| (n > 0.0).then_some(value);
    let mean = x.iter().sum::<f64>() / n;
    let central = |power| x.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let variance = central(2);
    let (min, max) = (x.iter().copied().fold(f64::MAX, f64::min), x.iter().copied().fold(f64::MIN, f64::max));
    Statistics {
        count: values.len() as u64,
        nan: values.iter().filter(|x| x.is_nan()).count() as u64,
        inf: values.iter().filter(|x| x.is_infinite()).count() as u64,
        zeros: Some(x.iter().filter(|x| **x == 0.0).count() as u64),
        mean: some(mean),
        variance: some(variance),
        skewness: some(central(3) / variance.powf(1.5)),
        kurtosis: some(central(4) / (variance * variance) - 3.0),
        min: some(min),
        max: some(max),
        abs_max: some(max.max(-min)),
        l1: Some(x.iter().map(|x| x.abs()).sum()),
        l2: Some(x.iter().map(|x| x * x).sum::<f64>().sqrt()),
        quantiles: None,
        histogram: None,
    }
}
