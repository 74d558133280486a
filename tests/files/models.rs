//! Small models to prune, what their weights are worth, and which of them a stable sort cuts.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use secateur::Dtype;
use secateur::checkpoint::Checkpoint;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A tensor of a model that is made for a test.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

impl Made {
    pub(crate) fn new(name: &str, dtype: Dtype, shape: &[u64], bytes: Vec<u8>) -> Self {
        assert_eq!(shape.iter().product::<u64>() as usize * width(dtype), bytes.len(), "{name}");
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn f32(name: &str, shape: &[u64], values: &[f32]) -> Self {
        Self::new(name, Dtype::F32, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Awkward weights of a seed: many ties, both zeros, subnormals, infinities and NaN of both signs.
    pub(crate) fn awkward(name: &str, dtype: Dtype, shape: &[u64], seed: u64) -> Self {
        let mut random = noise(seed);
        let n = shape.iter().product::<u64>();
        let value = |_| match random() {
            r if r.is_multiple_of(7) => r.rotate_right(9).to_le_bytes(),
            // All ones but the sign: NaN in every format.
            r if r.is_multiple_of(29) => (u64::MAX >> 1 | (r >> 32) << 63).to_le_bytes(),
            r => encode(dtype, [0.0, -0.0, 0.25, -0.25, 0.5, 1e-6, -3.0, 448.0][(r >> 40) as usize % 8]),
        };
        let bytes = (0..n).map(value).flat_map(|b| b[8 - width(dtype)..].to_vec()).collect();
        Self::new(name, dtype, shape, bytes)
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.bytes.chunks_exact(width(self.dtype)).map(|bytes| decode(self.dtype, bytes)).collect()
    }

    /// The bytes with those weights cut.
    pub(crate) fn without(&self, cut: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let (mut bytes, width) = (self.bytes.clone(), width(self.dtype));
        cut.into_iter().for_each(|i| bytes[i * width..][..width].fill(0));
        bytes
    }
}

pub(crate) const FLOATS: [Dtype; 6] = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F8_E4M3, Dtype::F8_E5M2];

fn width(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F64 | Dtype::I64 => 8,
        Dtype::F32 | Dtype::U32 => 4,
        Dtype::F16 | Dtype::BF16 => 2,
        _ => 1,
    }
}

/// The nearest weight of a format, in the last of eight bytes.
fn encode(dtype: Dtype, x: f64) -> [u8; 8] {
    let top = |bits: u64, width: usize| (bits << (64 - 8 * width)).to_le_bytes();
    match dtype {
        Dtype::F64 => x.to_le_bytes(),
        Dtype::F32 => top((x as f32).to_bits().into(), 4),
        Dtype::F16 => top(half::f16::from_f64(x).to_bits().into(), 2),
        Dtype::BF16 => top(half::bf16::from_f64(x).to_bits().into(), 2),
        Dtype::F8_E5M2 => top((half::f16::from_f64(x).to_bits() >> 8).into(), 1),
        _ => {
            let nearest = |b: &u8| (decode(dtype, &[*b]).abs() - x.abs()).abs();
            let size = (0..0x7f).min_by(|a, b| nearest(a).total_cmp(&nearest(b))).unwrap_or(0);
            top(u64::from(size) | u64::from(x.is_sign_negative()) << 7, 1)
        }
    }
}

/// What the format's definition says that the bits are worth.
fn decode(dtype: Dtype, bytes: &[u8]) -> f64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(all);
    match dtype {
        Dtype::F64 => f64::from_bits(bits),
        Dtype::F32 => f32::from_bits(bits as u32).into(),
        Dtype::F16 => half::f16::from_bits(bits as u16).to_f64(),
        Dtype::BF16 => half::bf16::from_bits(bits as u16).to_f64(),
        Dtype::F8_E5M2 => half::f16::from_bits((bits as u16) << 8).to_f64(),
        Dtype::F8_E4M3 => {
            let (exponent, fraction) = ((bits >> 3 & 15) as i32, (bits & 7) as f64 / 8.0);
            let size = match (exponent, bits & 7) {
                (15, 7) => f64::NAN,
                (0, _) => fraction * 2f64.powi(-6),
                _ => (1.0 + fraction) * 2f64.powi(exponent - 7),
            };
            if bits >> 7 == 1 { -size } else { size }
        }
        _ => unreachable!("{dtype} is no float of the tests"),
    }
}

/// Deterministic bits.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// A safetensors file of those tensors, in that order.
pub(crate) fn file_of(tensors: &[Made], metadata: &[(&str, &str)]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    if !metadata.is_empty() {
        let metadata: Map<String, Value> = metadata.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        header.insert("__metadata__".to_owned(), metadata.into());
    }
    for t in tensors {
        let begin = data.len();
        data.extend_from_slice(&t.bytes);
        let entry = json!({"dtype": t.dtype, "shape": t.shape, "data_offsets": [begin, data.len()]});
        header.insert(t.name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// The bytes of each of `names` in a checkpoint.
pub(crate) fn bytes_of(path: &Path, name: &str) -> Vec<u8> {
    let model = Checkpoint::open(path).expect("a good checkpoint");
    let tensor = model.get(name).expect(name);
    let mut bytes = vec![0; tensor.bytes() as usize];
    model.read_exact_at(tensor, 0, &mut bytes).expect("its bytes");
    bytes
}

/// What `numpy.argsort(scores, kind="stable")[:k]` is without its NaN.
pub(crate) fn lowest(scores: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| match (scores[a].is_nan(), scores[b].is_nan()) {
        (false, false) => scores[a].partial_cmp(&scores[b]).expect("no NaN"),
        (a, b) => a.cmp(&b),
    });
    order.into_iter().take(k).filter(|i| !scores[*i].is_nan()).collect()
}

/// round-half-to-even(rate · n).
pub(crate) fn rounded(rate: f64, n: usize) -> usize {
    (rate * n as f64).round_ties_even() as usize
}
