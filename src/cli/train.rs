//! `secateur train`.

use std::io::{self, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgAction, Args};
use indicatif::{ProgressBar, ProgressStyle};
use secateur::data::Normalize;
use secateur::prune::Masks;
use secateur::train::{Device, Event, LearningRate, Optimizer, TrainOptions, Trainer};
use secateur::{Checkpoint, Error, Result};

use super::common::data_set;

/// Train an ONNX network, from fresh weights or from its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur train lenet5.onnx -o trained.onnx --train-data train.safetensors --eval-data val.safetensors --epochs 10
  secateur train pruned.onnx -o tuned.onnx --train-data train.safetensors --keep-weights --mask mask.safetensors
  secateur train net.onnx -o trained.onnx --train-data train.safetensors --optimizer adam --learning-rate 0.001

FILEs hold the tensors `inputs` ([n, …], F32, or U8, which is divided by 255) and `labels` ([n] classes for the \
cross-entropy, or [n, …] F32 values for the squared error). Trained are the weights and biases of Conv, Gemm and MatMul \
and what BatchNormalization has; everything else in the network stays as it is. Fresh weights are even in \
±√(6 / fan-in), biases 0. The same seed gives the same file on the same machine's CPU.")]
pub(crate) struct Train {
    /// The network
    #[arg(value_name = "NET.onnx")]
    model: PathBuf,
    /// Where the trained network goes
    #[arg(long, short, value_name = "OUT.onnx")]
    output: PathBuf,
    /// What it learns from
    #[arg(long, value_name = "FILE")]
    train_data: PathBuf,
    /// What it is measured on after each epoch
    #[arg(long, value_name = "FILE")]
    eval_data: Option<PathBuf>,
    /// (x − mean)/deviation: means, then as many deviations, one of each or one a channel
    #[arg(long, value_name = "MEAN,STD", allow_hyphen_values = true)]
    normalize: Option<Normalize>,
    /// How often to go through the data; parts are allowed
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    epochs: f64,
    /// The largest step's size [default: 0.02 of sgd, 0.001 of adam and adamw]
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// How gradients become steps: sgd, adam or adamw
    #[arg(long, value_name = "NAME", default_value_t = Optimizer::Sgd)]
    optimizer: Optimizer,
    /// Of sgd: how much of a step goes on in the next
    #[arg(long, value_name = "X", default_value_t = 0.9)]
    momentum: f64,
    /// How strongly weights (not biases, not normalizations) are pulled to 0
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    weight_decay: f64,
    /// How the learning rate goes on: constant, cosine, or step:EPOCHS,FACTOR
    #[arg(long, value_name = "RULE", default_value_t = LearningRate::Cosine)]
    schedule: LearningRate,
    /// Inputs of a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
    /// What initial weights and the order of the data come from
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Masks to hold, as `prune --mask` writes them: what they cut is 0 after every step
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Hold every weight that is 0 in the file at 0
    #[arg(long, conflicts_with = "mask")]
    hold_zeros: bool,
    /// Go on from the file's weights instead of fresh ones
    #[arg(long, action = ArgAction::SetTrue)]
    keep_weights: bool,
    /// What computes: cpu or gpu
    #[arg(long, value_name = "DEVICE", default_value_t = Device::Cpu)]
    device: Device,
    /// Replace OUT.onnx if it is there
    #[arg(long)]
    force: bool,
}

/// Has the allocator keep what is freed: a step frees and takes again tensors of megabytes, which the system would each time
/// have to map and clear (a third of the time of a LeNet-5's epoch on two cores).
pub(crate) fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: these set two numbers of the allocator, under its own lock.
        unsafe {
            // Some versions refuse what is larger than half of their arenas.
            if libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30) == 0 {
                libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 25);
            }
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}

impl Train {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        keep_memory();
        let default = if self.optimizer == Optimizer::Sgd { 0.02 } else { 0.001 };
        let options = TrainOptions {
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate.unwrap_or(default),
            schedule: self.schedule,
            optimizer: self.optimizer,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            seed: self.seed,
            fresh: !self.keep_weights,
            hold_zeros: self.hold_zeros,
            device: self.device,
        };
        let open = |path: &Path| data_set(path, self.normalize.as_ref());
        let mut trainer = Trainer::new(open(&self.train_data)?, options)?;
        if let Some(path) = &self.eval_data {
            trainer = trainer.with_validation(open(path)?)?;
        }
        let model = Checkpoint::open(&self.model)?;
        let masks = self.mask.as_deref().map(Masks::open).transpose()?;
        let mut shown = Shown::new(quiet);
        let trained = trainer.train(&model, masks.as_ref(), &self.output, self.force, &mut |event| shown.show(event));
        shown.clear();
        trained.map(|_| ())
    }
}

/// A line an epoch on stdout, and how far it has come on a terminal.
struct Shown {
    bar: Option<ProgressBar>,
    begin: Instant,
}

impl Shown {
    fn new(quiet: bool) -> Self {
        let bar = (!quiet && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  {eta} left") {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar
        });
        Self { bar, begin: Instant::now() }
    }

    fn show(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Step { step, steps, epoch, loss } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(steps);
                    bar.set_position(step);
                    bar.set_message(format!("epoch {epoch}  loss {loss:.4}"));
                }
                Ok(())
            }
            Event::Epoch { epoch, loss, validation } => {
                let seconds = self.begin.elapsed().as_secs_f64();
                let mut line = format!("epoch {epoch}  loss {loss:.4}");
                if let Some(validation) = validation {
                    line += &format!("  validation loss {:.4}", validation.loss);
                    line +=
                        &validation.accuracy.map_or(String::new(), |share| format!("  accuracy {:.2}%", 100.0 * share));
                }
                let print = || writeln!(io::stdout(), "{line}  {seconds:.1} s");
                let printed = match &self.bar {
                    Some(bar) => bar.suspend(print),
                    None => print(),
                };
                printed.map_err(|error| Error::io("<stdout>", error))
            }
            _ => Ok(()),
        }
    }

    fn clear(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
