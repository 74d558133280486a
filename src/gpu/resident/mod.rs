//! Passes over weights that are in buffers already: the host's, or anybody's.
//!
//! A pass is made once, for some [`Weights`]: worklists, room for results and bindings. From then on its `encode` records into
//! a `CommandEncoder` of the caller's, which submits it when it likes: nothing blocks, nothing is read back, and no GPU
//! buffer is made. Results stay in a buffer of the pass; `read` records their way to the host and gives a
//! [`Pending`](super::Pending) result, and `run` does all of it at once.

mod apply;
mod gather;
mod group_order;
mod groups;
mod histogram;
mod masks;
mod moments;
mod order;
mod overlay;
mod prune;
mod selection;
#[cfg(test)]
mod tests;
mod tiling;
mod values;
mod weights;
mod window;

pub use apply::ApplyPass;
pub use gather::{GatherPass, Kept};
pub use group_order::GroupOrderPass;
pub use histogram::HistogramPass;
pub use masks::Masks;
pub use moments::{MomentsPass, TensorMoments};
pub use order::{OrderPass, Ranking};
pub use overlay::{Overlay, Variant};
pub use prune::{Cut, PrunePass, Rule};
pub use values::ValuesPass;
pub use weights::Weights;
