//! Which parts of which tensors are in memory together.

use super::targets::{Target, What, columns};
use crate::scan::aligned_unit;
use crate::{Checkpoint, Error, Result};

/// Bytes of small tensors that are handled together: enough to keep every thread busy, few enough to stay in a cache.
const TOGETHER_BYTES: u64 = 32 << 20;

/// Bytes that a weight's score takes while its row is ranked: its key, and a copy of it.
const RANKED_BYTES: u64 = 8;

/// Consecutive elements of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Index of its target.
    pub(super) target: usize,
    /// First element.
    pub(super) first: u64,
    pub(super) elements: u64,
    /// Whether it is all of its tensor.
    pub(super) whole: bool,
}

/// Parts that are in memory together, in the order of targets.
pub(super) struct Units<'a> {
    model: &'a Checkpoint,
    targets: &'a [Target],
    next: usize,
    /// First element of the next part of a tensor that is too large.
    within: u64,
    memory_bytes: u64,
}

impl<'a> Units<'a> {
    pub(super) fn new(model: &'a Checkpoint, targets: &'a [Target], memory_bytes: u64) -> Self {
        Self { model, targets, next: 0, within: 0, memory_bytes }
    }

    /// Elements of a target that may be in memory together.
    fn most(&self, target: &Target) -> u64 {
        let weight = target.float.bytes() as u64;
        let most = self.memory_bytes / 2 / weight;
        match target.what {
            What::EachRow(_) => most.min(self.memory_bytes / (weight + RANKED_BYTES)),
            _ => most,
        }
    }

    /// Says that elements that have to be judged together do not fit.
    fn too_large(&self, target: &Target) -> Error {
        let tensor = &self.model.tensors()[target.index];
        let unit = unit(self.model, target);
        let elements = aligned_unit(unit).unwrap_or(unit).min(tensor.elements());
        let weights = elements.saturating_mul(target.float.bytes() as u64);
        let message = match target.what {
            What::EachRow(_) => {
                let need = weights.saturating_add(elements.saturating_mul(RANKED_BYTES)).max(weights.saturating_mul(2));
                format!("{weights} bytes of it are ranked together by their scores: raise --memory to {need} or more")
            }
            _ => format!("{weights} bytes of it have to be ranked together: raise --memory to twice that or more"),
        };
        Error::tensor(self.model.path(), tensor.name(), format!("{message}, or --skip it"))
    }
}

/// Elements that have to be judged together.
fn unit(model: &Checkpoint, target: &Target) -> u64 {
    match target.what {
        What::NofM { m, stride, .. } => u64::from(m).saturating_mul(stride),
        What::EachRow(_) => columns(&model.tensors()[target.index]).max(1),
        What::Lowest(_) | What::Global | What::Masked => 1,
    }
}

impl Iterator for Units<'_> {
    type Item = Result<Vec<Part>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut parts = Vec::new();
        let mut bytes = 0;
        while let Some(target) = self.targets.get(self.next) {
            let tensor = &self.model.tensors()[target.index];
            let most = self.most(target);
            if tensor.elements() <= most {
                if !parts.is_empty() && bytes + tensor.bytes() > TOGETHER_BYTES.min(self.memory_bytes / 2) {
                    break;
                }
                bytes += tensor.bytes();
                parts.push(Part { target: self.next, first: 0, elements: tensor.elements(), whole: true });
                self.next += 1;
                continue;
            }
            if !parts.is_empty() {
                break;
            }
            let unit = aligned_unit(unit(self.model, target)).filter(|unit| *unit <= most);
            let Some(unit) = unit else {
                self.next = self.targets.len();
                return Some(Err(self.too_large(target)));
            };
            let together = (TOGETHER_BYTES / target.float.bytes() as u64).min(most);
            let elements = (together / unit * unit).max(unit).min(tensor.elements() - self.within);
            parts.push(Part { target: self.next, first: self.within, elements, whole: false });
            self.within += elements;
            if self.within == tensor.elements() {
                (self.next, self.within) = (self.next + 1, 0);
            }
            break;
        }
        (!parts.is_empty()).then_some(Ok(parts))
    }
}
