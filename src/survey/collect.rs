//! From what an engine finds to what is known of each tensor.

use std::collections::BTreeMap;

use super::channels::ChannelSums;
use super::store::Store;
use super::{Channels, Spread, SurveyedTensor, ValueCounts};
use crate::scan::{Piece, SurveySink};
use crate::stats::fold::{entry, statistics};
use crate::stats::layout::Layout;
use crate::stats::{Grouping, Moments, Transform};
use crate::{Float, Result, Tensor};

/// A tensor that is to be surveyed.
pub(super) struct Target<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) float: Float,
    /// Along which its output channels lie.
    axis: Option<usize>,
    pub(super) layout: Layout,
}

impl<'a> Target<'a> {
    pub(super) fn new(tensor: &'a Tensor, float: Float) -> Self {
        let axis = Channels::axis_of(tensor.shape(), tensor.input_axis());
        let by = axis.map_or(Grouping::Tensor, Grouping::Axis);
        Self { tensor, float, axis, layout: Layout::new(tensor.shape(), by) }
    }

    /// Where its only group is all of it, as a vector's is.
    fn whole(&self) -> Layout {
        Layout::new(self.tensor.shape(), Grouping::Tensor)
    }
}

/// Receives what an engine finds, tensors in order.
pub(super) struct Collector<'a> {
    targets: &'a [Target<'a>],
    /// Tensors that have begun.
    begun: BTreeMap<usize, Begun>,
    pub(super) tensors: Vec<SurveyedTensor>,
    pub(super) store: Store,
    pub(super) total: Moments,
    /// Cells of a strip, at most.
    cells: u64,
}

struct Begun {
    moments: Moments,
    channels: Option<ChannelSums>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(targets: &'a [Target<'a>], store: Store) -> Self {
        let tensors = Vec::with_capacity(targets.len());
        let cells = Channels::cells_for(targets.len());
        Self { targets, begun: BTreeMap::new(), tensors, store, total: Moments::default(), cells }
    }

    /// Completes all tensors before `tensor`: those without elements have no pieces that announce them.
    pub(super) fn finish_before(&mut self, tensor: usize) -> Result<()> {
        while self.tensors.len() < tensor {
            let next = self.tensors.len();
            self.finish(next, ValueCounts::new(self.targets[next].float, Vec::new()))?;
        }
        Ok(())
    }

    fn finish(&mut self, tensor: usize, counts: ValueCounts) -> Result<()> {
        let target = &self.targets[tensor];
        let begun = self.begun.remove(&tensor);
        let (moments, channels) = begun.map_or_else(Default::default, |begun| (begun.moments, begun.channels));
        let moments = counts.moments().unwrap_or(moments);
        self.total.combine(&moments);
        let statistics = statistics(&moments, &moments, Transform::None);
        self.tensors.push(SurveyedTensor {
            entry: entry(target.tensor, &target.whole(), 0, statistics),
            channels: channels.map(ChannelSums::finish),
            bytes: target.tensor.bytes(),
        });
        self.store.push(&counts)
    }
}

impl SurveySink for Collector<'_> {
    fn piece(&mut self, piece: &Piece, moments: &Moments, channels: &[Spread]) -> Result<()> {
        let target = &self.targets[piece.tensor];
        let begun = self.begun.entry(piece.tensor).or_insert_with(|| Begun {
            moments: Moments::default(),
            channels: target.axis.map(|axis| ChannelSums::new(axis, &target.layout, self.cells)),
        });
        begun.moments.combine(moments);
        if let Some(sums) = &mut begun.channels {
            for (run, spread) in piece.layout.runs(piece.region).zip(channels) {
                sums.add(run.group, spread);
            }
        }
        Ok(())
    }

    fn counts(&mut self, tensor: usize, counts: ValueCounts) -> Result<()> {
        self.finish_before(tensor)?;
        self.finish(tensor, counts)
    }
}
