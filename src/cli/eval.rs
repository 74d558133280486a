//! `secateur eval`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur::Result;
use secateur::data::Normalize;
use secateur::evaluate::Metric;

use super::parse;

/// How good a network is on a data set.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur eval lenet5.onnx --data test.safetensors
  secateur eval resnet20.onnx --data test.safetensors --normalize 0.485,0.456,0.406,0.229,0.224,0.225
  secateur eval lenet5.onnx --data test.safetensors --metric top5 --format json

The data set is a safetensors file with `inputs` ([n, …] F32, or U8, which is divided by 255) and `labels` ([n] integers; \
for mse also [n, …] F32): `secateur dataset` makes such files. The loss beside accuracy and top5 is the cross-entropy in \
nats. JSON is one line, as `--eval` expects it.")]
pub(crate) struct Eval {
    /// An .onnx file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Inputs and labels, a safetensors file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// accuracy, top5, cross-entropy or mse
    #[arg(long, value_name = "METRIC", default_value_t)]
    metric: Metric,
    /// (x − mean)/deviation of all inputs or of each channel: means, then deviations
    #[arg(long, value_name = "MEAN,STD", allow_hyphen_values = true)]
    normalize: Option<Normalize>,
    /// Inputs to run at a time, where the model does not fix that [default: 262144 elements, at most 256]
    #[arg(long, value_name = "N", value_parser = parse::batch)]
    batch: Option<NonZeroUsize>,
    /// Which output [default: the first]
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Threads of the CPU to use [default: all]
    #[arg(long, value_name = "N", value_parser = super::common::threads)]
    threads: Option<NonZeroUsize>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = EvalFormat::Table)]
    format: EvalFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EvalFormat {
    Table,
    Json,
}

#[cfg(not(feature = "eval"))]
impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        let remedy = "build it with the cargo feature `eval`";
        Err(secateur::Error::Usage(format!("this binary was built without what runs networks: {remedy}")))
    }
}

#[cfg(feature = "eval")]
impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        use super::common::data_set;
        use super::output::Output;
        use secateur::Error;
        use secateur::evaluate::{Evaluator, OnnxEvaluator};
        use std::io::Write;
        use std::time::Instant;

        let data = data_set(&self.data, self.normalize.as_ref())?;
        let samples = data.len();
        let mut evaluator =
            OnnxEvaluator::new(data, self.metric).batch(self.batch).threads(self.threads).output(self.output.clone());
        let started = Instant::now();
        let measure = evaluator.evaluate(&self.model)?;
        let seconds = started.elapsed().as_secs_f64();
        let text = match self.format {
            EvalFormat::Table => {
                let mut rows = vec![(self.metric.to_string(), measure.metric.to_string())];
                match measure.loss {
                    Some(_) if !self.metric.higher_is_better() => {}
                    Some(loss) => rows.push(("loss".to_owned(), loss.to_string())),
                    None => rows.push(("loss".to_owned(), "not finite".to_owned())),
                }
                rows.push(("samples".to_owned(), samples.to_string()));
                rows.push(("seconds".to_owned(), format!("{seconds:.3}")));
                let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
                rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
            }
            EvalFormat::Json => {
                // What is not finite becomes null.
                let report = serde_json::json!({
                    "secateur": env!("CARGO_PKG_VERSION"),
                    "model": self.model.display().to_string(),
                    "data": self.data.display().to_string(),
                    "name": self.metric.to_string(),
                    "metric": measure.metric,
                    "loss": measure.loss,
                    "samples": samples,
                    "seconds": seconds,
                });
                format!("{report}\n")
            }
        };
        let mut output = Output::stdout();
        let path = output.path();
        output.writer().write_all(text.as_bytes()).map_err(|source| Error::io(&path, source))?;
        output.finish(Ok(()))
    }
}
