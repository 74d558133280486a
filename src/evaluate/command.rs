//! An external command as the evaluator.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Evaluator, Measure};
use crate::{Result, process, shortened};

/// Runs a command of the shell (`sh -c`, on Windows `cmd /C`) for every model.
///
/// Each `{model}` in it becomes the model's path, absolute and quoted for the shell where that is needed; the environment
/// has the path as `SECATEUR_MODEL`. The last line that it writes to its stdout, empty ones aside, is the metric: a number,
/// or a JSON object with a number as `metric` and perhaps one as `loss`. What it writes to its stderr is the
/// [`log`](Measure::log); of both the last 64 KiB are kept.
///
/// ```
/// # #[cfg(unix)] {
/// use secateur::evaluate::{CommandEvaluator, Evaluator};
/// # use std::path::Path;
///
/// let mut evaluator = CommandEvaluator::new("echo testing {model} >&2; echo '{\"metric\": 0.9, \"loss\": 0.25}'", None);
/// let measure = evaluator.evaluate(Path::new("/tmp/model.onnx"))?;
/// assert_eq!((measure.metric, measure.loss, measure.log.trim()), (0.9, Some(0.25), "testing /tmp/model.onnx"));
/// # }
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CommandEvaluator {
    command: String,
    limit: Option<Duration>,
}

impl CommandEvaluator {
    /// With `command`, which is killed with all it has started after `limit`.
    pub fn new(command: impl Into<String>, limit: Option<Duration>) -> Self {
        Self { command: command.into(), limit }
    }
}

impl Evaluator for CommandEvaluator {
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) where the command cannot be started, does not end in time, ends with another status
    /// than 0, or its last line is no finite number.
    fn evaluate(&mut self, path: &Path) -> Result<Measure> {
        let path = process::absolute(path)?;
        let line = process::filled(&self.command, &[("{model}", path.as_os_str())]);
        let environment = [("SECATEUR_MODEL", path.as_os_str())];
        let written = process::run(&self.command, &line, &environment, self.limit)?;
        match measure(&written.stdout) {
            Ok((metric, loss)) => Ok(Measure { metric, loss, log: written.stderr }),
            Err(what) => Err(process::failed(&self.command, &what, &written)),
        }
    }
}

/// Metric and loss from what a command wrote to its stdout.
fn measure(stdout: &str) -> Result<(f64, Option<f64>), String> {
    let Some(line) = stdout.lines().map(str::trim).rfind(|line| !line.is_empty()) else {
        return Err("wrote nothing to its stdout, whose last line is the metric".to_owned());
    };
    let wrong = |what: &str| {
        let wanted = "a number or {\"metric\": NUMBER, \"loss\": NUMBER} is expected";
        Err(format!("ended its stdout with `{}`, {what}: {wanted}", shortened(line)))
    };
    if !line.starts_with('{') {
        return match line.parse::<f64>() {
            Ok(metric) if metric.is_finite() => Ok((metric, None)),
            Ok(_) => wrong("which is not finite"),
            Err(_) => wrong("which is no number"),
        };
    }
    // Python writes what JSON has no word for, and a loss that is lost is no reason to stop.
    let parsed = serde_json::from_str::<Value>(line).or_else(|_| {
        let known = line.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null");
        serde_json::from_str(&known)
    });
    let Ok(object) = parsed else { return wrong("which is no JSON") };
    let Some(metric) = object.get("metric").and_then(Value::as_f64).filter(|metric| metric.is_finite()) else {
        return wrong("whose `metric` is no finite number");
    };
    match object.get("loss") {
        None | Some(Value::Null) => Ok((metric, None)),
        Some(loss) => match loss.as_f64().filter(|loss| loss.is_finite()) {
            Some(loss) => Ok((metric, Some(loss))),
            None => wrong("whose `loss` is no finite number"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        for (stdout, wanted) in [
            ("0.5", (0.5, None)),
            ("epoch 1\n 97.25 \n\n  \n", (97.25, None)),
            ("-1e-3\r\n", (-1e-3, None)),
            ("{\"metric\": 1, \"loss\": 2.5, \"other\": [1]}", (1.0, Some(2.5))),
            ("{\"metric\": 0.5}\n", (0.5, None)),
            ("{\"metric\": 0.5, \"loss\": null}", (0.5, None)),
            ("{\"metric\": 0.1, \"loss\": NaN}", (0.1, None)),
            ("{\"metric\": 0.1, \"loss\": -Infinity}", (0.1, None)),
        ] {
            assert_eq!(measure(stdout), Ok(wanted), "{stdout}");
        }
        for (stdout, why) in [
            ("", "nothing"),
            (" \n\n", "nothing"),
            ("accuracy: 0.5", "`accuracy: 0.5`, which is no number"),
            ("0.5\ndone", "`done`"),
            ("nan", "not finite"),
            ("inf", "not finite"),
            ("{\"metric\": \"0.5\"}", "no finite number"),
            ("{\"metric\": NaN}", "no finite number"),
            ("{\"loss\": 1}", "no finite number"),
            ("{\"metric\": 1, \"loss\": \"x\"}", "`loss`"),
            ("{\"metric\": 1", "no JSON"),
        ] {
            assert!(measure(stdout).unwrap_err().contains(why), "{stdout}");
        }
    }
}
