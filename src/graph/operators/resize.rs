//! Maps that become larger or smaller.

use super::super::atoms;
use super::super::site::Site;
use super::super::state::{Named, State};
use super::super::value::{Axis, Element, Length, Number, Value};
use super::Followed;

/// Interpolations of 0 are 0. `Resize` takes scales (input 2, in version 10 input 1) or sizes (input 3), `Upsample` scales.
pub(super) fn follow<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let axes = site.take_axes(0)?;
    if site.text("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
        return Err("takes a part of a map".to_owned());
    }
    let along = match site.ints("axes") {
        Some(list) => list.iter().map(|&axis| site.axis(axis, axes.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..axes.len()).collect(),
    };
    let newer = site.node.op == "Resize" && state.graph.opset > 10;
    let given = |site: &Site<'a>, input: usize| {
        let elements = site.inputs.get(input)?.elements.clone().filter(|elements| !elements.is_empty())?;
        (elements.len() == along.len()).then_some(elements)
    };
    if newer && site.has(3) {
        if !matches!(site.text("keep_aspect_ratio_policy"), None | Some("stretch")) {
            return Err("keeps an aspect".to_owned());
        }
        let sizes = given(site, 3).ok_or("resizes to what is known only when it runs")?;
        return sized(state, site, axes, &along, &sizes);
    }
    let scales = match given(site, if newer { 2 } else { 1 }) {
        Some(elements) => elements.iter().map(Element::known_number).collect(),
        None => float_list(site).filter(|scales| scales.len() == along.len()),
    };
    let scales: Vec<f64> = scales.ok_or("resizes by what is known only when it runs")?;
    scaled(state, site, axes, &along, &scales)
}

/// The attribute `scales` of `Upsample` before version 9.
fn float_list(site: &Site<'_>) -> Option<Vec<f64>> {
    match site.node.attributes.get("scales") {
        Some(super::super::ir::Attribute::Floats(scales)) => {
            Some(scales.iter().map(|&scale| f64::from(scale)).collect())
        }
        _ => None,
    }
}

fn scaled<'a>(
    state: &mut State<'a>,
    site: &Site<'a>,
    mut axes: Vec<Axis>,
    along: &[usize],
    scales: &[f64],
) -> Followed<'a> {
    for (&at, &scale) in along.iter().zip(scales) {
        if scale == 1.0 {
            continue;
        }
        if let Some(channels) = &axes[at].channels {
            state.atoms.freeze(channels, &format!("{} resizes along them", site.label()));
        }
        let known = axes[at].length.fixed().map(|length| (length as f64 * scale).floor());
        let known = known.filter(|length| (1.0..9e15).contains(length)).map(|length| length as u64);
        axes[at] = Axis::plain(known.map_or_else(|| state.symbol(), Length::Fixed));
    }
    Ok(vec![Value::of(axes)])
}

fn sized<'a>(
    state: &mut State<'a>,
    site: &Site<'a>,
    mut axes: Vec<Axis>,
    along: &[usize],
    sizes: &[Element<'a>],
) -> Followed<'a> {
    for (&at, size) in along.iter().zip(sizes) {
        let length = match size.number {
            Number::Known(_) => size.integer().and_then(|size| u64::try_from(size).ok()).map(Length::Fixed),
            Number::Symbol(symbol) => Some(Length::Symbol(symbol)),
            Number::Unknown => None,
        };
        let axis = &mut axes[at];
        let stays = length == Some(axis.length);
        match (axis.channels.clone(), &size.channels) {
            (Some(channels), Some(counted)) if stays && atoms::same(&mut state.atoms, &channels, counted) => continue,
            (Some(channels), None) if stays && size.source.is_some() => {
                state.named.extend(size.source.map(|source| (Named::Shape(source), channels)));
                continue;
            }
            (channels, counted) => {
                let why = format!("{} resizes along them, or to their number", site.label());
                channels.iter().chain(counted).for_each(|channels| state.atoms.freeze(channels, &why));
            }
        }
        *axis = Axis::plain(length.unwrap_or_else(|| state.symbol()));
    }
    Ok(vec![Value::of(axes)])
}
