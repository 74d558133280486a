//! Small arrays of several axes that are made of constants, as exporters write the padding of `F.pad`.

use super::ir::Attribute;
use super::site::{Site, normal};
use super::value::{Element, Number, Value};

/// The lengths of an array's axes, where all are numbers and its elements are known.
fn lengths(value: &Value<'_>) -> Option<Vec<usize>> {
    let count = value.elements.as_ref()?.len();
    let lengths: Option<Vec<usize>> =
        value.axes.as_ref()?.iter().map(|axis| usize::try_from(axis.length.fixed()?).ok()).collect();
    // With an element there is none of length 0, so that none is longer than there are elements.
    let product = |lengths: &Vec<usize>| lengths.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    lengths.filter(|lengths| count > 0 && product(lengths) == Some(count))
}

/// The elements of `value` at the product of `indices`, those of each axis in their order.
fn taken<'a>(value: &Value<'a>, lengths: &[usize], indices: &[Vec<usize>]) -> Option<Vec<Element<'a>>> {
    let elements = value.elements.as_ref()?;
    let mut places = vec![0usize];
    for (length, indices) in lengths.iter().zip(indices) {
        places = places.iter().flat_map(|place| indices.iter().map(move |index| place * length + index)).collect();
    }
    // What was one number of the file may be several now.
    places.into_iter().map(|place| Some(Element { source: None, ..elements.get(place)?.clone() })).collect()
}

/// Parts of an array along any axes, by any steps.
pub(super) fn slice<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let data = site.inputs.first()?;
    let lengths = lengths(data)?;
    let numbers = |input: usize, name: &str| site.integers_or(input, name).ok();
    let (starts, ends) = (numbers(1, "starts")??, numbers(2, "ends")??);
    let axes = numbers(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = numbers(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return None;
    }
    let mut indices: Vec<Vec<usize>> = lengths.iter().map(|length| (0..*length).collect()).collect();
    for (i, axis) in axes.into_iter().enumerate() {
        let axis = normal(axis, lengths.len())?;
        indices[axis] = range(lengths[axis], starts[i], ends[i], steps[i])?;
    }
    taken(data, &lengths, &indices)
}

/// The indices that a slice takes, in its order.
fn range(length: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let (length, step) = (i128::try_from(length).ok()?, i128::from(step));
    let place = |at: i64| i128::from(at) + if at < 0 { length } else { 0 };
    let (mut at, end) = match step {
        1.. => (place(start).clamp(0, length), place(end).clamp(0, length)),
        0 => return None,
        _ => (place(start).clamp(-1, length - 1), place(end).clamp(-1, length - 1)),
    };
    let mut found = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        found.push(usize::try_from(at).ok()?);
        at += step;
    }
    Some(found)
}

/// An array whose axes change places.
pub(super) fn transpose<'a>(site: &Site<'a>) -> Option<Vec<Element<'a>>> {
    let data = site.inputs.first()?;
    let lengths = lengths(data)?;
    let order = site.ints("perm").unwrap_or_else(|| (0..lengths.len() as i64).rev().collect());
    let order: Vec<usize> = order.into_iter().map(|axis| normal(axis, lengths.len())).collect::<Option<_>>()?;
    let mut seen = vec![false; lengths.len()];
    order.iter().for_each(|axis| seen[*axis] = true);
    if order.len() != lengths.len() || seen.contains(&false) {
        return None;
    }
    let stride = |axis: usize| lengths[axis + 1..].iter().product::<usize>();
    let mut places = vec![0usize];
    for &axis in &order {
        let stride = stride(axis);
        places = places.iter().flat_map(|place| (0..lengths[axis]).map(move |i| place + i * stride)).collect();
    }
    let elements = data.elements.as_ref()?;
    places.into_iter().map(|place| Some(Element { source: None, ..elements.get(place)?.clone() })).collect()
}

/// As many of one number as the input's elements say, `most` at the most.
pub(super) fn constant_of_shape<'a>(site: &Site<'a>, most: usize) -> Option<Vec<Element<'a>>> {
    let lengths = site.inputs.first()?.integers()?;
    let each = lengths.into_iter().map(|length| usize::try_from(length).ok());
    let count = each.into_iter().try_fold(1usize, |product, length| product.checked_mul(length?))?;
    let number = match site.node.attributes.get("value") {
        None => Number::Known(0.0),
        Some(Attribute::Array(values)) => Number::Known(*values.first()?),
        Some(_) => Number::Unknown,
    };
    (count <= most).then(|| vec![Element::from(number); count])
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn slices_go_both_ways() {
        for (length, start, end, step, wanted) in [
            (5, 0, 5, 1, vec![0, 1, 2, 3, 4]),
            (5, -2, i64::MAX, 1, vec![3, 4]),
            (5, 1, -1, 2, vec![1, 3]),
            (5, -1, i64::MIN + 1, -1, vec![4, 3, 2, 1, 0]),
            (5, 3, 0, -2, vec![3, 1]),
            (5, 9, 9, 1, vec![]),
            (0, -1, i64::MIN + 1, -1, vec![]),
            (3, 0, 3, i64::MAX, vec![0]),
        ] {
            assert_eq!(range(length, start, end, step), Some(wanted), "{start}..{end} by {step} of {length}");
        }
        assert_eq!(range(5, 0, 5, 0), None);
    }
}
