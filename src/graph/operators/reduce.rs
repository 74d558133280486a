//! Sums, means and extremes along axes.

use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::{Followed, freeze_others};

/// What is 0 everywhere has a sum, mean, extreme and norm of 0.
pub(super) fn follow<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let reduced = match site.integers_or(1, "axes")? {
        Some(list) if !list.is_empty() => site.mask(&list, axes.len())?,
        _ => vec![!site.flag("noop_with_empty_axes", false); axes.len()],
    };
    let why = format!("{} reduces along them", site.label());
    freeze_others(state, &mut axes, |axis| !reduced[axis], &why);
    let keep = site.flag("keepdims", true);
    let axes = axes.into_iter().zip(reduced).filter_map(|(axis, reduced)| match (reduced, keep) {
        (false, _) => Some(axis),
        (true, true) => Some(Axis::plain(Length::Fixed(1))),
        (true, false) => None,
    });
    Ok(vec![Value::of(axes.collect())])
}
