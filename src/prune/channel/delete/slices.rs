//! Which slices of which tensors stay.

use std::collections::BTreeMap;

use crate::graph::Dependencies;
use crate::{Checkpoint, Error, Result, Tensor};

/// A tensor that loses slices.
#[derive(Debug)]
pub(super) struct Sliced<'a> {
    pub(super) tensor: &'a Tensor,
    /// For each axis that is cut, the indices that stay, ascending.
    pub(super) kept: BTreeMap<usize, Vec<u32>>,
}

impl Sliced<'_> {
    /// Its shape after the cut.
    pub(super) fn shape(&self) -> Vec<u64> {
        let length = |(axis, length)| self.kept.get(&axis).map_or(length, |kept| kept.len() as u64);
        self.tensor.shape().iter().copied().enumerate().map(length).collect()
    }
}

/// The tensors that lose slices where class `i` loses the channels `cuts[i]`, in the order of their names.
///
/// # Errors
/// [`Error::Tensor`] where a member is not in its tensor, which then is another model's.
pub(super) fn sliced<'a>(
    model: &'a Checkpoint,
    dependencies: &Dependencies,
    cuts: &[Vec<u64>],
) -> Result<Vec<Sliced<'a>>> {
    let mut removed: BTreeMap<(&str, usize), Vec<bool>> = BTreeMap::new();
    for (class, cut) in dependencies.classes.iter().zip(cuts).filter(|(_, cut)| !cut.is_empty()) {
        for member in &class.members {
            let wrong = || Error::tensor(model.path(), &member.tensor, "does not have the channels it should");
            let length = model.get(&member.tensor).and_then(|t| t.shape().get(member.axis).copied());
            let length = length.and_then(|n| usize::try_from(n).ok()).filter(|n| u32::try_from(*n).is_ok());
            let length = length.ok_or_else(wrong)?;
            let flags = removed.entry((&member.tensor, member.axis)).or_insert_with(|| vec![false; length]);
            for channel in cut {
                let first = channel.checked_mul(member.run).and_then(|offset| offset.checked_add(member.start));
                let range = first.and_then(|first| Some(first as usize..first.checked_add(member.run)? as usize));
                flags.get_mut(range.ok_or_else(wrong)?).ok_or_else(wrong)?.fill(true);
            }
        }
    }
    let mut found: Vec<Sliced> = Vec::new();
    for ((name, axis), flags) in removed {
        let kept: Vec<u32> = (0u32..).zip(flags).filter(|(_, removed)| !removed).map(|(index, _)| index).collect();
        let Some(tensor) = model.get(name) else { continue };
        match found.last_mut() {
            Some(last) if last.tensor.name() == name => {
                last.kept.insert(axis, kept);
            }
            _ => found.push(Sliced { tensor, kept: BTreeMap::from([(axis, kept)]) }),
        }
    }
    Ok(found)
}
