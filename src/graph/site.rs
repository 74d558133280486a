//! An operator while it is looked at: its inputs, and its attributes as numbers.

use super::check::label;
use super::ir::{Attribute, Node};
use super::layers::Product;
use super::value::{Axis, Value};

/// An operator and what is known of its inputs.
pub(super) struct Site<'a> {
    /// Index in the graph.
    pub(super) index: usize,
    pub(super) node: &'a Node,
    /// By position; of no known axes where one is left out.
    pub(super) inputs: Vec<Value<'a>>,
    /// Which of them have been asked for: what an operator's function has not asked for, it has not followed.
    pub(super) taken: Vec<bool>,
    /// Its multiplications, where it is a layer and they are known.
    pub(super) product: Option<Product>,
}

impl<'a> Site<'a> {
    /// Whether input `index` is there.
    pub(super) fn has(&self, index: usize) -> bool {
        self.node.inputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Input `index`, whose channels the caller follows.
    pub(super) fn take(&mut self, index: usize) -> Value<'a> {
        if let Some(taken) = self.taken.get_mut(index) {
            *taken = true;
        }
        self.inputs.get(index).cloned().unwrap_or_default()
    }

    /// Input `index` and its axes, whose channels the caller follows; an error where they are unknown.
    pub(super) fn take_axes(&mut self, index: usize) -> Result<Vec<Axis>, String> {
        self.take(index).axes.ok_or_else(|| format!("takes {}, whose shape is unknown", self.shown(index)))
    }

    /// The whole numbers that input `index` holds: `Ok(None)` where it is left out, an error where they are unknown.
    pub(super) fn integers(&self, index: usize) -> Result<Option<Vec<i64>>, String> {
        if !self.has(index) {
            return Ok(None);
        }
        let numbers = self.inputs.get(index).and_then(Value::integers);
        numbers.map(Some).ok_or_else(|| format!("takes {}, which is known only when it runs", self.shown(index)))
    }

    /// What is asked by input `index`, or by the attribute `name` where the input is left out.
    pub(super) fn integers_or(&self, index: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
        Ok(self.integers(index)?.or_else(|| self.ints(name)))
    }

    /// Input `index` as it is shown to people.
    pub(super) fn shown(&self, index: usize) -> String {
        let name = self.node.inputs.get(index).map_or("", String::as_str);
        format!("`{}`", crate::shortened(name))
    }

    /// The operator as it is shown to people.
    pub(super) fn label(&self) -> String {
        label(self.node)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        match self.node.attributes.get(name) {
            Some(Attribute::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// Whether an attribute that is a flag is set.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name).map_or(default, |value| value != 0)
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        match self.node.attributes.get(name) {
            Some(Attribute::Float(value)) => Some(f64::from(*value)),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.node.attributes.get(name) {
            Some(Attribute::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.node.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values.clone()),
            _ => None,
        }
    }

    /// An axis as the file gives it, counted from the end where negative, of `rank`.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, String> {
        normal(axis, rank).ok_or_else(|| format!("names axis {axis} of {rank}"))
    }

    /// Those axes, as a mask over `rank` of them.
    pub(super) fn mask(&self, axes: &[i64], rank: usize) -> Result<Vec<bool>, String> {
        let mut mask = vec![false; rank];
        for &axis in axes {
            mask[self.axis(axis, rank)?] = true;
        }
        Ok(mask)
    }
}

/// An axis counted from the end where negative.
pub(super) fn normal(axis: i64, rank: usize) -> Option<usize> {
    let from_start = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(from_start).ok().filter(|&axis| axis < rank)
}
