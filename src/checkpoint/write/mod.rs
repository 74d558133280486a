//! Writing a checkpoint that is made from another one, whole or not at all.

mod behind;
mod carry;
mod destination;
mod onnx;
mod outputs;
mod places;
mod temporaries;
mod transfer;

pub(crate) use outputs::check_apart;
pub use outputs::{Named, check_outputs};
pub use places::Planned;
pub use temporaries::{Live, remove_temporaries};

use super::onnx::Edits;
use super::{Checkpoint, Tensor, index, positioned};
use crate::shortened;
use crate::{Error, Result, escape};
use behind::Behind;
use destination::{Destination, check_extension, shown};
use places::Places;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transfer::Failure;

/// A checkpoint that is being written, made from one that is open for reading.
///
/// It has the source's form: a file for a file; for a folder or an index a folder, with shards of the same names and
/// every other file of the source's folder carried over, hidden ones and subfolders included. Symbolic links to files
/// are followed, those to folders stay links; devices, pipes and sockets are left out.
///
/// Everything goes to a temporary file or folder beside the destination, named `.secateur-*`, until
/// [`finish`](Self::finish) syncs it and gives it its name. Dropping the writer removes it; a process that is killed
/// leaves at most that one behind, and never half an output under the output's name. The source is never written.
///
/// On Linux the space is reserved beforehand, so that a full disk is found early.
#[derive(Debug)]
pub struct Writer {
    /// Also counts the bytes of tensors written so far, those written twice twice.
    behind: Behind,
    // Both before the destination, as an open file cannot be removed everywhere.
    files: Vec<Output>,
    /// What is renamed before the destination: external data of an ONNX file.
    beside: Option<Destination>,
    destination: Destination,
    places: Places,
    bytes: u64,
}

#[derive(Debug)]
struct Output {
    file: Arc<File>,
    /// The name it will have.
    path: PathBuf,
}

/// Writes the tensors of `source` and everything around them to `out`, whole or not at all.
///
/// # Errors
///
/// As [`Writer::same`] and [`Writer::copy`].
pub(crate) fn copy(source: &Checkpoint, out: &Path, force: bool) -> Result<()> {
    let writer = Writer::same(source, out, force)?;
    source.tensors().iter().try_for_each(|tensor| writer.copy(source, tensor))?;
    writer.finish()
}

/// The beginning of an output file.
enum Start {
    /// The source's own header, to be copied.
    Same,
    /// A header with its length before it.
    New(Vec<u8>),
}

impl Writer {
    /// An output with the tensors of `source`: headers (order, metadata, padding), index and all other files are the
    /// same bytes, and the tensors' data is to be written.
    ///
    /// `force` lets a file be replaced; a folder with content never is.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where `out` may not be written: it is the model or a file of it (through whatever link), a
    /// device, a pipe, of another form than the model, inside the model's folder or the other way round, a folder with
    /// content, there already and not `force`, or in a folder that does not exist. [`Error::Io`] where the disk is full
    /// or something cannot be read or written.
    pub fn same(source: &Checkpoint, out: &Path, force: bool) -> Result<Self> {
        if source.is_onnx() {
            return Self::onnx(source, out, force, &Edits { overwrites: true, ..Edits::default() });
        }
        let starts = source.shards.iter().map(|shard| (Start::Same, shard.bytes)).collect();
        Self::start(source, out, force, starts, Places::same(source), BTreeMap::new())
    }

    /// An output with other tensors: for each file of `source`, in the order of [`Checkpoint::files`], its tensors in the
    /// order of their data.
    ///
    /// Headers are written as the safetensors library writes them, with the metadata of the source's. The index, where
    /// there is one, gets a new `weight_map` and `metadata.total_size`; the rest of it is carried over. `replaced` gives
    /// new contents, by name, to other files in the model's folder (`config.json`); a single file has none.
    ///
    /// # Errors
    ///
    /// As [`same`](Self::same); [`Error::Tensor`] where a tensor is planned twice or cannot be; [`Error::Format`] where
    /// `files` has not as many elements as the source has files, or `replaced` names what is no such file.
    pub fn planned(
        source: &Checkpoint,
        out: &Path,
        force: bool,
        files: Vec<Vec<Planned>>,
        replaced: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self> {
        Self::resized(source, out, force, files, replaced, &BTreeMap::new())
    }

    /// As [`planned`](Self::planned), with texts that are added to the metadata of the first file, or take the place of what
    /// has the same key.
    pub(crate) fn resized(
        source: &Checkpoint,
        out: &Path,
        force: bool,
        files: Vec<Vec<Planned>>,
        mut replaced: BTreeMap<String, Vec<u8>>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        if source.is_onnx() {
            return Err(Error::format(source.path(), "is an ONNX file, whose tensors belong to its graph"));
        }
        let (heads, places) = places::plan(source, &files, metadata)?;
        // The shapes are in the headers now.
        drop(files);
        let relative = relative_paths(source)?;
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
        if let Some(name) = replaced.keys().find(|name| {
            source.folder().is_none() || !plain(name) || relative.iter().any(|path| path == Path::new(name))
        }) {
            let message = format!("`{}` is no other file of this model, to be replaced", shortened(name));
            return Err(Error::format(source.path(), message));
        }
        if let Some(path) = &source.index {
            let names: Vec<String> = relative.iter().map(|path| slashed(path)).collect();
            let pairs = places.files().filter_map(|(name, file)| Some((name, names.get(file)?.as_str())));
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            replaced.insert(name, index::rewritten(path, pairs, places.data_bytes())?);
        }
        let starts = heads.into_iter().map(|head| (Start::New(head.bytes), head.file_bytes)).collect();
        Self::start(source, out, force, starts, places, replaced)
    }

    /// A single file of new tensors and metadata, that has nothing of `source` but that it is no file of it: masks.
    ///
    /// # Errors
    ///
    /// As [`planned`](Self::planned).
    pub(crate) fn beside(
        source: &Checkpoint,
        out: &Path,
        force: bool,
        tensors: &[Planned],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Self::single(Some(source), out, force, tensors, metadata)
    }

    /// A single file of tensors and metadata that is made of no checkpoint: a data set.
    ///
    /// # Errors
    ///
    /// As [`planned`](Self::planned).
    pub(crate) fn alone(
        out: &Path,
        force: bool,
        tensors: &[Planned],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Self::single(None, out, force, tensors, metadata)
    }

    fn single(
        source: Option<&Checkpoint>,
        out: &Path,
        force: bool,
        tensors: &[Planned],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        check_extension(out, false)?;
        let (head, places) = places::single(out, tensors, metadata)?;
        let (destination, file) = Destination::new(source, None, out, force)?;
        let bytes = head.file_bytes;
        let mut writer = Self { files: Vec::new(), beside: None, destination, places, bytes, behind: Behind::new() };
        if let Some(file) = file {
            let start = transfer::reserve(&file, bytes).and_then(|()| positioned::write_all_at(&file, &head.bytes, 0));
            start.map_err(|error| Error::io(out, error))?;
            writer.files.push(Output { file: Arc::new(file), path: out.to_owned() });
        }
        Ok(writer)
    }

    fn start(
        source: &Checkpoint,
        out: &Path,
        force: bool,
        starts: Vec<(Start, u64)>,
        places: Places,
        replaced: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self> {
        let relative = relative_paths(source)?;
        if source.folder().is_none() {
            check_extension(out, false)?;
        }
        let (destination, single) = Destination::new(Some(source), source.folder(), out, force)?;
        let bytes = starts.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let mut writer = Self { files: Vec::new(), beside: None, destination, places, bytes, behind: Behind::new() };
        let mut single = single;
        for ((start, file_bytes), (shard, name)) in starts.into_iter().zip(source.shards.iter().zip(&relative)) {
            let path = if source.folder().is_some() { out.join(name) } else { out.to_owned() };
            let failed = |error: io::Error| Error::io(&path, error);
            let file = match single.take() {
                Some(file) => file,
                None => create(&writer.destination.temporary().join(name)).map_err(failed)?,
            };
            transfer::reserve(&file, file_bytes).map_err(failed)?;
            match start {
                Start::New(head) => positioned::write_all_at(&file, &head, 0).map_err(failed)?,
                Start::Same => {
                    transfer::copy(&shard.file, 0, &file, 0, shard.data_start).map_err(|failure| match failure {
                        Failure::Read(error) => Error::io(&shard.path, error),
                        Failure::Write(error) => failed(error),
                    })?;
                }
            }
            writer.files.push(Output { file: Arc::new(file), path });
        }
        if let Some(folder) = source.folder() {
            let target = writer.destination.temporary();
            for (name, contents) in &replaced {
                let write = |mut file: File| file.write_all(contents).and_then(|()| file.sync_all());
                create(&target.join(name)).and_then(write).map_err(|e| Error::io(out.join(name), e))?;
            }
            let without: BTreeSet<PathBuf> = relative.into_iter().chain(replaced.keys().map(PathBuf::from)).collect();
            carry::over(folder, target, &without)?;
        }
        Ok(writer)
    }

    /// Writes `bytes` to the data of the output's tensor of that name, from byte `offset` of it on. Many threads may call
    /// it at once.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] where there is no such tensor or the bytes end beyond it; [`Error::Io`] where the disk is full
    /// or fails.
    pub fn write_all_at(&self, tensor: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        let (output, position) = self.locate(tensor, offset, length)?;
        positioned::write_all_at(&output.file, bytes, position).map_err(|error| failed(output, tensor, &error))?;
        self.behind.wrote(&output.file, length);
        Ok(())
    }

    /// Copies `tensor` of `source` to the output's tensor of that name, byte for byte, through at most 1 MiB of memory; on
    /// Linux the kernel copies where it can.
    ///
    /// # Errors
    ///
    /// As [`write_all_at`](Self::write_all_at); also [`Error::Tensor`] where the two differ in size or `tensor` is not
    /// one of `source`, and [`Error::Io`] where it cannot be read.
    pub fn copy(&self, source: &Checkpoint, tensor: &Tensor) -> Result<()> {
        let name = tensor.name();
        let Some((path, file)) = source.file_of(tensor) else {
            return Err(Error::tensor(source.path(), name, "is not a tensor of this checkpoint"));
        };
        let place = self.places.get(name);
        if let (Some(place), Some(output)) = (place.filter(|place| place.carried), self.files.first()) {
            self.behind.wrote(&output.file, place.bytes);
            return Ok(());
        }
        let (output, position) = self.locate(name, 0, tensor.bytes)?;
        if place.is_some_and(|place| place.bytes != tensor.bytes) {
            return Err(Error::tensor(&output.path, name, "has another size than what is copied to it"));
        }
        transfer::copy(file, tensor.start, &output.file, position, tensor.bytes).map_err(|failure| match failure {
            Failure::Read(error) => {
                let message = format!("tensor `{}`: {error}", escape(name));
                Error::io(path, io::Error::new(error.kind(), message))
            }
            Failure::Write(error) => failed(output, name, &error),
        })?;
        self.behind.wrote(&output.file, tensor.bytes);
        Ok(())
    }

    /// The size of all safetensors files of the output, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Syncs everything and gives the output its name.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where less was written than the tensors hold; [`Error::Io`] where syncing or renaming fails. The
    /// temporary is then removed, and what was at the destination is untouched.
    pub fn finish(mut self) -> Result<()> {
        let (written, expected) = (self.behind.written(), self.places.data_bytes());
        self.behind.end().map_err(|error| Error::io(self.destination.shown(), error))?;
        if written < expected {
            let message = format!("{written} of {expected} bytes of tensors were written: not finished");
            return Err(Error::format(self.destination.shown(), message));
        }
        for output in self.files {
            output.file.sync_all().map_err(|error| Error::io(&output.path, error))?;
        }
        // A model may only be there when its data are.
        self.beside.map_or(Ok(()), Destination::rename)?;
        self.destination.rename()
    }

    /// The file and the position in it for `bytes` bytes of a tensor from byte `offset` on.
    fn locate(&self, tensor: &str, offset: u64, bytes: u64) -> Result<(&Output, u64)> {
        let found = self.places.get(tensor).and_then(|place| Some((self.files.get(place.file)?, place)));
        let Some((output, place)) = found else {
            return Err(Error::tensor(self.destination.shown(), tensor, "is not a tensor of the output"));
        };
        if place.carried {
            return Err(Error::tensor(&output.path, tensor, "is stored in a way that cannot be overwritten"));
        }
        if offset.checked_add(bytes).is_none_or(|end| end > place.bytes) {
            let message = format!("{bytes} bytes from byte {offset} are beyond its {}", place.bytes);
            return Err(Error::tensor(&output.path, tensor, message));
        }
        Ok((output, place.start + offset))
    }
}

fn failed(output: &Output, tensor: &str, error: &io::Error) -> Error {
    Error::io(&output.path, io::Error::new(error.kind(), format!("tensor `{}`: {error}", escape(tensor))))
}

/// A new file, and the folders above it.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // New: nothing that a name of the model could lead to is written.
    File::options().read(true).write(true).create_new(true).open(path)
}

/// Each shard's path in the folder of the model; the whole path of a single file.
fn relative_paths(source: &Checkpoint) -> Result<Vec<PathBuf>> {
    let Some(folder) = source.folder() else { return Ok(source.files().map(Path::to_owned).collect()) };
    let inside = |path: &Path| match path
        .strip_prefix(folder)
        .or_else(|e| if folder == Path::new(".") { Ok(path) } else { Err(e) })
    {
        Ok(inner) => Ok(inner.to_owned()),
        Err(_) => Err(Error::format(path, format!("is not inside {}", shown(folder)))),
    };
    source.files().map(inside).collect()
}

/// A path as an index spells it.
fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
