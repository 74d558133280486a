//! Groups of tensors as kernels see them whole.

use super::Weights;
use super::window::Span;
use crate::kernels::select::View;
use crate::stats::Grouping;
use crate::stats::layout::Layout;

/// The groups of some tensors, one tensor after the other.
pub(super) struct Groups {
    /// Of each group that has elements: where it lies, and its view, whose start is that of its tensor's element.
    pub(super) views: Vec<(Span, View)>,
    /// Of each tensor, how many groups it has.
    pub(super) counts: Vec<u64>,
}

impl Groups {
    pub(super) fn new(weights: &[Weights], by: Grouping) -> Self {
        let (mut views, mut counts, mut first) = (Vec::new(), Vec::with_capacity(weights.len()), 0);
        for (tensor, weights) in weights.iter().enumerate() {
            let layout = Layout::new(weights.shape(), by);
            if weights.elements() > 0 {
                views.extend(layout.views(layout.all()).map(|view| {
                    let elements = (view.length / view.run.max(1)).saturating_sub(1) * view.stride + view.run;
                    let group = (first + view.group) as u32;
                    let (length, run, stride) = (view.length as u32, view.run as u32, view.stride as u32);
                    // A window says where it starts.
                    (Span { tensor, first: view.start, elements }, View { start: 0, length, run, stride, group })
                }));
            }
            counts.push(layout.groups());
            first += layout.groups();
        }
        Self { views, counts }
    }
}
