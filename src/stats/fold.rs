//! Folding the moments of runs into groups, tensors and the total, in one fixed order.

use super::entry::{Entry, Statistics};
use super::layout::{Kind, Layout};
use super::{Moments, Standard, Transform};
use crate::Result;
use crate::checkpoint::Tensor;

/// The moments of the groups of a tensor, or of consecutive groups of it, as runs arrive in the order of the pieces.
pub(crate) struct Groups {
    first: u64,
    held: Vec<Moments>,
}

impl Groups {
    pub(crate) fn new(first: u64, count: u64) -> Self {
        Self { first, held: vec![Moments::default(); count as usize] }
    }

    pub(crate) fn add(&mut self, group: u64, moments: &Moments) {
        if let Some(held) = self.held.get_mut((group - self.first) as usize) {
            held.combine(moments);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Moments)> {
        (self.first..).zip(&self.held)
    }

    /// All groups together.
    pub(crate) fn whole(&self) -> Moments {
        let mut whole = Moments::default();
        self.held.iter().for_each(|m| whole.combine(m));
        whole
    }
}

/// The statistics of a group. `whole` is its tensor, for [`Transform::Standardize`].
pub(crate) fn statistics(moments: &Moments, whole: &Moments, transform: Transform) -> Statistics {
    let standardize = transform == Transform::Standardize;
    let none = Moments { count: moments.count, nan: moments.nan, inf: moments.inf, ..Moments::default() };
    let (m, known) = match standardize.then(|| moments.standardized(whole)) {
        None => (*moments, true),
        Some(Some(m)) => (m, true),
        Some(None) => (none, moments.finite == 0),
    };
    Statistics {
        count: m.count,
        nan: m.nan,
        inf: m.inf,
        zeros: (!standardize).then_some(m.zeros),
        mean: m.mean(),
        variance: m.variance(),
        skewness: m.skewness(),
        kurtosis: m.kurtosis(),
        min: m.defined(m.min),
        max: m.defined(m.max),
        abs_max: m.abs_max(),
        l1: if standardize { None } else { m.l1() },
        l2: if known { m.l2() } else { None },
        quantiles: None,
        histogram: None,
    }
}

/// The moments of everything, folded tensor by tensor.
#[derive(Default)]
pub(crate) struct Total {
    pub(crate) moments: Moments,
    /// What standardises each tensor that can be.
    pub(crate) standards: Vec<(usize, Standard)>,
}

impl Total {
    /// Adds the moments of the tensor of that index.
    pub(crate) fn add(&mut self, index: usize, tensor: &Moments, transform: Transform) {
        let transformed = match transform {
            Transform::None | Transform::Log => Some(*tensor),
            Transform::Standardize => {
                self.standards.extend(tensor.standard().map(|standard| (index, standard)));
                tensor.standardized(tensor)
            }
        };
        let counts = Moments { count: tensor.count, nan: tensor.nan, inf: tensor.inf, ..Moments::default() };
        self.moments.combine(&transformed.unwrap_or(counts));
    }
}

/// The entry of a group of `tensor`.
pub(crate) fn entry(tensor: &Tensor, layout: &Layout, group: u64, statistics: Statistics) -> Entry {
    Entry {
        name: tensor.name().to_owned(),
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
        group: (layout.kind != Kind::Whole).then_some(group),
        statistics,
    }
}

/// Receives entries.
pub(crate) type EntrySink<'a> = &'a mut dyn FnMut(Entry) -> Result<()>;
