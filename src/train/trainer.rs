//! Training, from a file to a file.

use std::path::Path;

use super::array::MOST_AXES;
use super::batches::unlabelled;
use super::held::Held;
use super::initial;
use super::network::Network;
use super::options::TrainOptions;
use super::run::Run;
use crate::checkpoint::Writer;
use crate::data::{DataSet, Labels};
use crate::prune::Masks;
use crate::tune::{FineTuner, Tuning};
use crate::{Checkpoint, Error, Result};

/// Trains networks of ONNX files, whatever they are made of, as long as [its operators](super) are known.
#[derive(Debug)]
pub struct Trainer {
    data: DataSet,
    validation: Option<DataSet>,
    options: TrainOptions,
}

/// What has happened, to whoever watches.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A step was made.
    Step {
        /// Steps so far.
        step: u64,
        /// All of them.
        steps: u64,
        /// The epoch it belongs to, from 1.
        epoch: u64,
        /// The mean loss of its batch, before it.
        loss: f64,
    },
    /// An epoch has ended, or what there was to be of it.
    Epoch {
        /// Its number, from 1.
        epoch: u64,
        /// The mean loss over its inputs as they came.
        loss: f64,
        /// How good the network is on the validation data, if there are any.
        validation: Option<Validation>,
    },
}

/// How good a network is on data that it is not trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// The mean loss: cross-entropy of classes, squared error of values.
    pub loss: f64,
    /// The share of inputs whose class has the largest output, where labels are classes.
    pub accuracy: Option<f64>,
}

/// What training came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Steps made.
    pub steps: u64,
    /// The mean loss over the last epoch, or its part; `None` without steps.
    pub loss: Option<f64>,
    /// How good the network is on the validation data, if there are any.
    pub validation: Option<Validation>,
}

impl Trainer {
    /// A trainer on these data.
    ///
    /// # Errors
    /// [`Error::Usage`] where `options` has numbers that cannot be used, [`Error::Format`] where the data have no labels.
    pub fn new(data: DataSet, options: TrainOptions) -> Result<Self> {
        options.check()?;
        check(&data)?;
        Ok(Self { data, validation: None, options })
    }

    /// Looks at these data after each epoch.
    ///
    /// # Errors
    /// [`Error::Format`] where they have no labels.
    pub fn with_validation(self, data: DataSet) -> Result<Self> {
        check(&data)?;
        Ok(Self { validation: Some(data), ..self })
    }

    /// How it is trained.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Trains the network of `model` and writes it to `out`, all but the trained tensors as it was. What `masks` cuts is 0
    /// after every step; `force` lets a file be replaced.
    ///
    /// # Errors
    /// [`Error::Format`] where the network has an operator that is not known or does not fit the data, [`Error::Run`] where
    /// the loss is no number any more, [`Error::Device`] without the device, what [`Writer::same`] and `watch` give.
    pub fn train(
        &self,
        model: &Checkpoint,
        masks: Option<&Masks>,
        out: &Path,
        force: bool,
        watch: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Trained> {
        self.train_as(&self.options, model, masks, out, force, watch)
    }

    fn train_as(
        &self,
        options: &TrainOptions,
        model: &Checkpoint,
        masks: Option<&Masks>,
        out: &Path,
        force: bool,
        watch: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Trained> {
        let device = options.device.open()?;
        let fail = |why: String| Error::format(model.path(), why);
        let mut network = Network::open(model, &device)?;
        network.check_input(self.data.shape()).map_err(fail)?;
        let classes = matches!(self.data.labels(), Labels::Classes(_));
        let output = network.output().map_err(fail)?;
        let wanted = if classes { network.logits(output).map_err(fail)? } else { output };
        let route = network.route(&[wanted.to_owned()]).map_err(fail)?;
        if network.parameters.is_empty() {
            return Err(fail(
                "has no weights of Conv, Gemm, MatMul or BatchNormalization, which are what is trained".into(),
            ));
        }
        // Before hours of training, not after.
        let writer = Writer::same(model, out, force)?;
        let held = Held::new(model, masks, options.hold_zeros, &network.parameters, &device)?;
        if options.fresh {
            initial::fresh(&mut network, options.seed, &device);
        }
        for (index, parameter) in network.parameters.iter_mut().enumerate() {
            held.apply(index, parameter);
        }
        let (data, validation) = (&self.data, self.validation.as_ref());
        let mut run = Run { options, network, route, held, device, model, data, validation };
        run.check(&writer)?;
        let trained = run.all(watch)?;
        run.write(writer)?;
        Ok(trained)
    }
}

fn check(data: &DataSet) -> Result<()> {
    let axes = data.shape().len() + 1;
    match *data.labels() != Labels::None {
        true if axes <= MOST_AXES => Ok(()),
        true => Err(Error::format(data.path(), format!("has inputs of {axes} axes: at most {MOST_AXES} are known"))),
        false => Err(unlabelled(data)),
    }
}

impl FineTuner for Trainer {
    /// Goes on from the weights of the job's model.
    fn fine_tune(&mut self, job: &Tuning) -> Result<String> {
        let model = Checkpoint::open(job.model)?;
        let masks = job.mask.map(Masks::open).transpose()?;
        let epochs = job.epochs.unwrap_or(self.options.epochs);
        let options = TrainOptions { epochs, seed: job.seed, fresh: false, ..self.options.clone() };
        options.check()?;
        self.train_as(&options, &model, masks.as_ref(), job.output, false, &mut |_| Ok(()))?;
        Ok(String::new())
    }
}
