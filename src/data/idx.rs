//! The idx format of MNIST and its kin, as <http://yann.lecun.com/exdb/mnist/> defines it.
//!
//! Two zero bytes, a byte for the type of an element, a byte for the number of axes; the axes' lengths as big-endian u32,
//! the first counting the examples; then the elements, big-endian.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::examples::{Examples, Form, Take};
use super::stream;
use crate::{Dtype, Error, Result, escape};

/// Images and, where there are any, labels.
#[derive(Debug)]
pub(super) struct Idx {
    images: Array,
    labels: Option<Array>,
    count: u64,
    input: Form,
    label: Option<Form>,
}

/// One file: what its header says, of which the length is known to be true.
#[derive(Debug)]
struct Array {
    path: PathBuf,
    element: Element,
    shape: Vec<u64>,
}

/// Types of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Idx {
    /// Opens both, reads them once, and checks that they belong together.
    ///
    /// Images of two axes get a third, the channel, before theirs.
    ///
    /// # Errors
    /// [`Error::Format`] naming the file that is not idx, does not hold what its header says, or not what goes with the
    /// other; [`Error::Io`].
    pub(super) fn open(images: &Path, labels: Option<&Path>) -> Result<Self> {
        let images = Array::open(images)?;
        let labels = labels.map(Array::open).transpose()?;
        let (count, each) = images.split();
        let axes = match *each {
            [height, width] => vec![1, height, width],
            [] => vec![1],
            _ => each.to_owned(),
        };
        // Bytes are divided by 255 when they are read; other numbers are taken as they are.
        let input = Form { dtype: if images.element == Element::U8 { Dtype::U8 } else { Dtype::F32 }, shape: axes };
        let Some(labels) = labels else { return Ok(Self { images, labels: None, count, input, label: None }) };
        let (label_count, label_each) = labels.split();
        let shown = escape(&images.path.display().to_string());
        if labels.element.is_integer() && !label_each.is_empty() {
            let message = format!(
                "of shape {:?} holds no label each (one axis is expected): name the file of labels, if it was changed \
                 for that of images",
                labels.shape
            );
            return Err(Error::format(&labels.path, message));
        }
        if label_count != count {
            let message = format!(
                "holds {label_count} labels for the {count} inputs of {shown}: name the files that belong together"
            );
            return Err(Error::format(&labels.path, message));
        }
        let dtype = if labels.element.is_integer() { Dtype::I64 } else { Dtype::F32 };
        let label = Some(Form::new(dtype, label_each));
        Ok(Self { images, labels: Some(labels), count, input, label })
    }
}

impl Examples for Idx {
    fn count(&self) -> u64 {
        self.count
    }

    fn input(&self) -> &Form {
        &self.input
    }

    fn label(&self) -> Option<&Form> {
        self.label.as_ref()
    }

    fn each(&self, take: &mut Take<'_>) -> Result<()> {
        let mut images = Reader::new(&self.images, &self.input)?;
        let mut labels = match (&self.labels, &self.label) {
            (Some(labels), Some(form)) => Some(Reader::new(labels, form)?),
            _ => None,
        };
        for index in 0..self.count {
            let label = labels.as_mut().map(|labels| labels.next(index)).transpose()?;
            take(images.next(index)?, label.unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Array {
    fn open(path: &Path) -> Result<Self> {
        let mut contents = stream::open(path)?;
        let fail = |message: String| Error::format(path, message);
        let mut magic = [0; 4];
        let read = contents.read_exact(&mut magic).map_err(|error| stream::failed(path, error));
        let known = match magic {
            [0, 0, code, axes] if read.is_ok() => Element::from_code(code).filter(|_| axes > 0).map(|e| (e, axes)),
            _ => None,
        };
        let Some((element, axes)) = known else {
            if let Some(remedy) = stream::archive(&stream::head(path)?) {
                return Err(fail(remedy.to_owned()));
            }
            read?;
            let [a, b, c, d] = magic;
            return Err(fail(format!(
                "is no idx file (MNIST's format; gz is fine): it begins with {a:02x} {b:02x} {c:02x} {d:02x}, and idx with \
                 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and the number of axes"
            )));
        };
        let mut lengths = vec![[0; 4]; usize::from(axes)];
        contents.read_exact(lengths.as_flattened_mut()).map_err(|error| stream::failed(path, error))?;
        let shape: Vec<u64> = lengths.into_iter().map(|length| u64::from(u32::from_be_bytes(length))).collect();
        let form = Form::new(Dtype::U8, &shape);
        let elements = form.elements().filter(|_| shape.len() < MAX_AXES);
        let Some(bytes) = elements.and_then(|n| n.checked_mul(element.bytes() as u64)) else {
            return Err(fail(format!("its {axes} axes say more than any file holds: download it again")));
        };
        if bytes == 0 {
            return Err(fail(format!("of shape {shape:?} holds nothing")));
        }
        let there = stream::count(path, &mut contents, bytes)?;
        if there != bytes {
            let there = if there > bytes { "more".to_owned() } else { format!("{there}") };
            let message = format!(
                "of shape {shape:?} takes {bytes} bytes after its header, and {there} are there: download it again"
            );
            return Err(fail(message));
        }
        Ok(Self { path: path.to_owned(), element, shape })
    }

    /// How many examples there are, and the axes of one.
    fn split(&self) -> (u64, &[u64]) {
        self.shape.split_first().map_or((0, &[]), |(&count, each)| (count, each))
    }
}

/// A channel axis may be added to as many as safetensors files are read with.
const MAX_AXES: usize = 64;

/// One file's examples, one at a time.
struct Reader<'a> {
    array: &'a Array,
    contents: Box<dyn Read>,
    dtype: Dtype,
    raw: Vec<u8>,
    ready: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(array: &'a Array, form: &Form) -> Result<Self> {
        let mut contents = stream::open(&array.path)?;
        let header = 4 + 4 * array.shape.len() as u64;
        std::io::copy(&mut contents.by_ref().take(header), &mut std::io::sink())
            .map_err(|error| stream::failed(&array.path, error))?;
        let bytes = form.bytes()?;
        let raw = bytes / (form.dtype.bitsize() / 8) * array.element.bytes();
        Ok(Self { array, contents, dtype: form.dtype, raw: vec![0; raw], ready: Vec::with_capacity(bytes) })
    }

    fn next(&mut self, index: u64) -> Result<&[u8]> {
        let path = &self.array.path;
        self.contents.read_exact(&mut self.raw).map_err(|error| stream::failed(path, error))?;
        let (element, dtype) = (self.array.element, self.dtype);
        if dtype == Dtype::U8 {
            return Ok(&self.raw);
        }
        self.ready.clear();
        for bytes in self.raw.chunks_exact(element.bytes()) {
            let value = element.value(bytes);
            if dtype == Dtype::I64 {
                // Exact: no integer of the format is beyond 32 bits.
                self.ready.extend((value as i64).to_le_bytes());
                if value < 0.0 {
                    return Err(Error::format(
                        path,
                        format!("example {index} has the label {value}: classes start at 0"),
                    ));
                }
            } else {
                let single = value as f32;
                if !single.is_finite() {
                    let message = format!("example {index} holds {value}, which is no finite f32: leave it out");
                    return Err(Error::format(path, message));
                }
                self.ready.extend(single.to_le_bytes());
            }
        }
        Ok(&self.ready)
    }
}

impl Element {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0b => Self::I16,
            0x0c => Self::I32,
            0x0d => Self::F32,
            0x0e => Self::F64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }

    /// The number that big-endian bytes stand for: f64 holds every one exactly.
    fn value(self, bytes: &[u8]) -> f64 {
        let wide = bytes.iter().fold(0u64, |wide, &byte| wide << 8 | u64::from(byte));
        match self {
            Self::U8 => wide as f64,
            Self::I8 => f64::from(wide as u8 as i8),
            Self::I16 => f64::from(wide as u16 as i16),
            Self::I32 => f64::from(wide as u32 as i32),
            Self::F32 => f64::from(f32::from_bits(wide as u32)),
            Self::F64 => f64::from_bits(wide),
        }
    }
}
