//! Products with a matrix.

use super::super::Role;
use super::super::atoms::{self, Channels};
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::convolution::{TOO_MANY, multiply};
use super::{Followed, consume, freeze_others, lane};

/// `A · B + C`, `B` being `[in, out]`, or `[out, in]` with `transB`.
pub(super) fn gemm<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    if site.flag("transA", false) {
        return Err("transposes its first input".to_owned());
    }
    let mut input = site.take_axes(0)?;
    if input.len() != 2 {
        return Err(format!("takes {}, which is no matrix", site.shown(0)));
    }
    freeze_others(state, &mut input, |axis| axis == 1, &format!("{} takes them as rows", site.label()));
    let (into, out) = if site.flag("transB", false) { (1, 0) } else { (0, 1) };
    let (mut made, taken) = multiply_by(state, site, &input[1], into, out)?;
    if site.has(2) {
        made = add(state, site, made);
    }
    multiply(site, &[], &[], &made, &taken);
    Ok(vec![Value::of(vec![Axis::plain(input[0].length), Axis::along(made)])])
}

/// `A · B`, `B` being a constant `[in, out]`.
pub(super) fn mat_mul<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let mut axes = site.take_axes(0)?;
    if axes.len() < 2 {
        return Err(format!("takes {}, which is no matrix", site.shown(0)));
    }
    let last = axes.len() - 1;
    let (made, taken) = multiply_by(state, site, &axes[last], 0, 1)?;
    let rows: Vec<Length> = axes[1..last].iter().map(|axis| axis.length).collect();
    // Where channels are rows, how many products there are is no product of two widths.
    if axes[1..last].iter().all(|axis| axis.channels.is_none()) {
        multiply(site, &rows, &[], &made, &taken);
    }
    axes[last] = Axis::along(made);
    Ok(vec![Value::of(axes)])
}

/// The channels that a matrix makes of those along `from`, and those that it takes.
fn multiply_by<'a>(
    state: &mut State<'a>,
    site: &mut Site<'a>,
    from: &Axis,
    into: usize,
    out: usize,
) -> Result<(Channels, Channels), String> {
    let weight = site.take(1);
    if weight.constant.is_none() || site.inputs[0].constant.is_some() {
        return Err(format!("multiplies {} by {}, which is no constant", site.shown(0), site.shown(1)));
    }
    let shape = weight.axes.unwrap_or_default();
    let (Some(given), Some(width), 2) = (
        shape.get(into).and_then(|axis| axis.length.fixed()),
        shape.get(out).and_then(|axis| axis.length.fixed()),
        shape.len(),
    ) else {
        return Err(format!("multiplies by {}, which is no matrix", site.shown(1)));
    };
    if from.length.fixed().is_some_and(|length| length != given) {
        return Err(format!("takes another number of channels than {} has", site.shown(1)));
    }
    let made = state.atoms.fresh(width).ok_or(TOO_MANY)?;
    state.attach(site, 1, out, Role::Output, &made);
    if let Some(from) = &from.channels {
        consume(state, site, from);
        state.attach(site, 1, into, Role::Input, from);
    }
    Ok((made, from.channels.clone().unwrap_or_else(|| lane(given))))
}

/// What Gemm adds: a row, or a number.
fn add<'a>(state: &mut State<'a>, site: &mut Site<'a>, made: Channels) -> Channels {
    let bias = site.take(2);
    let shape: Vec<u64> = bias.axes.iter().flatten().filter_map(|axis| axis.length.fixed()).collect();
    if bias.constant.is_none() {
        let why = format!("{} adds {}, which is computed", site.label(), site.shown(2));
        state.atoms.freeze(&made, &why);
        state.freeze_value(&bias, &why);
    } else if shape.last() == Some(&atoms::length(&made)) {
        state.attach(site, 2, shape.len() - 1, Role::Bias, &made);
    } else if bias.numbers().is_none_or(|numbers| numbers.iter().any(|&number| number != 0.0)) {
        return atoms::with_nonzero(&made, Some(site.index));
    }
    made
}
