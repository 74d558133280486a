//! Operators that hold parameters, and the multiplications they do.

use super::atoms::Channels;
use super::site::Site;
use super::state::State;
use super::value::Value;
use crate::Float;

/// Multiply-accumulate operations, while classes are not known yet.
pub(super) struct Product {
    /// `None` where the shapes do not say it.
    pub(super) positions: Option<u64>,
    pub(super) kernel: u64,
    pub(super) output: Channels,
    pub(super) input: Channels,
}

/// A layer, while classes are not known yet.
pub(super) struct Draft<'a> {
    pub(super) node: usize,
    pub(super) name: &'a str,
    pub(super) parameters: Vec<&'a str>,
    pub(super) macs: Multiplications,
}

/// What a layer multiplies.
pub(super) enum Multiplications {
    None,
    Unknown,
    Known(Product),
}

/// The layer that an operator is, if it holds parameters.
pub(super) fn draft<'a>(state: &State<'a>, site: &Site<'a>) -> Option<Draft<'a>> {
    let op = site.node.op.as_str();
    let multiplies = matches!(op, "Conv" | "ConvTranspose" | "Gemm" | "MatMul") && site.node.domain.is_empty();
    let mut parameters: Vec<&str> = Vec::new();
    for (_, value) in site.inputs.iter().enumerate().filter(|&(index, _)| !is_setting(op, index)) {
        parameters.extend(parameter(state, value, multiplies).filter(|name| !parameters.contains(name)));
    }
    let weight = site.inputs.get(1).filter(|_| multiplies).and_then(|value| parameter(state, value, true));
    let name = weight.or(parameters.first().copied())?;
    let macs = match &site.product {
        _ if !multiplies => Multiplications::None,
        Some(product) if product.positions.is_some() => Multiplications::Known(Product {
            positions: product.positions,
            kernel: product.kernel,
            output: product.output.clone(),
            input: product.input.clone(),
        }),
        _ => Multiplications::Unknown,
    };
    Some(Draft { node: site.index, name, parameters, macs })
}

/// The tensor that a value is, if its numbers are learned. A lone number, but in a layer, is a constant of some formula.
fn parameter<'a>(state: &State<'a>, value: &Value<'a>, lone: bool) -> Option<&'a str> {
    let (name, constant) = state.tensor(value)?;
    let floating = constant.dtype.and_then(Float::from_dtype).is_some();
    (floating && (lone || constant.shape.iter().any(|&length| length != 1))).then_some(name)
}

/// Whether an input says how to compute, or is a statistic.
fn is_setting(op: &str, input: usize) -> bool {
    match op {
        "BatchNormalization" => input > 2,
        "Resize" | "Upsample" | "Clip" | "Pad" | "Pow" | "Dropout" | "Identity" | "Cast" => true,
        _ => false,
    }
}
