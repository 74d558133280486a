//! Axes that come, go and change places.

use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::{Followed, freeze_others};

pub(super) fn squeeze<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let gone = match site.integers_or(1, "axes")? {
        Some(list) => site.mask(&list, axes.len())?,
        // Which axes go would depend on what is cut.
        None => {
            freeze_others(state, &mut axes, |_| false, &format!("{} takes away all axes of length 1", site.label()));
            if axes.iter().any(|axis| axis.length.fixed().is_none()) {
                return Err("takes away axes that are known only when it runs".to_owned());
            }
            axes.iter().map(|axis| axis.length == Length::Fixed(1)).collect()
        }
    };
    freeze_others(state, &mut axes, |axis| !gone[axis], &format!("{} takes away their axis", site.label()));
    let axes = axes.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(axis, _)| axis);
    Ok(vec![Value::of(axes.collect())])
}

pub(super) fn unsqueeze<'a>(site: &mut Site<'a>) -> Followed<'a> {
    let axes = site.take_axes(0)?;
    let list = site.integers_or(1, "axes")?.ok_or("says no axes")?;
    let rank = axes.len() + list.len();
    let new = site.mask(&list, rank)?;
    let mut old = axes.into_iter();
    let axes = new.iter().filter_map(|&new| if new { Some(Axis::plain(Length::Fixed(1))) } else { old.next() });
    let axes: Vec<_> = axes.collect();
    match axes.len() == rank && old.next().is_none() {
        true => Ok(vec![Value::of(axes)]),
        false => Err("says an axis twice".to_owned()),
    }
}

pub(super) fn transpose<'a>(site: &mut Site<'a>) -> Followed<'a> {
    let axes = site.take_axes(0)?;
    let order = site.ints("perm").unwrap_or_else(|| (0..axes.len() as i64).rev().collect());
    let mut from: Vec<Option<Axis>> = axes.into_iter().map(Some).collect();
    let taken = order.iter().map(|&axis| usize::try_from(axis).ok().and_then(|axis| from.get_mut(axis)?.take()));
    let axes: Option<Vec<Axis>> = taken.collect();
    match axes.filter(|axes| axes.len() == from.len()) {
        Some(axes) => Ok(vec![Value::of(axes)]),
        None => Err("has an order of axes that is none".to_owned()),
    }
}
