//! Tensors for programs that have them on a GPU, and devices that see little at once.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use secateur::Dtype;
use secateur::gpu::wgpu;

use crate::models::{FLOATS, Made, noise};

pub(crate) fn formats() -> impl Iterator<Item = Dtype> {
    FLOATS.into_iter().filter(|dtype| *dtype != Dtype::F64)
}

/// Awkward tensors: of every format, of shapes that end anywhere.
pub(crate) fn awkward() -> Vec<Made> {
    let shapes: [&[u64]; 6] = [&[1], &[7, 5, 3], &[33], &[129, 64], &[0, 4], &[20_011]];
    let each = formats().enumerate().flat_map(|(f, dtype)| {
        shapes
            .iter()
            .enumerate()
            .map(move |(s, shape)| Made::awkward(&format!("{f}.{s}"), dtype, shape, (f * 10 + s) as u64))
    });
    each.collect()
}

/// Normal f32 weights, and whatever format keeps their upper bits.
pub(crate) fn normal(name: &str, dtype: Dtype, shape: &[u64], seed: u64) -> Made {
    let mut random = noise(seed);
    let mut normal = move || (0..12).map(|_| (random() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
    let n = shape.iter().product::<u64>();
    let bytes = (0..n).flat_map(|_| match dtype {
        Dtype::BF16 => half::bf16::from_f64(normal()).to_le_bytes().to_vec(),
        Dtype::F8_E5M2 => vec![half::f16::from_f64(normal()).to_le_bytes()[1]],
        _ => (normal() as f32).to_le_bytes().to_vec(),
    });
    Made::new(name, dtype, shape, bytes.collect())
}

/// Small bindings, so that tensors, masks and worklists are seen in parts.
pub(crate) fn small(limits: &mut wgpu::Limits) {
    limits.max_storage_buffer_binding_size = 512 << 10;
}
