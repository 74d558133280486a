//! The kernels: one `.rs` a kernel, with its CPU twin, beside a shader of the same stem.

pub(crate) mod bin_counts;
pub(crate) mod bit_histogram;
pub(crate) mod byte_histogram;
pub(crate) mod moments;
pub(crate) mod select;
#[cfg(feature = "gpu")]
pub(crate) mod strided_moments;

#[cfg(all(test, feature = "gpu"))]
mod shaders;
