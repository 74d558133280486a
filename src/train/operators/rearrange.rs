//! The same elements in another shape or order.

use super::site::{Made, Site, axes, axis};
use crate::train::array::{Array, MOST_AXES, each};
use crate::train::value::{Known, Value};

pub(super) fn identity(site: &mut Site<'_>) -> Made {
    site.take(0)
}

/// Tensors are f32, whatever they are cast to; shapes stay whole numbers.
pub(super) fn cast(site: &mut Site<'_>) -> Made {
    // FLOAT, FLOAT16, DOUBLE, BFLOAT16 in ONNX's TensorProto.
    let float = matches!(site.int("to", 1), 1 | 10 | 11 | 16);
    match site.take(0)? {
        Value::Known(known) if float => Ok(Known { whole: false, ..known }.into()),
        Value::Known(known) => {
            let values = known.values.iter().map(|value| value.trunc()).collect();
            Ok(Known { values, whole: true, ..known }.into())
        }
        Value::Array(_) if !float => Err("casts a tensor to whole numbers".to_owned()),
        array => Ok(array),
    }
}

pub(super) fn shape(site: &mut Site<'_>) -> Made {
    let shape = site.take(0)?.shape();
    let rank = shape.len() as i64;
    let bound = |value: i64| (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize;
    let (start, end) = (bound(site.int("start", 0)), bound(site.int("end", rank)));
    Ok(Known::list(shape.get(start..end).unwrap_or_default().iter().map(|&length| length as f64).collect()).into())
}

pub(super) fn flatten(site: &mut Site<'_>) -> Made {
    let x = site.array(0)?;
    let shape = x.shape();
    let number = site.int("axis", 1);
    let at = if number == shape.len() as i64 { shape.len() } else { axis(number, shape.len())? };
    Ok(x.reshape(&[shape[..at].iter().product(), shape[at..].iter().product()]).into())
}

/// To a shape in which 0 is the same length as before, and -1 whatever is left.
pub(super) fn reshape(site: &mut Site<'_>) -> Made {
    let wanted = match (site.ints("shape"), site.inputs.len()) {
        (Some(shape), 0 | 1) => shape,
        _ => site.list("", 1)?.ok_or("has no shape")?,
    };
    let value = site.take(0)?;
    let from = value.shape();
    let mut shape = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (index, &length) in wanted.iter().enumerate() {
        shape.push(match length {
            -1 if rest.is_none() => {
                rest = Some(index);
                1
            }
            0 if site.int("allowzero", 0) == 0 => {
                *from.get(index).ok_or_else(|| format!("keeps axis {index} of {from:?}"))?
            }
            _ => usize::try_from(length).map_err(|_| format!("has the shape {wanted:?}"))?,
        });
    }
    let elements: usize = from.iter().product();
    let product = |shape: &[usize]| shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    // A shape that was written down when the network ran on the batch that it was exported with.
    let first = shape.first().copied().filter(|&first| rest != Some(0) && first != site.batch);
    let leads = from.first() == Some(&site.batch);
    let as_exported = first.is_some() && first == Some(site.exported.unwrap_or(1));
    let others = product(shape.get(1..).unwrap_or_default());
    if leads && as_exported && (rest.is_some() && site.exported.is_some() || others == Some(elements / site.batch)) {
        shape[0] = site.batch;
    }
    let known = product(&shape).filter(|&product| product > 0);
    if let (Some(rest), Some(known)) = (rest, known) {
        shape[rest] = elements / known;
    }
    if product(&shape) != Some(elements) {
        return Err(format!("makes {wanted:?} of {from:?}, which has another number of elements"));
    }
    reshaped(value, shape)
}

pub(super) fn squeeze(site: &mut Site<'_>) -> Made {
    let listed = site.list("axes", 1)?;
    let value = site.take(0)?;
    let mut shape = value.shape();
    let gone: Vec<usize> = match listed {
        Some(listed) => axes(&listed, shape.len())?,
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
    };
    if let Some(axis) = gone.iter().find(|&&axis| shape[axis] != 1) {
        return Err(format!("leaves out axis {axis} of {shape:?}"));
    }
    let mut index = 0;
    shape.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    reshaped(value, shape)
}

pub(super) fn unsqueeze(site: &mut Site<'_>) -> Made {
    let listed = site.list("axes", 1)?.ok_or("has no axes")?;
    let value = site.take(0)?;
    let mut shape = value.shape();
    for axis in axes(&listed, shape.len().saturating_add(listed.len()))? {
        shape.insert(axis.min(shape.len()), 1);
    }
    reshaped(value, shape)
}

pub(super) fn transpose(site: &mut Site<'_>) -> Made {
    let value = site.take(0)?;
    let rank = value.shape().len();
    let order = site.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    if order.len() != rank || axes(&order, rank)?.len() != rank {
        return Err(format!("orders {rank} axes as {order:?}"));
    }
    let order = order.iter().map(|&number| axis(number, rank)).collect::<Result<Vec<_>, _>>()?;
    match value {
        Value::Array(x) => Ok(permuted(x, &order)?.into()),
        Value::Known(known) => Ok(reordered(&known, &order).into()),
    }
}

/// A small array's axes in that order.
fn reordered(known: &Known, order: &[usize]) -> Known {
    let stride = |axis: usize| known.shape[axis + 1..].iter().product::<usize>();
    let shape: Vec<usize> = order.iter().map(|&axis| known.shape[axis]).collect();
    let element = |mut at: usize| {
        // From the last axis of the result to its first.
        let mut index = 0;
        for &axis in order.iter().rev() {
            index += at % known.shape[axis] * stride(axis);
            at /= known.shape[axis];
        }
        known.values[index]
    };
    Known { values: (0..known.values.len()).map(element).collect(), shape, whole: known.whole }
}

/// Axes in that order, which has each once.
fn permuted(x: Array, order: &[usize]) -> Result<Array, String> {
    each!(x, x => {
        let order = order.try_into().map_err(|_| "orders another number of axes".to_owned())?;
        Ok(x.permute(order).into())
    })
}

fn reshaped(value: Value, shape: Vec<usize>) -> Made {
    if shape.len() > MOST_AXES {
        return Err(format!("makes a value of {} axes: at most {MOST_AXES} are known", shape.len()));
    }
    Ok(match value {
        Value::Array(array) => array.reshape(&shape).into(),
        Value::Known(known) => Known { shape, ..known }.into(),
    })
}
