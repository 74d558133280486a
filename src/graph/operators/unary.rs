//! Operators that do the same to each element.

use super::super::atoms;
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Value};
use super::Followed;

/// What an operator gives for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 0, whatever its attributes are.
    Zero,
    /// Another number.
    Other,
    /// Another number, and beyond all bounds for others.
    Steep,
    /// What its bounds say.
    Clip,
    Shrink,
    /// 0, to a type of numbers.
    Cast,
    /// What comes in, unless it trains.
    Dropout,
    /// What comes in, which may be a constant.
    Identity,
}

/// What an operator is, if it is one that is proven.
pub(super) fn kind(op: &str) -> Option<Kind> {
    Some(match op {
        "Relu" | "LeakyRelu" | "Elu" | "Selu" | "Celu" | "ThresholdedRelu" | "Tanh" | "Gelu" | "Erf" | "HardSwish"
        | "Mish" | "Swish" | "Softsign" | "Sin" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Tan" | "Neg" | "Abs"
        | "Sqrt" | "Sign" | "Floor" | "Ceil" | "Round" => Kind::Zero,
        "Sigmoid" | "HardSigmoid" | "Softplus" | "Cos" => Kind::Other,
        "Exp" | "Cosh" | "Sinh" => Kind::Steep,
        "Clip" => Kind::Clip,
        "Shrink" => Kind::Shrink,
        "Cast" => Kind::Cast,
        "Dropout" => Kind::Dropout,
        "Identity" => Kind::Identity,
        _ => return None,
    })
}

pub(super) fn follow<'a>(state: &mut State<'a>, site: &mut Site<'a>, kind: Kind) -> Followed<'a> {
    let input = site.take(0);
    let constant = input.constant.filter(|_| super::is_same_array(site.node));
    let Some(mut axes) = input.axes else {
        return Ok(vec![Value { constant, ..Value::default() }]);
    };
    let gives_zero = match kind {
        Kind::Zero | Kind::Identity => true,
        Kind::Other => false,
        Kind::Steep => {
            if axes.iter().filter_map(|axis| axis.channels.as_ref()).any(|channels| atoms::nonzero(channels).is_some())
            {
                return Err("may go beyond all bounds where something that is not 0 comes in".to_owned());
            }
            site.node.op == "Sinh"
        }
        Kind::Clip => clip(site),
        Kind::Shrink => site.float("lambd").unwrap_or(0.5) >= 0.0,
        // FLOAT, UINT8 … INT64, FLOAT16, DOUBLE … UINT64, BFLOAT16.
        Kind::Cast => match site.int("to") {
            Some(1..=7 | 10..=13 | 16) => true,
            _ => return Err("casts to what is no usual number".to_owned()),
        },
        Kind::Dropout => match trains(state, site) {
            false => true,
            true => return Err("may be in training mode".to_owned()),
        },
    };
    if !gives_zero {
        for axis in &mut axes {
            if let Some(channels) = &axis.channels {
                *axis = Axis::along(atoms::with_nonzero(channels, Some(site.index)));
            }
        }
    }
    Ok(vec![Value { axes: Some(axes), constant, elements: None }])
}

/// Whether the bounds hold 0: attributes before version 11, inputs since.
fn clip(site: &mut Site<'_>) -> bool {
    let bound = |input: usize, name: &str, default: f64| match site.has(input) {
        true => site
            .inputs
            .get(input)
            .and_then(Value::numbers)
            .filter(|numbers| numbers.len() == 1)
            .map(|numbers| numbers[0]),
        false => Some(site.float(name).unwrap_or(default)),
    };
    let (low, high) = (bound(1, "min", f64::NEG_INFINITY), bound(2, "max", f64::INFINITY));
    matches!((low, high), (Some(low), Some(high)) if low <= 0.0 && 0.0 <= high)
}

/// Whether some elements may be dropped at random. Before version 7, whoever did not say that it is a test trained.
fn trains(state: &State<'_>, site: &Site<'_>) -> bool {
    if site.has(2) {
        let mode = site.inputs.get(2).and_then(Value::numbers);
        return mode.is_none_or(|mode| mode.iter().any(|&mode| mode != 0.0));
    }
    state.graph.opset < 7 && !site.flag("is_test", false)
}
