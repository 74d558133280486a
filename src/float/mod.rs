//! The floating formats that are analysed, and how their bits are read.

mod decode;

pub(crate) use decode::{bf16, f16, table, to_f32, to_f64};
use safetensors::Dtype;

/// A floating format that can be analysed and pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Float {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// OCP 8-bit, 4 exponent bits, no infinity, NaN is 0x7F and 0xFF (`e4m3fn`).
    E4M3,
    /// OCP 8-bit, 5 exponent bits, IEEE-like infinities and NaN.
    E5M2,
}

impl Float {
    /// Every format, widest first.
    pub const ALL: [Self; 6] = [Self::F64, Self::F32, Self::F16, Self::BF16, Self::E4M3, Self::E5M2];

    /// The format of a safetensors dtype, or `None` where it is not analysed.
    pub fn from_dtype(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::F8_E4M3 => Self::E4M3,
            Dtype::F8_E5M2 => Self::E5M2,
            _ => return None,
        })
    }

    /// The safetensors dtype of this format.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F64 => Dtype::F64,
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
            Self::E4M3 => Dtype::F8_E4M3,
            Self::E5M2 => Dtype::F8_E5M2,
        }
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::E4M3 | Self::E5M2 => 1,
        }
    }
}
