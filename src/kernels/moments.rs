//! The four moments and their companions of runs of weights.

mod twin;

pub(crate) use twin::*;

#[cfg(test)]
mod tests;
