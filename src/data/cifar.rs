//! The binary files of CIFAR-10 and CIFAR-100, as <https://www.cs.toronto.edu/~kriz/cifar.html> defines them.
//!
//! Records of the label (of CIFAR-100 the coarse label, then the fine one) and 3 × 32 × 32 bytes, channel by channel.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::examples::{Examples, Form, Take};
use super::stream;
use crate::{Dtype, Error, Result};

const IMAGE: [u64; 3] = [3, 32, 32];
const IMAGE_BYTES: usize = 3 * 32 * 32;

/// The records of some files, one file after the other.
#[derive(Debug)]
pub(super) struct Cifar {
    /// With how many records each has.
    files: Vec<(PathBuf, u64)>,
    kind: Kind,
    coarse: bool,
    input: Form,
    label: Form,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ten,
    Hundred,
}

impl Kind {
    fn label_bytes(self) -> usize {
        if self == Self::Ten { 1 } else { 2 }
    }

    fn record_bytes(self) -> u64 {
        (self.label_bytes() + IMAGE_BYTES) as u64
    }
}

impl Cifar {
    /// Opens the files and reads them once; which of the two they are, their sizes say: CIFAR-10 where both would fit and
    /// `hundred` is not set.
    ///
    /// # Errors
    /// [`Error::Format`] naming a file that is no whole number of records; [`Error::Usage`] where coarse labels are asked of
    /// CIFAR-10; [`Error::Io`].
    pub(super) fn open(paths: &[PathBuf], hundred: bool, coarse: bool) -> Result<Self> {
        let mut sizes = Vec::with_capacity(paths.len());
        for path in paths {
            sizes.push((path, stream::count(path, &mut stream::open(path)?, u64::MAX - 1)?));
        }
        let misfit = |kind: Kind| {
            let is_misfit = |bytes: u64| bytes == 0 || !bytes.is_multiple_of(kind.record_bytes());
            sizes.iter().find(|(_, bytes)| is_misfit(*bytes)).copied()
        };
        let wanted = if hundred || coarse { &[Kind::Hundred][..] } else { &[Kind::Ten, Kind::Hundred] };
        let Some(&kind) = wanted.iter().find(|&&kind| misfit(kind).is_none()) else {
            return Err(unfit(misfit(Kind::Hundred), misfit(Kind::Ten).is_none() && !sizes.is_empty()));
        };
        let files = sizes.iter().map(|&(path, bytes)| (path.clone(), bytes / kind.record_bytes())).collect();
        let (input, label) = (Form::new(Dtype::U8, &IMAGE), Form::new(Dtype::I64, &[]));
        Ok(Self { files, kind, coarse, input, label })
    }

    fn each_of(&self, path: &Path, records: u64, take: &mut Take<'_>) -> Result<()> {
        let mut contents = stream::open(path)?;
        let mut record = [0; 2 + IMAGE_BYTES];
        let record = &mut record[..self.kind.label_bytes() + IMAGE_BYTES];
        for index in 0..records {
            contents.read_exact(record).map_err(|error| stream::failed(path, error))?;
            let (labels, image) = record.split_at(self.kind.label_bytes());
            let (label, classes) = match (self.kind, labels) {
                (Kind::Hundred, &[coarse, _]) if self.coarse => (coarse, 20),
                (Kind::Hundred, &[_, fine]) => (fine, 100),
                (_, labels) => (labels.first().copied().unwrap_or(u8::MAX), 10),
            };
            if label >= classes {
                let message = format!(
                    "record {index} has the label {label} of {classes} classes: this is no such file of CIFAR's binary version"
                );
                return Err(Error::format(path, message));
            }
            take(image, &i64::from(label).to_le_bytes())?;
        }
        Ok(())
    }
}

/// The error where a file fits neither, or not CIFAR-100, which was asked for.
fn unfit(misfit: Option<(&PathBuf, u64)>, is_ten: bool) -> Error {
    let Some((path, bytes)) = misfit else { return Error::Usage("--cifar names no file".to_owned()) };
    if is_ten {
        return Error::format(
            path,
            "is of CIFAR-10, which has no fine and coarse labels: leave --cifar100 and --coarse out",
        );
    }
    match stream::head(path) {
        Ok(head) => {
            let records = "whole records of CIFAR-10 (3073 bytes each) or of CIFAR-100 (3074), the same in every file";
            let message = format!("takes {bytes} bytes, and not {records}: download CIFAR's binary version again");
            Error::format(path, stream::archive(&head).map_or(message, str::to_owned))
        }
        Err(error) => error,
    }
}

impl Examples for Cifar {
    fn count(&self) -> u64 {
        self.files.iter().map(|(_, records)| records).sum()
    }

    fn input(&self) -> &Form {
        &self.input
    }

    fn label(&self) -> Option<&Form> {
        Some(&self.label)
    }

    fn each(&self, take: &mut Take<'_>) -> Result<()> {
        self.files.iter().try_for_each(|(path, records)| self.each_of(path, *records, take))
    }
}
