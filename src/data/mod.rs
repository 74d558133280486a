//! Data sets: inputs and labels in a safetensors file, read a batch at a time, and made out of the files that data come in.

mod cifar;
mod examples;
mod idx;
mod make;
mod normalize;
mod set;
mod split;
mod stream;

pub use make::{Made, Recipe, Source, make};
pub use split::{Split, shuffled};

use std::path::Path;

use crate::{Checkpoint, Dtype, Error, Result, Tensor};

/// Inputs and what belongs to them: the tensors `inputs` (`[n, …]`, F32, or U8, which is divided by 255) and `labels` of a
/// safetensors file. Nothing but labels is held in memory.
///
/// `labels` are classes (`[n]`, integers), or values (`[n, …]`, F32) for the mean squared error. A set without labels serves
/// where none are needed.
#[derive(Debug)]
pub struct DataSet {
    file: Checkpoint,
    inputs: Tensor,
    shape: Vec<usize>,
    count: usize,
    labels: Labels,
    normalize: Option<Normalize>,
}

/// What belongs to the inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// A class each.
    Classes(Vec<u32>),
    /// As many values each as the network has outputs, all inputs' one after the other.
    Values(Vec<f32>),
    /// Nothing.
    None,
}

/// (x − mean)/std, by channel: axis 1 of the inputs, or all alike where there is one pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    /// What is subtracted.
    pub mean: Vec<f32>,
    /// What is divided by.
    pub std: Vec<f32>,
}

/// More elements than one input has had.
const MOST_ELEMENTS: u64 = 1 << 31;

impl DataSet {
    /// Opens a data set; labels are read and checked, inputs stay on the disk.
    ///
    /// # Errors
    /// [`Error::Format`] and [`Error::Tensor`] where the file is no safetensors file, has no `inputs`, or what it has are of
    /// other shapes or dtypes; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = Checkpoint::open(path)?;
        let found = file.get("inputs").cloned().ok_or_else(|| {
            Error::format(path, "has no tensor `inputs` ([n, …], F32 or U8): `secateur dataset` makes such files")
        })?;
        let fail = |why: String| Error::tensor(path, "inputs", why);
        if !matches!(found.dtype(), Dtype::F32 | Dtype::U8) {
            return Err(fail(format!("is {}: F32 is expected, or U8, which is divided by 255", found.dtype())));
        }
        let (&count, each) =
            found.shape().split_first().ok_or_else(|| fail("has no axes: the first counts".to_owned()))?;
        let elements = each.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
        if count == 0 || elements.is_none_or(|n| n == 0 || n > MOST_ELEMENTS) {
            return Err(fail(format!("of shape {:?} holds nothing, or too much for one input", found.shape())));
        }
        let too_many = || fail(format!("has {count} inputs, which this machine cannot count"));
        let count = usize::try_from(count).map_err(|_| too_many())?;
        let shape = each.iter().map(|&length| length as usize).collect();
        let labels = labels(&file, count)?;
        Ok(Self { inputs: found, shape, count, labels, normalize: None, file })
    }

    /// The same with inputs normalised.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are not as many means as deviations, not as many as channels (axis 1 of the inputs) and
    /// not one, or a deviation is not above 0.
    pub fn normalized(mut self, normalize: Normalize) -> Result<Self> {
        let Normalize { mean, std } = &normalize;
        let channels = self.shape.first().copied().unwrap_or(1);
        if mean.len() != std.len() || !(mean.len() == 1 || mean.len() == channels) {
            let (means, stds) = (mean.len(), std.len());
            let message = format!(
                "normalising by {means} means and {stds} deviations: one of each, or one a channel, of which there are {channels}"
            );
            return Err(Error::Usage(message));
        }
        if !(mean.iter().all(|x| x.is_finite()) && std.iter().all(|x| x.is_finite() && *x > 0.0)) {
            return Err(Error::Usage("normalising needs finite means and deviations above 0".to_owned()));
        }
        self.normalize = Some(normalize);
        Ok(self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many inputs there are; at least one.
    #[allow(clippy::len_without_is_empty, reason = "no data set is empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The axes of one input, without the first of `inputs`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements of one input.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// What belongs to the inputs.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Fills `values` with inputs from `first` on, one after the other, normalised: as many as it has room for, which is a
    /// multiple of [`elements`](Self::elements). Many threads may call it at once.
    ///
    /// # Errors
    /// [`Error::Tensor`] where there are not as many; [`Error::Io`].
    pub fn read(&self, first: usize, values: &mut [f32]) -> Result<()> {
        let elements = self.elements();
        // Beyond 64 bits is beyond the file, too.
        let start = (first as u64).saturating_mul(elements as u64);
        if self.inputs.dtype() == Dtype::U8 {
            let mut bytes = vec![0; values.len()];
            self.file.read_exact_at(&self.inputs, start, &mut bytes)?;
            values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(byte) / 255.0);
        } else {
            self.file.read_exact_at(&self.inputs, start.saturating_mul(4), bytemuck::cast_slice_mut(values))?;
        }
        if let Some(Normalize { mean, std }) = &self.normalize {
            let each = if mean.len() == 1 { elements } else { elements / mean.len() };
            let channels = mean.iter().zip(std).cycle();
            for (channel, (mean, std)) in values.chunks_mut(each.max(1)).zip(channels) {
                channel.iter_mut().for_each(|value| *value = (*value - mean) / std);
            }
        }
        Ok(())
    }
}

fn labels(file: &Checkpoint, count: usize) -> Result<Labels> {
    let Some(labels) = file.get("labels") else { return Ok(Labels::None) };
    let fail = |why: String| Error::tensor(file.path(), "labels", why);
    if labels.shape().first() != Some(&(count as u64)) {
        return Err(fail(format!("of shape {:?} do not belong to {count} inputs", labels.shape())));
    }
    let length = usize::try_from(labels.bytes()).map_err(|_| fail("are too many for this machine".to_owned()))?;
    let read = || {
        let mut bytes = vec![0; length];
        file.read_exact_at(labels, 0, &mut bytes).map(|()| bytes)
    };
    if labels.dtype() == Dtype::F32 {
        let values: Vec<f32> =
            read()?.chunks_exact(4).filter_map(|b| b.try_into().ok()).map(f32::from_le_bytes).collect();
        return match values.iter().all(|x| x.is_finite()) {
            true => Ok(Labels::Values(values)),
            false => Err(fail("hold values that are not finite".to_owned())),
        };
    }
    let width = match labels.dtype() {
        Dtype::U8 | Dtype::I8 => 1,
        Dtype::U16 | Dtype::I16 => 2,
        Dtype::U32 | Dtype::I32 => 4,
        Dtype::U64 | Dtype::I64 => 8,
        other => return Err(fail(format!("are {other}: integers are expected (or F32 values)"))),
    };
    if labels.shape().len() != 1 {
        return Err(fail(format!("of shape {:?} are no class each: [n] is expected", labels.shape())));
    }
    let signed = matches!(labels.dtype(), Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
    let class = |(index, bytes): (usize, &[u8])| {
        let mut wide = [0; 8];
        wide.iter_mut().zip(bytes).for_each(|(wide, byte)| *wide = *byte);
        let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let class = u32::try_from(u64::from_le_bytes(wide)).ok().filter(|_| !negative);
        class.ok_or_else(|| fail(format!("hold what is no class: number {index} is negative or beyond 2^32")))
    };
    read()?.chunks_exact(width).enumerate().map(class).collect::<Result<_>>().map(Labels::Classes)
}
