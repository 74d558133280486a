//! Groups of weights and their statistics.

mod analyse;
mod distribution;
mod entry;
pub(crate) mod fold;
mod histogram;
mod large;
pub(crate) mod layout;
mod moments;
mod options;
#[cfg(test)]
pub(crate) mod oracle;
mod order_statistics;
mod slice;
mod small;
mod standardized;
#[cfg(test)]
mod tests;
mod total;
mod units;

pub use analyse::analyse;
pub use entry::{Entry, Histogram, Quantiles, Skipped, Statistics, Summary};
pub use moments::Moments;
pub(crate) use moments::{Standard, exp2};
pub use options::{Grouping, Options, Transform};
