//! The temporary files and folders that are there now, so that a program that is told to end can remove them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// What is being written to may gain files while it is removed.
const TRIES: usize = 100;

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary that [`remove_temporaries`] removes, until this is dropped.
#[derive(Debug)]
pub struct Live(PathBuf);

impl Live {
    /// Makes a temporary and registers it, in one step as to [`remove_temporaries`].
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn make<T>(make: impl FnOnce() -> io::Result<T>, path: impl FnOnce(&T) -> &Path) -> io::Result<(T, Self)> {
        let mut live = live();
        let made = make()?;
        // The current folder may change.
        let path = std::path::absolute(path(&made))?;
        live.insert(path.clone());
        Ok((made, Self(path)))
    }

    /// Renames the temporary, wholly before or not at all after [`remove_temporaries`]: else half a folder could get the
    /// output's name.
    ///
    /// # Errors
    ///
    /// Those of `rename`.
    pub fn rename<T, E>(&self, rename: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut live = live();
        let renamed = rename()?;
        live.remove(&self.0);
        Ok(renamed)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        live().remove(&self.0);
    }
}

/// Removes every temporary file and folder of this process, for a program that is told to end, by a signal say, while
/// a [`Writer`](super::Writer) is at work.
///
/// The process has to end then: whoever goes on to make, rename or drop one waits forever, and so can neither bring
/// another one about nor report that the first is gone.
pub fn remove_temporaries() {
    let live = live();
    for path in live.iter() {
        for _ in 0..TRIES {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            if removed.is_ok() || fs::symlink_metadata(path).is_err() {
                break;
            }
        }
    }
    std::mem::forget(live);
}
