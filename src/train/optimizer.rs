//! Gradients become steps.

use burn::tensor::Tensor;

use super::network::Parameter;
use super::options::{Optimizer, TrainOptions};
use super::roles::Role;

/// What an optimizer remembers of each parameter.
#[derive(Debug)]
pub(super) struct Steps {
    optimizer: Optimizer,
    momentum: f64,
    weight_decay: f64,
    /// How often each parameter has been moved.
    count: Vec<i32>,
    first: Vec<Option<Tensor<1>>>,
    second: Vec<Option<Tensor<1>>>,
}

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

impl Steps {
    pub(super) fn new(options: &TrainOptions, parameters: usize) -> Self {
        Self {
            optimizer: options.optimizer,
            momentum: options.momentum,
            weight_decay: options.weight_decay,
            count: vec![0; parameters],
            first: vec![None; parameters],
            second: vec![None; parameters],
        }
    }

    /// Moves parameter number `index` along its gradient, by that learning rate.
    pub(super) fn step(&mut self, index: usize, parameter: &mut Parameter, gradient: Tensor<1>, rate: f64) {
        let decay = if matches!(parameter.role, Role::Weight { .. }) { self.weight_decay } else { 0.0 };
        let mut value = std::mem::replace(&mut parameter.flat, Tensor::empty([1], &gradient.device()));
        let decoupled = self.optimizer == Optimizer::AdamW;
        let gradient = match decay != 0.0 && !decoupled {
            true => gradient.add(value.clone().mul_scalar(decay as f32)),
            false => gradient,
        };
        self.count[index] += 1;
        parameter.flat = match self.optimizer {
            Optimizer::Sgd => {
                let velocity = match (self.first[index].take(), self.momentum) {
                    (Some(velocity), momentum) => velocity.mul_scalar(momentum as f32).add(gradient),
                    (None, _) => gradient,
                };
                let step = velocity.clone().mul_scalar(rate as f32);
                if self.momentum != 0.0 {
                    self.first[index] = Some(velocity);
                }
                value.sub(step)
            }
            Optimizer::Adam | Optimizer::AdamW => {
                if decoupled && decay != 0.0 {
                    value = value.mul_scalar((1.0 - rate * decay) as f32);
                }
                let blend = |old: Option<Tensor<1>>, new: Tensor<1>, beta: f64| {
                    let new = new.mul_scalar((1.0 - beta) as f32);
                    old.map_or(new.clone(), |old| old.mul_scalar(beta as f32).add(new))
                };
                let squared = gradient.clone().mul(gradient.clone());
                let first = blend(self.first[index].take(), gradient, BETAS[0]);
                let second = blend(self.second[index].take(), squared, BETAS[1]);
                let [one, two] = BETAS.map(|beta| 1.0 - beta.powi(self.count[index]));
                let root = second.clone().sqrt().mul_scalar((1.0 / two.sqrt()) as f32).add_scalar(EPSILON as f32);
                let step = first.clone().mul_scalar((rate / one) as f32).div(root);
                (self.first[index], self.second[index]) = (Some(first), Some(second));
                value.sub(step)
            }
        };
    }
}
