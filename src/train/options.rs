//! How a network is trained.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// How often to go through the data; a part of an epoch is that part of its batches.
    pub epochs: f64,
    /// Inputs of a step; the last one of an epoch may have fewer.
    pub batch: usize,
    /// The largest step's size; what [`schedule`](Self::schedule) is a share of.
    pub learning_rate: f64,
    /// How the rate changes.
    pub schedule: LearningRate,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// Of [`Optimizer::Sgd`]: how much of a step goes on in the next.
    pub momentum: f64,
    /// How strongly weights are pulled to 0; biases and normalizations never are.
    pub weight_decay: f64,
    /// What initial weights, the order of the data and dropped elements come from.
    pub seed: u64,
    /// Whether to begin with new random weights: `false` goes on from those of the file.
    pub fresh: bool,
    /// Whether weights that are 0 stay 0 without masks, too.
    pub hold_zeros: bool,
    /// What computes.
    pub device: Device,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: 10.0,
            batch: 64,
            learning_rate: 0.02,
            schedule: LearningRate::Cosine,
            optimizer: Optimizer::Sgd,
            momentum: 0.9,
            weight_decay: 0.0,
            seed: 0,
            fresh: false,
            hold_zeros: false,
            device: Device::Cpu,
        }
    }
}

impl TrainOptions {
    /// More epochs than anybody waits for.
    const MOST_EPOCHS: f64 = 1e6;

    /// # Errors
    /// [`Error::Usage`] where a number is not one that training can use.
    pub(super) fn check(&self) -> Result<()> {
        let least = |name: &str, value: f64, allowed: bool, range: &str| match allowed {
            true => Ok(()),
            false => Err(Error::Usage(format!("{name} is {value}: {range} can be"))),
        };
        let rate = self.learning_rate;
        least("the number of epochs", self.epochs, (0.0..=Self::MOST_EPOCHS).contains(&self.epochs), "0 to a million")?;
        least("the batch", self.batch as f64, (1..=1 << 20).contains(&self.batch), "1 to 1048576")?;
        least("the learning rate", rate, rate.is_finite() && rate > 0.0, "a number above 0")?;
        least("the momentum", self.momentum, (0.0..1.0).contains(&self.momentum), "at least 0 and less than 1")?;
        let decay = self.weight_decay;
        least("the weight decay", decay, decay.is_finite() && decay >= 0.0, "a number of at least 0")?;
        if let LearningRate::Step { every, factor } = self.schedule {
            let allowed = every.is_finite() && every > 0.0 && factor.is_finite() && factor > 0.0;
            least("a step of the learning rate", every, allowed, "epochs above 0, and a factor above 0,")?;
        }
        Ok(())
    }
}

/// How gradients become steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum: v ← μ v + g, w ← w − η v (as PyTorch's).
    Sgd,
    /// Adam (Kingma and Ba 2015), β = 0.9 and 0.999, ε = 1e-8; weight decay is part of the gradient.
    Adam,
    /// Adam whose weight decay is not (Loshchilov and Hutter 2019).
    AdamW,
}

/// How the learning rate changes as training goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LearningRate {
    /// It stays.
    Constant,
    /// It falls to 0 along half a cosine (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// It is multiplied by `factor` every so many epochs.
    Step {
        /// Epochs between.
        every: f64,
        /// What it is multiplied by.
        factor: f64,
    },
}

impl LearningRate {
    /// The share of the whole rate at `step` of `steps`, with so many of them an epoch.
    pub(super) fn share(self, step: u64, steps: u64, per_epoch: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps.max(1) as f64).cos()),
            Self::Step { every, factor } => factor.powf((step as f64 / per_epoch.max(1) as f64 / every).floor()),
        }
    }
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU: burn's flex backend. The same seed gives the same bytes on the same machine.
    Cpu,
    /// The GPU: burn's wgpu backend (cargo feature `train-gpu`).
    Gpu,
}

impl FromStr for Optimizer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Sgd, Self::Adam, Self::AdamW];
        known.into_iter().find(|one| one.to_string() == text).ok_or_else(|| "expected sgd, adam or adamw".to_owned())
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgd => "sgd",
            Self::Adam => "adam",
            Self::AdamW => "adamw",
        })
    }
}

impl FromStr for LearningRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected constant, cosine, or step:EPOCHS,FACTOR such as step:10,0.1".to_owned();
        match text.split_once(':') {
            None if text == "constant" => Ok(Self::Constant),
            None if text == "cosine" => Ok(Self::Cosine),
            Some(("step", numbers)) => {
                let (every, factor) = numbers.split_once(',').ok_or_else(wrong)?;
                let number = |text: &str| text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
                let (every, factor) = (number(every).ok_or_else(wrong)?, number(factor).ok_or_else(wrong)?);
                Ok(Self::Step { every, factor })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for LearningRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Step { every, factor } => write!(f, "step:{every},{factor}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ => Err("expected cpu or gpu".to_owned()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Cpu { "cpu" } else { "gpu" })
    }
}

impl Device {
    /// Burn's device.
    ///
    /// # Errors
    /// [`Error::Device`] where this build has none.
    pub(super) fn open(self) -> Result<burn::tensor::Device> {
        match self {
            Self::Cpu => Ok(burn::tensor::Device::flex()),
            #[cfg(feature = "train-gpu")]
            Self::Gpu => Ok(burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(not(feature = "train-gpu"))]
            Self::Gpu => {
                let remedy = "build it with `cargo install --path . --features train-gpu`, or train on the CPU";
                Err(Error::Device(format!("this build does not train on a GPU: {remedy}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for one in [Optimizer::Sgd, Optimizer::Adam, Optimizer::AdamW] {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        let step = LearningRate::Step { every: 2.5, factor: 0.1 };
        for one in [LearningRate::Constant, LearningRate::Cosine, step] {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        for one in [Device::Cpu, Device::Gpu] {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        for wrong in ["", "step", "step:", "step:1", "step:0,1", "step:1,nan", "Cosine"] {
            assert!(wrong.parse::<LearningRate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rate_falls() {
        let step = LearningRate::Step { every: 2.0, factor: 0.1 };
        assert_eq!([0, 19, 20, 40].map(|at| step.share(at, 60, 10) as f32), [1.0, 1.0, 0.1, 0.01]);
        assert_eq!([0, 50, 100].map(|at| LearningRate::Cosine.share(at, 100, 10) as f32), [1.0, 0.5, 0.0]);
    }
}
