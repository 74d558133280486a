//! Groups of weights and their statistics.

mod analyse;
mod entry;
mod options;

pub use analyse::analyse;
pub use entry::{Entry, Histogram, Quantiles, Skipped, Statistics, Summary};
pub use options::{Grouping, Options, Transform};
