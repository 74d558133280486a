//! `secateur completions`.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use secateur::Result;

use super::output::Output;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  secateur completions bash > ~/.local/share/bash-completion/completions/secateur")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        // clap_complete panics when its writer fails, as a closed pipe does: give it memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "secateur", &mut script);
        let mut output = Output::stdout();
        let written = output.writer().write_all(&script);
        output.finish(written)
    }
}
