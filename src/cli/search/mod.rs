//! `secateur search`.

mod curve;
mod tools;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use secateur::checkpoint::check_outputs;
use secateur::graph::Graph;
use secateur::prune::{Allocation, Amount, Options, Pattern, Schedule};
use secateur::report::PruneFormat;
use secateur::search::{Cut, Event, Floor, Found, Order, Phase, Ramp, Round, Save, SearchOptions, Strategy, search};
use secateur::{Checkpoint, Error, Result, escape};

use self::curve::Curves;
use self::tools::{Evaluation, Training};
use super::channel::Channel;
use super::common::Common;
use super::output::{Output, look};
use super::progress::Line;
use super::rule::Rule;
use super::{note, parse};

/// Find the smallest version of a model that is still good enough: prune, (fine-tune,) evaluate, again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur search net.onnx -o small.onnx --pattern channel --eval-data validation.safetensors --max-drop 0.01
  secateur search net.onnx -o sparse.onnx --eval-data validation.safetensors --test-data test.safetensors \\
      --train-data train.safetensors --epochs 1 --journal search/
  secateur search model.safetensors -o sparse.safetensors --eval 'python eval.py {model}' --floor 71.5 --journal search/
  secateur search ./model -o ./sparse --pattern 2:4 --eval './perplexity.sh {model}' --lower-is-better --max-drop 0.2

Rates always count against the model as it is given. The validation set steers; --test-data is looked at once, at the end, \
and steers nothing. With --journal every round is kept, and a search that was stopped goes on where it was.")]
pub(crate) struct Search {
    /// The best model that keeps the floor
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    evaluation: Evaluation,
    /// The metric that must be kept
    #[arg(long, value_name = "X", conflicts_with = "max_drop", allow_hyphen_values = true)]
    floor: Option<f64>,
    /// How much worse than the unpruned model's the metric may be [default: 0.01 for accuracy and top5]
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    max_drop: Option<f64>,
    /// fixed: --step more at each round until the floor breaks; dynamic: a rate for each layer, by what the evaluator says
    /// [default: dynamic, or fixed with --rounds]
    #[arg(long, value_enum)]
    strategy: Option<StrategyArgument>,
    /// The share that is cut more at each round of --strategy fixed
    /// [default: 5%]
    #[arg(long, value_name = "RATE", value_parser = parse::rate, conflicts_with = "rounds")]
    step: Option<f64>,
    /// Evaluate at most so many candidates, the model itself included [default: 20 and 3 a unit, from 32 to 200, or what
    /// --rounds and --order take]
    #[arg(long, value_name = "N")]
    evaluations: Option<u32>,
    /// Start no further candidate after this: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    time_limit: Option<Duration>,
    /// Instead of steps: so many rounds towards --sparsity, along --schedule
    #[arg(long, value_name = "N", requires = "sparsity")]
    rounds: Option<u32>,
    /// The rate that --rounds lead to
    #[arg(long, value_name = "RATE", value_parser = parse::rate, requires = "rounds")]
    sparsity: Option<f64>,
    /// How the rate grows over --rounds: linear, or cubic (much at first)
    #[arg(long, value_name = "SCHEDULE", default_value = "cubic", requires = "rounds")]
    schedule: Schedule,
    /// All layers together, or one after the other: last-to-first, first-to-last
    #[arg(long, value_name = "ORDER", default_value_t = Order::Together)]
    order: Order,
    /// What is to become small: weights, params or macs
    #[arg(long, value_name = "WHAT", default_value_t = Save::Weights)]
    save: Save,
    #[command(flatten)]
    rule: Rule,
    /// How one rate is shared among layers [default: moments, and dynamically the best of moments, lamp, global and uniform;
    /// for channels uniform, and the best of uniform, global and variance]
    #[arg(long, value_name = "RULE")]
    allocation: Option<Allocation>,
    #[command(flatten)]
    training: Training,
    /// Keep every round in this folder, and go on from what is there
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Replace OUT if it is there
    #[arg(long)]
    force: bool,
    /// How the result is printed: table or json
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: PruneFormat,
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    common: Common,
}

/// What `--strategy` can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StrategyArgument {
    Fixed,
    Dynamic,
}

impl Search {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let lower_is_better = self.evaluation.lower_is_better();
        let floor = self.floor()?;
        if let Some(flag) = self.channel.given().filter(|_| self.rule.pattern != Pattern::Channel) {
            return Err(Error::Usage(format!("{flag} is about channels: add --pattern channel, or leave it out")));
        }
        let cut = self.cut()?;
        let allocations = self.allocations(&cut);
        let model = Checkpoint::open(&self.common.model)?;
        check_outputs(&model, Some(("-o", &self.output)), &[], &self.inputs())?;
        let shared = self.common.options()?;
        self.common.check_chosen(&model, &shared.selection)?;
        let graph = self.graph(&model)?;
        let ramp = self.rounds.zip(self.sparsity);
        let ramp = ramp.map(|(rounds, target)| Ramp { schedule: self.schedule, rounds, target });
        let strategy = match self.strategy {
            Some(StrategyArgument::Dynamic) => Strategy::Dynamic,
            None if ramp.is_none() => Strategy::Dynamic,
            _ => Strategy::Fixed { step: self.step.unwrap_or(0.05) },
        };
        self.check(strategy)?;
        let options = SearchOptions {
            cut,
            graph: graph.as_ref(),
            allocations,
            save: self.save,
            floor,
            lower_is_better,
            strategy,
            ramp,
            order: self.order,
            evaluations: self.evaluations,
            time_limit: self.time_limit,
            seed: self.training.seed,
            final_epochs: self.training.final_epochs,
            journal: self.journal.as_deref(),
            about: self.about()?,
        };
        options.check(self.training.trains())?;
        let engine = self.common.engine()?;
        let mut made = tools::Made::new(&self.evaluation, &self.training, &model, self.common.threads)?;
        let mut curves = Curves::new(&self, lower_is_better);
        let line = Line::new(quiet);
        let found = search(&model, &engine, &options, made.tools(), Some(&self.output), self.force, &mut |event| {
            self.watch(event, &line, &mut curves, quiet)
        });
        line.end();
        let found = found?;
        curves.last()?;
        if found.best.is_none() {
            return Err(self.nothing(&found));
        }
        let mut out = Output::stdout();
        let printed = self.format.write_search(&mut out.writer(), &found, look());
        out.finish(printed)
    }

    /// What is asked for where it means nothing.
    fn check(&self, strategy: Strategy) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.to_owned()));
        if self.step.is_some() && strategy == Strategy::Dynamic {
            return wrong("--step is for --strategy fixed: dynamic rates go where the evaluator leads");
        }
        if self.allocation.is_some() && matches!(self.rule.pattern, Pattern::NofM(_)) {
            return wrong("--allocation shares out a rate, and an N:M pattern has none: leave it out");
        }
        self.evaluation.check(self.training.has_data())
    }

    /// What tells how candidates are evaluated and trained from other ways.
    fn about(&self) -> Result<serde_json::Value> {
        let (evaluation, mut training) = (self.evaluation.about()?, self.training.about()?);
        if self.training.has_data() {
            training["batch"] = serde_json::json!(self.evaluation.batch);
        }
        Ok(serde_json::json!({"evaluation": evaluation, "training": training}))
    }

    fn floor(&self) -> Result<Floor> {
        match (self.floor, self.max_drop) {
            (Some(floor), _) => Ok(Floor::At(floor)),
            (_, Some(drop)) => Ok(Floor::Drop(drop)),
            _ if self.evaluation.is_share() => Ok(Floor::Drop(0.01)),
            _ => {
                Err(Error::Usage("say what must be kept: --floor X, or --max-drop X below the model's own".to_owned()))
            }
        }
    }

    fn cut(&self) -> Result<Cut> {
        if self.rule.pattern == Pattern::Channel {
            let (criterion, nothing) = (self.rule.criterion.as_deref(), Amount::Sparsity(0.0));
            return self
                .channel
                .options(&self.common, nothing, criterion, self.rule.keep, Allocation::Uniform)
                .map(Cut::Channels);
        }
        let shared = self.common.options()?;
        Ok(Cut::Elements(Options {
            pattern: self.rule.pattern,
            criterion: self.rule.of_weights()?,
            keep: self.rule.keep,
            selection: shared.selection,
            only_given: self.common.named(),
            memory_bytes: shared.memory_bytes,
            ..Options::default()
        }))
    }

    /// The allocation that was asked for, or those that there are for what is cut.
    fn allocations(&self, cut: &Cut) -> Vec<Allocation> {
        if let Some(allocation) = self.allocation {
            return vec![allocation];
        }
        match cut {
            Cut::Channels(_) => vec![Allocation::Uniform, Allocation::Global, Allocation::Variance],
            Cut::Elements(options) => {
                let all = [Allocation::Moments, Allocation::Lamp, Allocation::Global, Allocation::Uniform];
                let fits = |allocation: &Allocation| {
                    Options { allocation: *allocation, sparsity: 0.0, ..options.clone() }.check().is_ok()
                };
                all.into_iter().filter(fits).collect()
            }
        }
    }

    /// The network, which channels need and single weights are counted in operations by.
    fn graph(&self, model: &Checkpoint) -> Result<Option<Graph>> {
        if self.rule.pattern == Pattern::Channel {
            return self.channel.graph(model).map(Some);
        }
        self.channel.known_graph(model)
    }

    /// Files that are read, which OUT may not replace.
    fn inputs(&self) -> Vec<(&'static str, &Path)> {
        let mut inputs = self.evaluation.inputs();
        inputs.extend(self.training.inputs());
        inputs.extend(self.channel.topology.as_deref().map(|path| ("--topology", path)));
        inputs
    }

    fn watch(&self, event: &Event, line: &Line, curves: &mut Curves, quiet: bool) {
        match event {
            Event::Begin { round, phase } => line.say(&format!("round {round}: {}", phase.name())),
            Event::End { round, best, baseline, budget, seconds_left, floor, replayed } => {
                curves.add(round, *floor, *replayed);
                if round.phase == Phase::Baseline && !quiet {
                    let metric = round.metric.unwrap_or(f64::NAN);
                    let limit = self.time_limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
                    let left = seconds_left
                        .map_or_else(String::new, |s| format!(", about {} if each takes as long", time(s.min(limit))));
                    let tuned = if self.training.trains() { ", training not counted" } else { "" };
                    let took = time(round.seconds);
                    line.aside(|| {
                        note(&format!("the model: {metric} in {took}; at most {budget} evaluations{left}{tuned}"))
                    });
                }
                let share = |round: &Round| 100.0 * saved(self.save, round);
                let shown = |metric: Option<f64>| metric.map_or("–".to_owned(), |metric| format!("{metric:.5}"));
                let left = seconds_left.map_or_else(String::new, |s| format!(", at most {} left", time(s)));
                let (number, last, now) = (round.round + 1, share(round), shown(round.metric));
                let (most, kept) = (share(best), shown(best.metric.or(baseline.metric)));
                line.say(&match round.phase {
                    Phase::Test => format!("on the test set: {last:.1}% cut: {now}"),
                    Phase::Final => format!("trained once more: {now}"),
                    _ => format!("{number}/{budget}  {last:.1}% cut: {now}; best {most:.1}% cut: {kept}{left}"),
                });
            }
        }
    }

    /// Why there is no result, and what came nearest.
    fn nothing(&self, found: &Found) -> Error {
        let lower = self.evaluation.lower_is_better();
        let tried = found.rounds.iter().filter(|round| round.round > 0 && round.metric.is_some());
        let nearest = tried.max_by(|a, b| {
            let (a, b) = (a.metric.unwrap_or(f64::NAN), b.metric.unwrap_or(f64::NAN));
            if lower { b.total_cmp(&a) } else { a.total_cmp(&b) }
        });
        let told = nearest.map_or_else(String::new, |round| {
            let share = 100.0 * saved(self.save, round);
            format!(
                "; the nearest of {} was {} with {share:.2}% cut",
                found.evaluations - 1,
                round.metric.unwrap_or(f64::NAN)
            )
        });
        let (floor, model) = (found.floor, escape(&self.common.model.display().to_string()));
        let other = if lower { "higher" } else { "lower" };
        let remedy = format!("allow a larger --max-drop, a {other} --floor, or train in between");
        Error::Run(format!("{model}: no cut keeps {floor}{told}: {remedy}"))
    }
}

/// The share of what is to become small that a round does without.
fn saved(save: Save, round: &Round) -> f64 {
    save.of(&round.saved()).unwrap_or(0.0)
}

/// Seconds as a person says them.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
