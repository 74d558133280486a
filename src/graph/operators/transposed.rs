//! Transposed convolutions.

use super::super::Role;
use super::super::atoms;
use super::super::site::Site;
use super::super::state::{Named, State};
use super::super::value::Length;
use super::convolution::{TOO_MANY, bias, group, input_axes, multiply, result, weight_shape};
use super::pool::Window;
use super::{Followed, consume, freeze_others, lane};

/// `[in, out / group, …]` over `[N, in, …]`.
pub(super) fn conv_transpose<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let weight = weight_shape(site)?;
    let (given, per_group) = (weight[0], weight[1]);
    let group = group(site, given)?;
    let mut input =
        input_axes(site, weight.len())?.ok_or_else(|| format!("takes {}, whose shape is unknown", site.shown(0)))?;
    let label = site.label();
    freeze_others(state, &mut input, |axis| axis == 1, &format!("{label} takes them along another axis than 1"));
    if input[1].length.fixed().is_some_and(|length| length != given) {
        return Err(format!("takes another number of channels than `{}` has", crate::shortened(&site.node.inputs[1])));
    }
    let out = per_group.checked_mul(group).ok_or("has a weight whose shape is no weight's")?;
    let from = input[1].channels.clone();
    let tied = from.as_ref().filter(|from| group == given && group > 1 && from.iter().all(|s| s.atom.is_some()));
    let (made, taken) = if let Some(from) = tied {
        // Channel c makes the outputs c · m to c · m + m alone, and 0 where its weights are.
        let from = atoms::with_nonzero(from, None);
        let made = atoms::spread(&from, 1, per_group).ok_or("has a weight whose shape is no weight's")?;
        state.attach(site, 1, 0, Role::Output, &from);
        state.named.push((Named::Group(site.index), from));
        (made, lane(1))
    } else if group == 1 {
        let made = state.atoms.fresh(out).ok_or(TOO_MANY)?;
        state.attach(site, 1, 1, Role::Output, &made);
        if let Some(from) = &from {
            consume(state, site, from);
            state.attach(site, 1, 0, Role::Input, from);
        }
        (made, from.unwrap_or_else(|| lane(given)))
    } else {
        let why = format!("{label} has {group} groups of channels");
        from.iter().for_each(|from| state.atoms.freeze(from, &why));
        (lane(out), lane(given / group))
    };
    if made.iter().any(|segment| segment.atom.is_some()) {
        bias(state, site, &made);
    }
    let before: Vec<Length> = input[2..].iter().map(|axis| axis.length).collect();
    let window = Window::read(site, &weight[2..])?;
    let after = lengths(state, site, &window, &before);
    multiply(site, &before, &weight[2..], &made, &taken);
    Ok(vec![result(&input[0], made, &after)])
}

fn lengths(state: &mut State<'_>, site: &Site<'_>, window: &Window, before: &[Length]) -> Vec<Length> {
    let asked = site.ints("output_shape");
    let more = site.ints("output_padding");
    let at = |list: &Option<Vec<i64>>, index: usize| list.as_ref().and_then(|list| list.get(index).copied());
    let mut after = Vec::with_capacity(before.len());
    for (index, &length) in before.iter().enumerate() {
        let known = match (at(&asked, index), length) {
            (Some(asked), _) => u64::try_from(asked).ok(),
            (None, Length::Fixed(length)) => window.transposed(index, length, at(&more, index).unwrap_or(0)),
            (None, Length::Symbol(_)) => None,
        };
        after.push(known.map_or_else(|| state.symbol(), Length::Fixed));
    }
    after
}
