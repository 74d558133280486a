//! Formats of elements, as ONNX numbers them.

use super::schema::tensor;
use crate::Dtype;

/// The format of `data_type`; `None` for text, complex128, 4-bit integers and what is newer.
pub(super) fn dtype(data_type: i64) -> Option<Dtype> {
    Some(match data_type {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::BOOL,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        14 => Dtype::C64,
        16 => Dtype::BF16,
        17 => Dtype::F8_E4M3,
        18 => Dtype::F8_E4M3FNUZ,
        19 => Dtype::F8_E5M2,
        20 => Dtype::F8_E5M2FNUZ,
        _ => return None,
    })
}

/// The field that holds elements of that format where they are not raw, and the bytes a number of it is cut to.
pub(super) fn typed_field(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 | Dtype::C64 => tensor::FLOAT_DATA,
        Dtype::F64 => tensor::DOUBLE_DATA,
        Dtype::I64 => tensor::INT64_DATA,
        Dtype::U64 | Dtype::U32 => tensor::UINT64_DATA,
        _ => tensor::INT32_DATA,
    }
}
