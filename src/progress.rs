//! How far an analysis has come, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read so far and bytes expected, shared between the threads that work and the one that draws.
///
/// ```
/// let progress = secateur::Progress::default();
/// progress.expect(4096);
/// progress.add(1024);
/// assert_eq!((progress.bytes(), progress.total()), (1024, 4096));
/// ```
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    expected: AtomicU64,
}

impl Progress {
    /// Counts `bytes` more as done. Relaxed: nothing else is published through it.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done so far.
    pub fn bytes(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more as to be done: the model's once, and again for every further read of a tensor.
    pub fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes expected in all, as far as is known.
    pub fn total(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }
}
