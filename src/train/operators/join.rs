//! Parts of values: put together, taken out, padded.

use burn::tensor::ops::PadMode;
use burn::tensor::{Int, Slice, Tensor, TensorData};

use super::site::{Made, Site, axis, bounded};
use crate::graph::Attribute;
use crate::train::array::{Array, each};
use crate::train::value::{Known, Value};

/// Many times one value, which is 0 where none is named.
pub(super) fn constant_of_shape(site: &mut Site<'_>) -> Made {
    let shape = site.list("", 0)?.ok_or("has no shape")?;
    let (value, whole) = match site.node.attributes.get("value") {
        Some(Attribute::Array(values)) => (values.first().copied().unwrap_or(0.0), true),
        _ => (0.0, false),
    };
    let shape: Option<Vec<usize>> = shape.into_iter().map(|length| usize::try_from(length).ok()).collect();
    let count = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    let few = |shape: &Vec<usize>| count(shape).is_some_and(|count| count <= 1 << 16);
    let shape = shape.filter(few).ok_or("makes a large constant")?;
    Ok(Known { values: vec![value; shape.iter().product()], shape, whole: whole && value.fract() == 0.0 }.into())
}

pub(super) fn concat(site: &mut Site<'_>) -> Made {
    if site.inputs.iter().flatten().all(|input| matches!(input, Value::Known(_))) {
        let known = |input: Option<Value>| if let Some(Value::Known(known)) = input { Some(known) } else { None };
        let parts: Vec<Known> = site.inputs.drain(..).filter_map(known).collect();
        if parts.iter().any(|part| part.shape.len() != 1) || parts.is_empty() {
            return Err("puts together constants that are no lists".to_owned());
        }
        let whole = parts.iter().all(|part| part.whole);
        let values = parts.into_iter().flat_map(|part| part.values).collect();
        return Ok(Known { whole, ..Known::list(values) }.into());
    }
    let parts = (0..site.inputs.len()).map(|index| site.array(index)).collect::<Result<Vec<_>, _>>()?;
    let shapes: Vec<Vec<usize>> = parts.iter().map(Array::shape).collect();
    let along = axis(site.int("axis", 1), shapes[0].len())?;
    let fits = |shape: &Vec<usize>| {
        shape.len() == shapes[0].len() && (0..shape.len()).all(|axis| axis == along || shape[axis] == shapes[0][axis])
    };
    if !shapes.iter().all(fits) {
        return Err(format!("puts together values of shapes {shapes:?} along axis {along}"));
    }
    let length = shapes.iter().fold(0usize, |sum, shape| sum.saturating_add(shape[along]));
    bounded((0..shapes[0].len()).map(|axis| if axis == along { length } else { shapes[0][axis] }))?;
    macro_rules! joined {
        ($($variant:ident),*) => { match parts.first() {
            $(Some(Array::$variant(_)) => {
                let same = |part| if let Array::$variant(part) = part { Some(part) } else { None };
                Tensor::cat(parts.into_iter().filter_map(same).collect(), along).into()
            })*
            None => return Err("has no inputs".to_owned()),
        } };
    }
    let joined: Array = joined!(R1, R2, R3, R4, R5, R6);
    Ok(joined.into())
}

/// Along one axis, at constant indices: a single one takes the axis away.
pub(super) fn gather(site: &mut Site<'_>) -> Made {
    let indices = site.known(1)?.ok_or("has no indices")?;
    let value = site.take(0)?;
    let shape = value.shape();
    let along = axis(site.int("axis", 0), shape.len())?;
    let whole = indices.integers().ok_or("has indices that are no whole numbers")?;
    let at = whole.iter().map(|&index| axis(index, shape[along])).collect::<Result<Vec<_>, _>>()?;
    if indices.shape.len() > 1 || at.is_empty() {
        return Err("takes elements by a table of indices".to_owned());
    }
    match value {
        Value::Known(known) if shape.len() == 1 => {
            let values = at.iter().map(|&index| known.values[index]).collect();
            Ok(Known { values, shape: indices.shape, whole: known.whole }.into())
        }
        Value::Known(_) => Err("takes elements of a constant that is no list".to_owned()),
        Value::Array(x) => {
            let at: Vec<i64> = at.iter().map(|&index| index as i64).collect();
            let count = at.len();
            let at = Tensor::<1, Int>::from_data(TensorData::new(at, [count]), site.device);
            let taken = each!(x, x => Array::from(x.select(along, at)));
            let mut shape = taken.shape();
            if indices.shape.is_empty() {
                shape.remove(along);
            }
            Ok(taken.reshape(&shape).into())
        }
    }
}

/// Zeros or another constant around a value.
pub(super) fn pad(site: &mut Site<'_>) -> Made {
    let pads = site.list("pads", 1)?.ok_or("has no pads")?;
    let value = site.number("value", 2)?.unwrap_or(0.0);
    if site.text("mode").is_some_and(|mode| mode != "constant") {
        return Err("pads by what is inside: only by a constant is known".to_owned());
    }
    let listed = site.known(3)?.and_then(|axes| axes.integers());
    let mut x = site.array(0)?;
    let rank = x.rank();
    let padded: Vec<i64> = listed.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != padded.len() * 2 {
        return Err(format!("has {} pads for {} axes", pads.len(), padded.len()));
    }
    let mut pairs = vec![(0, 0); rank];
    for (index, &number) in padded.iter().enumerate() {
        let along = axis(number, rank)?;
        let (begin, end) = (pads[index], pads[index + padded.len()]);
        // What is less than nothing is cut off.
        let length = x.shape()[along] as i64;
        let (from, to) = ((-begin).max(0), length.saturating_sub((-end).max(0)));
        if from >= to || begin.max(end) > 1 << 20 {
            return Err(format!("pads {length} by {begin} and {end}"));
        }
        if (from, to) != (0, length) {
            x = each!(x, x => x.slice_dim(along, from as usize..to as usize).into());
        }
        pairs[along] = (begin.max(0) as usize, end.max(0) as usize);
    }
    if pairs.iter().all(|pair| *pair == (0, 0)) {
        return Ok(x.into());
    }
    bounded(x.shape().iter().zip(&pairs).map(|(length, (begin, end))| length + begin + end))?;
    Ok(padded_by(x, &pairs, value as f32).into())
}

/// Pairs for the axes, of which there are as many.
fn padded_by(x: Array, pairs: &[(usize, usize)], value: f32) -> Array {
    each!(x, x => x.pad(pairs, PadMode::Constant(value)).into())
}

/// Attributes, or inputs from operator set 10 on.
pub(super) fn slice(site: &mut Site<'_>) -> Made {
    let starts = site.list("starts", 1)?.ok_or("has no starts")?;
    let ends = site.list("ends", 2)?.ok_or("has no ends")?;
    let along = site.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = site.list("", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
        return Err("has starts, ends, axes and steps of different numbers".to_owned());
    }
    let mut value = site.take(0)?;
    for (((start, end), number), step) in starts.into_iter().zip(ends).zip(along).zip(steps) {
        let shape = value.shape();
        let along = axis(number, shape.len())?;
        let taken = Range::new(start, end, step, shape[along]).ok_or_else(|| {
            let length = shape[along];
            format!("takes {start}..{end} by {step} of {length}")
        })?;
        value = match value {
            Value::Known(known) => taken.of(&known, along).into(),
            Value::Array(x) if step > 0 => {
                let slice = Slice::new(taken.from as isize, Some(taken.to as isize), step as isize);
                each!(x, x => Array::from(x.slice_dim(along, slice))).into()
            }
            Value::Array(_) => return Err("takes elements of a tensor backwards".to_owned()),
        };
    }
    Ok(value)
}

/// Indices of an axis: at least one.
struct Range {
    from: i64,
    /// The first beyond.
    to: i64,
    step: i64,
}

impl Range {
    fn new(start: i64, end: i64, step: i64, length: usize) -> Option<Self> {
        let length = length as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        let (from, to) = match step {
            1.. => (from_end(start).clamp(0, length), from_end(end).clamp(0, length)),
            _ => (from_end(start).clamp(0, (length - 1).max(0)), from_end(end).clamp(-1, length - 1)),
        };
        let some = if step > 0 { from < to } else { from > to };
        (step != 0 && some).then_some(Self { from, to, step })
    }

    fn of(&self, known: &Known, along: usize) -> Known {
        let inner: usize = known.shape[along + 1..].iter().product();
        let next =
            |at: &i64| at.checked_add(self.step).filter(|&at| (at < self.to) == (self.step > 0) && at != self.to);
        let at: Vec<usize> = std::iter::successors(Some(self.from), next).map(|at| at as usize).collect();
        let rows = known.values.chunks((known.shape[along] * inner).max(1));
        let values = rows.flat_map(|row| at.iter().flat_map(move |&at| &row[at * inner..][..inner])).copied().collect();
        let mut shape = known.shape.clone();
        shape[along] = at.len();
        Known { values, shape, whole: known.whole }
    }
}
