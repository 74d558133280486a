//! What flows between operators: tensors, and small arrays that are known before anything runs.

use burn::tensor::Device;

use super::array::{Array, MOST_AXES};

/// A value between operators.
#[allow(clippy::large_enum_variant, reason = "a network has few of them, most of them tensors")]
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// On the device.
    Array(Array),
    /// A shape, an axis, a bound.
    Known(Known),
}

/// A small array whose elements are at hand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) values: Vec<f64>,
    /// Empty for a scalar.
    pub(super) shape: Vec<usize>,
    /// Whether division truncates.
    pub(super) whole: bool,
}

impl Known {
    /// Whole numbers along one axis.
    pub(super) fn list(values: Vec<f64>) -> Self {
        Self { shape: vec![values.len()], values, whole: true }
    }

    /// Its elements as whole numbers; beyond i64 its nearest, as exporters write "to the end".
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let whole = |value: &f64| (value.fract() == 0.0 || value.is_infinite()).then_some(*value as i64);
        self.values.iter().map(whole).collect()
    }

    pub(super) fn array(&self, device: &Device) -> Result<Array, String> {
        if self.shape.len() > MOST_AXES {
            return Err(format!("takes a value of {} axes: at most {MOST_AXES} are known", self.shape.len()));
        }
        if self.values.is_empty() {
            return Err("takes a value without elements".to_owned());
        }
        Ok(Array::new(self.values.iter().map(|&value| value as f32).collect(), &self.shape, device))
    }
}

impl Value {
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Array(array) => array.shape(),
            Self::Known(known) => known.shape.clone(),
        }
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl From<Known> for Value {
    fn from(known: Known) -> Self {
        Self::Known(known)
    }
}
