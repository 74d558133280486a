//! An external command that fine-tunes.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::{FineTuner, Tuning};
use crate::{Checkpoint, Result, process, shortened};

/// Runs a command of the shell (`sh -c`, on Windows `cmd /C`) for every fine-tuning.
///
/// In it `{model}` becomes the path of the model to start from, `{mask}` that of the masks to hold (an empty argument where
/// nothing is to be held), and `{output}` that of the trained model to write, a checkpoint of the same tensors in the same
/// shapes. Paths are absolute and quoted for the shell where that is needed. The environment has them, too, as
/// `SECATEUR_MODEL`, `SECATEUR_MASK` and `SECATEUR_OUTPUT`, with `SECATEUR_SEED` and, where a round says, `SECATEUR_EPOCHS`.
#[derive(Clone, Debug)]
pub struct CommandTuner {
    command: String,
    limit: Option<Duration>,
}

impl CommandTuner {
    /// With `command`, which is killed with all it has started after `limit`.
    pub fn new(command: impl Into<String>, limit: Option<Duration>) -> Self {
        Self { command: command.into(), limit }
    }
}

impl FineTuner for CommandTuner {
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) where the command cannot be started, does not end in time, ends with another status
    /// than 0, or what it leaves as output is no such checkpoint.
    fn fine_tune(&mut self, job: &Tuning) -> Result<String> {
        let (model, output) = (process::absolute(job.model)?, process::absolute(job.output)?);
        let mask = job.mask.map(process::absolute).transpose()?.unwrap_or_default();
        let paths = [model.as_os_str(), mask.as_os_str(), output.as_os_str()];
        let places = ["{model}", "{mask}", "{output}"].into_iter().zip(paths).collect::<Vec<_>>();
        let line = process::filled(&self.command, &places);
        let (seed, epochs) = (job.seed.to_string(), job.epochs.map(|epochs| epochs.to_string()));
        let names = ["SECATEUR_MODEL", "SECATEUR_MASK", "SECATEUR_OUTPUT"];
        let mut environment: Vec<(&str, &OsStr)> = names.into_iter().zip(paths).collect();
        environment.push(("SECATEUR_SEED", seed.as_ref()));
        environment.extend(epochs.as_ref().map(|epochs| ("SECATEUR_EPOCHS", epochs.as_ref())));
        let written = process::run(&self.command, &line, &environment, self.limit)?;
        match differs(&Checkpoint::open(job.model)?, job.output) {
            None => Ok(written.stderr),
            Some(what) => Err(process::failed(&self.command, &what, &written)),
        }
    }
}

/// What keeps `output` from being a checkpoint of the tensors of `model`.
fn differs(model: &Checkpoint, output: &Path) -> Option<String> {
    let trained = match Checkpoint::open(output) {
        Ok(trained) => trained,
        Err(error) if output.exists() => return Some(format!("left an output that cannot be read: {error}")),
        Err(_) => return Some(format!("wrote no {}, as {{output}} asks", output.display())),
    };
    let lost = model.tensors().iter().find(|tensor| trained.get(tensor.name()).is_none());
    if let Some(lost) = lost {
        return Some(format!("left an output without tensor `{}`", shortened(lost.name())));
    }
    trained.tensors().iter().find_map(|tensor| {
        let name = shortened(tensor.name());
        match model.get(tensor.name()) {
            None => Some(format!("left an output with tensor `{name}`, which the model has not")),
            Some(before) if before.shape() != tensor.shape() => {
                let (before, now) = (before.shape(), tensor.shape());
                Some(format!("left an output whose tensor `{name}` is of shape {now:?}, and not {before:?}"))
            }
            Some(_) => None,
        }
    })
}
