//! Running a network without training it.

use burn::tensor::Device as BurnDevice;

use super::array::{Array, MOST_AXES};
use super::network::{Network, Parameter, Route};
use super::operators::Mode;
use super::options::Device;
use super::value::Value;
use crate::{Checkpoint, Error, Result};

/// A network that is run as it is: what [`Trainer`](super::Trainer) validates with.
#[derive(Debug)]
pub struct Interpreter {
    network: Network,
    route: Route,
    parameters: Vec<Array>,
    device: BurnDevice,
    path: std::path::PathBuf,
}

/// A result: its axes, and its elements in order.
pub type Output = (Vec<usize>, Vec<f32>);

impl Interpreter {
    /// The network of an open ONNX file.
    ///
    /// # Errors
    /// [`Error::Format`] where it is no network of one input, or an operator is not known; [`Error::Device`] without the
    /// device; [`Error::Io`].
    pub fn open(model: &Checkpoint, device: Device) -> Result<Self> {
        let device = device.open()?;
        let network = Network::open(model, &device)?;
        let route = network.route(network.outputs()).map_err(|why| Error::format(model.path(), why))?;
        let parameters = network.parameters.iter().map(Parameter::array).collect();
        Ok(Self { network, route, parameters, device, path: model.path().to_owned() })
    }

    /// All outputs for inputs of that shape, the batch first.
    ///
    /// # Errors
    /// [`Error::Usage`] where `inputs` are not as many as the shape says; [`Error::Format`] where the network cannot take
    /// them.
    pub fn run(&self, shape: &[usize], inputs: Vec<f32>) -> Result<Vec<Output>> {
        let elements = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        if elements != Some(inputs.len()) || inputs.is_empty() || !(1..=MOST_AXES).contains(&shape.len()) {
            return Err(Error::Usage(format!("{} elements are no inputs of shape {shape:?}", inputs.len())));
        }
        let fail = |why: String| Error::format(&self.path, why);
        self.network.check_input(&shape[1..]).map_err(fail)?;
        let inputs = Array::new(inputs, shape, &self.device);
        let made = self.network.run(&self.route, inputs, &self.parameters, Mode::Inference, &mut Vec::new());
        let read = |value: Value| match value {
            Value::Array(array) => Ok((array.shape(), array.values()?)),
            Value::Known(known) => Ok((known.shape, known.values.iter().map(|&value| value as f32).collect())),
        };
        made.and_then(|made| made.into_iter().map(read).collect()).map_err(fail)
    }
}
