//! `secateur train`, of a binary that cannot.

use std::ffi::OsString;

use clap::Args;
use secateur::{Error, Result};

/// Train an ONNX network: this binary was built without it (cargo install --path . --features train).
#[derive(Debug, Args)]
#[command(after_help = "\
This binary was built without training. With it:
  cargo install --path . --features train
  secateur train net.onnx -o trained.onnx --train-data train.safetensors")]
pub(crate) struct Train {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

impl Train {
    pub(crate) fn run(self, _quiet: bool) -> Result<()> {
        let remedy = "cargo install --path . --features train (train-gpu for a GPU, too)";
        Err(Error::Usage(format!("this binary was built without training: {remedy}")))
    }
}
