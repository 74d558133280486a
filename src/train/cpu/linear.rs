//! Products of rows with a weight.
//!
//! Burn's CPU backend gives the gradient of a transposed weight transposed, which is copied into order afterwards.

use burn::Tensor;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::matmul::{Matrix, multiply};
use super::{plain, tracked};

/// `[rows, from] · [from, to]`, the latter stored as `[to, from]` where it is transposed.
#[derive(Clone, Copy, Debug)]
struct Product {
    rows: usize,
    from: usize,
    to: usize,
    transposed: bool,
}

/// Rows of a result that a task makes.
const ROWS: usize = 32;

impl Product {
    /// The weight as `[from, to]`.
    fn weight<'a>(self, weight: &'a [f32]) -> Matrix<'a> {
        match self.transposed {
            true => Matrix::by_rows(weight, self.from).transposed(),
            false => Matrix::by_rows(weight, self.to),
        }
    }

    fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        by_rows([self.rows, self.from, self.to], Matrix::by_rows(x, self.from), self.weight(weight))
    }

    fn to_x(self, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let weight = self.weight(weight).transposed();
        by_rows([self.rows, self.to, self.from], Matrix::by_rows(gradient, self.to), weight)
    }

    fn to_weight(self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (x, gradient) = (Matrix::by_rows(x, self.from), Matrix::by_rows(gradient, self.to));
        match self.transposed {
            true => by_rows([self.to, self.rows, self.from], gradient.transposed(), x),
            false => by_rows([self.from, self.rows, self.to], x.transposed(), gradient),
        }
    }
}

/// `a · b`, threads sharing its rows.
fn by_rows([height, depth, width]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut made = vec![0.0; height * width];
    made.par_chunks_mut((ROWS * width).max(1)).enumerate().for_each(|(number, made)| {
        let (first, count) = (number * ROWS, made.len() / width.max(1));
        multiply(made, width, false, [count, depth, width], a.below(first), b);
    });
    made
}

/// A product on burn's CPU device; `None` where the tensors are elsewhere. Shapes fit.
pub(in crate::train) fn linear(x: Tensor<2>, weight: Tensor<2>, transposed: bool) -> Option<Tensor<2>> {
    let ([rows, from], [down, across]) = (x.dims(), weight.dims());
    let product = Product { rows, from, to: if transposed { down } else { across }, transposed };
    let made = |x: &FlexTensor, weight: &FlexTensor| {
        let made = product.forward(x.as_slice()?, weight.as_slice()?);
        Some(FlexTensor::from_data(TensorData::new(made, [rows, product.to])))
    };
    if !(x.is_autodiff() || weight.is_autodiff()) {
        return Some(Tensor::from_primitive::<Flex>(made(&plain(x)?, &plain(weight)?)?));
    }
    let ((x, x_node), (weight, weight_node)) = (tracked(x)?, tracked(weight)?);
    let made = made(&x, &weight)?;
    let made = match Linear.prepare::<NoCheckpointing>([x_node, weight_node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((x, weight, product), made),
        OpsKind::UnTracked(prepared) => prepared.finish(made),
    };
    Some(Tensor::from_primitive::<Autodiff<Flex>>(made))
}

/// The way back.
#[derive(Debug)]
struct Linear;

impl Backward<Flex, 2> for Linear {
    type State = (FlexTensor, FlexTensor, Product);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (x, weight, product) = ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (Some(x), Some(weight), Some(gradient)) = (x.as_slice(), weight.as_slice(), gradient.as_slice()) else {
            return;
        };
        let Product { rows, from, to, transposed } = product;
        let [to_x, to_weight] = ops.parents;
        if let Some(node) = to_x {
            let made = TensorData::new(product.to_x(weight, gradient), [rows, from]);
            gradients.register::<Flex>(node.id, FlexTensor::from_data(made));
        }
        if let Some(node) = to_weight {
            let shape = if transposed { [to, from] } else { [from, to] };
            let made = TensorData::new(product.to_weight(x, gradient), shape);
            gradients.register::<Flex>(node.id, FlexTensor::from_data(made));
        }
    }
}
