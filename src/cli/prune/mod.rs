//! `secateur prune`.

mod channel;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use secateur::checkpoint::{Named, check_outputs};
use secateur::prune::allocation::round_half_even;
use secateur::prune::{
    self, Allocation, ChannelTask, Destination, Masks, Options, Outcome, Pattern, Plan, Rates, Task,
};
use secateur::report::PruneFormat;
use secateur::{Checkpoint, Engine, Error, Progress, Result};

use self::channel::Reduction;
use super::channel::Channel;
use super::common::Common;
use super::output::{Output, look};
use super::progress::Bar;
use super::rule::Rule;
use super::{complain, parse};

/// Cut weights or whole channels: exactly as many as asked for, on a GPU or the CPU, with the same bytes out of each.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur prune model.safetensors -o half.safetensors --sparsity 50%
  secateur prune ./Llama-3.1-8B -o ./Llama-2of4 --pattern 2:4
  secateur prune model.safetensors -o m.safetensors --sparsity 0.9 --allocation moments --plan plan.json
  secateur prune model.safetensors --sparsity 0.9 --allocation global --dry-run
  secateur prune model.safetensors -o m.safetensors --rates rates.toml
  secateur prune model.onnx -o small.onnx --pattern channel --criterion variance --sparsity 0.3
  secateur prune model.onnx -o small.onnx --pattern channel --macs 50% --allocation global --round-to 8

Cut are the weights of the lowest scores, ties by lower index; NaN never is. A cut weight becomes zero: the file keeps \
its size (`secateur audit` says what it could weigh). Token embeddings, output heads, scales and routers are left \
alone, and so are tensors of fewer than two dimensions, unless --only names them.

With --pattern channel whole channels are deleted, with everything that depends on them, so that the file shrinks and any \
runtime is faster: those of the smallest variance first. What cannot be proven to stay right is left as it is, and the \
summary says why.")]
pub(crate) struct Prune {
    /// The pruned model: a file for a file, a folder for a folder
    #[arg(long, short, value_name = "OUT", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// The share of the eligible weights to cut, at least 0 and less than 1: 0.5 or 50%
    #[arg(long, value_name = "RATE", value_parser = parse::rate, allow_hyphen_values = true, required_unless_present_any = ["pattern", "from_plan", "from_mask", "rates", "params", "macs"])]
    sparsity: Option<f64>,
    /// Instead of --sparsity: a TOML file of globs over names and their rates, such as "conv*" = 0.3
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sparsity", "from_plan", "from_mask"])]
    rates: Option<PathBuf>,
    #[command(flatten)]
    rule: Rule,
    /// How the rate is shared among tensors: uniform, global, erk, lamp, variance or moments; among classes of channels:
    /// uniform, global or variance
    #[arg(long, value_name = "RULE", default_value_t = Allocation::Uniform)]
    allocation: Allocation,
    /// Write the plan as JSON
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Run a plan instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sparsity", "pattern", "criterion", "keep", "allocation", "from_mask"])]
    from_plan: Option<PathBuf>,
    /// Apply saved masks instead of making some
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sparsity", "pattern", "criterion", "keep", "allocation", "plan"])]
    from_mask: Option<PathBuf>,
    /// Do all but write the model
    #[arg(long, conflicts_with_all = ["output", "mask"])]
    dry_run: bool,
    /// Also write the masks, as safetensors: one bit a weight, 1 = kept
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// How the summary is printed: table or json
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: PruneFormat,
    #[command(flatten)]
    reduction: Reduction,
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    common: Common,
}

impl Prune {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        // A plan says by itself what it is about; what it may not overwrite is known before it is read.
        let opened = self.from_plan.is_some().then(|| self.open()).transpose()?;
        let plan = self.from_plan.as_deref().map(Plan::read).transpose()?;
        let planned = plan.as_ref().map(|plan| plan.pattern.as_str());
        if self.rule.pattern == Pattern::Channel || planned == Some("channel") {
            return self.run_channels(plan, opened, quiet);
        }
        if let Some(flag) = self.given().or(self.channel.topology.is_some().then_some("--topology")) {
            return Err(Error::Usage(format!("{flag} is about channels: add --pattern channel, or leave it out")));
        }
        let mut options = self.options()?;
        // A rate that cannot be should not have to wait for a model.
        options.check()?;
        let model = opened.map_or_else(|| self.open(), Ok)?;
        let selection = options.selection.clone();
        self.common.check_chosen(&model, &selection)?;
        let plan = plan.map(|plan| plan.only(&selection));
        let masks = self.from_mask.as_deref().map(Masks::open).transpose()?.map(|masks| masks.only(selection));
        let task = match (&plan, &masks) {
            (Some(plan), _) => Task::Plan(plan),
            (_, Some(masks)) => Task::Masks(masks),
            _ => {
                options.criterion = self.rule.of_weights()?;
                options.check()?;
                Task::Options(&options)
            }
        };
        let done = self.finish(&model, quiet, options.memory_bytes, |engine, to, progress| {
            prune::run(&model, engine, &task, to, progress)
        })?;
        if let Some(warning) = too_few(&done, &task).filter(|_| !quiet) {
            complain("warning", &warning);
        }
        self.print(&done)
    }

    /// The first option about channels, but for the network, that was given.
    fn given(&self) -> Option<&'static str> {
        self.reduction.given().or(self.channel.given())
    }

    /// The model, beside which every output may be written.
    fn open(&self) -> Result<Checkpoint> {
        let model = Checkpoint::open(&self.common.model)?;
        self.check_outputs(&model)?;
        Ok(model)
    }

    fn run_channels(self, plan: Option<Plan>, opened: Option<Checkpoint>, quiet: bool) -> Result<()> {
        if self.mask.is_some() || self.from_mask.is_some() {
            return Err(Error::Usage("masks are of single weights: a plan (--plan) says which channels go".to_owned()));
        }
        if plan.is_some() && (self.common.chooses() || self.given().is_some()) {
            let why = "--from-plan runs a plan as it is: leave out what chooses or scores channels";
            return Err(Error::Usage(why.to_owned()));
        }
        let options = if plan.is_none() { Some(self.channel_options()?) } else { None };
        let model = opened.map_or_else(|| self.open(), Ok)?;
        if let Some(options) = &options {
            self.common.check_chosen(&model, &options.selection)?;
        }
        let graph = self.channel.graph(&model)?;
        let task = match (&plan, &options) {
            (Some(plan), _) => ChannelTask::Plan(plan),
            (None, Some(options)) => ChannelTask::Options(options),
            (None, None) => return Ok(()),
        };
        let done = self.finish(&model, quiet, self.common.memory, |engine, to, progress| {
            prune::channels(&model, &graph, engine, &task, to, progress)
        })?;
        if !quiet && done.plan.classes.iter().all(|class| class.cut.is_empty()) {
            let why = "the rate is too small for so few channels, widths are rounded up, or it was reached before";
            complain("warning", &format!("nothing was cut: {why}"));
        }
        self.print(&done)
    }

    /// Runs `work` under a progress bar, and writes the plan.
    fn finish(
        &self,
        model: &Checkpoint,
        quiet: bool,
        memory_bytes: u64,
        work: impl FnOnce(&Engine, &Destination, &Progress) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let to =
            Destination { out: self.output.as_deref(), mask: self.mask.as_deref(), force: self.force, memory_bytes };
        let plan_file = self.plan.as_deref().map(|path| self.plan_file(path, model)).transpose()?;
        let engine = self.common.engine()?;
        let progress = Progress::default();
        let done = Bar::new(quiet).watch(&progress, || work(&engine, &to, &progress))?;
        if let Some(file) = plan_file {
            write_plan(file, &done)?;
        }
        Ok(done)
    }

    fn options(&self) -> Result<Options> {
        let shared = self.common.options()?;
        if self.rule.pattern == Pattern::Element
            && self.sparsity.is_none()
            && self.rates.is_none()
            && self.from_plan.is_none()
            && self.from_mask.is_none()
        {
            return Err(Error::Usage("--pattern element needs --sparsity RATE or --rates FILE".to_owned()));
        }
        if matches!(self.rule.pattern, Pattern::NofM(_)) && self.sparsity.is_some() {
            return Err(Error::Usage("N:M says by itself how much is cut: leave --sparsity out".to_owned()));
        }
        Ok(Options {
            sparsity: self.sparsity.unwrap_or(0.0),
            pattern: self.rule.pattern,
            keep: self.rule.keep,
            allocation: self.allocation,
            rates: self.rates.as_deref().map(Rates::read).transpose()?,
            selection: shared.selection,
            only_given: self.common.named(),
            memory_bytes: shared.memory_bytes,
            ..Options::default()
        })
    }

    /// An error where an output would replace another one, or what is read.
    fn check_outputs(&self, model: &Checkpoint) -> Result<()> {
        let out = self.output.as_deref().map(|path| ("-o", path));
        let sides = [("--mask", self.mask.as_deref()), ("--plan", self.plan.as_deref())];
        let norms =
            self.rule.criterion.as_deref().and_then(|criterion| criterion.strip_prefix("wanda:")).map(Path::new);
        let inputs = [
            ("--from-plan", self.from_plan.as_deref()),
            ("--from-mask", self.from_mask.as_deref()),
            ("--criterion", norms),
            ("--rates", self.rates.as_deref()),
            ("--topology", self.channel.topology.as_deref()),
        ];
        check_outputs(model, out, &named(&sides), &named(&inputs))
    }

    /// The file of the plan, which may be neither the model nor there already.
    fn plan_file(&self, path: &Path, model: &Checkpoint) -> Result<Output> {
        let why = match fs::metadata(path) {
            Ok(found) if !found.is_file() => "no regular file: name another",
            Ok(_) if !self.force => "exists already: add --force to replace it, or name another file",
            _ => return Output::file(path, model.files()),
        };
        Err(Error::Usage(format!("--plan {}: {why}", path.display())))
    }

    fn print(&self, done: &Outcome) -> Result<()> {
        let mut out = Output::stdout();
        let printed = self.format.write(&mut out.writer(), &done.summary, look());
        out.finish(printed)
    }
}

/// What to say where fewer weights were cut than a rate suggests, and why.
fn too_few(done: &Outcome, task: &Task) -> Option<String> {
    let total = &done.summary.total;
    let asked = match task {
        Task::Masks(_) => return None,
        Task::Options(options) if options.allocation == Allocation::Global => {
            round_half_even(options.sparsity, total.count)
        }
        _ => done.plan.tensors.iter().fold(0u64, |sum, tensor| sum.saturating_add(tensor.cut)),
    };
    match task {
        Task::Options(options) if asked == 0 && options.sparsity > 0.0 => {
            Some("nothing was cut: the rate is too small for so few weights".to_owned())
        }
        _ if total.cut >= asked => None,
        _ if total.cut == 0 => {
            Some("nothing was cut: what was to be is NaN or scores NaN, and is never cut".to_owned())
        }
        _ => {
            let (cut, all) = (total.cut, asked);
            Some(format!(
                "{cut} of the {all} weights to cut were cut: the others are NaN or score NaN, and are never cut"
            ))
        }
    }
}

/// Those that are given.
fn named<'a>(flags: &[(&'a str, Option<&'a Path>)]) -> Vec<Named<'a>> {
    flags.iter().filter_map(|&(flag, path)| Some((flag, path?))).collect()
}

fn write_plan(mut file: Output, done: &Outcome) -> Result<()> {
    let text = serde_json::to_string_pretty(&done.plan).map_err(io::Error::other);
    let written = text.and_then(|text| writeln!(file.writer(), "{text}"));
    file.finish(written)
}
