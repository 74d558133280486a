//! Values beside each other.

use super::super::Role;
use super::super::atoms::{self, Segment};
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::Followed;

pub(super) fn concat<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let inputs: Vec<Vec<Axis>> = (0..site.inputs.len()).map(|i| site.take_axes(i)).collect::<Result<_, _>>()?;
    let rank = inputs.first().map_or(0, Vec::len);
    if rank == 0 || inputs.iter().any(|axes| axes.len() != rank) {
        return Err("takes values that have not as many axes as each other".to_owned());
    }
    // Before version 4, the default was 1.
    let axis = site.axis(site.int("axis").unwrap_or(1), rank)?;
    let mut axes = Vec::with_capacity(rank);
    for at in 0..rank {
        let parts: Vec<&Axis> = inputs.iter().map(|axes| &axes[at]).collect();
        axes.push(if at == axis { beside(state, &parts)? } else { across(state, site, at, &parts)? });
    }
    Ok(vec![Value::of(axes)])
}

/// The axis along which they lie.
fn beside(state: &mut State<'_>, parts: &[&Axis]) -> Result<Axis, String> {
    let lanes: Option<Vec<_>> = parts.iter().map(|part| part.lane()).collect();
    let tracked = parts.iter().any(|part| part.channels.is_some());
    match lanes {
        Some(lanes) if lanes.iter().map(|lane| lane.len()).sum::<usize>() > atoms::MOST_SEGMENTS => {
            Err("puts more stretches of channels beside each other than are followed".to_owned())
        }
        Some(lanes) if tracked => {
            let segments: Vec<Segment> = lanes.iter().flat_map(|lane| lane.iter().cloned()).collect();
            let indices = |segment: &Segment| segment.count.checked_mul(segment.run);
            let total = segments.iter().try_fold(0_u64, |sum, segment| sum.checked_add(indices(segment)?));
            total.map(|_| Axis::along(segments.into())).ok_or_else(|| "makes an axis longer than can be".to_owned())
        }
        None if tracked => Err("takes a value whose length is known only when it runs".to_owned()),
        _ => {
            let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.length.fixed()?));
            Ok(Axis::plain(sum.map_or_else(|| state.symbol(), Length::Fixed)))
        }
    }
}

/// Another axis, which is the same for all.
fn across<'a>(state: &mut State<'a>, site: &Site<'a>, at: usize, parts: &[&Axis]) -> Result<Axis, String> {
    let Some((first, base)) = parts.iter().enumerate().find_map(|(i, part)| Some((i, part.channels.clone()?))) else {
        let same = parts.iter().all(|part| part.length == parts[0].length);
        let fixed = parts.iter().map(|part| part.length).find(|length| length.fixed().is_some());
        return Ok(Axis::plain(if same { parts[0].length } else { fixed.unwrap_or_else(|| state.symbol()) }));
    };
    let mut nonzero = None;
    for (input, part) in parts.iter().enumerate().filter(|&(input, _)| input != first) {
        if site.inputs[input].constant.is_some() {
            state.attach(site, input, at, Role::Bias, &base);
            continue;
        }
        let why = format!("{} meets them with {}, whose channels no weight makes", site.label(), site.shown(input));
        let lane = part.lane().ok_or("takes a value whose length is known only when it runs")?;
        if !state.atoms.join(&base, &lane, &why) {
            return Err("takes values whose shapes do not fit together".to_owned());
        }
        nonzero = nonzero.or(super::super::atoms::nonzero(&lane));
    }
    Ok(Axis::along(match nonzero {
        Some(node) => super::super::atoms::with_nonzero(&base, Some(node)),
        None => base,
    }))
}
