//! The end of what comes through a pipe.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is kept.
const KEPT_BYTES: usize = 64 << 10;
/// What is read at once.
const READ_BYTES: usize = 32 << 10;

/// The last 64 KiB of what came.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Reads `pipe` to its end on a thread of its own, which holds `ended` until then. It is not waited for: whoever holds
    /// the other end of the pipe may keep it open for ever.
    pub(super) fn fill(&self, pipe: Option<impl Read + Send + 'static>, ended: Sender<()>) -> io::Result<()> {
        let mut pipe = pipe.ok_or_else(|| super::other("its output is not at hand"))?;
        let kept = self.0.clone();
        let read = move || {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        kept.extend(buffer.iter().take(count));
                        let beyond = kept.len().saturating_sub(KEPT_BYTES);
                        kept.drain(..beyond);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(ended);
        };
        thread::Builder::new().name("output".to_owned()).spawn(read).map(drop)
    }

    /// What is there so far; what is no UTF-8 is replaced.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
