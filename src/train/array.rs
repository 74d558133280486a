//! Tensors of any rank: burn's have theirs in their type, an ONNX file says it when it is read.

use burn::tensor::{Device, Tensor, TensorData};

/// The most axes that a value may have.
pub(super) const MOST_AXES: usize = 6;

/// A tensor of one to six axes. Scalars have one axis of length 1, which broadcasts alike.
#[derive(Clone, Debug)]
pub(super) enum Array {
    R1(Tensor<1>),
    R2(Tensor<2>),
    R3(Tensor<3>),
    R4(Tensor<4>),
    R5(Tensor<5>),
    R6(Tensor<6>),
}

/// The same expression for a tensor of whatever rank.
macro_rules! each {
    ($array:expr, $tensor:ident => $body:expr) => {
        match $array {
            Array::R1($tensor) => $body,
            Array::R2($tensor) => $body,
            Array::R3($tensor) => $body,
            Array::R4($tensor) => $body,
            Array::R5($tensor) => $body,
            Array::R6($tensor) => $body,
        }
    };
}

/// The same expression for two tensors of one rank; the last one where the ranks differ.
macro_rules! both {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $body:expr, $else:expr) => {
        match ($a, $b) {
            (Array::R1($x), Array::R1($y)) => $body,
            (Array::R2($x), Array::R2($y)) => $body,
            (Array::R3($x), Array::R3($y)) => $body,
            (Array::R4($x), Array::R4($y)) => $body,
            (Array::R5($x), Array::R5($y)) => $body,
            (Array::R6($x), Array::R6($y)) => $body,
            _ => $else,
        }
    };
}

pub(super) use {both, each};

macro_rules! from {
    ($($rank:literal $variant:ident),*) => { $(
        impl From<Tensor<$rank>> for Array {
            fn from(tensor: Tensor<$rank>) -> Self {
                Self::$variant(tensor)
            }
        }
    )* };
}

from!(1 R1, 2 R2, 3 R3, 4 R4, 5 R5, 6 R6);

impl Array {
    /// Values in that shape, of which they are as many; at most six axes.
    pub(super) fn new(values: Vec<f32>, shape: &[usize], device: &Device) -> Self {
        let length = values.len();
        Self::R1(Tensor::from_data(TensorData::new(values, [length]), device)).reshape(shape)
    }

    pub(super) fn shape(&self) -> Vec<usize> {
        each!(self, tensor => tensor.dims().to_vec())
    }

    pub(super) fn rank(&self) -> usize {
        each!(self, tensor => tensor.dims().len())
    }

    pub(super) fn elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// The same elements in another shape of as many, with at most six axes.
    pub(super) fn reshape(self, shape: &[usize]) -> Self {
        if self.shape() == shape {
            return self;
        }
        match *shape {
            [] => each!(self, tensor => tensor.reshape([1]).into()),
            [a] => each!(self, tensor => tensor.reshape([a]).into()),
            [a, b] => each!(self, tensor => tensor.reshape([a, b]).into()),
            [a, b, c] => each!(self, tensor => tensor.reshape([a, b, c]).into()),
            [a, b, c, d] => each!(self, tensor => tensor.reshape([a, b, c, d]).into()),
            [a, b, c, d, e] => each!(self, tensor => tensor.reshape([a, b, c, d, e]).into()),
            [a, b, c, d, e, f, ..] => each!(self, tensor => tensor.reshape([a, b, c, d, e, f]).into()),
        }
    }

    /// With axes of length 1 before the others, so that there are `rank`.
    pub(super) fn raised(self, rank: usize) -> Self {
        let shape = self.shape();
        if shape.len() >= rank {
            return self;
        }
        let mut raised = vec![1; rank - shape.len()];
        raised.extend(shape);
        self.reshape(&raised)
    }

    /// All elements in order.
    pub(super) fn values(&self) -> Result<Vec<f32>, String> {
        let read = each!(self, tensor => tensor.clone().inner().try_into_vec_as::<f32>());
        read.map_err(|error| format!("cannot be read from the device: {error:?}"))
    }

    /// A new leaf of which the gradient is wanted.
    pub(super) fn leaf(&self) -> Self {
        each!(self, tensor => tensor.clone().autodiff().require_grad().into())
    }
}
