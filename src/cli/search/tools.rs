//! Who evaluates and trains.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args};
use secateur::data::Normalize;
use secateur::evaluate::{CommandEvaluator, Evaluator, Metric};
use secateur::search::{Recalibrator, Tools, identity};
use secateur::tune::{CommandTuner, FineTuner};
use secateur::{Checkpoint, Error, Result};
use serde_json::{Value, json};

#[cfg(any(feature = "eval", feature = "train"))]
use crate::cli::common::data_set;
use crate::cli::parse;

/// How candidates are evaluated.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Evaluation",
    group(ArgGroup::new("evaluator").required(true).args(["eval", "eval_data"]))
)]
pub(crate) struct Evaluation {
    /// A command that evaluates {model}: the last line of its stdout is the metric, or {"metric": …, "loss": …}
    #[arg(long, value_name = "COMMAND")]
    eval: Option<String>,
    /// Instead, for .onnx: the built-in runner, on a safetensors file with `inputs` and `labels` (see `secateur dataset`)
    #[arg(long, value_name = "FILE")]
    eval_data: Option<PathBuf>,
    /// Evaluate the model and the best on these, once, at the end: the test set of --eval-data
    #[arg(long, value_name = "FILE", requires = "eval_data")]
    test_data: Option<PathBuf>,
    /// With --eval: a command that evaluates {model} on a test set, run once for the model and once for the best
    #[arg(long, value_name = "COMMAND", requires = "eval")]
    test: Option<String>,
    /// What is measured on --eval-data: accuracy, top5, cross-entropy or mse
    #[arg(long, value_name = "METRIC", default_value_t = Metric::Accuracy, requires = "eval_data")]
    metric: Metric,
    /// The lower the metric of --eval the better
    #[arg(long, requires = "eval")]
    lower_is_better: bool,
    /// Give up when one evaluation by --eval takes longer than this
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "24h")]
    eval_timeout: Duration,
    /// Normalise inputs: (x − MEAN)/STD, or as many of each as channels: M,M,M,S,S,S
    #[arg(long, value_name = "MEAN,STD", allow_hyphen_values = true)]
    normalize: Option<Normalize>,
    /// Inputs that are run, or trained on, at a time
    #[arg(long, value_name = "N", value_parser = parse::batch)]
    pub(super) batch: Option<NonZeroUsize>,
    /// Which output of the network counts [default: the first]
    #[arg(long, value_name = "NAME", requires = "eval_data")]
    network_output: Option<String>,
    /// Also try each candidate with the statistics of its BatchNormalization estimated anew on the inputs in this file
    #[arg(long, value_name = "FILE")]
    recalibrate: Option<PathBuf>,
}

/// How candidates are trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fine-tuning")]
pub(crate) struct Training {
    /// A command that trains {model} and writes {output}; where single weights are cut, those that are 0 in {mask} stay 0
    #[arg(long, value_name = "COMMAND", conflicts_with = "train_data")]
    finetune: Option<String>,
    /// Give up when one --finetune takes longer than this
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "240h")]
    finetune_timeout: Duration,
    /// Instead, for .onnx: the built-in trainer, on a file as --eval-data
    #[arg(long, value_name = "FILE")]
    train_data: Option<PathBuf>,
    /// How often each candidate goes through --train-data
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "train_data", conflicts_with = "finetune")]
    epochs: f64,
    /// Train the best once more, for so many epochs, and keep that if the metric does not fall
    #[arg(long, value_name = "N")]
    pub(super) final_epochs: Option<f64>,
    /// The learning rate at the start of each training [default: 0.01 for sgd, 0.001 for adam]
    #[arg(long, value_name = "X", requires = "train_data", conflicts_with = "finetune")]
    learning_rate: Option<f64>,
    /// sgd (with momentum), adam or adamw
    #[arg(long, value_name = "NAME", default_value = "adam", requires = "train_data", conflicts_with = "finetune")]
    optimizer: String,
    /// How the learning rate goes on in each training: constant, cosine, or step:EPOCHS,FACTOR
    #[arg(long, value_name = "NAME", default_value = "cosine", requires = "train_data", conflicts_with = "finetune")]
    learning_schedule: String,
    /// Each weight is drawn towards 0 by so much
    #[arg(long, value_name = "X", default_value_t = 0.0, requires = "train_data", conflicts_with = "finetune")]
    weight_decay: f64,
    /// What random numbers come from
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
    /// What trains: cpu or gpu
    #[arg(long, value_name = "DEVICE", default_value = "cpu", requires = "train_data", conflicts_with = "finetune")]
    device: String,
}

impl Evaluation {
    /// Whether a lower metric is better.
    pub(super) fn lower_is_better(&self) -> bool {
        if self.eval.is_some() { self.lower_is_better } else { !self.metric.higher_is_better() }
    }

    /// Whether the metric is a share, of which a hundredth is a sensible drop.
    pub(super) fn is_share(&self) -> bool {
        self.eval.is_none() && self.metric.higher_is_better()
    }

    /// What the metric is called.
    pub(super) fn name(&self) -> String {
        if self.eval.is_some() { "metric".to_owned() } else { self.metric.to_string() }
    }

    /// Files that are read.
    pub(super) fn inputs(&self) -> Vec<(&'static str, &Path)> {
        let files =
            [("--eval-data", &self.eval_data), ("--test-data", &self.test_data), ("--recalibrate", &self.recalibrate)];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))).collect()
    }

    /// Options of data where there are none.
    pub(super) fn check(&self, trains: bool) -> Result<()> {
        let data = trains || self.eval_data.is_some();
        let given = [
            ("--batch", self.batch.is_some() && !data),
            ("--normalize", self.normalize.is_some() && !data && self.recalibrate.is_none()),
        ];
        given.iter().find(|(_, given)| *given).map_or(Ok(()), |(flag, _)| {
            let message = format!("{flag} is about --eval-data and --train-data, and there is neither: leave it out");
            Err(Error::Usage(message))
        })
    }

    /// What tells it from other ways to evaluate.
    pub(super) fn about(&self) -> Result<Value> {
        let files: Vec<Value> = self.inputs().iter().map(|(_, path)| identity(path)).collect::<Result<_>>()?;
        let normalize = self.normalize.as_ref().map(|by| json!({"mean": by.mean, "std": by.std}));
        let (eval, test, output) = (&self.eval, &self.test, &self.network_output);
        Ok(
            json!({"eval": eval, "test": test, "data": files, "metric": self.name(), "normalize": normalize, "output": output}),
        )
    }
}

impl Training {
    /// Whether candidates are trained.
    pub(super) fn trains(&self) -> bool {
        self.finetune.is_some() || self.train_data.is_some()
    }

    /// Whether they are trained by the built-in trainer.
    pub(super) fn has_data(&self) -> bool {
        self.train_data.is_some()
    }

    /// Files that are read.
    pub(super) fn inputs(&self) -> Vec<(&'static str, &Path)> {
        self.train_data.as_deref().map(|path| ("--train-data", path)).into_iter().collect()
    }

    /// What tells it from other ways to train.
    pub(super) fn about(&self) -> Result<Value> {
        let files: Vec<Value> = self.inputs().iter().map(|(_, path)| identity(path)).collect::<Result<_>>()?;
        Ok(json!({
            "finetune": self.finetune,
            "data": files,
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "optimizer": self.optimizer,
            "schedule": self.learning_schedule,
            "weight_decay": self.weight_decay,
            "device": self.device,
        }))
    }
}

/// Those who evaluate and train, made.
pub(super) struct Made {
    evaluator: Box<dyn Evaluator>,
    test: Option<Box<dyn Evaluator>>,
    tuner: Option<Box<dyn FineTuner>>,
    recalibrator: Option<Box<dyn Recalibrator>>,
}

impl Made {
    pub(super) fn new(
        evaluation: &Evaluation,
        training: &Training,
        model: &Checkpoint,
        threads: Option<NonZeroUsize>,
    ) -> Result<Self> {
        let command = |command: &String| -> Box<dyn Evaluator> {
            Box::new(CommandEvaluator::new(command, Some(evaluation.eval_timeout)))
        };
        let (evaluator, test) = match (&evaluation.eval, &evaluation.eval_data) {
            (Some(eval), _) => (command(eval), evaluation.test.as_ref().map(command)),
            (None, Some(data)) => {
                let test = evaluation.test_data.as_ref();
                let test = test.map(|data| runner(evaluation, data, model, threads)).transpose()?;
                (runner(evaluation, data, model, threads)?, test)
            }
            (None, None) => {
                return Err(Error::Usage("say how to evaluate: --eval COMMAND or --eval-data FILE".to_owned()));
            }
        };
        let tuner = match (&training.finetune, &training.train_data) {
            (Some(finetune), _) => {
                let tuner = CommandTuner::new(finetune, Some(training.finetune_timeout));
                Some(Box::new(tuner) as Box<dyn FineTuner>)
            }
            (None, Some(data)) => Some(trainer(evaluation, training, data)?),
            (None, None) => None,
        };
        let recalibrator = evaluation.recalibrate.as_ref();
        let recalibrator = recalibrator.map(|data| recalibrator_of(evaluation, data, threads)).transpose()?;
        Ok(Self { evaluator, test, tuner, recalibrator })
    }

    pub(super) fn tools(&mut self) -> Tools<'_> {
        Tools {
            evaluator: &mut *self.evaluator,
            test: self.test.as_mut().map(|test| &mut **test as &mut dyn Evaluator),
            tuner: self.tuner.as_mut().map(|tuner| &mut **tuner as &mut dyn FineTuner),
            recalibrator: self.recalibrator.as_mut().map(|by| &mut **by as &mut dyn Recalibrator),
        }
    }
}

#[cfg(feature = "eval")]
fn runner(
    evaluation: &Evaluation,
    data: &Path,
    model: &Checkpoint,
    threads: Option<NonZeroUsize>,
) -> Result<Box<dyn Evaluator>> {
    use secateur::evaluate::OnnxEvaluator;

    if model.graph()?.is_none() {
        let message = "weights alone cannot be run: evaluate them by a command (--eval), or search the .onnx file";
        return Err(Error::format(model.path(), message));
    }
    let runner = OnnxEvaluator::new(data_set(data, evaluation.normalize.as_ref())?, evaluation.metric)
        .batch(evaluation.batch)
        .threads(threads)
        .output(evaluation.network_output.clone());
    Ok(Box::new(runner))
}

#[cfg(not(feature = "eval"))]
fn runner(_: &Evaluation, _: &Path, _: &Checkpoint, _: Option<NonZeroUsize>) -> Result<Box<dyn Evaluator>> {
    let remedy = "build it with the cargo feature `eval`, or evaluate by a command (--eval)";
    Err(Error::Usage(format!("this binary was built without what runs networks: {remedy}")))
}

#[cfg(feature = "eval")]
fn recalibrator_of(
    evaluation: &Evaluation,
    data: &Path,
    threads: Option<NonZeroUsize>,
) -> Result<Box<dyn Recalibrator>> {
    use secateur::evaluate::{Recalibration, recalibrate};

    let data = data_set(data, evaluation.normalize.as_ref())?;
    let options = Recalibration { threads, ..Recalibration::default() };
    let of = move |model: &Path, out: &Path| recalibrate(&Checkpoint::open(model)?, &data, &options, out);
    Ok(Box::new(move |model: &Path, out: &Path| of(model, out).map(|found| found.is_some())))
}

#[cfg(not(feature = "eval"))]
fn recalibrator_of(_: &Evaluation, _: &Path, _: Option<NonZeroUsize>) -> Result<Box<dyn Recalibrator>> {
    let remedy = "build it with the cargo feature `eval`, or leave --recalibrate out";
    Err(Error::Usage(format!("this binary was built without what runs networks: {remedy}")))
}

#[cfg(feature = "train")]
fn trainer(evaluation: &Evaluation, training: &Training, data: &Path) -> Result<Box<dyn FineTuner>> {
    use secateur::train::{Optimizer, TrainOptions, Trainer};

    crate::cli::train::keep_memory();
    let named = |flag: &str, why: String| Error::Usage(format!("{flag}: {why}"));
    let optimizer: Optimizer = training.optimizer.parse().map_err(|why| named("--optimizer", why))?;
    let default = if optimizer == Optimizer::Sgd { 0.01 } else { 0.001 };
    let options = TrainOptions {
        epochs: training.epochs,
        batch: evaluation.batch.map_or(64, NonZeroUsize::get),
        learning_rate: training.learning_rate.unwrap_or(default),
        schedule: training.learning_schedule.parse().map_err(|why| named("--learning-schedule", why))?,
        optimizer,
        weight_decay: training.weight_decay,
        seed: training.seed,
        device: training.device.parse().map_err(|why| named("--device", why))?,
        ..TrainOptions::default()
    };
    Ok(Box::new(Trainer::new(data_set(data, evaluation.normalize.as_ref())?, options)?))
}

#[cfg(not(feature = "train"))]
fn trainer(_: &Evaluation, _: &Training, _: &Path) -> Result<Box<dyn FineTuner>> {
    let remedy = "build it with `cargo install --path . --features train`, or train by a command (--finetune)";
    Err(Error::Usage(format!("--train-data: this binary was built without the trainer: {remedy}")))
}
