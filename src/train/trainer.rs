//! Steps down the gradient, from a file to a file.

use std::path::Path;

use burn::tensor::Tensor;

use super::array::{Array, each};
use super::batches::{self, unlabelled};
use super::held::Held;
use super::initial;
use super::loss::{Targets, loss, table};
use super::network::{Network, Parameter, Route};
use super::operators::{Mode, Statistics};
use super::optimizer::Steps;
use super::options::TrainOptions;
use super::random::Stream;
use super::value::Value;
use super::weights;
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
        if *data.labels() == Labels::None {
            return Err(unlabelled(&data));
        }
        Ok(Self { data, validation: None, options })
    }

    /// Looks at these data after each epoch.
    ///
    /// # Errors
    /// [`Error::Format`] where they have no labels.
    pub fn with_validation(self, data: DataSet) -> Result<Self> {
        if *data.labels() == Labels::None {
            return Err(unlabelled(&data));
        }
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
        let wanted = if classes { network.logits(output) } else { output };
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
        let mut run = Run { options, network, route, held, device, model, trainer: self };
        let trained = run.all(watch)?;
        run.write(writer)?;
        Ok(trained)
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

/// One training.
struct Run<'a> {
    options: &'a TrainOptions,
    trainer: &'a Trainer,
    model: &'a Checkpoint,
    network: Network,
    route: Route,
    held: Held,
    device: burn::tensor::Device,
}

impl Run<'_> {
    fn all(&mut self, watch: &mut dyn FnMut(Event) -> Result<()>) -> Result<Trained> {
        let options = self.options;
        let data = &self.trainer.data;
        let per_epoch = data.len().div_ceil(options.batch) as u64;
        let steps = (options.epochs * per_epoch as f64).round() as u64;
        let mut optimizer = Steps::new(options, self.network.parameters.len());
        let mut trained = Trained { steps, loss: None, validation: None };
        let (mut order, mut sum, mut seen) = (Vec::new(), 0.0, 0);
        for step in 0..steps {
            let (epoch, number) = (step / per_epoch, (step % per_epoch) as usize);
            if number == 0 {
                order = Stream::new(options.seed, "order").fork(epoch).order(data.len());
                (sum, seen) = (0.0, 0);
            }
            let numbers = order.chunks(options.batch).nth(number).unwrap_or_default();
            let rate = options.learning_rate * options.schedule.share(step, steps, per_epoch);
            let loss = self.step(numbers, step, rate, &mut optimizer)?;
            sum += loss * numbers.len() as f64;
            seen += numbers.len();
            watch(Event::Step { step: step + 1, steps, epoch: epoch + 1, loss })?;
            if number as u64 + 1 == per_epoch || step + 1 == steps {
                let loss = sum / seen as f64;
                let validation = self.trainer.validation.as_ref().map(|data| self.validate(data)).transpose()?;
                trained = Trained { steps, loss: Some(loss), validation };
                watch(Event::Epoch { epoch: epoch + 1, loss, validation })?;
            }
        }
        Ok(trained)
    }

    fn fail(&self, why: String) -> Error {
        Error::format(self.model.path(), why)
    }

    /// One step; the loss before it.
    fn step(&mut self, numbers: &[usize], step: u64, rate: f64, optimizer: &mut Steps) -> Result<f64> {
        let batch = batches::read(&self.trainer.data, numbers, &self.device)?;
        let leaves: Vec<Array> = self.network.parameters.iter().map(|parameter| parameter.array().leaf()).collect();
        let mut statistics = Vec::new();
        let mode = Mode::Training(Stream::new(self.options.seed, "steps").fork(step).next());
        let made = self.network.run(&self.route, batch.inputs, &leaves, mode, &mut statistics);
        let loss = made.and_then(|made| loss(&made[0], &batch.targets, batch.count, &self.device));
        let loss = loss.map_err(|why| self.fail(why))?;
        let value = scalar(&loss).map_err(|why| self.fail(why))?;
        if !value.is_finite() {
            let remedy = "lower --learning-rate, or look at the inputs (--normalize)";
            return Err(Error::Run(format!("training fails: the loss of step {} is {value}: {remedy}", step + 1)));
        }
        let mut gradients = loss.backward();
        drop(loss);
        for (index, (parameter, leaf)) in self.network.parameters.iter_mut().zip(leaves).enumerate() {
            let gradient = each!(leaf, leaf => leaf.grad_remove(&mut gradients).map(Array::from));
            let Some(gradient) = gradient else { continue };
            let count = gradient.elements();
            let Array::R1(gradient) = gradient.reshape(&[count]) else { continue };
            optimizer.step(index, parameter, gradient, rate);
            self.held.apply(index, parameter);
        }
        statistics.into_iter().for_each(|found| self.remember(found));
        Ok(value)
    }

    /// Moves running statistics towards those of a batch; its variance counts as a sample's, as in PyTorch.
    fn remember(&mut self, found: Statistics) {
        let Statistics { running: [mean, variance], momentum, count, .. } = found;
        let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
        for (name, new, scale) in [(mean, found.mean, 1.0), (variance, found.variance, unbiased)] {
            if let Some(running) = self.network.running.get_mut(&name) {
                let new = new.mul_scalar(((1.0 - momentum) * scale) as f32);
                running.flat = running.flat.clone().mul_scalar(momentum as f32).add(new);
            }
        }
    }

    fn validate(&self, data: &DataSet) -> Result<Validation> {
        let parameters: Vec<Array> = self.network.parameters.iter().map(Parameter::array).collect();
        self.network.check_input(data.shape()).map_err(|why| Error::format(data.path(), why))?;
        let (mut sum, mut right) = (0.0, 0u64);
        let all: Vec<usize> = (0..data.len()).collect();
        for numbers in all.chunks(256) {
            let batch = batches::read(data, numbers, &self.device)?;
            let made = self.network.run(&self.route, batch.inputs, &parameters, Mode::Inference, &mut Vec::new());
            let made = made.map_err(|why| self.fail(why))?;
            let found = loss(&made[0], &batch.targets, batch.count, &self.device).and_then(|loss| scalar(&loss));
            sum += found.map_err(|why| self.fail(why))? * batch.count as f64;
            if let Targets::Classes(classes) = &batch.targets {
                right += count_right(&made[0], classes).map_err(|why| self.fail(why))?;
            }
        }
        let classes = matches!(data.labels(), Labels::Classes(_));
        let count = data.len() as f64;
        Ok(Validation { loss: sum / count, accuracy: classes.then_some(right as f64 / count) })
    }

    /// Every tensor of the file, trained ones as they are now.
    fn write(&self, writer: Writer) -> Result<()> {
        let changed = self.network.parameters.iter().chain(self.network.running.values());
        let changed: std::collections::BTreeMap<&str, &Parameter> =
            changed.map(|parameter| (parameter.name.as_str(), parameter)).collect();
        for tensor in self.model.tensors() {
            let parameter = changed.get(tensor.name()).zip(tensor.float());
            let Some((parameter, float)) = parameter else {
                writer.copy(self.model, tensor)?;
                continue;
            };
            let fail = |why: String| Error::tensor(self.model.path(), tensor.name(), why);
            let values = parameter.array().values().map_err(fail)?;
            let bytes = weights::encode(float, &values);
            let bytes =
                bytes.ok_or_else(|| fail(format!("is {}, in which weights cannot be trained", tensor.dtype())))?;
            writer.write_all_at(tensor.name(), 0, &bytes)?;
        }
        writer.finish()
    }
}

fn scalar(value: &Tensor<1>) -> Result<f64, String> {
    let value = value.clone().inner().try_into_scalar::<f32>();
    value.map(f64::from).map_err(|error| format!("cannot be read from the device: {error:?}"))
}

/// Rows whose largest number is that of their class: the first of equal ones counts.
fn count_right(output: &Value, classes: &[u32]) -> Result<u64, String> {
    let table = Array::from(table(output, classes.len())?);
    let [_, count] = table.shape()[..] else { return Ok(0) };
    let values = table.values()?;
    let best = |row: &[f32]| row.iter().enumerate().fold(0, |best, (i, x)| if *x > row[best] { i } else { best });
    let rows = values.chunks(count.max(1)).zip(classes);
    Ok(rows.filter(|(row, class)| best(row) == **class as usize).count() as u64)
}
