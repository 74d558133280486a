//! Which tensors of a checkpoint are meant.

/// Tensors chosen by globs over their whole names.
#[derive(Clone, Debug, Default)]
pub struct Selection {}
