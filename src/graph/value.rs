//! What is known of a value between operators: its axes, the channels along them, its elements where it is a shape.

use super::atoms::{Channels, Segment};
use super::ir::Constant;

/// Axes that a value may have; beyond, its shape counts as unknown.
pub(super) const MOST_AXES: usize = 64;

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Fixed(u64),
    /// Whatever it is when the network runs; the same number means the same length.
    Symbol(u32),
}

/// An axis: its length, and the channels along it where there are any that may go.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) length: Length,
    pub(super) channels: Option<Channels>,
}

/// What is known of a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Value<'a> {
    /// `None` where not even their number is known; no channels are followed then.
    pub(super) axes: Option<Vec<Axis>>,
    /// Its elements in order, where it is small and made of constants and shapes.
    pub(super) elements: Option<Vec<Element<'a>>>,
    /// The constant that it is.
    pub(super) constant: Option<&'a str>,
}

/// An element of a shape, or of some other small array.
#[derive(Clone, Debug)]
pub(super) struct Element<'a> {
    pub(super) number: Number,
    /// The channels whose number this is.
    pub(super) channels: Option<Channels>,
    /// Where it stands in the file, if it does and nothing else uses it.
    pub(super) source: Option<Source<'a>>,
}

/// An element's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Exact for integers below 2^53.
    Known(f64),
    /// The length of that symbol.
    Symbol(u32),
    Unknown,
}

/// Element `index` of the constant `name`, which is input `input` of node `node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source<'a> {
    pub(super) node: usize,
    pub(super) input: usize,
    pub(super) name: &'a str,
    pub(super) index: usize,
}

impl Axis {
    /// An axis along which nothing can go.
    pub(super) fn plain(length: Length) -> Self {
        Self { length, channels: None }
    }

    /// An axis along which these channels lie.
    pub(super) fn along(channels: Channels) -> Self {
        Self { length: Length::Fixed(super::atoms::length(&channels)), channels: Some(channels) }
    }

    /// What lies along it: a stretch of which nothing can go where no channels are followed. `None` for an unknown length.
    pub(super) fn lane(&self) -> Option<Channels> {
        match (&self.channels, self.length) {
            (Some(channels), _) => Some(channels.clone()),
            (None, Length::Fixed(length)) => Some([Segment::fixed(length)].into()),
            (None, Length::Symbol(_)) => None,
        }
    }
}

impl Length {
    pub(super) fn fixed(self) -> Option<u64> {
        match self {
            Self::Fixed(length) => Some(length),
            Self::Symbol(_) => None,
        }
    }
}

impl<'a> Value<'a> {
    /// A value with these axes.
    pub(super) fn of(axes: Vec<Axis>) -> Self {
        Self { axes: Some(axes), ..Self::default() }
    }

    /// A constant; its elements come from nowhere yet.
    pub(super) fn constant(name: &'a str, constant: &Constant) -> Self {
        let axes = constant.shape.iter().map(|&length| Axis::plain(Length::Fixed(length)));
        let axes = (constant.shape.len() <= MOST_AXES).then(|| axes.collect());
        // A file may say of an array what its data are not.
        let count = constant.shape.iter().try_fold(1_u64, |product, &length| product.checked_mul(length));
        let values = constant.values.as_ref().filter(|values| count == Some(values.len() as u64));
        let elements = values.map(|values| values.iter().map(|&value| Element::known(value)).collect());
        Self { axes, elements, constant: Some(name) }
    }

    /// Its numbers, where all are known.
    pub(super) fn numbers(&self) -> Option<Vec<f64>> {
        self.elements.as_ref()?.iter().map(Element::known_number).collect()
    }

    /// Its numbers as whole ones, where all are known and whole. What lies beyond i64 is its nearest.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.elements.as_ref()?.iter().map(Element::integer).collect()
    }

    /// The channels of any axis.
    pub(super) fn channels(&self) -> impl Iterator<Item = &Channels> {
        self.axes.iter().flatten().filter_map(|axis| axis.channels.as_ref())
    }

    /// The channels whose number is an element.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Channels> {
        self.elements.iter().flatten().filter_map(|element| element.channels.as_ref())
    }
}

impl Element<'_> {
    pub(super) fn known(value: f64) -> Self {
        Self::from(Number::Known(value))
    }

    pub(super) fn known_number(&self) -> Option<f64> {
        match self.number {
            Number::Known(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        self.known_number().filter(|value| value.fract() == 0.0 || value.is_infinite()).map(|value| value as i64)
    }
}

impl From<Number> for Element<'_> {
    fn from(number: Number) -> Self {
        Self { number, channels: None, source: None }
    }
}
