//! `secateur restore`.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur::report::format_bytes;
use secateur::restore::{Options, Summary, restore};
use secateur::{Checkpoint, Progress, Result, escape};

use super::output::Output;
use super::progress::Bar;
use super::{common, complain, parse};

/// Dense weights out of a checkpoint that compressed-tensors wrote as sparse-bitmask or sparse-24-bitmask.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur restore ./Llama-3.1-8B-2of4 -o ./Llama-3.1-8B-dense
  secateur restore sparse.safetensors -o dense.safetensors --format json

Current loaders no longer read these formats. Of a folder everything else is carried over, and sparsity_config is taken \
out of its config.json: name the folder or its index, not the .safetensors in it. Everything is written beside OUT as \
.secateur-* and renamed at the end; a process that is killed leaves that behind, which may be removed.")]
pub(crate) struct Restore {
    /// A .safetensors file, a folder holding one or an index with its shards, or the index itself
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Where the dense model goes: a file for a file, a new folder for a folder
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Replace OUT if it is a file
    #[arg(long)]
    force: bool,
    /// The summary on stdout
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
    /// Bound on what is held at once; at least 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse::memory, default_value = "1GiB")]
    memory: u64,
    /// Threads of the CPU to use [default: all]
    #[arg(long, value_name = "N", value_parser = common::threads)]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

impl Restore {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let model = Checkpoint::open(&self.model)?;
        let options = Options { force: self.force, memory_bytes: self.memory, threads: self.threads };
        let progress = Progress::default();
        let summary = Bar::new(quiet).watch(&progress, || restore(&model, &self.output, &options, &progress))?;
        let mut output = Output::stdout();
        let written = self.show(&summary, &mut output.writer());
        output.finish(written)?;
        if !quiet && summary.config_left {
            let message = "config.json beside the model says that it is compressed, and was not carried over: name the \
                           folder instead of the file to have it changed";
            complain("warning", message);
        }
        Ok(())
    }

    fn show(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        if self.format == Format::Json {
            let json = serde_json::to_string(summary).map_err(io::Error::other)?;
            return writeln!(out, "{}", harmless(&json));
        }
        for tensor in &summary.tensors {
            let shape = tensor.shape.iter().map(u64::to_string).collect::<Vec<_>>().join("×");
            let zeros = 100.0 * (tensor.count - tensor.kept) as f64 / tensor.count.max(1) as f64;
            let (name, dtype) = (escape(&tensor.name), tensor.dtype);
            writeln!(out, "{name}  {dtype} {shape}  {zeros:.1}% zeros  {}", format_bytes(tensor.bytes))?;
        }
        let (before, after) = (format_bytes(summary.bytes_before), format_bytes(summary.bytes_after));
        let (decoded, copied) = (summary.tensors.len(), summary.copied);
        let tensors = if decoded == 1 { "tensor" } else { "tensors" };
        let config = if summary.config_changed { ", sparsity_config taken out of config.json" } else { "" };
        let seconds = summary.seconds;
        writeln!(out, "{decoded} {tensors} decoded, {copied} copied{config}: {before} → {after} in {seconds:.1} s")
    }
}

/// JSON in which nothing can steer a terminal. Such characters are in its strings alone, where `\uXXXX` says the same.
pub(super) fn harmless(json: &str) -> String {
    let mut units = [0; 2];
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        let hidden = c as u32 >= 0x7f && escape(c.encode_utf8(&mut [0; 4])).starts_with('\\');
        match hidden {
            true => out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
        out
    })
}
