//! A tensor in a buffer.

use crate::gpu::Gpu;
use crate::{Error, Float, Result};

/// The weights of one tensor, in a buffer that a program has already.
///
/// They are read and written where they lie. The buffer has to have been made with `BufferUsages::STORAGE`.
#[derive(Clone, Debug)]
pub struct Weights {
    buffer: wgpu::Buffer,
    offset: u64,
    float: Float,
    shape: Vec<u64>,
    elements: u64,
}

impl Weights {
    /// The `shape` row-major elements of format `float` from byte `offset` of `buffer` on.
    ///
    /// # Errors
    /// An offset that is no multiple of 4, weights that do not lie in the buffer, a buffer without the usage, F64 (WGSL has
    /// no f64), or 2^32 elements and more.
    pub fn new(buffer: &wgpu::Buffer, offset: u64, float: Float, shape: &[u64]) -> Result<Self> {
        let refuse = |why: String| Err(Error::Device(format!("weights of shape {shape:?} at byte {offset}: {why}")));
        if !Gpu::computes(float) {
            return refuse("F64 is not computed on a GPU".to_owned());
        }
        let elements = shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
        let Some(elements) = elements.filter(|n| *n < 1 << 32) else {
            return refuse("a pass takes fewer than 2^32 elements of a tensor".to_owned());
        };
        if !offset.is_multiple_of(4) {
            return refuse("the offset is misaligned: it has to be a multiple of 4".to_owned());
        }
        // Kernels see whole words.
        let end = offset.checked_add((elements * float.bytes() as u64).next_multiple_of(4));
        if end.is_none_or(|end| end > buffer.size()) {
            return refuse(format!("they end beyond the buffer, which has {} bytes", buffer.size()));
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return refuse("the buffer was made without BufferUsages::STORAGE".to_owned());
        }
        Ok(Self { buffer: buffer.clone(), offset, float, shape: shape.to_vec(), elements })
    }

    /// The buffer.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// The first byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The format.
    pub fn float(&self) -> Float {
        self.float
    }

    /// The shape, row-major.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        self.elements * self.float.bytes() as u64
    }
}
