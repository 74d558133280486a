//! Commands of the user's, run by the shell: with a time limit, and with what they write bounded.

mod running;
mod shell;
mod tail;

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::{Error, Result, shortened};
use running::Running;
use tail::Tail;

pub use running::end_commands;
pub(crate) use shell::{absolute, filled};

/// How long to wait, once a command has ended, for what it wrote: something that it left running may hold the pipes.
const GRACE: Duration = Duration::from_secs(1);
/// How often to look whether it has ended: at first, and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// What a command that succeeded wrote, or the end of it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command`, which is as the user wrote it and `line` as the shell gets it.
///
/// # Errors
/// [`Error::Run`] where it cannot be started, does not end within `limit`, or ends with another status than 0. It is then
/// gone, with all that it started and that has not left its process group.
pub(crate) fn run(
    command: &str,
    line: &OsStr,
    environment: &[(&str, &OsStr)],
    limit: Option<Duration>,
) -> Result<Written> {
    let failed = |what: String| Error::Run(format!("`{}` {what}", shortened(command)));
    let started = Instant::now();
    let mut shell = shell::command(line);
    shell.envs(environment.iter().copied());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(shell).map_err(|error| failed(format!("could not be started: {error}")))?;
    let (ended, reading) = channel();
    let (stdout, stderr) = (Tail::default(), Tail::default());
    let readers = stdout.fill(running.stdout(), ended.clone()).and(stderr.fill(running.stderr(), ended));
    readers.map_err(|error| failed(format!("could not be read from: {error}")))?;

    let mut pause = SHORTEST_PAUSE;
    let mut open = true;
    let status: ExitStatus = loop {
        match running.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
        }
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        if let (Some(limit), Some(Duration::ZERO)) = (limit, left) {
            running.end();
            await_readers(&reading, open);
            let seconds = limit.as_secs_f64();
            let what = format!("did not end within {seconds} seconds, and was killed{}", last_words(&stderr, &stdout));
            return Err(failed(what));
        }
        let pause_now = left.map_or(pause, |left| left.min(pause));
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !open {
            std::thread::sleep(pause_now);
        } else if reading.recv_timeout(pause_now) == Err(RecvTimeoutError::Disconnected) {
            // Both pipes are closed: it is about to end.
            (open, pause) = (false, SHORTEST_PAUSE);
        }
    };
    running.ended();
    await_readers(&reading, open);
    if !status.success() {
        return Err(failed(format!("failed: {status}{}", last_words(&stderr, &stdout))));
    }
    Ok(Written { stdout: stdout.text(), stderr: stderr.text() })
}

/// Until both pipes are closed, for a while.
fn await_readers(reading: &Receiver<()>, open: bool) {
    if open {
        // Nobody sends: it ends when the last reader does.
        let _ = reading.recv_timeout(GRACE);
    }
}

/// The last lines of what was written, in one line.
fn last_words(stderr: &Tail, stdout: &Tail) -> String {
    let of = |name: &str, tail: &Tail| {
        let lines = last_lines(&tail.text());
        if lines.is_empty() { String::new() } else { format!("; the end of its {name}: {lines}") }
    };
    let said = of("stderr", stderr) + &of("stdout", stdout);
    if said.is_empty() { "; it wrote nothing".to_owned() } else { said }
}

fn last_lines(text: &str) -> String {
    const LINES: usize = 6;
    let lines: Vec<&str> = text.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(LINES).collect();
    lines.into_iter().rev().map(shortened).collect::<Vec<_>>().join(" | ")
}

/// An error for what a command should have done.
pub(crate) fn failed(command: &str, what: &str, written: &Written) -> Error {
    let lines = last_lines(&written.stderr);
    let said = if lines.is_empty() { String::new() } else { format!("; the end of its stderr: {lines}") };
    Error::Run(format!("`{}` {what}{said}", shortened(command)))
}

/// Errors of the system, where something was poisoned by a panic elsewhere.
fn other(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
