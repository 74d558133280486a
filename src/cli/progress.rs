//! The progress bar: on stderr, where that is a terminal, until results appear on the same terminal.

use std::io::{self, IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use secateur::Progress;

/// A progress bar, or nothing where none is wanted.
#[derive(Clone)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar, unless `quiet` or stderr is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(0);
        let template = "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self(Some(bar))
    }

    /// Takes the bar off the screen for good.
    fn hide(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Runs `work`, drawing how far `progress` has come meanwhile, and takes the bar away at the end.
    pub(crate) fn watch<T>(&self, progress: &Progress, work: impl FnOnce() -> T) -> T {
        let Some(bar) = &self.0 else { return work() };
        thread::scope(|scope| {
            // Dropping the sender is the sign to stop, also when `work` panics.
            let (done, stop) = channel::<()>();
            scope.spawn(move || {
                while !bar.is_finished() && stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
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

    /// `out`, before whose first byte the bar goes: on one screen the two would overwrite each other.
    pub(crate) fn giving_way<'w>(&self, out: Box<dyn Write + 'w>) -> Box<dyn Write + 'w> {
        match &self.0 {
            Some(_) => Box::new(GivingWay { bar: Some(self.clone()), out }),
            None => out,
        }
    }
}

/// A line that says what is going on, or nothing where none is wanted.
pub(crate) struct Line(Option<ProgressBar>);

impl Line {
    /// A line, unless `quiet` or stderr is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}  {elapsed}") {
            line.set_style(style);
        }
        line.enable_steady_tick(TICK);
        Self(Some(line))
    }

    /// What it says from now on.
    pub(crate) fn say(&self, what: &str) {
        if let Some(line) = &self.0 {
            line.set_message(what.to_owned());
        }
    }

    /// Runs `print`, which writes to stderr, with the line out of its way.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(line) => line.suspend(print),
            None => print(),
        }
    }

    /// Takes the line off the screen for good.
    pub(crate) fn end(&self) {
        if let Some(line) = &self.0 {
            line.finish_and_clear();
        }
    }
}

const TICK: Duration = Duration::from_millis(100);

struct GivingWay<'w> {
    bar: Option<Bar>,
    out: Box<dyn Write + 'w>,
}

impl Write for GivingWay<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(bar) = self.bar.take() {
            bar.hide();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
