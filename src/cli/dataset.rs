//! `secateur dataset`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use secateur::data::{Made, Recipe, Source, Split, make};
use secateur::report::format_bytes;
use secateur::{Progress, Result, escape};

use super::output::Output;
use super::progress::Bar;
use super::restore::harmless;

/// Inputs and labels for search, eval and train, out of MNIST's idx files, CIFAR's binary files or a data set.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["images", "cifar", "from"]))]
#[command(after_help = "\
Examples:
  secateur dataset --images train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz \\
    --split 55000,5000 --seed 0 -o train.safetensors,validation.safetensors
  secateur dataset --images t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz -o test.safetensors
  secateur dataset --cifar data_batch_1.bin,data_batch_2.bin --split 90%,10% -o train.safetensors,validation.safetensors
  secateur dataset --from all.safetensors --limit 2000 --seed 1 -o few.safetensors

Files may be gz, whatever their names. The result is safetensors: `inputs`, U8 [n, 1, height, width] of idx images \
(divided by 255 when they are read; idx of other numbers becomes F32), U8 [n, 3, 32, 32] of CIFAR; and `labels`, I64 [n]. \
Where files are split or limited, examples are shuffled first, by a generator of this program's own, so that a seed gives \
the same bytes everywhere; --no-shuffle takes consecutive ones, such as the last 5000 of MNIST for validation.")]
pub(crate) struct Dataset {
    /// Inputs as an idx file: MNIST, Fashion-MNIST, EMNIST
    #[arg(long, value_name = "IDX")]
    images: Option<PathBuf>,
    /// Their labels as an idx file
    #[arg(long, value_name = "IDX", requires = "images")]
    labels: Option<PathBuf>,
    /// Files of CIFAR-10's or CIFAR-100's binary version, told apart by their sizes (repeatable)
    #[arg(long, value_name = "BIN,…", value_delimiter = ',')]
    cifar: Vec<PathBuf>,
    /// The files are of CIFAR-100, whatever their sizes: its fine labels
    #[arg(long, requires = "cifar")]
    cifar100: bool,
    /// The coarse labels of CIFAR-100
    #[arg(long, requires = "cifar")]
    coarse: bool,
    /// Another data set: a safetensors file with inputs and labels
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Inputs of one axis, [n, 784] instead of [n, 1, 28, 28], for networks that take them so
    #[arg(long)]
    flat: bool,
    /// Parts, a file each: numbers of examples (55000,5000) or shares (90%,10%), which are all examples together
    #[arg(long, value_name = "PARTS")]
    split: Option<Split>,
    /// What the examples' order is drawn from [default: 0, where they are split or limited]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Keep the examples' order
    #[arg(long, conflicts_with = "seed")]
    no_shuffle: bool,
    /// Use only N examples, the first after shuffling
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Where the data set goes: a .safetensors file, or one for each part
    #[arg(long, short, value_name = "OUT,…", value_delimiter = ',', required = true)]
    output: Vec<PathBuf>,
    /// Replace OUT if it is a file
    #[arg(long)]
    force: bool,
    /// The summary on stdout
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

impl Dataset {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let drawn = self.split.is_some() || self.limit.is_some();
        let recipe = Recipe {
            source: match (self.images, self.from) {
                (Some(images), _) => Source::Idx { images, labels: self.labels },
                (None, Some(set)) => Source::Set(set),
                (None, None) => Source::Cifar { files: self.cifar, hundred: self.cifar100, coarse: self.coarse },
            },
            flat: self.flat,
            split: self.split,
            seed: if self.no_shuffle { None } else { self.seed.or(drawn.then_some(0)) },
            limit: self.limit,
        };
        let progress = Progress::default();
        let made = Bar::new(quiet).watch(&progress, || make(&recipe, &self.output, self.force, &progress))?;
        let mut output = Output::stdout();
        let written = show(self.format, &made, &mut output.writer());
        output.finish(written)
    }
}

fn show(format: Format, made: &[Made], out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Json {
        return writeln!(out, "{}", harmless(&serde_json::to_string(made)?));
    }
    for Made { path, count, dtype, shape, classes, bytes } in made {
        let axes: String = shape.iter().map(|length| format!(", {length}")).collect();
        let classes = classes.map_or(String::new(), |classes| format!("  {classes} classes"));
        let (path, bytes) = (escape(path), format_bytes(*bytes));
        writeln!(out, "{path}  {dtype} [{count}{axes}]{classes}  {bytes}")?;
    }
    Ok(())
}
