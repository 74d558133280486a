//! `secateur prune --pattern channel`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur::graph::{Graph, Topology};
use secateur::prune::{Amount, ChannelOptions, GroupCriterion, Rates};
use secateur::{Checkpoint, Error, Result};

use super::Prune;
use crate::cli::parse;

/// Options of deleting channels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Channels (--pattern channel)")]
pub(crate) struct Channel {
    /// The network of a safetensors model, as TOML (an .onnx file says it by itself)
    #[arg(long, value_name = "FILE")]
    pub(super) topology: Option<PathBuf>,
    /// Instead of --sparsity: the share of the model's parameters that has to go
    #[arg(long, value_name = "RATE", value_parser = parse::rate, conflicts_with_all = ["sparsity", "rates", "macs"])]
    pub(super) params: Option<f64>,
    /// Instead of --sparsity: the share of the model's multiply-accumulate operations that has to go
    #[arg(long, value_name = "RATE", value_parser = parse::rate, conflicts_with_all = ["sparsity", "rates"])]
    pub(super) macs: Option<f64>,
    /// Round the widths that are kept up to multiples of N, never above what they are
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) round_to: NonZeroU64,
    /// Score a channel by all groups of weights that go with it, each relative to its tensor's mean (the default)
    #[arg(long, conflicts_with = "uncoupled")]
    pub(super) coupled: bool,
    /// Score a channel by the outputs of its first layer alone
    #[arg(long)]
    pub(super) uncoupled: bool,
    /// What is done to the weights before channels are scored: none, or standardize ((w − mean)/σ of its tensor)
    #[arg(long, value_name = "TRANSFORM", value_enum, default_value_t = Transform::None)]
    pub(super) transform: Transform,
}

/// What `--transform` can say here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Transform {
    None,
    Standardize,
}

impl Channel {
    /// The first of these options that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        [
            ("--params", self.params.is_some()),
            ("--macs", self.macs.is_some()),
            ("--round-to", self.round_to.get() > 1),
            ("--coupled", self.coupled),
            ("--uncoupled", self.uncoupled),
            ("--transform", self.transform != Transform::None),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    /// The network whose weights `model` holds.
    pub(super) fn graph(&self, model: &Checkpoint) -> Result<Graph> {
        match (&self.topology, model.graph()?) {
            (None, Some(graph)) => Ok(graph),
            (Some(topology), None) => Topology::read(topology)?.graph(model),
            (Some(_), Some(_)) => {
                Err(Error::Usage("--topology is for safetensors: an .onnx file has its own".to_owned()))
            }
            (None, None) => {
                let remedy = "declare the network with --topology FILE (see the documentation of secateur::graph::topology \
                              and examples/topologies), or prune its .onnx file";
                Err(Error::format(model.path(), format!("these weights do not say how layers are connected: {remedy}")))
            }
        }
    }
}

impl Prune {
    /// What is asked of channels.
    pub(super) fn channel_options(&self) -> Result<ChannelOptions> {
        let channel = &self.channel;
        let amount = match (self.sparsity, channel.params, channel.macs, &self.rates) {
            (Some(rate), ..) => Amount::Sparsity(rate),
            (_, Some(rate), ..) => Amount::Parameters(rate),
            (_, _, Some(rate), _) => Amount::Macs(rate),
            (.., Some(path)) => Amount::Rates(Rates::read(path)?),
            _ => {
                let ways = "--sparsity RATE, --params RATE, --macs RATE or --rates FILE";
                return Err(Error::Usage(format!("--pattern channel needs to know how much: {ways}")));
            }
        };
        let criterion: GroupCriterion = match &self.criterion {
            Some(criterion) => {
                criterion.parse().map_err(|why| Error::Usage(format!("--criterion {criterion}: {why}")))?
            }
            None => GroupCriterion::Variance,
        };
        let shared = self.common.options()?;
        Ok(ChannelOptions {
            amount,
            criterion,
            keep: self.keep,
            allocation: self.allocation,
            coupled: !channel.uncoupled,
            standardize: channel.transform == Transform::Standardize,
            round_to: channel.round_to,
            selection: shared.selection,
            memory_bytes: shared.memory_bytes,
        })
    }
}
