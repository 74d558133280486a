//! Which tensors, or groups of a tensor, are in memory together.

use super::distribution::Distributions;
use super::layout::Kind;
use crate::scan::Piece;

/// Regions that are answered together.
pub(super) struct Unit {
    pub(super) wholes: Vec<Piece>,
    /// Whether it is a single group that does not fit in memory.
    pub(super) streamed: bool,
}

pub(super) struct Units<'a> {
    of: &'a Distributions<'a>,
    tensor: usize,
    /// The regions still to come of a tensor that does not fit in memory.
    rest: Option<Box<dyn Iterator<Item = Piece> + 'a>>,
}

impl<'a> Units<'a> {
    pub(super) fn new(of: &'a Distributions<'a>) -> Self {
        Self { of, tensor: 0, rest: None }
    }
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let analysis = self.of.analysis;
        let budget = analysis.options.memory_bytes / 2;
        if let Some(whole) = self.rest.as_mut().and_then(Iterator::next) {
            let single = whole.layout.groups_of(whole.region).1 == 1;
            let streamed = single && whole.bytes() > budget;
            return Some(Unit { wholes: vec![whole], streamed });
        }
        self.rest = None;
        let (mut wholes, mut used): (Vec<Piece>, u64) = (Vec::new(), 0);
        while self.tensor < analysis.tensors.len() {
            let (float, layout) = (analysis.float(self.tensor), analysis.layout(self.tensor));
            let whole = Piece { tensor: self.tensor, float, layout, region: layout.all() };
            if matches!(layout.kind, Kind::Empty(_)) {
                if !wholes.is_empty() {
                    break;
                }
                // By itself: it may have a million groups, none of which needs room.
                self.tensor += 1;
                return Some(Unit { wholes: vec![whole], streamed: false });
            }
            let cost = self.of.cost(float, &layout, whole.region);
            if used.saturating_add(cost) > budget && !wholes.is_empty() {
                break;
            }
            self.tensor += 1;
            if cost > budget {
                // On average, since the last block of a row may be short.
                let group = (whole.region.elements() / layout.groups().max(1)).max(1);
                let each = float.bytes() as u64 + self.of.group_cost().div_ceil(group);
                let regions = layout.whole_groups(whole.region, budget / each);
                self.rest = Some(Box::new(regions.map(move |region| Piece { region, ..whole })));
                return self.next();
            }
            used += cost;
            wholes.push(whole);
        }
        (!wholes.is_empty()).then_some(Unit { wholes, streamed: false })
    }
}
