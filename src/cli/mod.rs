//! The command line: what can be asked, and who answers.

mod audit;
mod bench;
mod channel;
mod common;
mod completions;
mod dataset;
mod devices;
mod eval;
mod output;
mod parse;
mod progress;
mod prune;
mod report;
mod restore;
mod rule;
mod search;
mod signals;
mod stats;
#[cfg_attr(not(feature = "train"), path = "untrained.rs")]
mod train;

use std::io::{self, IsTerminal, Write};

use clap::{Parser, Subcommand};
use secateur::{Error, Result, escape};

pub(crate) use signals::watch;

/// Exact weight statistics and pruning of neural-network checkpoints of any size, on a GPU or the CPU.
#[derive(Debug, Parser)]
#[command(name = "secateur", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// No progress bar and no warnings
    #[arg(long, short, global = true, display_order = 900)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  secateur stats model.safetensors
  secateur stats ./Llama-3.1-70B --only '*.q_proj.weight' --format csv -o q.csv
  secateur prune model.safetensors -o half.safetensors --sparsity 50%
  secateur report model.safetensors half.safetensors -o report.html
  secateur devices";

#[derive(Debug, Subcommand)]
enum Command {
    /// Mean, variance, skewness, kurtosis and more of every tensor or group of weights
    Stats(stats::Stats),
    /// Cut weights: exactly as many as asked for
    Prune(prune::Prune),
    /// Find the smallest version that is still good enough
    Search(Box<search::Search>),
    /// Dense weights out of a checkpoint that compressed-tensors wrote as bitmasks
    Restore(restore::Restore),
    /// One page that shows a model, what pruning did to it, or a search
    Report(report::Report),
    /// Zeros, N:M patterns and empty channels of every tensor, and what they would save
    Audit(audit::Audit),
    /// How good a network is on a data set
    Eval(eval::Eval),
    /// Inputs and labels for search, eval and train, out of MNIST's, CIFAR's or other files
    Dataset(dataset::Dataset),
    /// Train an ONNX network, from fresh weights or from its own
    Train(train::Train),
    /// How fast every kernel is on this machine, beside what the machine can do
    Bench(bench::Bench),
    /// The GPUs that can compute, with their limits, and the CPU
    Devices(devices::Devices),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

/// Does what was asked.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Stats(stats) => stats.run(arguments.quiet),
        Command::Prune(prune) => prune.run(arguments.quiet),
        Command::Search(search) => search.run(arguments.quiet),
        Command::Restore(restore) => restore.run(arguments.quiet),
        Command::Report(report) => report.run(arguments.quiet),
        Command::Audit(audit) => audit.run(arguments.quiet),
        Command::Eval(eval) => eval.run(),
        Command::Dataset(dataset) => dataset.run(arguments.quiet),
        Command::Train(train) => train.run(arguments.quiet),
        Command::Bench(bench) => bench.run(arguments.quiet),
        Command::Devices(devices) => devices.run(),
        Command::Completions(completions) => completions.run(),
    }
}

/// Whether the reader of our output went away, as `head` does once it has enough: no error.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// One line on stderr: `error: …` or `warning: …`.
pub(crate) fn complain(severity: &str, message: &str) {
    let stderr = io::stderr();
    let code = if severity == "error" { "1;31" } else { "1;33" };
    let label =
        if has_colour(&stderr) { format!("\u{1b}[{code}m{severity}:\u{1b}[0m") } else { format!("{severity}:") };
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(stderr.lock(), "{label} {}", escape(message));
}

/// A line on stderr that is no complaint.
fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape(message));
}

/// Whether a stream is to be coloured: a terminal, unless NO_COLOR (<https://no-color.org>) or TERM=dumb say otherwise.
fn has_colour(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn clap_is_content() {
        super::Arguments::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_an_example() {
        for command in super::Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("secateur {}", command.get_name())), "{}", command.get_name());
        }
    }
}
