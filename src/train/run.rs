//! One training: its steps, its validation, what it writes.

use burn::tensor::Tensor;

use super::array::{Array, each};
use super::batches;
use super::held::Held;
use super::loss::{Targets, loss, table};
use super::network::{Network, Parameter, Route};
use super::operators::{Mode, Statistics};
use super::optimizer::Steps;
use super::options::TrainOptions;
use super::random::Stream;
use super::trainer::{Event, Trained, Validation};
use super::value::Value;
use super::weights;
use crate::checkpoint::Writer;
use crate::data::{DataSet, Labels};
use crate::{Checkpoint, Error, Result};

/// One training.
pub(super) struct Run<'a> {
    pub(super) options: &'a TrainOptions,
    pub(super) data: &'a DataSet,
    pub(super) validation: Option<&'a DataSet>,
    pub(super) model: &'a Checkpoint,
    pub(super) network: Network,
    pub(super) route: Route,
    pub(super) held: Held,
    pub(super) device: burn::tensor::Device,
}

impl Run<'_> {
    /// Refuses what could not be written at the end.
    pub(super) fn check(&self, writer: &Writer) -> Result<()> {
        for parameter in self.network.parameters.iter().chain(self.network.running.values()) {
            let float = self.model.get(&parameter.name).and_then(crate::Tensor::float);
            if float.is_none_or(|float| weights::encode(float, &[]).is_none()) {
                let why = "is of 8 bits a number, in which nothing can be trained: convert the network to f32 or f16";
                return Err(Error::tensor(self.model.path(), &parameter.name, why));
            }
            writer.write_all_at(&parameter.name, 0, &[])?;
        }
        Ok(())
    }

    /// Every step.
    pub(super) fn all(&mut self, watch: &mut dyn FnMut(Event) -> Result<()>) -> Result<Trained> {
        let options = self.options;
        let data = self.data;
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
                let validation = self.validation.map(|data| self.validate(data)).transpose()?;
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
        let batch = batches::read(self.data, numbers, &self.device)?;
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
    pub(super) fn write(&self, writer: Writer) -> Result<()> {
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
