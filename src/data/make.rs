//! Making data sets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cifar::Cifar;
use super::examples::{Examples, Form};
use super::idx::Idx;
use super::set::Set;
use super::{Split, shuffled};
use crate::checkpoint::{Named, Planned, Writer, check_apart};
use crate::{Dtype, Error, Progress, Result};

/// What a data set is made of, and how.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The files.
    pub source: Source,
    /// Whether an input is one axis of all its elements, whatever its own axes.
    pub flat: bool,
    /// The parts, each of which is a file; `None` for one file of all.
    pub split: Option<Split>,
    /// What examples are [`shuffled`] by before they are split; `None` keeps their order.
    pub seed: Option<u64>,
    /// How many examples are used: the first ones, after shuffling; `None` for all.
    pub limit: Option<u64>,
}

/// Files of examples, each gz or not.
#[derive(Clone, Debug)]
pub enum Source {
    /// The idx files of MNIST, Fashion-MNIST and EMNIST (whose images lie on their side, and stay so): any type and number of
    /// axes. Bytes stay U8, other numbers become F32. Inputs of two axes, height and width, get the channel's before them.
    /// Integers are classes and become I64; floating labels become F32 values.
    Idx {
        /// The inputs.
        images: PathBuf,
        /// What belongs to them.
        labels: Option<PathBuf>,
    },
    /// The binary files of CIFAR-10 or CIFAR-100, told apart by their sizes: U8 `[n, 3, 32, 32]` and I64 `[n]`.
    Cifar {
        /// One file after the other.
        files: Vec<PathBuf>,
        /// That they are of CIFAR-100, of which the fine labels are taken.
        hundred: bool,
        /// That the coarse labels of CIFAR-100 are taken.
        coarse: bool,
    },
    /// A data set: inputs and labels are taken as they are stored.
    Set(PathBuf),
}

/// One file that has been made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Where it is.
    pub path: String,
    /// How many examples it holds.
    pub count: u64,
    /// The dtype of its inputs.
    pub dtype: Dtype,
    /// The axes of one input.
    pub shape: Vec<u64>,
    /// How many different classes are among its labels; `None` where there are none or they are no classes.
    pub classes: Option<u64>,
    /// Its size.
    pub bytes: u64,
}

/// Makes a data set, or one for each part: safetensors files of `inputs` and `labels`, with what they were made from in
/// `__metadata__`. Each appears under its name when all are complete; `force` lets files be replaced.
///
/// Files are read twice: to know that they are sound, then to copy example by example. Held are one example, some buffers
/// (under 4 MiB) and, of what is shuffled, 24 bytes for each example.
///
/// # Errors
/// [`Error::Usage`] where there are not as many outputs as parts, the split does not fit the number of examples, or an
/// output may not be written; [`Error::Format`] and [`Error::Tensor`] naming a file that is damaged, of another format or
/// of another number of examples than the one beside it; [`Error::Io`].
pub fn make(recipe: &Recipe, outputs: &[PathBuf], force: bool, progress: &Progress) -> Result<Vec<Made>> {
    let parts = recipe.split.as_ref().map_or(1, Split::parts);
    if parts != outputs.len() {
        let message = format!("-o names {} of the files to write, one for each part: {parts}", outputs.len());
        return Err(Error::Usage(message));
    }
    let inputs: Vec<Named<'_>> = recipe.source.files().into_iter().map(|path| ("the data set", path)).collect();
    let named: Vec<Named<'_>> = outputs.iter().map(|path| ("-o", path.as_path())).collect();
    check_apart(&named, &inputs)?;

    let examples = recipe.source.open()?;
    let examples = examples.as_ref();
    let count = recipe.limit.map_or(examples.count(), |limit| limit.min(examples.count()));
    if count == 0 {
        return Err(Error::Usage("--limit 0 leaves no example".to_owned()));
    }
    let sizes = recipe.split.as_ref().map_or(Ok(vec![count]), |split| split.sizes(count))?;
    let mut files = Vec::with_capacity(parts);
    for (part, (path, size)) in outputs.iter().zip(sizes).enumerate() {
        let metadata = recipe.metadata(part);
        files.push(Part::new(examples, recipe.flat, path, force, size, &metadata)?);
    }

    // Where each example goes, counting over all parts.
    let places = recipe.seed.map(|seed| inverse(&shuffled(seed, examples.count())));
    let mut index = 0u64;
    let (input, label) = (examples.input().bytes()?, examples.label().map_or(Ok(0), Form::bytes)?);
    let example_bytes = input as u64 + label as u64;
    progress.expect(examples.count().saturating_mul(example_bytes));
    examples.each(&mut |input, label| {
        let mut place = match &places {
            Some(places) => usize::try_from(index).ok().and_then(|i| places.get(i).copied()).unwrap_or(u64::MAX),
            None => index,
        };
        index += 1;
        progress.add(example_bytes);
        for part in &mut files {
            if place < part.made.count {
                return part.put(place, input, label);
            }
            place -= part.made.count;
        }
        Ok(())
    })?;
    files.into_iter().map(Part::finish).collect()
}

/// The place of each element of `order`.
fn inverse(order: &[u64]) -> Vec<u64> {
    let mut places = vec![0; order.len()];
    for (place, &index) in (0..).zip(order) {
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| places.get_mut(index)) {
            *slot = place;
        }
    }
    places
}

/// One of the files while it is written.
struct Part {
    writer: Writer,
    made: Made,
    /// Classes seen so far.
    classes: Option<BTreeSet<Vec<u8>>>,
}

impl Part {
    fn new(
        examples: &dyn Examples,
        flat: bool,
        path: &Path,
        force: bool,
        count: u64,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let whole = |name: &str, form: &Form, shape: &[u64]| Planned {
            name: name.to_owned(),
            dtype: form.dtype,
            shape: [&[count], shape].concat(),
        };
        let input = examples.input();
        let shape = match input.elements() {
            Some(elements) if flat => vec![elements],
            _ => input.shape.clone(),
        };
        let mut planned = vec![whole("inputs", input, &shape)];
        planned.extend(examples.label().map(|label| whole("labels", label, &label.shape)));
        let writer = Writer::alone(path, force, &planned, metadata)?;
        let are_classes = examples.label().is_some_and(|label| label.dtype != Dtype::F32);
        let (path, bytes) = (path.display().to_string(), writer.bytes());
        let made = Made { path, count, dtype: input.dtype, shape, classes: None, bytes };
        Ok(Self { writer, made, classes: are_classes.then(BTreeSet::new) })
    }

    fn put(&mut self, place: u64, input: &[u8], label: &[u8]) -> Result<()> {
        self.writer.write_all_at("inputs", place.saturating_mul(input.len() as u64), input)?;
        if label.is_empty() {
            return Ok(());
        }
        if let Some(classes) = self.classes.as_mut().filter(|classes| !classes.contains(label)) {
            classes.insert(label.to_owned());
        }
        self.writer.write_all_at("labels", place.saturating_mul(label.len() as u64), label)
    }

    fn finish(mut self) -> Result<Made> {
        self.writer.finish()?;
        self.made.classes = self.classes.map(|classes| classes.len() as u64);
        Ok(self.made)
    }
}

impl Source {
    fn open(&self) -> Result<Box<dyn Examples>> {
        Ok(match self {
            Self::Idx { images, labels } => Box::new(Idx::open(images, labels.as_deref())?),
            Self::Cifar { files, hundred, coarse } => Box::new(Cifar::open(files, *hundred, *coarse)?),
            Self::Set(path) => Box::new(Set::open(path)?),
        })
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Self::Idx { images, labels } => {
                [Some(images), labels.as_ref()].into_iter().flatten().map(|p| &**p).collect()
            }
            Self::Cifar { files, .. } => files.iter().map(|p| &**p).collect(),
            Self::Set(path) => vec![path],
        }
    }
}

impl Recipe {
    /// What is said of part number `part` in its file. The same in every folder: names of files, without the way to them.
    fn metadata(&self, part: usize) -> BTreeMap<String, String> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = self.source.files().into_iter().map(name).collect();
        let mut said = vec![("source", names.join(", "))];
        said.push((
            "order",
            self.seed.map_or("as in the source".to_owned(), |seed| format!("shuffled by seed {seed}")),
        ));
        said.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        if let Some(split) = &self.split {
            said.extend([("split", split.to_string()), ("part", (part + 1).to_string())]);
        }
        if let Source::Cifar { coarse: true, .. } = self.source {
            said.push(("labels", "coarse".to_owned()));
        }
        said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
