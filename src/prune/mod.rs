//! What is cut from a checkpoint, and how much of each tensor.

pub mod allocation;
pub mod eligibility;
pub mod pattern;
pub mod schedule;
