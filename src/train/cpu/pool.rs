//! The largest of a window's elements.

use burn::Tensor;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{plain, tracked};

/// Windows over `planes` planes of `input`, without pads, each inside its plane.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Windows {
    pub(in crate::train) input: [usize; 2],
    pub(in crate::train) output: [usize; 2],
    pub(in crate::train) kernel: [usize; 2],
    pub(in crate::train) strides: [usize; 2],
}

/// Planes of a task.
const PLANES: usize = 32;

impl Windows {
    fn planes(&self) -> [usize; 2] {
        [self.input[0] * self.input[1], self.output[0] * self.output[1]]
    }

    /// The largest elements, and where in its plane each is: the first of equal ones; NaN is larger than any.
    pub(super) fn forward(&self, x: &[f32]) -> (Vec<f32>, Vec<u32>) {
        let [input, output] = self.planes();
        let count = x.len() / input.max(1) * output;
        let (mut made, mut at) = (vec![0.0f32; count], vec![0u32; count]);
        let size = (PLANES * output).max(1);
        let tasks = made.par_chunks_mut(size).zip(at.par_chunks_mut(size)).zip(x.par_chunks((PLANES * input).max(1)));
        tasks.for_each(|((made, at), x)| {
            let planes = made.chunks_mut(output.max(1)).zip(at.chunks_mut(output.max(1))).zip(x.chunks(input.max(1)));
            planes.for_each(|((made, at), x)| self.plane(x, made, at));
        });
        (made, at)
    }

    fn plane(&self, x: &[f32], made: &mut [f32], at: &mut [u32]) {
        match self.kernel {
            [2, 2] => self.plane_of([2, 2], x, made, at),
            [3, 3] => self.plane_of([3, 3], x, made, at),
            kernel => self.plane_of(kernel, x, made, at),
        }
    }

    /// Inlined where the kernel is known, so that its loops are unrolled; selected without branches, which no predictor
    /// would guess.
    #[inline(always)]
    fn plane_of(&self, kernel: [usize; 2], x: &[f32], made: &mut [f32], at: &mut [u32]) {
        let width = self.input[1];
        let rows = made.chunks_mut(self.output[1].max(1)).zip(at.chunks_mut(self.output[1].max(1)));
        for (row, (made, at)) in rows.enumerate() {
            let top = row * self.strides[0] * width;
            let x = &x[top..top + kernel[0] * width];
            for (column, (made, at)) in made.iter_mut().zip(at).enumerate() {
                let corner = column * self.strides[1];
                let (mut best, mut index) = (x[corner], corner);
                for y in 0..kernel[0] {
                    let start = corner + y * width;
                    for (shift, &value) in x[start..start + kernel[1]].iter().enumerate() {
                        let better = (value > best) | value.is_nan();
                        best = if better { value } else { best };
                        index = if better { start + shift } else { index };
                    }
                }
                (*made, *at) = (best, (top + index) as u32);
            }
        }
    }

    /// Gradients go to where the largest elements were.
    pub(super) fn backward(&self, gradient: &[f32], at: &[u32]) -> Vec<f32> {
        let [input, output] = self.planes();
        let mut to_x = vec![0.0; gradient.len() / output.max(1) * input];
        let size = (PLANES * output).max(1);
        let tasks =
            to_x.par_chunks_mut((PLANES * input).max(1)).zip(gradient.par_chunks(size)).zip(at.par_chunks(size));
        tasks.for_each(|((to_x, gradient), at)| {
            let sources = gradient.chunks(output.max(1)).zip(at.chunks(output.max(1)));
            for (to_x, (gradient, at)) in to_x.chunks_mut(input.max(1)).zip(sources) {
                gradient.iter().zip(at).for_each(|(gradient, &at)| to_x[at as usize] += gradient);
            }
        });
        to_x
    }
}

/// A pool on burn's CPU device; `None` where the tensor is elsewhere.
pub(in crate::train) fn max_pool2d(x: Tensor<4>, windows: Windows) -> Option<Tensor<4>> {
    let [images, channels, ..] = x.dims();
    let [height, width] = windows.output;
    let shape = [images, channels, height, width];
    if !x.is_autodiff() {
        let (made, _) = windows.forward(plain(x)?.as_slice()?);
        return Some(Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(made, shape))));
    }
    let (x, node) = tracked(x)?;
    let (made, at) = windows.forward(x.as_slice()?);
    let made = FlexTensor::from_data(TensorData::new(made, shape));
    let made = match MaxPool.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((at, windows, [images, channels]), made),
        OpsKind::UnTracked(prepared) => prepared.finish(made),
    };
    Some(Tensor::from_primitive::<Autodiff<Flex>>(made))
}

/// The way back.
#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (Vec<u32>, Windows, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (at, windows, [images, channels]) = ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [parent] = ops.parents;
        if let (Some(node), Some(gradient)) = (parent, gradient.as_slice()) {
            let shape = [images, channels, windows.input[0], windows.input[1]];
            let to_x = TensorData::new(windows.backward(gradient, &at), shape);
            gradients.register::<Flex>(node.id, FlexTensor::from_data(to_x));
        }
    }
}
