//! `secateur bench`.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use globset::Glob;
use secateur::bench::{self, Machine, Options};
use secateur::report::{BenchFormat, BenchReport};
use secateur::{Dtype, Error, Float, Result, escape};

use super::common::{self, EngineArgument};
use super::output::{self, Output};
use super::parse;

/// How fast every kernel is on this machine, beside what the machine can do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur bench
  secateur bench --engine cpu --size 64MiB --kernel moments --dtype BF16
  secateur bench --adapter llvmpipe --format json -o bench.json

Ceilings are the same bytes summed and copied by the same threads or device, and files read and copied, in the same run. Every \
answer is checked before it is timed. On a GPU weights are resident; its own clock times the kernels where it has one. \
--engine auto measures the CPU and a hardware GPU if there is one; a software adapter only when named, or by --engine gpu.")]
pub(crate) struct Bench {
    /// Bytes of weights, a run for each; what fits in a cache measures the cache
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = size, default_values = ["16MiB", "256MiB"])]
    size: Vec<u64>,
    /// Formats of weights, as safetensors names them
    #[arg(long, value_name = "DTYPE", value_delimiter = ',', value_parser = float, default_values = ["F32", "BF16", "F16", "F8_E4M3"])]
    dtype: Vec<Float>,
    /// Only kernels whose name matches (repeatable)
    #[arg(long, value_name = "GLOB", value_parser = Glob::new)]
    kernel: Vec<Glob>,
    /// What is measured
    #[arg(long, value_enum, default_value_t = EngineArgument::Auto)]
    engine: EngineArgument,
    /// Which GPU, by number or name (`secateur devices` lists them)
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// How long each case is run, at least
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "300ms")]
    time: std::time::Duration,
    /// Where files are made for whole-file cases, of the first and of 16-bit formats: three times the largest size [default: the
    /// system's temporary folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// No whole-file cases
    #[arg(long, conflicts_with = "folder")]
    no_files: bool,
    /// Threads of the CPU to use [default: all]
    #[arg(long, value_name = "N", value_parser = common::threads)]
    threads: Option<NonZeroUsize>,
    /// How to write it: table, json or markdown
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: BenchFormat,
    /// Write to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    match parse::size(text)? {
        bytes if bytes < bench::MIN_BYTES => Err("less than 1MiB, which would measure calls".to_owned()),
        bytes => Ok(bytes),
    }
}

fn float(text: &str) -> Result<Float, String> {
    let dtypes = || Float::ALL.map(|float| float.dtype().to_string());
    let wrong = || format!("expected one of {}", dtypes().join(", "));
    let dtype: Dtype = serde_json::from_value(text.to_uppercase().into()).map_err(|_| wrong())?;
    Float::from_dtype(dtype).ok_or_else(wrong)
}

impl Bench {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let start = Instant::now();
        let options = self.options()?;
        options.validate()?;
        let machine = Machine::new(&options)?;
        let mut output = match &self.output {
            Some(path) => Output::file(path, [])?,
            None => Output::stdout(),
        };
        let path = output.path();
        let failed = |source: io::Error| Error::io(&path, source);
        let mut report = BenchReport::begin(output.writer(), self.format, output::look(), &machine).map_err(failed)?;
        let shows_itself = self.output.is_none() && self.format == BenchFormat::Table;
        bench::run(&options, &mut |row| {
            if !quiet && !shows_itself {
                super::note(&format!("{} {}, {}", row.engine, row.kernel, escape(&row.of)));
            }
            report.row(&row).map_err(failed)
        })?;
        let written = report.end(start.elapsed().as_secs_f64());
        output.finish(written)
    }

    fn options(&self) -> Result<Options> {
        if self.engine == EngineArgument::Cpu && self.adapter.is_some() {
            return Err(common::adapter_without_gpu());
        }
        #[cfg(not(feature = "gpu"))]
        if self.engine == EngineArgument::Gpu || self.adapter.is_some() {
            return Err(common::without_gpu());
        }
        let files = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Options {
            sizes: self.size.clone(),
            formats: self.dtype.clone(),
            kernels: self.kernel.iter().map(Glob::compile_matcher).collect(),
            cpu: self.engine != EngineArgument::Gpu,
            #[cfg(feature = "gpu")]
            gpu: self.gpu(),
            seconds: self.time.as_secs_f64(),
            folder: (!self.no_files).then_some(files),
            threads: self.threads,
        })
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self) -> Option<secateur::gpu::AdapterChoice> {
        match (self.engine, self.adapter.as_deref()) {
            (EngineArgument::Cpu, _) => None,
            (EngineArgument::Auto, None) => secateur::gpu::AdapterChoice::hardware(),
            (_, adapter) => Some(common::adapter_choice(adapter)),
        }
    }
}
