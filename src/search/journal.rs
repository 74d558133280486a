//! The rounds of a search on the disk, so that it can be looked at, and go on after it was stopped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Round;
use crate::checkpoint::Live;
use crate::{Error, Result};

/// A longer line is none of ours.
const MOST_LINE: u64 = 1 << 28;

/// A folder in which a search keeps what it knows: `search.json` what is searched, `rounds.jsonl` a line for each round as
/// it ends, and the models of rounds that are still needed.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    rounds: File,
    /// Removes the folder, where nobody asked for it.
    temporary: Option<(tempfile::TempDir, Live)>,
}

impl Journal {
    /// The journal in `folder`, which is made if need be, and the rounds that it has. `about` says what is searched, and how.
    pub(super) fn open(folder: &Path, about: &Value) -> Result<(Self, Vec<Round>)> {
        let failed = |path: &Path, error: io::Error| Error::io(path, error);
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let path = folder.join("rounds.jsonl");
        let mut rounds = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(&path, error))?;
        if rounds.try_lock().is_err() {
            let message = "another search is at work in this journal: wait for it, or name another folder";
            return Err(Error::Usage(format!("--journal {}: {message}", folder.display())));
        }
        let settings = folder.join("search.json");
        match fs::read(&settings) {
            Ok(text) => same(&settings, &text, about)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let others = fs::read_dir(folder).map_err(|error| failed(folder, error))?.flatten();
                if others.into_iter().any(|entry| entry.file_name() != "rounds.jsonl") {
                    let message = "is no journal of a search, and not empty: name a new folder";
                    return Err(Error::Usage(format!("--journal {}: {message}", folder.display())));
                }
                let text = serde_json::to_vec_pretty(about).map_err(|e| failed(&settings, io::Error::other(e)))?;
                write(&settings, &text)?;
            }
            Err(error) => return Err(failed(&settings, error)),
        }
        let found = read(&path, &mut rounds)?;
        Ok((Self { folder: folder.to_owned(), rounds, temporary: None }, found))
    }

    /// A journal that is gone when the search ends, in a new folder in `folder`.
    pub(super) fn temporary(folder: &Path, about: &Value) -> Result<Self> {
        let make = || tempfile::Builder::new().prefix(".secateur-").tempdir_in(folder);
        let (made, live) = Live::make(make, tempfile::TempDir::path).map_err(|error| Error::io(folder, error))?;
        let (mut journal, _) = Self::open(made.path(), about)?;
        journal.temporary = Some((made, live));
        Ok(journal)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Adds a round. It is on the disk when this returns.
    pub(super) fn push(&mut self, round: &Round) -> Result<()> {
        let mut write = || {
            let mut line = serde_json::to_vec(round)?;
            line.push(b'\n');
            self.rounds.write_all(&line)?;
            self.rounds.sync_data()
        };
        write().map_err(|error: io::Error| Error::io(self.folder.join("rounds.jsonl"), error))
    }

    /// Forgets all but the first `rounds` rounds.
    pub(super) fn keep(&mut self, rounds: usize) -> Result<()> {
        let failed = |error: io::Error| Error::io(self.folder.join("rounds.jsonl"), error);
        self.rounds.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut lines = BufReader::new(&self.rounds);
        let mut length = 0;
        for _ in 0..rounds {
            length += lines.read_until(b'\n', &mut Vec::new()).map_err(failed)? as u64;
        }
        self.rounds.set_len(length).map_err(failed)?;
        self.rounds.seek(SeekFrom::Start(length)).map(drop).map_err(failed)
    }

    /// Writes a file beside the rounds, whole or not at all.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        write(&self.folder.join(name), contents)
    }

    /// A path in the folder with nothing at it.
    pub(super) fn clear(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        remove(&path)?;
        Ok(path)
    }
}

/// Removes a file or a folder, if it is there, and the data that belong to an ONNX file.
pub(super) fn remove(path: &Path) -> Result<()> {
    let mut data = path.as_os_str().to_owned();
    data.push(".data");
    for path in [path, Path::new(&data)] {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(path, error)),
            _ => {}
        }
    }
    Ok(())
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".secateur-");
        // The umask applies, as to the other files of the journal; tempfile's default is private.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: io::Error| Error::io(path, error))
}

/// An error that names what differs, where a journal is about another search.
fn same(path: &Path, text: &[u8], about: &Value) -> Result<()> {
    let found: Value =
        serde_json::from_slice(text).map_err(|error| Error::format(path, format!("is no journal's: {error}")))?;
    let (Some(then), Some(now)) = (found.as_object(), about.as_object()) else {
        return Err(Error::format(path, "is no journal's: an object is expected"));
    };
    let Some((key, then, now)) = difference(then, now) else { return Ok(()) };
    let shown = |value: Option<&Value>| {
        value.filter(|value| !value.is_null()).map_or("nothing".to_owned(), |v| crate::shortened(&v.to_string()))
    };
    let message = format!(
        "this journal is about another search: its {} is {}, now it is {}; name another --journal, or ask as before",
        crate::shortened(&key),
        shown(then),
        shown(now)
    );
    Err(Error::format(path, message))
}

type Object = serde_json::Map<String, Value>;

/// The first entry that differs, by its path, and what it is in both.
fn difference<'a>(then: &'a Object, now: &'a Object) -> Option<(String, Option<&'a Value>, Option<&'a Value>)> {
    let key = now.keys().chain(then.keys()).find(|key| then.get(*key) != now.get(*key))?;
    let (then, now) = (then.get(key), now.get(key));
    let inside = match (then.and_then(Value::as_object), now.and_then(Value::as_object)) {
        (Some(then), Some(now)) => {
            difference(then, now).map(|(inner, then, now)| (format!("{key}.{inner}"), then, now))
        }
        _ => None,
    };
    inside.or_else(|| Some((key.clone(), then, now)))
}

/// The rounds of a journal. A last line that is not whole is what a search that was killed was writing: it goes.
fn read(path: &Path, file: &mut File) -> Result<Vec<Round>> {
    let failed = |error: io::Error| Error::io(path, error);
    let (rounds, whole) = rounds(path, file)?;
    file.set_len(whole).map_err(failed)?;
    file.seek(SeekFrom::Start(whole)).map_err(failed)?;
    Ok(rounds)
}

/// The rounds in the whole lines of a journal, and the bytes that these take.
pub(super) fn rounds(path: &Path, file: &File) -> Result<(Vec<Round>, u64)> {
    let failed = |error: io::Error| Error::io(path, error);
    let mut rounds: Vec<Round> = Vec::new();
    let mut whole = 0;
    let mut reader = BufReader::new(file);
    loop {
        let mut line = Vec::new();
        let length = (&mut reader).take(MOST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
        if line.pop() != Some(b'\n') {
            return Ok((rounds, whole));
        }
        let number = rounds.len() + 1;
        let wrong = |why: String| Error::format(path, format!("line {number} is no round of a search: {why}"));
        let round: Round = serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
        if round.round as usize != rounds.len() {
            return Err(wrong(format!("it is round {}, and {} was to come", round.round, rounds.len())));
        }
        rounds.push(round);
        whole += length as u64;
    }
}
