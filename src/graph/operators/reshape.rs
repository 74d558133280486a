//! The same elements in other shapes.

use super::super::atoms::{self, Atoms, Channels, same};
use super::super::site::Site;
use super::super::state::{Named, State};
use super::super::value::{Axis, Element, Length, Number, Value};
use super::Followed;
use monomial::Monomial;

mod monomial;

/// What the result's axis takes its length from.
enum Entry<'a> {
    /// Whatever is left.
    Rest,
    /// The input's axis of the same number.
    Copy,
    /// What is said.
    Said(Element<'a>),
}

/// Two axes: what comes before an axis, and the rest.
pub(super) fn flatten<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let axes = site.take_axes(0)?;
    let rank = axes.len();
    let axis = site.int("axis").unwrap_or(1);
    let axis = if axis == rank as i64 { rank } else { site.axis(axis, rank)? };
    let side = |axes: &[Axis]| product(axes).and_then(|all| all.length());
    let lengths = [side(&axes[..axis]), side(&axes[axis..])].map(|length| length.unwrap_or_else(|| state.symbol()));
    let groups = [(0..axis, 0..1), (axis..rank, 1..2)];
    let mut result: Vec<Axis> = lengths.iter().map(|&length| Axis::plain(length)).collect();
    for (from, to) in groups {
        place(state, site, &axes[from], &mut result[to])?;
    }
    Ok(vec![Value::of(result)])
}

pub(super) fn reshape<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let axes = site.take_axes(0)?;
    let entries = entries(site)?;
    let lengths = lengths(state, &axes, &entries)?;
    let mut result: Vec<Axis> = lengths.iter().map(|&length| Axis::plain(length)).collect();
    match monomial::groups(&axes, &lengths) {
        Some(groups) => {
            for (from, to) in groups {
                let (from, to) = (&axes[from], &mut result[to]);
                if let Err(why) = place(state, site, from, to) {
                    let why = format!("{} {why}", site.label());
                    from.iter().filter_map(|axis| axis.channels.as_ref()).for_each(|c| state.atoms.freeze(c, &why));
                }
            }
        }
        None => {
            let why = format!("{} mixes them with other axes", site.label());
            axes.iter().filter_map(|axis| axis.channels.as_ref()).for_each(|c| state.atoms.freeze(c, &why));
        }
    }
    for (index, entry) in entries.iter().enumerate() {
        follow_width(state, site, entry, axes.get(index), &result[index]);
    }
    Ok(vec![Value::of(result)])
}

/// One number everywhere, in a shape that an input says.
pub(super) fn filled<'a>(state: &mut State<'a>, site: &mut Site<'a>) -> Followed<'a> {
    let shape = site.take(0).elements.ok_or("takes a shape that is known only when it runs")?;
    let entries: Vec<Entry<'a>> = shape.into_iter().map(Entry::Said).collect();
    let lengths = lengths(state, &[], &entries)?;
    Ok(vec![Value::of(lengths.into_iter().map(Axis::plain).collect())])
}

/// The shape that is asked for: an input, or before version 5 an attribute.
fn entries<'a>(site: &mut Site<'a>) -> Result<Vec<Entry<'a>>, String> {
    let elements = match site.ints("shape") {
        Some(shape) if !site.has(1) => shape.iter().map(|&number| Element::known(number as f64)).collect(),
        _ => site.take(1).elements.ok_or("takes a shape that is known only when it runs")?,
    };
    let copies = !site.flag("allowzero", false);
    let entry = |element: Element<'a>| match element.number {
        Number::Known(-1.0) => Entry::Rest,
        Number::Known(0.0) if copies => Entry::Copy,
        _ => Entry::Said(element),
    };
    Ok(elements.into_iter().map(entry).collect())
}

/// The lengths of the result's axes.
fn lengths(state: &mut State<'_>, axes: &[Axis], entries: &[Entry<'_>]) -> Result<Vec<Length>, String> {
    let mut lengths = Vec::with_capacity(entries.len());
    let mut rest = None;
    for (index, entry) in entries.iter().enumerate() {
        lengths.push(match entry {
            Entry::Rest if rest.is_some() => return Err("has two lengths of -1".to_owned()),
            Entry::Rest => {
                rest = Some(index);
                Length::Fixed(1)
            }
            Entry::Copy => axes.get(index).ok_or("copies the length of an axis that is not there")?.length,
            Entry::Said(element) => match element.number {
                Number::Known(_) => {
                    let length = element.integer().and_then(|length| u64::try_from(length).ok());
                    Length::Fixed(length.ok_or("has a length that is none")?)
                }
                Number::Symbol(symbol) => Length::Symbol(symbol),
                Number::Unknown => state.symbol(),
            },
        });
    }
    if let Some(index) = rest {
        let said = lengths.iter().try_fold(Monomial::one(), |product, &length| product.times(length));
        let left = product(axes).zip(said).and_then(|(all, said)| all.over(&said)?.length());
        lengths[index] = left.unwrap_or_else(|| state.symbol());
    }
    Ok(lengths)
}

fn product(axes: &[Axis]) -> Option<Monomial> {
    axes.iter().try_fold(Monomial::one(), |product, axis| product.times(axis.length))
}

/// Axes become axes of the same number of elements: finds the one along which channels lie then.
fn place(state: &mut State<'_>, site: &Site<'_>, from: &[Axis], to: &mut [Axis]) -> Result<(), String> {
    let mut tracked = from.iter().enumerate().filter_map(|(at, axis)| Some((at, axis.channels.as_ref()?)));
    let Some((at, channels)) = tracked.next() else { return Ok(()) };
    if tracked.next().is_some() {
        return Err("makes one axis of two with channels".to_owned());
    }
    let long: Vec<usize> = (0..to.len()).filter(|&index| to[index].length != Length::Fixed(1)).collect();
    let target = match (long.as_slice(), to.len()) {
        (&[only], _) => only,
        ([], 1) => 0,
        _ => return Err("takes them apart".to_owned()),
    };
    let side = |axes: &[Axis]| product(axes).and_then(|all| all.length()?.fixed());
    let (before, after) = (side(&from[..at]), side(&from[at + 1..]));
    let (Some(before), Some(after)) = (before, after) else {
        let why = format!("{} makes one axis of them and of one that is known only when it runs", site.label());
        state.atoms.freeze(channels, &why);
        return Ok(());
    };
    let spread = atoms::spread(channels, before, after).ok_or("makes an axis that is too long")?;
    if to[target].length != Length::Fixed(atoms::length(&spread)) {
        return Err("takes them apart".to_owned());
    }
    to[target] = Axis::along(spread);
    Ok(())
}

/// A length that is written down has to become another when channels go.
fn follow_width<'a>(state: &mut State<'a>, site: &Site<'a>, entry: &Entry<'a>, before: Option<&Axis>, after: &Axis) {
    let freeze = |atoms: &mut Atoms, channels: Option<&Channels>, why: &str| {
        let why = format!("{} {why}", site.label());
        channels.iter().for_each(|channels| atoms.freeze(channels, &why));
    };
    let atoms = &mut state.atoms;
    match (entry, &after.channels) {
        (Entry::Rest, _) => {}
        (Entry::Copy, now) => {
            let was = before.and_then(|axis| axis.channels.as_ref());
            let same = match (was, now) {
                (Some(was), Some(now)) => same(atoms, was, now),
                (was, now) => was.is_none() && now.is_none(),
            };
            if !same {
                freeze(atoms, was, "copies their number to another axis");
                freeze(atoms, now.as_ref(), "copies the number of another axis to theirs");
            }
        }
        (Entry::Said(element), Some(now)) => match (&element.channels, element.source) {
            (Some(counted), _) => {
                if !same(atoms, counted, now) {
                    freeze(atoms, Some(counted), "takes their number as another length");
                    freeze(atoms, Some(now), "takes the number of others as their length");
                }
            }
            (None, Some(source)) => state.named.push((Named::Shape(source), now.clone())),
            (None, None) => freeze(atoms, Some(now), "takes their number from where it cannot be changed"),
        },
        (Entry::Said(element), None) => {
            freeze(atoms, element.channels.as_ref(), "takes their number as another length")
        }
    }
}
