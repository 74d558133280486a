//! What happens to each element by itself, or to those along an axis.

use burn::tensor::activation as burn_activation;

use super::site::{Made, Mode, Site, axis};
use crate::train::array::{Array, each};
use crate::train::value::Value;

/// Operators that are one call, without attributes.
macro_rules! plain {
    ($($name:ident: |$x:ident| $body:expr;)*) => { $(
        pub(super) fn $name(site: &mut Site<'_>) -> Made {
            Ok(each!(site.array(0)?, $x => Array::from($body)).into())
        }
    )* };
}

plain! {
    relu: |x| burn_activation::relu(x);
    sigmoid: |x| burn_activation::sigmoid(x);
    tanh: |x| burn_activation::tanh(x);
    hard_swish: |x| burn_activation::hard_swish(x);
    softplus: |x| burn_activation::softplus(x, 1.0);
    erf: |x| x.erf();
    exp: |x| x.exp();
    log: |x| x.log();
    sqrt: |x| x.sqrt();
    neg: |x| x.neg();
}

pub(super) fn leaky_relu(site: &mut Site<'_>) -> Made {
    let slope = site.float("alpha", 0.01);
    Ok(each!(site.array(0)?, x => Array::from(burn_activation::leaky_relu(x, slope))).into())
}

/// max(0, min(1, α x + β)).
pub(super) fn hard_sigmoid(site: &mut Site<'_>) -> Made {
    let (alpha, beta) = (site.float("alpha", 0.2), site.float("beta", 0.5));
    Ok(each!(site.array(0)?, x => Array::from(burn_activation::hard_sigmoid(x, alpha, beta))).into())
}

pub(super) fn gelu(site: &mut Site<'_>) -> Made {
    let x = site.array(0)?;
    let approximate = site.text("approximate") == Some("tanh");
    Ok(each!(x, x => Array::from(match approximate {
        true => burn_activation::gelu_approximate(x),
        false => burn_activation::gelu(x),
    }))
    .into())
}

/// Bounds are attributes, or inputs from operator set 11 on.
pub(super) fn clip(site: &mut Site<'_>) -> Made {
    let x = site.array(0)?;
    let (low, high) = (site.number("min", 1)?, site.number("max", 2)?);
    // As exporters write "no bound".
    let bound = |bound: Option<f64>| bound.map(|bound| bound as f32).filter(|bound| bound.abs() < f32::MAX);
    Ok(match (bound(low), bound(high)) {
        (Some(low), Some(high)) if low > high => return Err(format!("clips to [{low}, {high}]")),
        (Some(0.0), None) => each!(x, x => Array::from(burn_activation::relu(x))),
        (Some(low), Some(high)) => each!(x, x => Array::from(x.clamp(low, high))),
        (Some(low), None) => each!(x, x => Array::from(x.clamp_min(low))),
        (None, Some(high)) => each!(x, x => Array::from(x.clamp_max(high))),
        (None, None) => x,
    }
    .into())
}

pub(super) fn softmax(site: &mut Site<'_>) -> Made {
    along(site, false)
}

pub(super) fn log_softmax(site: &mut Site<'_>) -> Made {
    along(site, true)
}

/// Along an axis; before operator set 13, along that and all axes after it together.
fn along(site: &mut Site<'_>, log: bool) -> Made {
    let x = site.array(0)?;
    let shape = x.shape();
    let along = axis(site.int("axis", if site.opset < 13 { 1 } else { -1 }), shape.len())?;
    let flat = site.opset < 13 && along + 1 < shape.len();
    let (x, along) = match flat {
        true => (x.reshape(&[shape[..along].iter().product(), shape[along..].iter().product()]), 1),
        false => (x, along),
    };
    let result = each!(x, x => Array::from(match log {
        true => burn_activation::log_softmax(x, along),
        false => burn_activation::softmax(x, along),
    }));
    Ok(result.reshape(&shape).into())
}

/// In training, elements are dropped by `ratio` and the others made larger in turn.
pub(super) fn dropout(site: &mut Site<'_>) -> Made {
    let x = site.take(0)?;
    let ratio = site.number("ratio", 1)?.unwrap_or(0.5);
    let (Mode::Training(seed), Value::Array(x)) = (site.mode, &x) else { return Ok(x) };
    if !(0.0..1.0).contains(&ratio) {
        return Err(format!("drops {ratio} of its elements: at least 0 and less than 1 can be"));
    }
    if ratio == 0.0 {
        return Ok(x.clone().into());
    }
    let (mut stream, kept) = (site.stream(seed), (1.0 / (1.0 - ratio)) as f32);
    let kept = (0..x.elements()).map(|_| if f64::from(stream.unit()) < ratio { 0.0 } else { kept }).collect();
    let mask = Array::new(kept, &x.shape(), site.device);
    Ok(super::elementwise::apply(x.clone(), mask, super::elementwise::Operation::Mul)?.into())
}
