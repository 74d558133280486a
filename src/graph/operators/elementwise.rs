//! Operators of several inputs, element by element, broadcast as numpy does.

use super::super::Role;
use super::super::atoms::{self, Channels};
use super::super::site::Site;
use super::super::state::State;
use super::super::value::{Axis, Length, Value};
use super::Followed;

/// What is computed, as far as zeros go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// 0 where all are.
    Additive,
    /// 0 where any is.
    Product,
    /// 0 where the first is; the second must never be 0.
    Quotient,
    /// 0 where the first is; the second must be a number above 0.
    Power,
    /// 0 where the first is, whatever the second.
    Slope,
}

/// An input, seen from one axis of the result.
struct Operand {
    input: usize,
    /// Its own axis, of its own number; `None` where it has fewer.
    axis: Option<(usize, Axis)>,
}

impl Operand {
    fn length(&self) -> Length {
        self.axis.as_ref().map_or(Length::Fixed(1), |(_, axis)| axis.length)
    }

    fn channels(&self) -> Option<&Channels> {
        self.axis.as_ref()?.1.channels.as_ref()
    }
}

pub(super) fn follow<'a>(state: &mut State<'a>, site: &mut Site<'a>, rule: Rule) -> Followed<'a> {
    if site.flag("broadcast", false) && state.graph.opset < 7 {
        return Err("broadcasts as it was done before version 7".to_owned());
    }
    if !matches!(rule, Rule::Additive) && site.inputs.len() != 2 {
        return Err(format!("has {} inputs", site.inputs.len()));
    }
    let inputs: Vec<Vec<Axis>> = (0..site.inputs.len()).map(|i| site.take_axes(i)).collect::<Result<_, _>>()?;
    let rank = inputs.iter().map(Vec::len).max().unwrap_or(0);
    let mut axes = Vec::with_capacity(rank);
    for at in 0..rank {
        let operands: Vec<Operand> = inputs
            .iter()
            .enumerate()
            .map(|(input, axes)| {
                let own = (at + axes.len()).checked_sub(rank);
                Operand { input, axis: own.and_then(|own| Some((own, axes.get(own)?.clone()))) }
            })
            .collect();
        axes.push(axis(state, site, rule, &operands)?);
    }
    Ok(vec![Value::of(axes)])
}

/// An axis of the result.
fn axis<'a>(state: &mut State<'a>, site: &Site<'a>, rule: Rule, operands: &[Operand]) -> Result<Axis, String> {
    let length = common(state, operands)?;
    if operands.iter().all(|operand| operand.channels().is_none()) {
        return Ok(Axis::plain(length));
    }
    // An axis along which channels lie is of known length: of 1, or as long as the result's.
    let mut base: Option<Channels> = None;
    let mut constants = Vec::new();
    let mut spread = Vec::new();
    let mut activations = Vec::new();
    for operand in operands {
        let Some((own, axis)) = operand.axis.as_ref().filter(|(_, axis)| axis.length == length) else {
            if operand.length().fixed().is_none() {
                return Err(format!(
                    "takes {}, of which a length is known only when it runs",
                    site.shown(operand.input)
                ));
            }
            spread.push(operand);
            continue;
        };
        let constant = site.inputs[operand.input].constant.is_some();
        if constant && lone(site, operand.input) {
            spread.push(operand);
        } else if constant {
            constants.push((operand.input, *own));
        } else {
            activations.push(operand);
            base = base.or(axis.channels.clone());
        }
    }
    for operand in &spread {
        if let Some(channels) = operand.channels() {
            let why = format!("{} spreads {} over others", site.label(), site.shown(operand.input));
            state.atoms.freeze(channels, &why);
        }
    }
    let Some(base) = base else { return Ok(Axis::plain(length)) };
    unite(state, site, &base, &activations);
    let rule = Meeting { rule, site, constants: &constants, spread: &spread, activations: &activations };
    Ok(Axis::along(rule.zeros(state, &base)?))
}

/// Whether an input is a single number.
fn lone(site: &Site<'_>, input: usize) -> bool {
    let axes = site.inputs[input].axes.iter().flatten();
    axes.map(|axis| axis.length).all(|length| length == Length::Fixed(1))
}

/// The length of an axis of the result.
fn common(state: &mut State<'_>, operands: &[Operand]) -> Result<Length, String> {
    let others = || operands.iter().map(Operand::length).filter(|&length| length != Length::Fixed(1));
    let fixed = others().find(|length| length.fixed().is_some());
    match (fixed, others().next()) {
        (Some(fixed), _) if others().any(|length| length.fixed().is_some() && length != fixed) => {
            Err("takes values whose shapes do not fit together".to_owned())
        }
        (Some(fixed), _) => Ok(fixed),
        (None, Some(first)) if others().all(|length| length == first) => Ok(first),
        (None, Some(_)) => Ok(state.symbol()),
        (None, None) => Ok(Length::Fixed(1)),
    }
}

/// What lies at the same index goes together.
fn unite(state: &mut State<'_>, site: &Site<'_>, base: &Channels, activations: &[&Operand]) {
    for operand in activations {
        let lane = operand.axis.as_ref().and_then(|(_, axis)| axis.lane());
        let why =
            format!("{} meets them with {}, whose channels no weight makes", site.label(), site.shown(operand.input));
        // The lengths are those of the result.
        if lane.is_none_or(|lane| !state.atoms.join(base, &lane, &why)) {
            state.atoms.freeze(base, &why);
        }
    }
    let others = activations.iter().filter(|operand| operand.channels().is_none());
    for operand in others {
        let why =
            format!("{} meets them with {}, whose channels no weight makes", site.label(), site.shown(operand.input));
        state.atoms.freeze(base, &why);
    }
}

/// Inputs along an axis with channels: constants as long as it, what is the same for all of it, and other values.
struct Meeting<'m, 'a> {
    rule: Rule,
    site: &'m Site<'a>,
    /// Inputs, and their axes.
    constants: &'m [(usize, usize)],
    spread: &'m [&'m Operand],
    activations: &'m [&'m Operand],
}

impl<'a> Meeting<'_, 'a> {
    /// Notes the constants, and gives the channels of the result, with what is known of their zeros.
    fn zeros(&self, state: &mut State<'a>, base: &Channels) -> Result<Channels, String> {
        match self.rule {
            Rule::Additive => Ok(self.sum(state, base)),
            Rule::Product => Ok(self.product(state, base)),
            Rule::Quotient | Rule::Power | Rule::Slope => self.of_first(state),
        }
    }

    fn sum(&self, state: &mut State<'a>, base: &Channels) -> Channels {
        for &(input, axis) in self.constants {
            state.attach(self.site, input, axis, Role::Bias, base);
        }
        let is_zero = |operand: &&&Operand| {
            let numbers = self.site.inputs[operand.input].numbers();
            numbers.is_some_and(|numbers| numbers.iter().all(|&number| number == 0.0))
        };
        let found = self.channels().find_map(|channels| atoms::nonzero(channels));
        match found.or(self.spread.iter().find(|operand| !is_zero(operand)).map(|_| self.site.index)) {
            Some(node) => atoms::with_nonzero(base, Some(node)),
            None => base.clone(),
        }
    }

    fn product(&self, state: &mut State<'a>, base: &Channels) -> Channels {
        for &(input, axis) in self.constants {
            state.attach(self.site, input, axis, Role::Scale, base);
        }
        let any = !self.constants.is_empty() || self.channels().any(|channels| atoms::nonzero(channels).is_none());
        if any { atoms::with_nonzero(base, None) } else { base.clone() }
    }

    /// What is 0 where the first input is.
    fn of_first(&self, state: &mut State<'a>) -> Result<Channels, String> {
        let first = self.activations.iter().find(|operand| operand.input == 0).and_then(|operand| operand.channels());
        let shown = self.site.shown(1);
        let first = first.ok_or_else(|| format!("may not give 0 where {shown} is 0"))?;
        if self.rule == Rule::Slope {
            for &(input, axis) in self.constants {
                state.attach(self.site, input, axis, Role::Scale, first);
            }
            return Ok(first.clone());
        }
        let numbers = self.site.inputs[1].constant.and(self.site.inputs[1].numbers());
        let good =
            |number: &f64| number.is_finite() && if self.rule == Rule::Power { *number > 0.0 } else { *number != 0.0 };
        if numbers.is_none_or(|numbers| !numbers.iter().all(good)) {
            return Err(format!("may not give 0 where its first input is 0: nothing is known of {shown}"));
        }
        for &(input, axis) in self.constants {
            // It is cut, and never 0.
            state.attach(self.site, input, axis, Role::Statistic, first);
        }
        Ok(first.clone())
    }

    fn channels(&self) -> impl Iterator<Item = &Channels> {
        self.activations.iter().filter_map(|operand| operand.channels())
    }
}
