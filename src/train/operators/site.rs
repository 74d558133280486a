//! One operator about to run: its inputs, its attributes, and what of the surroundings matters.

use burn::tensor::{Device, Tensor};

use crate::graph::{Attribute, Node};
use crate::train::array::Array;
use crate::train::random::Stream;
use crate::train::value::{Known, Value};

/// How a network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train) enum Mode {
    /// Statistics of the batch, random elements dropped: the seed of the latter.
    Training(u64),
    /// Running statistics, nothing dropped.
    Inference,
}

/// What statistics a normalization found in a batch.
#[derive(Debug)]
pub(in crate::train) struct Statistics {
    /// The names of what they are folded into.
    pub(in crate::train) running: [String; 2],
    /// How much of the running values stays.
    pub(in crate::train) momentum: f64,
    /// Elements that each is about.
    pub(in crate::train) count: usize,
    pub(in crate::train) mean: Tensor<1>,
    pub(in crate::train) variance: Tensor<1>,
}

/// What an operator gives.
pub(super) type Made = Result<Value, String>;

/// An operator about to run.
pub(in crate::train) struct Site<'a> {
    pub(in crate::train) node: &'a Node,
    pub(in crate::train) index: usize,
    pub(in crate::train) inputs: Vec<Option<Value>>,
    pub(in crate::train) opset: i64,
    pub(in crate::train) mode: Mode,
    pub(in crate::train) device: &'a Device,
    /// How many inputs run at once, and how many the file was made for, where it says.
    pub(in crate::train) batch: usize,
    pub(in crate::train) exported: Option<usize>,
    /// Filled by normalizations.
    pub(in crate::train) statistics: &'a mut Vec<Statistics>,
}

impl Site<'_> {
    /// Whether there is an input at that position.
    pub(super) fn has(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(Option::is_some)
    }

    pub(super) fn take(&mut self, index: usize) -> Result<Value, String> {
        self.inputs.get_mut(index).and_then(Option::take).ok_or_else(|| format!("has no input {index}"))
    }

    /// An input as a tensor.
    pub(super) fn array(&mut self, index: usize) -> Result<Array, String> {
        match self.take(index)? {
            Value::Array(array) => Ok(array),
            Value::Known(known) => known.array(self.device),
        }
    }

    /// An input whose elements have to be at hand; `None` where it is left out.
    pub(super) fn known(&mut self, index: usize) -> Result<Option<Known>, String> {
        match self.inputs.get_mut(index).and_then(Option::take) {
            None => Ok(None),
            Some(Value::Known(known)) => Ok(Some(known)),
            Some(Value::Array(_)) => Err(format!("takes input {index} as computed: only constants and shapes can be")),
        }
    }

    /// Whole numbers that are an attribute, or, in later operator sets, an input.
    pub(super) fn list(&mut self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>, String> {
        match (self.ints(attribute), self.known(input)?) {
            (Some(values), _) => Ok(Some(values)),
            (None, Some(known)) => {
                known.integers().map(Some).ok_or_else(|| format!("has {attribute} that are no whole numbers"))
            }
            (None, None) => Ok(None),
        }
    }

    /// A number that is an attribute, or, in later operator sets, an input.
    pub(super) fn number(&mut self, attribute: &str, input: usize) -> Result<Option<f64>, String> {
        if let Some(Attribute::Float(value)) = self.node.attributes.get(attribute) {
            return Ok(Some(f64::from(*value)));
        }
        Ok(self.known(input)?.and_then(|known| known.values.first().copied()))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Float(value)) => f64::from(*value),
            _ => f64::from(default),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.node.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values.clone()),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.node.attributes.get(name) {
            Some(Attribute::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Random numbers of this operator in this step.
    pub(super) fn stream(&self, seed: u64) -> Stream {
        Stream::new(seed, "dropout").fork(self.index as u64)
    }
}

/// An axis that may be counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_end = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = from_end.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("names axis {axis} of a value with {rank} axes"))
}

/// Several of them, in ascending order, each once.
pub(super) fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut found = axes.iter().map(|&number| axis(number, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Elements that no value of a sensible network has: 8 GiB of them.
const MOST_ELEMENTS: usize = 1 << 31;

/// Refuses a value so large that a file must be wrong, before there is no memory for it.
pub(super) fn bounded(shape: impl IntoIterator<Item = usize>) -> Result<(), String> {
    let elements = shape.into_iter().try_fold(1usize, |product, length| product.checked_mul(length));
    match elements.filter(|&elements| elements <= MOST_ELEMENTS) {
        Some(_) => Ok(()),
        None => Err(format!("makes a value of more than {MOST_ELEMENTS} elements")),
    }
}
