//! Elements of small arrays that are made of constants and of shapes, as exporters write `x.view(x.size(0), -1)`.

use super::ir::Attribute;
use super::site::{Site, normal};
use super::value::{Element, Length, Number, Value};

/// Elements that are followed.
const MOST: usize = 1024;

/// What an operator's first result holds, as far as that is known. `None` where nothing is: what its inputs said of channels
/// is lost then.
pub(super) fn evaluate<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    if !site.node.domain.is_empty() || !site.node.captured.is_empty() {
        return None;
    }
    let op = site.node.op.as_str();
    if op != "Concat"
        && site.inputs.iter().skip(usize::from(op != "ConstantOfShape")).any(|value| value.counted().next().is_some())
    {
        return None;
    }
    let found = match op {
        "Shape" => shape(site),
        // The same elements in the same order.
        "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" => site.inputs.first()?.elements.clone(),
        "Cast" => site.inputs.first()?.elements.as_ref().map(|elements| cast(elements, site.int("to"))),
        "Concat" => concat(site),
        "Gather" => gather(site),
        "Slice" => slice(site),
        "Transpose" => transpose(site),
        "ConstantOfShape" => filled(site),
        "Add" => arithmetic(site, |a, b| a + b),
        "Sub" => arithmetic(site, |a, b| a - b),
        "Mul" => arithmetic(site, |a, b| a * b),
        // Whether these are integers is not known: only what comes out even is.
        "Div" => arithmetic(site, |a, b| if b != 0.0 && (a / b).fract() == 0.0 { a / b } else { f64::NAN }),
        "Floor" => rounded(site, f64::floor),
        "Ceil" => rounded(site, f64::ceil),
        _ => None,
    };
    found.filter(|elements| elements.len() <= MOST)
}

/// Whether an array has one axis at most.
fn is_list(value: &Value<'_>) -> bool {
    value.axes.as_ref().is_some_and(|axes| axes.len() <= 1)
}

/// The lengths of an input's axes, or of some of them.
pub(super) fn shape<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let axes = site.inputs.first()?.axes.as_ref()?;
    let bound = |name: &str, default: usize| match site.int(name) {
        None => default,
        Some(at) if at < 0 => usize::try_from(at.saturating_add(axes.len() as i64)).unwrap_or(0),
        Some(at) => usize::try_from(at).map_or(axes.len(), |at| at.min(axes.len())),
    };
    let range = bound("start", 0)..bound("end", axes.len());
    let elements = axes.get(range).unwrap_or(&[]).iter().map(|axis| Element {
        number: match axis.length {
            Length::Fixed(length) => Number::Known(length as f64),
            Length::Symbol(symbol) => Number::Symbol(symbol),
        },
        channels: axis.channels.clone(),
        source: None,
    });
    Some(elements.collect())
}

/// Integers drop what comes after the point; 32 bits and more of a float keep what a shape can hold.
fn cast<'a>(elements: &[Element<'a>], to: Option<i64>) -> Vec<Element<'a>> {
    let to_float = matches!(to, Some(1 | 10 | 11 | 16));
    let to_integer = matches!(to, Some(6 | 7 | 12 | 13));
    let cast = |element: &Element<'a>| {
        let number = match element.number {
            Number::Known(value) if to_float => Number::Known(value),
            Number::Known(value) if to_integer => Number::Known(value.trunc()),
            Number::Symbol(symbol) if to_float || to_integer => Number::Symbol(symbol),
            _ => Number::Unknown,
        };
        Element { number, ..element.clone() }
    };
    elements.iter().map(cast).collect()
}

fn concat<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let mut all = Vec::new();
    for value in &site.inputs {
        all.extend(value.elements.iter().filter(|_| is_list(value)).flatten().cloned());
        if value.elements.is_none() || !is_list(value) || all.len() > MOST {
            return None;
        }
    }
    Some(all)
}

fn gather<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let (data, indices) = (site.inputs.first()?, site.inputs.get(1)?);
    let elements =
        data.elements.as_ref().filter(|_| is_list(data) && matches!(site.int("axis"), None | Some(0 | -1)))?;
    let indices = indices.integers()?;
    // One place in the file may be gathered twice, to be two things.
    let at = |index: i64| Some(Element { source: None, ..elements.get(normal(index, elements.len())?)?.clone() });
    indices.into_iter().map(at).collect()
}

/// The lengths of an array's axes, where it has as many elements as they say.
fn lengths(value: &Value<'_>) -> Option<Vec<usize>> {
    let fixed = |axis: &super::value::Axis| usize::try_from(axis.length.fixed()?).ok();
    let lengths: Vec<usize> = value.axes.as_ref()?.iter().map(fixed).collect::<Option<_>>()?;
    let count = lengths.iter().try_fold(1_usize, |product, &length| product.checked_mul(length))?;
    // None of them is longer than that either.
    ((1..=MOST).contains(&count) && value.elements.as_ref()?.len() == count).then_some(lengths)
}

fn slice<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let data = site.inputs.first()?;
    let (mut elements, lengths) = (data.elements.clone()?, lengths(data)?);
    let list = |index: usize, name: &str| site.integers_or(index, name).ok();
    let (starts, ends) = (list(1, "starts")??, list(2, "ends")??);
    let along = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut done = vec![false; lengths.len()];
    for (index, &axis) in along.iter().enumerate() {
        let axis = normal(axis, lengths.len()).filter(|&axis| !std::mem::replace(&mut done[axis], true))?;
        let bounds = (*starts.get(index)?, *ends.get(index)?, *steps.get(index)?);
        let taken = taken(lengths[axis], bounds.0, bounds.1, bounds.2)?;
        // Rows of what lies behind the axis; what was sliced before has its axis shorter, so lengths are counted anew.
        let inner: usize = lengths[axis + 1..]
            .iter()
            .zip(&done[axis + 1..])
            .try_fold(1, |product: usize, (&length, &done)| (!done).then(|| product * length))?;
        let rows: Vec<_> = elements.chunks(inner.max(1)).collect();
        let blocks = rows.chunks(lengths[axis].max(1));
        elements = blocks
            .flat_map(|block| taken.iter().filter_map(|&at| block.get(at)).flat_map(|row| row.to_vec()))
            .collect();
    }
    elements.iter_mut().for_each(|element| element.source = None);
    Some(elements)
}

/// The first index of `length` that a slice takes, and how many.
pub(super) fn span(length: u64, start: i64, end: i64, step: i64) -> Option<(i128, u64)> {
    let length = i128::from(length);
    if length == 0 || step == 0 {
        return (step != 0).then_some((0, 0));
    }
    let at = |at: i64| if at < 0 { i128::from(at) + length } else { i128::from(at) };
    let step = i128::from(step);
    let (from, to) = match step > 0 {
        true => (at(start).clamp(0, length), at(end).clamp(0, length)),
        false => (at(start).clamp(0, length - 1), at(end).clamp(-1, length - 1)),
    };
    let indices = if step > 0 { to - from } else { from - to }.max(0);
    Some((from, u64::try_from((indices + step.abs() - 1) / step.abs()).ok()?))
}

/// Which indices of `length` a slice takes.
fn taken(length: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let (from, count) = span(length as u64, start, end, step)?;
    (0..i128::from(count)).map(|index| usize::try_from(from + index * i128::from(step)).ok()).collect()
}

fn transpose<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let data = site.inputs.first()?;
    let (elements, lengths) = (data.elements.as_ref()?, lengths(data)?);
    let order = site.ints("perm").unwrap_or_else(|| (0..lengths.len() as i64).rev().collect());
    let order: Vec<usize> = order.iter().map(|&axis| normal(axis, lengths.len())).collect::<Option<_>>()?;
    let stride = |axis: usize| lengths[axis + 1..].iter().product::<usize>();
    let mut places = vec![0];
    for &axis in order.iter().filter(|_| order.len() == lengths.len()) {
        let steps = (0..lengths[axis]).map(|index| index * stride(axis));
        places = places.iter().flat_map(|place| steps.clone().map(move |step| place + step)).collect();
        if places.len() > MOST {
            return None;
        }
    }
    places.iter().map(|&place| Some(Element { source: None, ..elements.get(place)?.clone() })).collect()
}

/// Zeros, or the number that an attribute says.
fn filled<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let lengths = site.inputs.first()?.integers()?;
    let most = MOST as u64;
    let product =
        |product: u64, length: i64| product.checked_mul(u64::try_from(length).ok()?).filter(|&all| all <= most);
    let count = lengths.into_iter().try_fold(1, product)?;
    let number = match site.node.attributes.get("value") {
        None => Number::Known(0.0),
        Some(Attribute::Array(values)) => values.first().map_or(Number::Unknown, |value| Number::Known(*value)),
        Some(_) => Number::Unknown,
    };
    Some((0..count).map(|_| Element::from(number)).collect())
}

/// Numbers as numbers; whatever depends on a run is unknown, and of channels' numbers nothing more is known.
fn arithmetic<'a>(site: &Site<'a>, compute: impl Fn(f64, f64) -> f64) -> Option<Vec<Element<'a>>> {
    let [a, b] = site.inputs.as_slice() else { return None };
    if !is_list(a) || !is_list(b) || a.counted().chain(b.counted()).next().is_some() {
        return None;
    }
    let (a, b) = (a.elements.as_ref()?, b.elements.as_ref()?);
    let length = if a.len() == 1 { b.len() } else { a.len() };
    if ![1, length].contains(&b.len()) || a.is_empty() {
        return None;
    }
    let at = |elements: &[Element<'a>], index: usize| elements[if elements.len() == 1 { 0 } else { index }].number;
    let result = |index| match (at(a, index), at(b, index)) {
        (Number::Known(a), Number::Known(b)) => {
            let result = compute(a, b);
            // Beyond, f64 rounds what integers do not.
            if result.abs() < 9e15 { Number::Known(result) } else { Number::Unknown }
        }
        _ => Number::Unknown,
    };
    Some((0..length).map(|index| Element::from(result(index))).collect())
}

fn rounded<'a>(site: &Site<'a>, round: impl Fn(f64) -> f64) -> Option<Vec<Element<'a>>> {
    let input = site.inputs.first()?;
    if input.counted().next().is_some() {
        return None;
    }
    let round = |element: &Element<'a>| match element.number {
        Number::Known(value) => Element::known(round(value)),
        _ => Element::from(Number::Unknown),
    };
    Some(input.elements.as_ref()?.iter().map(round).collect())
}
