//! `secateur`: parse, run, exit.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::watch();
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain("error", &error.to_string());
            ExitCode::from(if matches!(error, secateur::Error::Usage(_)) { 2 } else { 1 })
        }
    }
}
