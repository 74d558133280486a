//! `secateur stats`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use secateur::checkpoint::{Checkpoint, Tensor};
use secateur::report::{Format, Header, Look};
use secateur::stats::{Entry, Grouping, Options, Transform, analyse};
use secateur::{Dtype, Error, Float, Progress, Result};

use super::common::Common;
use super::output::{self, Output};
use super::progress::Bar;
use super::{complain, parse};

/// More bins than anybody looks at; edges and counts of a group take 16 bytes each.
const MAX_BINS: u64 = Options::MAX_BINS as u64;

/// Mean, variance, skewness, kurtosis and more of every tensor or group of weights.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur stats model.safetensors
  secateur stats ./Llama-3.1-70B --only '*.mlp.*' --by output -o channels.csv
  secateur stats model.safetensors --quantiles 1%,50%,99% --histogram 32 --format json

Statistics are over the finite values; `count` counts every element. Variance is M2/n, kurtosis is excess (0 for a \
normal distribution), quantiles are exact. On a terminal the table shows the columns that fit its width; in a pipe or \
a file it shows all of them, unless COLUMNS is set.")]
pub(crate) struct Stats {
    /// Which weights are judged together: tensor, output (axis 0), input (axis 1), axis:N, or block:N consecutive
    /// weights of a row
    #[arg(long, value_name = "GROUP", default_value_t)]
    by: Grouping,
    /// What is done to the weights first: none, log (ln|w|), or standardize ((w − mean)/σ of its tensor)
    #[arg(long, value_name = "TRANSFORM", default_value_t)]
    transform: Transform,
    /// Exact quantiles, interpolated linearly: 0.01,0.5,0.99 or 1%,50%,99%
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = parse::rate)]
    quantiles: Vec<f64>,
    /// A histogram of so many bins from the smallest to the largest value
    #[arg(long, value_name = "BINS", value_parser = clap::value_parser!(u64).range(1..=MAX_BINS))]
    histogram: Option<u64>,
    /// table, json, jsonl, csv or markdown [default: after FILE's extension, else table]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write to FILE instead of stdout, whole or not at all
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Stats {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let options = self.options()?;
        let format = self.format()?;
        let checkpoint = Checkpoint::open(&self.common.model)?;
        self.common.check_chosen(&checkpoint, &options.selection)?;
        let mut output = match &self.output {
            Some(path) => Output::file(path, checkpoint.files())?,
            None => Output::stdout(),
        };
        let engine = self.common.engine()?;

        let progress = Progress::default();
        let dtypes = survey(&checkpoint, &options);
        let path = output.path();
        let failed = |source: io::Error| Error::io(&path, source);
        let look = if self.output.is_some() { Look::default() } else { output::look() };
        let model = self.common.model.display().to_string();
        let info = engine.info(&dtypes);
        let bar = Bar::new(quiet);
        let mut warnings = NonFinite::default();
        let analysed;
        {
            let shares_screen = self.output.is_none() && io::stdout().is_terminal();
            let out = output.writer();
            let mut report = format.report(if shares_screen { bar.giving_way(out) } else { out }, look);
            report.begin(&Header { model: &model, engine: &info, options: &options }).map_err(failed)?;
            let summary = bar.watch(&progress, || {
                analyse(&checkpoint, &engine, &options, &progress, &mut |entry| {
                    warnings.see(&entry);
                    report.entry(&entry).map_err(failed)
                })
            })?;
            report.end(&summary).map_err(failed)?;
            analysed = summary.tensors;
        }
        output.finish(Ok(()))?;
        if !quiet {
            warnings.tell();
            if analysed == 0 {
                complain("warning", "nothing to analyse: there is no floating tensor among those asked for");
            }
        }
        Ok(())
    }

    fn options(&self) -> Result<Options> {
        let mut options = self.common.options()?;
        options.by = self.by;
        options.transform = self.transform;
        // 0.5,50% asks for one thing, and names of columns and keys have to differ.
        for &probability in &self.quantiles {
            if !options.quantiles.contains(&probability) {
                options.quantiles.push(probability);
            }
        }
        options.histogram = self.histogram.and_then(|bins| usize::try_from(bins).ok());
        Ok(options)
    }

    /// `--format`, else what FILE's extension says.
    fn format(&self) -> Result<Format> {
        let path = self.output.as_deref();
        let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["safetensors", "onnx"].iter().any(|model| extension.eq_ignore_ascii_case(model)) {
            return Err(Error::Usage(format!("-o takes the report, not a model: name a file that is no .{extension}")));
        }
        Ok(self.format.or_else(|| path.and_then(Format::from_path)).unwrap_or_default())
    }
}

/// The dtypes that will be analysed.
fn survey(checkpoint: &Checkpoint, options: &Options) -> Vec<Dtype> {
    let mut dtypes = Vec::new();
    let chosen =
        |tensor: &&Tensor| Float::from_dtype(tensor.dtype()).is_some() && options.selection.includes(tensor.name());
    for tensor in checkpoint.tensors().iter().filter(chosen) {
        if !dtypes.contains(&tensor.dtype()) {
            dtypes.push(tensor.dtype());
        }
    }
    dtypes
}

/// The tensors in which something is not finite, to warn of at the end.
#[derive(Default)]
struct NonFinite {
    tensors: u64,
    first: Vec<String>,
    latest: String,
}

impl NonFinite {
    fn see(&mut self, entry: &Entry) {
        // Groups of a tensor come one after the other: count it once.
        let known = self.tensors > 0 && self.latest == entry.name;
        if known || (entry.statistics.nan == 0 && entry.statistics.inf == 0) {
            return;
        }
        self.tensors += 1;
        self.latest.clone_from(&entry.name);
        if self.first.len() < 3 {
            self.first.push(entry.name.clone());
        }
    }

    fn tell(&self) {
        if self.tensors == 0 {
            return;
        }
        let tensors = if self.tensors == 1 { "tensor" } else { "tensors" };
        let more = if self.tensors > 3 { ", …" } else { "" };
        complain("warning", &format!("NaN or inf in {} {tensors}: {}{more}", self.tensors, self.first.join(", ")));
    }
}
