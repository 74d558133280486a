//! A command that runs, and all that it has started: a process group, where there are such.

use std::io;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

/// The commands that run now, for [`end_commands`].
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Kills the commands of evaluators and tuners that run now, for a process that is about to end: they are process groups of
/// their own, which a terminal's Ctrl-C does not reach. Whoever waits for one of them, or starts another, waits for ever.
pub fn end_commands() {
    let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    groups.iter().for_each(|&group| kill(group));
    // Locked from here on: nobody gets to complain of a command that was killed, or to start one.
    std::mem::forget(groups);
}

/// A command that is killed with its group when this is dropped before it has ended.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        groups.push(child.id());
        Ok(Self { child, ended: false })
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// It has ended by itself.
    pub(super) fn ended(&mut self) {
        self.ended = true;
        let id = self.child.id();
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|group| *group != id);
    }

    /// Kills it and all of its group.
    pub(super) fn end(&mut self) {
        if !self.ended {
            kill(self.child.id());
            // Where there are no groups, and to leave no zombie: neither fails but where it is gone already.
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.ended();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(unix)]
fn kill(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // It has not been waited for, so that its number is nobody else's.
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(_group: u32) {}
