//! Convolution: columns of what the kernel sees, times the weight, an image at a time.
//!
//! Burn's CPU backend has the gradient of a weight computed as a convolution whose kernel is the whole output, which takes
//! most of a step. Threads share images by number, and sums over images are made in one order, whatever the threads.

use burn::Tensor;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::columns::{gather, scatter};
use super::geometry::{Geometry, Piece};
use super::matmul::{Matrix, multiply};
use super::{plain, tracked};

impl Geometry {
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let (depth, positions, per_group) = (self.depth(), self.positions(), self.outputs / self.groups);
        let mut made = vec![0.0; self.images * self.outputs * positions];
        let block = self.together();
        let blocks = made.par_chunks_mut((block * self.outputs * positions).max(1));
        blocks.zip(x.par_chunks((block * self.image()).max(1))).for_each_init(Room::default, |room, (made, x)| {
            for piece in self.pieces(x.len() / self.image().max(1)) {
                let count = self.count(piece);
                for group in 0..self.groups {
                    let weight = Matrix::by_rows(&weight[group * per_group * depth..][..per_group * depth], depth);
                    let columns = self.gathered(x, group, piece, &mut room.columns);
                    let products = sized(&mut room.outputs, per_group * count);
                    multiply(
                        products,
                        count,
                        false,
                        [per_group, depth, count],
                        weight,
                        Matrix::by_rows(columns, count),
                    );
                    for (image, place) in self.places(piece) {
                        for (number, output) in (group * per_group..(group + 1) * per_group).enumerate() {
                            let into = &mut made[self.outputs_of(image, output, piece.rows)];
                            let from = &products[number * count + place.offset..];
                            into.iter_mut().zip(from).for_each(|(x, y)| *x = *y + bias[output]);
                        }
                    }
                }
            }
        });
        made
    }

    /// The columns of a piece.
    fn gathered<'a>(&self, x: &[f32], group: usize, piece: Piece, room: &'a mut Vec<f32>) -> &'a [f32] {
        let columns = sized(room, self.depth() * self.count(piece));
        for (image, place) in self.places(piece) {
            let image = &x[image * self.image()..][..self.image()];
            gather(self, image, group * self.per_group(), place, columns);
        }
        columns
    }

    /// What the inputs' gradient is, if it is asked for, and those of the weight and the bias.
    pub(super) fn backward(&self, x: &[f32], weight: &[f32], gradient: &[f32], with_x: bool) -> [Vec<f32>; 3] {
        let mut to_x = vec![0.0; if with_x { self.images * self.image() } else { 0 }];
        // As many parts as their sums fit in 64 MiB, however many threads there are: sums must not depend on that.
        let parts = ((1 << 24) / (self.weight() + 1)).clamp(1, 16);
        let images = self.images.div_ceil(parts).max(self.together());
        let part = |(number, to_x): (usize, &mut [f32])| {
            let (first, count) = (number * images, images.min(self.images - number * images));
            let x = &x[first * self.image()..][..count * self.image()];
            let each = self.outputs * self.positions();
            self.backward_part(x, weight, &gradient[first * each..][..count * each], with_x.then_some(to_x))
        };
        let found: Vec<[Vec<f32>; 2]> = match with_x {
            true => to_x.par_chunks_mut((images * self.image()).max(1)).enumerate().map(part).collect(),
            false => (0..self.images.div_ceil(images)).into_par_iter().map(|number| part((number, &mut []))).collect(),
        };
        let (mut to_weight, mut to_bias) = (vec![0.0; self.weight()], vec![0.0; self.outputs]);
        for [weight, bias] in found {
            to_weight.iter_mut().zip(weight).for_each(|(sum, x)| *sum += x);
            to_bias.iter_mut().zip(bias).for_each(|(sum, x)| *sum += x);
        }
        [to_x, to_weight, to_bias]
    }

    /// The same of some images, one after the other.
    fn backward_part(
        &self,
        x: &[f32],
        weight: &[f32],
        gradient: &[f32],
        mut to_x: Option<&mut [f32]>,
    ) -> [Vec<f32>; 2] {
        let (depth, positions, per_group) = (self.depth(), self.positions(), self.outputs / self.groups);
        let (mut to_weight, mut to_bias) = (vec![0.0; self.weight()], vec![0.0; self.outputs]);
        for (number, row) in gradient.chunks(positions.max(1)).enumerate() {
            to_bias[number % self.outputs] += row.iter().sum::<f32>();
        }
        let mut room = Room::default();
        for piece in self.pieces(x.len() / self.image().max(1)) {
            let count = self.count(piece);
            for group in 0..self.groups {
                let weights = group * per_group * depth..(group + 1) * per_group * depth;
                let rows = sized(&mut room.outputs, per_group * count);
                for (image, place) in self.places(piece) {
                    for (number, output) in (group * per_group..(group + 1) * per_group).enumerate() {
                        let from = &gradient[self.outputs_of(image, output, piece.rows)];
                        rows[number * count + place.offset..][..from.len()].copy_from_slice(from);
                    }
                }
                let rows = Matrix::by_rows(rows, count);
                let seen = Matrix::by_rows(self.gathered(x, group, piece, &mut room.columns), count).transposed();
                multiply(&mut to_weight[weights.clone()], depth, true, [per_group, count, depth], rows, seen);
                if let Some(to_x) = &mut to_x {
                    let weight = Matrix::by_rows(&weight[weights], depth).transposed();
                    let spread = sized(&mut room.columns, depth * count);
                    multiply(spread, count, false, [depth, per_group, count], weight, rows);
                    for (image, place) in self.places(piece) {
                        let to_x = &mut to_x[image * self.image()..][..self.image()];
                        scatter(self, spread, group * self.per_group(), place, to_x);
                    }
                }
            }
        }
        [to_weight, to_bias]
    }
}

/// Memory that a thread uses again.
#[derive(Debug, Default)]
struct Room {
    columns: Vec<f32>,
    outputs: Vec<f32>,
}

fn sized(room: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if room.len() < length {
        room.resize(length, 0.0);
    }
    &mut room[..length]
}

/// A convolution on burn's CPU device; `None` where the tensors are elsewhere.
pub(in crate::train) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    geometry: Geometry,
) -> Option<Tensor<4>> {
    if !(x.is_autodiff() || weight.is_autodiff() || bias.is_autodiff()) {
        let (x, weight, bias) = (plain(x)?, plain(weight)?, plain(bias)?);
        return Some(Tensor::from_primitive::<Flex>(forward(&geometry, &x, &weight, &bias)?));
    }
    let (x, x_node) = tracked(x)?;
    let (weight, weight_node) = tracked(weight)?;
    let (bias, bias_node) = tracked(bias)?;
    let made = forward(&geometry, &x, &weight, &bias)?;
    let prepared = Conv.prepare::<NoCheckpointing>([x_node, weight_node, bias_node]).compute_bound().stateful();
    let made = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish((x, weight, geometry), made),
        OpsKind::UnTracked(prepared) => prepared.finish(made),
    };
    Some(Tensor::from_primitive::<Autodiff<Flex>>(made))
}

fn forward(geometry: &Geometry, x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> Option<FlexTensor> {
    let made = geometry.forward(x.as_slice()?, weight.as_slice()?, bias.as_slice()?);
    let [height, width] = geometry.output;
    Some(FlexTensor::from_data(TensorData::new(made, [geometry.images, geometry.outputs, height, width])))
}

/// The way back.
#[derive(Debug)]
struct Conv;

impl Backward<Flex, 3> for Conv {
    type State = (FlexTensor, FlexTensor, Geometry);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (x, weight, geometry) = ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [to_x, to_weight, to_bias] = ops.parents.map(|node| node.map(|node| node.id));
        let (Some(seen), Some(weight), Some(gradient)) = (x.as_slice(), weight.as_slice(), gradient.as_slice()) else {
            return;
        };
        let [x_gradient, weight_gradient, bias_gradient] = geometry.backward(seen, weight, gradient, to_x.is_some());
        let Geometry { images, channels, input, outputs, kernel, .. } = geometry;
        let mut give = |node: Option<NodeId>, values: Vec<f32>, shape: &[usize]| {
            if let Some(node) = node {
                gradients.register::<Flex>(node, FlexTensor::from_data(TensorData::new(values, shape.to_vec())));
            }
        };
        give(to_x, x_gradient, &[images, channels, input[0], input[1]]);
        give(to_weight, weight_gradient, &[outputs, geometry.per_group(), kernel[0], kernel[1]]);
        give(to_bias, bias_gradient, &[outputs]);
    }
}
