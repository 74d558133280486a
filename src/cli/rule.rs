//! What is cut, and by which scores: options that several subcommands share.

use clap::Args;
use secateur::Result;
use secateur::prune::{Criterion, Keep, Pattern};

/// What is cut, and by which scores.
#[derive(Debug, Args)]
pub(crate) struct Rule {
    /// What is cut: element, N:M to keep N of every M along the input axis, or channel
    #[arg(long, value_name = "PATTERN", default_value_t = Pattern::Element)]
    pub(crate) pattern: Pattern,
    /// How a weight is scored: magnitude (the default), random:SEED or wanda:FILE; how a channel is: variance (the default),
    /// kurtosis, skewness, mean, l1, l2 or random:SEED
    #[arg(long, value_name = "CRITERION")]
    pub(crate) criterion: Option<String>,
    /// Which scores stay: largest or smallest
    #[arg(long, value_name = "WHICH", default_value_t = Keep::Largest)]
    pub(crate) keep: Keep,
}

impl Rule {
    /// The criterion of single weights, whose file a plan names so that it is found from any folder.
    pub(crate) fn of_weights(&self) -> Result<Criterion> {
        let absolute = |path: &str| Some(format!("wanda:{}", std::path::absolute(path).ok()?.to_str()?));
        let given = self.criterion.as_deref().unwrap_or("magnitude");
        given.strip_prefix("wanda:").and_then(absolute).as_deref().unwrap_or(given).parse()
    }
}
