//! The kernels: one `.rs` a kernel, with its CPU twin, beside a shader of the same stem.

pub(crate) mod moments;
