//! A model's files, read in bounded chunks.

mod selection;

pub use selection::Selection;
