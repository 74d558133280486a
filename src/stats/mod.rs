//! Groups of weights and their statistics.

mod entry;
pub(crate) mod layout;
mod moments;
mod options;
#[cfg(test)]
pub(crate) mod oracle;

pub use entry::{Entry, Histogram, Quantiles, Skipped, Statistics, Summary};
pub use moments::Moments;
pub(crate) use moments::exp2;
pub use options::{Grouping, Options, Transform};
