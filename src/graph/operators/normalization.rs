//! Normalizations.

use super::super::Role;
use super::super::atoms;
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Value};
use super::{Followed, freeze_others};

/// Scale, shift, mean and variance of each channel.
pub(super) fn batch<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    // Before version 7, whoever did not say that it is a test trained.
    if site.flag("training_mode", false) || (state.graph.opset < 7 && !site.flag("is_test", false)) {
        return Err("is in training mode".to_owned());
    }
    each(state, site, &[Role::Scale, Role::Bias, Role::Statistic, Role::Statistic])
}

/// Scale and shift of each channel.
pub(super) fn instance<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    each(state, site, &[Role::Scale, Role::Bias])
}

/// Vectors along axis 1. Where scale and shift are 0 the result is, whatever came in.
fn each<'a>(state: &mut State<'a>, site: &mut Site<'a>, roles: &[Role]) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    if axes.len() < 2 {
        return Err(format!("takes {}, which has no channels", site.shown(0)));
    }
    let why = format!("{} normalizes along another axis", site.label());
    freeze_others(state, &mut axes, |axis| axis == 1, &why);
    for (input, &role) in (1..).zip(roles) {
        let vector = site.take(input);
        let Some(channels) = &axes[1].channels else { continue };
        if vector.constant.is_none() || vector.axes.is_none_or(|axes| axes.len() != 1) {
            return Err(format!("takes {}, which is no constant vector", site.shown(input)));
        }
        state.attach(site, input, 0, role, channels);
    }
    if let Some(channels) = &axes[1].channels {
        axes[1] = Axis::along(atoms::with_nonzero(channels, None));
    }
    Ok(vec![Value::of(axes)])
}

/// Each channel depends on others.
pub(super) fn across<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    freeze_others(state, &mut axes, |_| false, &format!("{} normalizes across channels", site.label()));
    Ok(vec![Value::of(axes)])
}

/// Shares along an axis (before version 13: along it and all that follow).
pub(super) fn softmax<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    let flattens = state.graph.opset < 13;
    let axis = site.int("axis").unwrap_or(if flattens { 1 } else { -1 });
    let axis = site.axis(axis, axes.len())?;
    let apart = |index: usize| index != axis && !(flattens && index > axis);
    freeze_others(state, &mut axes, apart, &format!("{} makes shares of all channels", site.label()));
    for axis in &mut axes {
        if let Some(channels) = &axis.channels {
            axis.channels = Some(atoms::with_nonzero(channels, Some(site.index)));
        }
    }
    Ok(vec![Value::of(axes)])
}
