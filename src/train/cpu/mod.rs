//! Operators that burn's CPU backend is slow at, each with its own backward pass.

mod columns;
mod conv;
mod geometry;
mod linear;
mod matmul;
mod pool;
#[cfg(test)]
mod tests;

use burn::Tensor;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};

pub(super) use conv::conv2d;
pub(super) use geometry::Geometry;
pub(super) use linear::linear;
pub(super) use pool::{Windows, max_pool2d};

/// A tensor of the CPU, without gradients, its elements in order.
fn plain<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    Some(tensor.try_into_primitive::<Flex>().ok()?.to_contiguous())
}

/// The same with what its gradient goes to.
fn tracked<const D: usize>(tensor: Tensor<D>) -> Option<(FlexTensor, NodeGuard)> {
    let (primitive, node) = tensor.autodiff().try_into_primitive::<Autodiff<Flex>>().ok()?.into_parts();
    Some((primitive.to_contiguous(), node))
}
