//! The progress bar: on stderr, where that is a terminal.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use secateur::Progress;

/// Runs `work`, drawing how far `progress` has come meanwhile, and clears the line at the end.
pub(crate) fn watch<T>(progress: &Progress, quiet: bool, work: impl FnOnce() -> T) -> T {
    if quiet || !stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new(progress.total());
    let template = "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    thread::scope(|scope| {
        // Dropping the sender is the sign to stop, also when `work` panics.
        let (done, stop) = channel::<()>();
        scope.spawn(|| {
            let stop = stop;
            while stop.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.set_length(progress.total());
                bar.set_position(progress.bytes());
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
