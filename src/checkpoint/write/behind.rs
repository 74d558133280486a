//! Syncing behind the writing: the disk works while weights are still being cut.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes between two syncs.
const STEP_BYTES: u64 = 64 << 20;

/// A thread that syncs what has been written so far, each time that enough has.
#[derive(Debug)]
pub(super) struct Behind {
    written: AtomicU64,
    /// `None` once it is to end, and where there is no thread to be had: then all is synced at the end.
    files: Option<SyncSender<Arc<File>>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Behind {
    pub(super) fn new() -> Self {
        let (files, todo) = sync_channel::<Arc<File>>(1);
        let work = move || todo.into_iter().map(|file| file.sync_data()).fold(Ok(()), Result::and);
        let thread = thread::Builder::new().name("secateur-sync".to_owned()).spawn(work).ok();
        Self { written: AtomicU64::new(0), files: thread.is_some().then_some(files), thread }
    }

    /// Says that so many bytes more are in `file`. Does not wait.
    pub(super) fn wrote(&self, file: &Arc<File>, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / STEP_BYTES != before.saturating_add(bytes) / STEP_BYTES
            && let Some(files) = &self.files
        {
            // If it is busy, the next time will do.
            let _ = files.try_send(Arc::clone(file));
        }
    }

    /// Bytes that were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Ends the thread. An error that the system has told it, it does not tell again: the first one is given.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.files = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(synced)) => synced,
            _ => Ok(()),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // Whoever drops it unfinished throws the files away.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_ends() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut behind = Behind::new();
        for _ in 0..9 {
            behind.wrote(&file, STEP_BYTES / 2);
        }
        assert_eq!(behind.written(), STEP_BYTES / 2 * 9);
        behind.end().unwrap();
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
