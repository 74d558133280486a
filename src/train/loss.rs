//! What training makes small.

use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};

use super::array::{Array, each};
use super::value::Value;

/// What belongs to the inputs of a batch.
#[derive(Clone, Debug)]
pub(super) enum Targets {
    /// A class each.
    Classes(Vec<u32>),
    /// Values, as many each as the network has outputs.
    Values(Vec<f32>),
}

/// The mean cross-entropy of logits, or the mean squared error of outputs.
pub(super) fn loss(output: &Value, targets: &Targets, batch: usize, device: &Device) -> Result<Tensor<1>, String> {
    match targets {
        Targets::Classes(classes) => {
            let logits = table(output, batch)?;
            let [_, count] = logits.dims();
            let mut wanted = vec![0.0f32; batch * count];
            for (row, &class) in wanted.chunks_mut(count).zip(classes) {
                let at = row.get_mut(class as usize);
                *at.ok_or_else(|| format!("has {count} outputs, and the data have a class {class}"))? = 1.0;
            }
            let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [batch, count]), device);
            Ok(log_softmax(logits, 1).mul(wanted).sum().div_scalar(-(batch as f32)))
        }
        Targets::Values(values) => {
            let Value::Array(output) = output else { return Err("gives what does not depend on its input".to_owned()) };
            if output.elements() != values.len() {
                let (found, wanted) = (output.shape(), values.len() / batch.max(1));
                return Err(format!("gives values of shape {found:?}, and the data have {wanted} an input"));
            }
            let wanted = Array::new(values.clone(), &[values.len()], device);
            let Array::R1(output) = output.clone().reshape(&[values.len()]) else {
                return Err("gives no values".to_owned());
            };
            Ok(each!(wanted, wanted => (output - wanted.reshape([values.len()])).square().mean()))
        }
    }
}

/// Outputs as `[n, classes]`.
pub(super) fn table(output: &Value, batch: usize) -> Result<Tensor<2>, String> {
    let Value::Array(output) = output else { return Err("gives what does not depend on its input".to_owned()) };
    let shape = output.shape();
    let classes = shape.iter().skip(1).product::<usize>();
    let is_table = shape.first() == Some(&batch) && shape.len() >= 2 && shape[2..].iter().all(|&length| length == 1);
    match output.clone().reshape(&[shape.first().copied().unwrap_or(1), classes]) {
        Array::R2(table) if is_table => Ok(table),
        _ => Err(format!(
            "gives values of shape {shape:?} for {batch} inputs: one number a class is needed, [n, classes]"
        )),
    }
}
