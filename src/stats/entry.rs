//! What is reported: one entry a tensor or group, and a summary of the whole.

use safetensors::Dtype;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The statistics of a group of weights. `None` means undefined.
///
/// `count` is every element, NaN and inf included; everything else is over the finite values.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Statistics {
    /// Number of elements, non-finite ones included.
    pub count: u64,
    /// Number of NaN.
    pub nan: u64,
    /// Number of ±inf.
    pub inf: u64,
    /// Number of ±0; under `standardize` undefined; under `log` the zeros that were left out.
    pub zeros: Option<u64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Population variance, M2/n.
    pub variance: Option<f64>,
    /// Skewness, (M3/n)/σ³; undefined where min equals max.
    pub skewness: Option<f64>,
    /// Excess kurtosis, (M4/n)/σ⁴ − 3; undefined where min equals max.
    pub kurtosis: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Largest absolute value.
    pub abs_max: Option<f64>,
    /// Sum of absolute values.
    pub l1: Option<f64>,
    /// Square root of the sum of squares.
    pub l2: Option<f64>,
    /// Exact quantiles, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
    /// Histogram, where asked for: the inner `None` where there is no finite value or the range leaves f64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Option<Histogram>>,
}

/// Quantiles in the order asked for: probability and value.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles(pub Vec<(f64, Option<f64>)>);

impl Serialize for Quantiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (probability, value) in &self.0 {
            map.serialize_entry(&probability.to_string(), value)?;
        }
        map.end()
    }
}

/// `numpy.histogram(x, bins)` with x in f64: `edges` has one more element than `counts`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Histogram {
    /// Bin edges, ascending; every bin but the last is half-open.
    pub edges: Vec<f64>,
    /// Number of values in each bin.
    pub counts: Vec<u64>,
}

/// The statistics of one tensor or of one group of a tensor.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Entry {
    /// The tensor's name.
    pub name: String,
    /// The tensor's dtype, spelled as in safetensors.
    pub dtype: Dtype,
    /// The tensor's shape.
    pub shape: Vec<u64>,
    /// Index of the group in its tensor; `None` for a whole tensor.
    pub group: Option<u64>,
    /// Its statistics.
    #[serde(flatten)]
    pub statistics: Statistics,
}

/// A tensor that was not analysed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Skipped {
    /// The tensor's name.
    pub name: String,
    /// Its dtype, spelled as in safetensors.
    pub dtype: Dtype,
    /// Why.
    pub reason: String,
}

impl Skipped {
    /// A tensor whose dtype is not analysed.
    pub(crate) fn new(tensor: &crate::Tensor) -> Self {
        let (name, dtype) = (tensor.name().to_owned(), tensor.dtype());
        Self { name, dtype, reason: why_skipped(dtype).to_owned() }
    }
}

/// The end of an analysis: what it covered.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Over every analysed tensor.
    pub total: Statistics,
    /// Tensors that were not analysed, and why.
    pub skipped: Vec<Skipped>,
    /// Number of tensors analysed.
    pub tensors: u64,
    /// Bytes of the analysed tensors.
    pub bytes: u64,
    /// Wall-clock time of the analysis.
    pub seconds: f64,
}

/// Why tensors of this dtype are not analysed.
fn why_skipped(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BOOL => "BOOL is not a floating type",
        Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 | Dtype::U32 | Dtype::I32 | Dtype::U64 | Dtype::I64 => {
            "integers are not a floating type"
        }
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 => "elements of less than a byte are not analysed yet",
        Dtype::F8_E8M0 => "F8_E8M0 holds scales, not weights",
        Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => "FNUZ 8-bit floats are not analysed yet",
        Dtype::C64 => "complex numbers have no order",
        _ => "this dtype is not analysed yet",
    }
}
