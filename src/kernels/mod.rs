//! The kernels: one `.rs` a kernel, with its CPU twin, beside a shader of the same stem.

pub(crate) mod apply_mask;
pub(crate) mod bin_counts;
pub(crate) mod bit_histogram;
pub(crate) mod byte_histogram;
#[cfg(any(test, feature = "gpu"))]
pub(crate) mod digit_counts;
#[cfg(any(test, feature = "gpu"))]
pub(crate) mod digit_pick;
pub(crate) mod gather;
pub(crate) mod lanes;
pub(crate) mod magnitude_histogram;
pub(crate) mod mask_counts;
pub(crate) mod moments;
pub(crate) mod nm_mask;
#[cfg(any(test, feature = "gpu"))]
pub(crate) mod overlay;
pub(crate) mod select;
#[cfg(feature = "gpu")]
pub(crate) mod strided_moments;
pub(crate) mod sum;
pub(crate) mod threshold_mask;
pub(crate) mod tie_counts;
pub(crate) mod tie_scan;

#[cfg(all(test, feature = "gpu"))]
mod shaders;
