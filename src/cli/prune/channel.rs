//! `secateur prune --pattern channel`: how much.

use clap::Args;
use secateur::prune::{Amount, ChannelOptions, Rates};
use secateur::{Error, Result};

use super::Prune;
use crate::cli::parse;

/// Other ways to say how many channels go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Channels (--pattern channel)")]
pub(crate) struct Reduction {
    /// Instead of --sparsity: the share of the model's parameters that has to go
    #[arg(long, value_name = "RATE", value_parser = parse::rate, conflicts_with_all = ["sparsity", "rates", "macs"])]
    params: Option<f64>,
    /// Instead of --sparsity: the share of the model's multiply-accumulate operations that has to go
    #[arg(long, value_name = "RATE", value_parser = parse::rate, conflicts_with_all = ["sparsity", "rates"])]
    macs: Option<f64>,
}

impl Reduction {
    /// The first of these options that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        self.params.map(|_| "--params").or(self.macs.map(|_| "--macs"))
    }
}

impl Prune {
    /// What is asked of channels.
    pub(super) fn channel_options(&self) -> Result<ChannelOptions> {
        let Reduction { params, macs } = self.reduction;
        let amount = match (self.sparsity, params, macs, &self.rates) {
            (Some(rate), ..) => Amount::Sparsity(rate),
            (_, Some(rate), ..) => Amount::Parameters(rate),
            (_, _, Some(rate), _) => Amount::Macs(rate),
            (.., Some(path)) => Amount::Rates(Rates::read(path)?),
            _ => {
                let ways = "--sparsity RATE, --params RATE, --macs RATE or --rates FILE";
                return Err(Error::Usage(format!("--pattern channel needs to know how much: {ways}")));
            }
        };
        self.channel.options(&self.common, amount, self.rule.criterion.as_deref(), self.rule.keep, self.allocation)
    }
}
