//! Groups of weights and their statistics.

mod entry;
mod options;

pub use entry::{Entry, Histogram, Quantiles, Skipped, Statistics, Summary};
pub use options::{Grouping, Options, Transform};
