//! Batch normalization.

use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};

use super::site::{Made, Mode, Site, Statistics};
use crate::train::array::{Array, each};

/// How much of the running values stays at each step, where the file does not say.
const BATCH_NORM_MOMENTUM: f32 = 0.9;

/// By the batch's mean and variance in training, which are kept for the running ones; by the running ones otherwise.
pub(super) fn batch(site: &mut Site<'_>) -> Made {
    let x = site.array(0)?;
    let shape = x.shape();
    let channels = shape.get(1).copied().unwrap_or(0);
    let mut parameter = |index: usize| match site.array(index)? {
        Array::R1(values) if values.dims() == [channels] && shape.len() >= 2 => Ok(values),
        other => Err(format!("normalizes a value of shape {shape:?} by {:?}", other.shape())),
    };
    let [scale, shift, mean, variance] = [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
    let epsilon = site.float("epsilon", 1e-5);
    let frozen = site.opset < 14 && site.int("spatial", 1) == 0;
    if frozen {
        return Err("has a mean for each position: one for each channel is known".to_owned());
    }
    if site.mode == Mode::Inference {
        return Ok(inference(x, [scale, shift, mean, variance], epsilon).into());
    }
    let trained = each!(x, x => {
        let trained = batch_norm_train(x, scale, shift, epsilon);
        (Array::from(trained.output), trained.mean, trained.variance)
    });
    let (made, mean, variance) = trained;
    let name = |index: usize| site.node.inputs.get(index).cloned().unwrap_or_default();
    site.statistics.push(Statistics {
        running: [name(3), name(4)],
        momentum: site.float("momentum", BATCH_NORM_MOMENTUM),
        count: shape.iter().product::<usize>() / channels.max(1),
        mean: mean.inner(),
        variance: variance.inner(),
    });
    Ok(made.into())
}

fn inference(x: Array, [scale, shift, mean, variance]: [Tensor<1>; 4], epsilon: f64) -> Array {
    each!(x, x => batch_norm(x, scale, shift, mean, variance, epsilon).into())
}
