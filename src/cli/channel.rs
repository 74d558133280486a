//! Options about channels that several subcommands share.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur::graph::{Graph, Topology};
use secateur::prune::{Allocation, Amount, ChannelOptions, GroupCriterion, Keep};
use secateur::{Checkpoint, Error, Result};

use super::common::Common;

/// Options of deleting channels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Channels (--pattern channel)")]
pub(crate) struct Channel {
    /// The network of a safetensors model, as TOML (an .onnx file says it by itself)
    #[arg(long, value_name = "FILE")]
    pub(crate) topology: Option<PathBuf>,
    /// Round the widths that are kept up to multiples of N, never above what they are
    #[arg(long, value_name = "N", default_value = "1")]
    round_to: NonZeroU64,
    /// Score a channel by all groups of weights that go with it, each relative to its tensor's mean (the default)
    #[arg(long, conflicts_with = "uncoupled")]
    coupled: bool,
    /// Score a channel by the outputs of its first layer alone
    #[arg(long)]
    uncoupled: bool,
    /// What is done to the weights before channels are scored: none, or standardize ((w − mean)/σ of its tensor)
    #[arg(long, value_name = "TRANSFORM", value_enum, default_value_t = Transform::None)]
    transform: Transform,
}

/// What `--transform` can say here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transform {
    None,
    Standardize,
}

impl Channel {
    /// The first option, but for the network, that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--round-to", self.round_to.get() > 1),
            ("--coupled", self.coupled),
            ("--uncoupled", self.uncoupled),
            ("--transform", self.transform != Transform::None),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    /// The network whose weights `model` holds, where anything says it.
    pub(crate) fn known_graph(&self, model: &Checkpoint) -> Result<Option<Graph>> {
        match (&self.topology, model.graph()?) {
            (None, found) => Ok(found),
            (Some(topology), None) => Topology::read(topology)?.graph(model).map(Some),
            (Some(_), Some(_)) => {
                Err(Error::Usage("--topology is for safetensors: an .onnx file has its own".to_owned()))
            }
        }
    }

    /// The network whose weights `model` holds.
    pub(crate) fn graph(&self, model: &Checkpoint) -> Result<Graph> {
        self.known_graph(model)?.ok_or_else(|| {
            let remedy = "declare the network with --topology FILE (see the documentation of secateur::graph::topology \
                          and examples/topologies), or prune its .onnx file";
            Error::format(model.path(), format!("these weights do not say how layers are connected: {remedy}"))
        })
    }

    /// What is asked of channels.
    pub(crate) fn options(
        &self,
        common: &Common,
        amount: Amount,
        criterion: Option<&str>,
        keep: Keep,
        allocation: Allocation,
    ) -> Result<ChannelOptions> {
        let criterion: GroupCriterion = match criterion {
            Some(criterion) => {
                criterion.parse().map_err(|why| Error::Usage(format!("--criterion {criterion}: {why}")))?
            }
            None => GroupCriterion::Variance,
        };
        let shared = common.options()?;
        Ok(ChannelOptions {
            amount,
            criterion,
            keep,
            allocation,
            coupled: !self.uncoupled,
            standardize: self.transform == Transform::Standardize,
            round_to: self.round_to,
            selection: shared.selection,
            memory_bytes: shared.memory_bytes,
        })
    }
}
