//! Passes over weights that are in buffers already.
