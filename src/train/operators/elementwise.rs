//! Arithmetic on two values, which broadcast as numpy's do.

use burn::tensor::Tensor;

use super::site::{Made, Site, bounded};
use crate::train::array::{Array, MOST_AXES, both, each};
use crate::train::value::{Known, Value};

pub(super) fn add(site: &mut Site<'_>) -> Made {
    binary(site, |a, b| a + b, Operation::Add)
}

pub(super) fn sub(site: &mut Site<'_>) -> Made {
    binary(site, |a, b| a - b, Operation::Sub)
}

pub(super) fn mul(site: &mut Site<'_>) -> Made {
    binary(site, |a, b| a * b, Operation::Mul)
}

pub(super) fn div(site: &mut Site<'_>) -> Made {
    binary(site, |a, b| a / b, Operation::Div)
}

/// The sum of one value or more.
pub(super) fn sum(site: &mut Site<'_>) -> Made {
    let mut sum = site.array(0)?;
    for index in 1..site.inputs.len() {
        sum = apply(sum, site.array(index)?, Operation::Add)?;
    }
    Ok(sum.into())
}

/// A constant power.
pub(super) fn pow(site: &mut Site<'_>) -> Made {
    let base = site.array(0)?;
    let exponent = site.known(1)?.filter(|exponent| exponent.values.len() == 1);
    let exponent = exponent.ok_or("has an exponent that is no constant number")?.values[0];
    if exponent == 2.0 {
        return Ok(apply(base.clone(), base, Operation::Mul)?.into());
    }
    Ok(each!(base, x => Array::from(x.powf_scalar(exponent as f32))).into())
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
}

impl Operation {
    fn on<const D: usize>(self, a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Add => a.add(b),
            Self::Sub => a.sub(b),
            Self::Mul => a.mul(b),
            Self::Div => a.div(b),
        }
    }

    fn scalar<const D: usize>(self, a: Tensor<D>, b: f32) -> Tensor<D> {
        match self {
            Self::Add => a.add_scalar(b),
            Self::Sub => a.sub_scalar(b),
            Self::Mul => a.mul_scalar(b),
            Self::Div => a.div_scalar(b),
        }
    }
}

fn binary(site: &mut Site<'_>, exact: fn(f64, f64) -> f64, operation: Operation) -> Made {
    match (site.take(0)?, site.take(1)?) {
        (Value::Known(a), Value::Known(b)) => known(&a, &b, exact).map(Value::Known),
        // A number needs no tensor of its own.
        (Value::Array(a), Value::Known(b)) if b.values.len() == 1 && b.shape.len() <= a.rank() => {
            Ok(each!(a, x => Array::from(operation.scalar(x, b.values[0] as f32))).into())
        }
        (Value::Array(a), Value::Known(b)) => Ok(apply(a, b.array(site.device)?, operation)?.into()),
        (Value::Known(a), Value::Array(b)) => Ok(apply(a.array(site.device)?, b, operation)?.into()),
        (Value::Array(a), Value::Array(b)) => Ok(apply(a, b, operation)?.into()),
    }
}

/// Small arrays of one shape, or one of them a single number: what happens to shapes.
fn known(a: &Known, b: &Known, exact: fn(f64, f64) -> f64) -> Result<Known, String> {
    let (shape, length) = match (a.values.len(), b.values.len()) {
        (x, y) if a.shape == b.shape && x == y => (a.shape.clone(), x),
        (x, 1) => (a.shape.clone(), x),
        (1, y) => (b.shape.clone(), y),
        _ => return Err("takes constants of different shapes".to_owned()),
    };
    let whole = a.whole && b.whole;
    let at = |values: &[f64], index: usize| values[if values.len() == 1 { 0 } else { index }];
    let one = |index| {
        let result = exact(at(&a.values, index), at(&b.values, index));
        if whole { result.trunc() } else { result }
    };
    Ok(Known { values: (0..length).map(one).collect(), shape, whole })
}

/// Broadcasts and applies.
pub(super) fn apply(a: Array, b: Array, operation: Operation) -> Result<Array, String> {
    let rank = a.rank().max(b.rank());
    let fits = |(x, y): (&usize, &usize)| x == y || *x == 1 || *y == 1;
    let (a, b) = (a.raised(rank), b.raised(rank));
    let (left, right) = (a.shape(), b.shape());
    if !left.iter().zip(&right).all(fits) {
        return Err(format!("takes values of shapes {left:?} and {right:?}, which do not fit together"));
    }
    bounded(left.iter().zip(&right).map(|(&x, &y)| x.max(y)))?;
    both!(a, b, |x, y| Ok(operation.on(x, y).into()), Err(format!("takes values of more than {MOST_AXES} axes")))
}
