//! Parts of values, and what is put around them.

use super::super::atoms::{self, Channels, Segment};
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Element, Length, Value};
use super::super::values::span;
use super::{Followed, freeze_others};

pub(super) fn slice<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let rank = axes.len();
    let starts = site.integers_or(1, "starts")?.ok_or("says no starts")?;
    let ends = site.integers_or(2, "ends")?.ok_or("says no ends")?;
    let along = site.integers_or(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = site.integers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || along.len() != starts.len() || steps.len() != starts.len() {
        return Err("has starts, ends, axes and steps that do not fit together".to_owned());
    }
    for (index, &axis) in along.iter().enumerate() {
        let axis = &mut axes[site.axis(axis, rank)?];
        let (start, end, step) = (starts[index], ends[index], steps[index]);
        let all =
            start == 0 && step == 1 && axis.length.fixed().is_some_and(|length| i128::from(end) >= i128::from(length));
        if all || (start == 0 && step == 1 && end >= i64::from(i32::MAX)) {
            continue;
        }
        if let Some(channels) = &axis.channels {
            state.atoms.freeze(channels, &format!("{} takes a part of them", site.label()));
        }
        let known = axis.length.fixed().and_then(|length| span(length, start, end, step));
        *axis = Axis::plain(known.map_or_else(|| state.symbol(), |(_, count)| Length::Fixed(count)));
    }
    Ok(vec![Value::of(axes)])
}

pub(super) fn split<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let axis = site.axis(site.int("axis").unwrap_or(0), axes.len())?;
    freeze_others(state, &mut axes, |at| at != axis, &format!("{} takes them apart", site.label()));
    let count = site.node.outputs.len();
    let sizes: Option<Vec<u64>> = match site.integers_or(1, "split")? {
        Some(sizes) => sizes.into_iter().map(|size| u64::try_from(size).ok()).collect(),
        None => axes[axis].length.fixed().map(|length| {
            let part = length.div_ceil(count.max(1) as u64);
            (0..count as u64).map(|index| part.min(length.saturating_sub(index.saturating_mul(part)))).collect()
        }),
    };
    let part = |index: usize| {
        let length = sizes.as_ref().and_then(|sizes| sizes.get(index)).map(|&size| Length::Fixed(size));
        let mut axes = axes.clone();
        axes[axis] = Axis::plain(length.unwrap_or_else(|| state.symbol()));
        Value::of(axes)
    };
    Ok((0..count).map(part).collect())
}

/// Rows of a table, or whatever else lies along an axis.
pub(super) fn gather<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let axis = site.axis(site.int("axis").unwrap_or(0), axes.len())?;
    freeze_others(state, &mut axes, |at| at != axis, &format!("{} takes a part of them", site.label()));
    let mut indices = site.take_axes(1)?;
    freeze_others(state, &mut indices, |_| false, &format!("{} takes them as indices", site.label()));
    axes.splice(axis..=axis, indices.into_iter().map(|axis| Axis::plain(axis.length)));
    Ok(vec![Value::of(axes)])
}

pub(super) fn pad<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let rank = axes.len();
    let pads = pads(site)?;
    let along = site.integers(3)?.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != along.len() * 2 {
        return Err("has pads that do not fit".to_owned());
    }
    let mut touched = false;
    for (index, &axis) in along.iter().enumerate() {
        let (begin, end) = (pads[index], pads[index + along.len()]);
        let axis = &mut axes[site.axis(axis, rank)?];
        if (begin, end) == (Some(0), Some(0)) {
            continue;
        }
        touched = true;
        if let Some(channels) = &axis.channels {
            if let Some(between) = between_zeros(site, channels, begin, end) {
                *axis = Axis::along(between);
                continue;
            }
            state.atoms.freeze(channels, &format!("{} adds channels or takes some away", site.label()));
        }
        let known = axis.length.fixed().and_then(|length| length.checked_add_signed(begin?)?.checked_add_signed(end?));
        *axis = Axis::plain(known.map_or_else(|| state.symbol(), Length::Fixed));
    }
    if touched && !pads_zeros(site) {
        for axis in &mut axes {
            if let Some(channels) = &axis.channels {
                *axis = Axis::along(atoms::with_nonzero(channels, Some(site.index)));
            }
        }
    }
    Ok(vec![Value::of(axes)])
}

/// Channels between as many of nothing but zeros as are put before and after them, which stay; `None` where it is something
/// else that is put there.
fn between_zeros(site: &Site<'_>, channels: &[Segment], begin: Option<i64>, end: Option<i64>) -> Option<Channels> {
    let constant = matches!(site.text("mode"), None | Some("constant"));
    let fixed = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).map(Segment::fixed);
    let (begin, end) = (fixed(begin)?, fixed(end)?);
    let known = atoms::length(channels).checked_add(begin.count)?.checked_add(end.count).is_some();
    let some = |segment: &Segment| segment.count > 0;
    let all = [begin].into_iter().chain(channels.iter().cloned()).chain([end]).filter(some);
    (constant && known && pads_zeros(site)).then(|| all.collect())
}

/// What is put before each axis, then after each; `None` where that is known only when it runs.
fn pads(site: &Site<'_>) -> Result<Vec<Option<i64>>, String> {
    if site.has(1) {
        let elements = site.inputs.get(1).and_then(|value| value.elements.as_ref());
        let elements = elements.ok_or_else(|| format!("takes {}, which is known only when it runs", site.shown(1)))?;
        return Ok(elements.iter().map(Element::integer).collect());
    }
    let pads = site.ints("pads").or_else(|| site.ints("paddings")).ok_or("says no pads")?;
    Ok(pads.into_iter().map(Some).collect())
}

/// Whether what is put around zeros is 0.
fn pads_zeros(site: &Site<'_>) -> bool {
    match site.text("mode").unwrap_or("constant") {
        "constant" if site.has(2) => site
            .inputs
            .get(2)
            .and_then(Value::numbers)
            .is_some_and(|numbers| numbers.iter().all(|&number| number == 0.0)),
        "constant" => site.float("value").unwrap_or(0.0) == 0.0,
        mode => matches!(mode, "reflect" | "edge" | "wrap"),
    }
}
