//! What cannot be run, and why there is nothing to cut.

use std::collections::HashMap;

use super::{Allocation, Criterion, Keep, LeftOut, Options, Pattern, Within};
use crate::{Checkpoint, Error, Result, Tensor};

impl Options {
    /// Checks what can be known to be wrong without a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where the options contradict each other.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.to_owned()));
        if !(0.0..1.0).contains(&self.sparsity) {
            return wrong("the rate (--sparsity) is at least 0 and less than 1");
        }
        match self.pattern {
            Pattern::Channel => return wrong("channels are not cut weight by weight: prune::channels deletes them"),
            Pattern::NofM(_) if self.sparsity != 0.0 => {
                return wrong("N:M says by itself how much is cut: leave --sparsity out");
            }
            Pattern::NofM(_) if self.allocation != Allocation::Uniform => {
                return wrong("N:M says by itself how much is cut of each tensor: leave --allocation out");
            }
            _ => {}
        }
        if self.rates.is_some() {
            if self.pattern != Pattern::Element {
                return wrong("N:M says by itself how much is cut: leave --rates out");
            }
            if self.sparsity != 0.0 {
                return wrong("--rates says how much is cut: leave --sparsity out");
            }
            if self.allocation != Allocation::Uniform {
                return Err(Error::Usage(format!(
                    "--rates says how much is cut of each tensor: leave --allocation {} out",
                    self.allocation
                )));
            }
        }
        let smallest = matches!(self.allocation, Allocation::Lamp | Allocation::Moments);
        if smallest && self.keep == Keep::Smallest {
            return Err(Error::Usage(format!(
                "--allocation {} is for cutting the smallest magnitudes: leave --keep smallest out, or take another",
                self.allocation
            )));
        }
        let Criterion::Scored(score) = &self.criterion else { return Ok(()) };
        let fits = match score.within() {
            Within::Row => self.allocation == Allocation::Uniform && self.rates.is_none(),
            Within::Tensor => !smallest,
        };
        if self.pattern == Pattern::Element && !fits {
            return Err(Error::Usage(format!(
                "--allocation {} does not go with --criterion {}: leave it out",
                self.allocation,
                crate::escape(&score.name())
            )));
        }
        Ok(())
    }
}

/// Why there is nothing to cut: the commonest reasons, those of pattern and criterion (`unfit`) before all others.
pub(super) fn nothing(model: &Checkpoint, options: &Options, left_out: &[LeftOut], unfit: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return "there is no tensor in it".to_owned();
    }
    let telling = if unfit.is_empty() { left_out } else { unfit };
    let mut reasons: Vec<(&LeftOut, usize)> = Vec::new();
    // Not one by one over all of them: reasons that name sizes can be as many as tensors.
    let mut known: HashMap<&str, usize> = HashMap::new();
    for left in telling {
        let index = *known.entry(&left.reason).or_insert(reasons.len());
        match reasons.get_mut(index) {
            Some((_, n)) => *n += 1,
            None => reasons.push((left, 1)),
        }
    }
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let told = |(first, n): &(&LeftOut, usize)| {
        let others = match n - 1 {
            0 => String::new(),
            1 => " and 1 other".to_owned(),
            others => format!(" and {others} others"),
        };
        format!("`{}`{others}: {}", crate::escape(&first.name), crate::escape(&first.reason))
    };
    let told: Vec<String> = reasons.iter().take(2).map(told).collect();
    // Whether naming a tensor would make it eligible.
    let helps = unfit.is_empty() && !options.only_given && {
        let by = |tensor: &Tensor, given| super::left_out(tensor, &options.selection, given).is_some();
        model.tensors().iter().any(|tensor| by(tensor, false) && !by(tensor, true))
    };
    let advice = if helps { "; --only 'GLOB' names tensors whatever their rank and name" } else { "" };
    format!("nothing to cut: of its {} tensors none is eligible ({}){advice}", left_out.len(), told.join("; "))
}
