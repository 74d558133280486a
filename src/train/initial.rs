//! Fresh weights.

use burn::tensor::{Device, Tensor, TensorData};

use super::network::{Network, Parameter};
use super::random::Stream;
use super::roles::Role;

/// Gives every parameter a new value: weights are even in ±√(6 / fan-in) (He et al. 2015, for networks of ReLU; fan-in is
/// the number of products that an output sums), biases and shifts 0, scales 1, running means 0 and variances 1. Each tensor
/// has random numbers of its own, made of the seed and its name.
pub(super) fn fresh(network: &mut Network, seed: u64, device: &Device) {
    let one = |parameter: &mut Parameter| {
        let count = parameter.flat.dims()[0];
        let values = match parameter.role {
            Role::Weight { fan_in } => {
                let bound = (6.0 / fan_in.max(1) as f32).sqrt();
                let mut stream = Stream::new(seed, &parameter.name);
                (0..count).map(|_| bound * (2.0 * stream.unit() - 1.0)).collect()
            }
            Role::Bias | Role::Mean => vec![0.0; count],
            Role::Scale | Role::Variance => vec![1.0; count],
        };
        parameter.flat = Tensor::from_data(TensorData::new(values, [count]), device);
    };
    network.parameters.iter_mut().for_each(one);
    network.running.values_mut().for_each(one);
}
