//! How many channels of each class stay.

use super::classes::Part;
use super::costs::Network;
use super::scores::Scored;
use super::shares::{Shares, rounded, uniform};
use super::{Amount, ChannelOptions};
use crate::{Error, Result};

/// How many channels of each of `parts` stay. `original` are the widths of all classes before the first pruning.
pub(super) fn kept(
    parts: &[Part],
    scored: &[Scored],
    options: &ChannelOptions,
    network: &Network,
    original: &[u64],
) -> Result<Vec<u64>> {
    let shares = Shares::new(parts, scored, options);
    let (what, rate) = match &options.amount {
        Amount::Rates(_) => {
            let each = |part: &Part| rounded(part, uniform(part, part.rate), options.round_to);
            return Ok(parts.iter().map(each).collect());
        }
        Amount::Kept(kept) => {
            let each = |part: &Part| {
                let cut = part.class.channels.saturating_sub(kept.get(part.index).copied().unwrap_or(u64::MAX));
                rounded(part, cut, options.round_to)
            };
            return Ok(parts.iter().map(each).collect());
        }
        Amount::Sparsity(rate) => return Ok(shares.kept(shares.of_rate(*rate))),
        Amount::Parameters(rate) => (What::Parameters, *rate),
        Amount::Macs(rate) => (What::Macs, *rate),
    };
    let whole = what.of(network, original)?;
    // The share of the original that is gone at a setting.
    let reduction = |setting: u64| -> Result<f64> {
        let mut channels = network.channels().to_vec();
        for (part, kept) in parts.iter().zip(shares.kept(setting)) {
            channels[part.index] = kept;
        }
        let left = what.of(network, &channels)?;
        Ok(if whole == 0 { 0.0 } else { whole.saturating_sub(left) as f64 / whole as f64 })
    };
    let (mut low, mut high) = (0, shares.most());
    let most = reduction(high)?;
    if most < rate {
        return Err(unreachable(&what, rate, most));
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if reduction(middle)? < rate { low = middle + 1 } else { high = middle }
    }
    Ok(shares.kept(low))
}

/// What a reduction is of.
enum What {
    Parameters,
    Macs,
}

impl What {
    fn of(&self, network: &Network, channels: &[u64]) -> Result<u64> {
        match self {
            Self::Parameters => network.parameters(channels),
            Self::Macs => network.macs(channels),
        }
    }
}

fn unreachable(what: &What, rate: f64, most: f64) -> Error {
    let (flag, what) = match what {
        What::Parameters => ("--params", "parameters"),
        What::Macs => ("--macs", "multiply-accumulate operations"),
    };
    // Rounded down: what is told has to be within reach.
    let percent = |share: f64| (share * 1000.0).floor() / 10.0;
    Error::Usage(format!(
        "{flag} {rate}: the {what} can be reduced by {} % at most (without --round-to more, if it is given): classes that are \
         frozen or left out, the last channel of each, and what is no channel hold the rest",
        percent(most)
    ))
}
