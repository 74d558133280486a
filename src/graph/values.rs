//! Elements of small arrays that are made of constants and of shapes, as exporters write `x.view(x.size(0), -1)`.

use super::arrays;
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
        "Slice" => arrays::slice(site),
        "Transpose" => arrays::transpose(site),
        "ConstantOfShape" => arrays::constant_of_shape(site, MOST),
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

fn shape<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
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
