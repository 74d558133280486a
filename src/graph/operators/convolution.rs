//! Convolutions.

use std::rc::Rc;

use super::super::Role;
use super::super::atoms::{self, Channels};
use super::super::layers::Product;
use super::super::site::Site;
use super::super::state::{Named, State};
use super::super::value::{Axis, Length, Value};
use super::pool::Window;
use super::{Followed, consume, freeze_others, lane};

/// Why channels cannot be told apart.
pub(super) const TOO_MANY: &str = "has more channels than can be followed";

/// `[out, in / group, …]` over `[N, in, …]`.
pub(super) fn conv<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let weight = weight_shape(site)?;
    let (out, per_group) = (weight[0], weight[1]);
    let group = group(site, out)?;
    let Some(mut input) = input_axes(site, weight.len())? else {
        return unknown_input(state, site, out, weight.len());
    };
    let label = site.label();
    freeze_others(state, &mut input, |axis| axis == 1, &format!("{label} takes them along another axis than 1"));
    let given = per_group.checked_mul(group).ok_or("has a weight whose shape is no weight's")?;
    if input[1].length.fixed().is_some_and(|length| length != given) {
        return Err(format!("takes another number of channels than `{}` has", crate::shortened(&site.node.inputs[1])));
    }
    let from = input[1].channels.clone();
    let depthwise = group > 1 && per_group == 1;
    let tied = from.as_ref().filter(|from| depthwise && from.iter().all(|segment| segment.atom.is_some()));
    let made = match tied {
        // Output channels c · m to c · m + m are of input channel c alone, and 0 where their weights are.
        Some(from) => {
            let made = atoms::spread(from, 1, out / group).ok_or("has a weight whose shape is no weight's")?;
            state.named.push((Named::Group(site.index), from.clone()));
            atoms::with_nonzero(&made, None)
        }
        None => state.atoms.fresh(out).ok_or(TOO_MANY)?,
    };
    state.attach(site, 1, 0, Role::Output, &made);
    bias(state, site, &made);
    if tied.is_none() && group > 1 {
        let why = match depthwise {
            true => format!("{label} ties them to channels that no weight makes"),
            false => format!("{label} has {group} groups of channels"),
        };
        state.atoms.freeze(&made, &why);
        from.iter().for_each(|from| state.atoms.freeze(from, &why));
    } else if let (Some(from), None) = (&from, tied) {
        consume(state, site, from);
        state.attach(site, 1, 1, Role::Input, from);
    }
    let taken = from.filter(|_| group == 1).unwrap_or_else(|| lane(per_group));
    let window = Window::read(site, &weight[2..])?;
    let spatial: Vec<Length> =
        input[2..].iter().enumerate().map(|(i, axis)| window.length(state, i, axis.length)).collect();
    multiply(site, &spatial, &weight[2..], &made, &taken);
    Ok(vec![result(&input[0], made, &spatial)])
}

/// The weight's shape: at least one axis for positions.
pub(super) fn weight_shape(site: &mut Site<'_>) -> Result<Vec<u64>, String> {
    let weight = site.take(1);
    if weight.constant.is_none() {
        return Err(format!("takes {}, which is computed, as its weight", site.shown(1)));
    }
    let axes = weight.axes.unwrap_or_default();
    let shape: Vec<u64> = axes.iter().filter_map(|axis| axis.length.fixed()).collect();
    if shape.len() < 3 || shape.contains(&0) {
        return Err("has a weight whose shape is no weight's".to_owned());
    }
    Ok(shape)
}

/// The number of groups, of which `channels` must be a multiple.
pub(super) fn group(site: &Site<'_>, channels: u64) -> Result<u64, String> {
    let group = site.int("group").unwrap_or(1);
    let group = u64::try_from(group).ok().filter(|&group| group > 0 && channels.is_multiple_of(group));
    group.ok_or_else(|| "has a number of groups that does not fit".to_owned())
}

/// The input's axes, as many as the weight has; `None` where they are unknown.
pub(super) fn input_axes(site: &mut Site<'_>, rank: usize) -> Result<Option<Vec<Axis>>, String> {
    let axes = site.take(0).axes;
    match axes.as_ref().map_or(rank, Vec::len) {
        known if known == rank => Ok(axes),
        other => Err(format!("takes {}, which has {other} axes and its weight {rank}", site.shown(0))),
    }
}

/// What a weight makes is known, of what it makes it is not.
pub(super) fn unknown_input<'a>(state: &mut State<'a>, site: &mut Site<'a>, out: u64, rank: usize) -> Followed<'a> {
    let made = state.atoms.fresh(out).ok_or(TOO_MANY)?;
    state.attach(site, 1, 0, Role::Output, &made);
    bias(state, site, &made);
    let why = format!("{} takes {}, whose shape is unknown", site.label(), site.shown(0));
    state.atoms.freeze(&made, &why);
    let batch = Axis::plain(state.symbol());
    let spatial: Vec<Length> = (2..rank).map(|_| state.symbol()).collect();
    Ok(vec![result(&batch, made, &spatial)])
}

/// What is added to each channel.
pub(super) fn bias<'a>(state: &mut State<'a>, site: &mut Site<'a>, made: &Channels) {
    if site.has(2) {
        site.take(2);
        state.attach(site, 2, 0, Role::Bias, made);
    }
}

/// Notes the multiplications of a kernel at `positions`.
pub(super) fn multiply(site: &mut Site<'_>, positions: &[Length], kernel: &[u64], output: &Channels, input: &Channels) {
    site.product = Some(Product {
        positions: positions.iter().try_fold(1, |product: u64, length| Some(product.saturating_mul(length.fixed()?))),
        kernel: kernel.iter().fold(1, |product, &length| product.saturating_mul(length)),
        output: Rc::clone(output),
        input: Rc::clone(input),
    });
}

/// `[N, channels, …]`.
pub(super) fn result<'a>(batch: &Axis, channels: Channels, spatial: &[Length]) -> Value<'a> {
    let mut axes = vec![Axis::plain(batch.length), Axis::along(channels)];
    axes.extend(spatial.iter().map(|&length| Axis::plain(length)));
    Value::of(axes)
}
