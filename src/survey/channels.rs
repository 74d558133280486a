//! The channels of a tensor, as a strip of cells.

use super::Spread;
use crate::stats::layout::{Kind, Layout};

/// The output channels of a tensor, drawn together into at most [`CELLS`](Self::CELLS) cells, fewer in models of many tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    /// The axis along which they lie.
    pub axis: usize,
    /// How many there are.
    pub count: u64,
    /// How many are dead: all of their weights are 0.
    pub dead: u64,
    /// The index and the variance of the channel that varies least among those that are not dead.
    pub least: Option<(u64, f64)>,
    /// The index and the variance of the channel that varies most.
    pub most: Option<(u64, f64)>,
    /// Neighbouring channels, as evenly as it goes: cell i of n begins with channel ⌈count · i / n⌉.
    pub cells: Vec<ChannelCell>,
}

/// A few neighbouring channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChannelCell {
    /// The index of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// How many of them are dead.
    pub dead: u64,
    /// The mean of the variances of their weights; `None` where none is defined.
    pub variance: Option<f64>,
    /// The mean of the L2 norms of their weights; `None` where none is defined.
    pub norm: Option<f64>,
}

impl Channels {
    /// The most cells of a strip.
    pub const CELLS: u64 = 128;
    /// The most channels that lie across each other (an output axis that is not the first), and so are held at once.
    const MOST_ACROSS: u64 = 1 << 20;

    /// How many cells a tensor has in a model of that many: all of them together take some 20 MB at most, and half a kilobyte a
    /// tensor beyond 20,000.
    pub(super) fn cells_for(tensors: usize) -> u64 {
        match tensors {
            0..=1500 => Self::CELLS,
            1501..=5000 => 64,
            5001..=20_000 => 16,
            _ => 8,
        }
    }

    /// The axis along which the output channels of a tensor of that shape lie, whose input channels lie along `input_axis`:
    /// `None` where it has fewer than two axes, no elements, or more channels across each other than can be held.
    pub(super) fn axis_of(shape: &[u64], input_axis: usize) -> Option<usize> {
        let axis = usize::from(input_axis == 0);
        let inner = shape.get(axis).copied().unwrap_or(0);
        let across = axis > 0 && inner > Self::MOST_ACROSS;
        (shape.len() >= 2 && !shape.contains(&0) && !across).then_some(axis)
    }
}

/// Draws channels together as their parts arrive, in the order of the pieces.
pub(super) struct ChannelSums {
    found: Channels,
    /// How many variances and norms each cell has.
    known: Vec<(u64, u64)>,
    parts: Parts,
}

enum Parts {
    /// Channels arrive one after the other: the one that is not complete.
    InOrder(u64, Spread),
    /// Parts of all of them arrive mixed.
    Mixed(Vec<Spread>),
}

impl ChannelSums {
    pub(super) fn new(axis: usize, layout: &Layout, most_cells: u64) -> Self {
        let count = layout.groups();
        let cells = count.min(most_cells);
        // The first channel of the i-th cell, without overflow for any count.
        let first = |i: u64| (u128::from(count) * u128::from(i)).div_ceil(u128::from(cells.max(1))) as u64;
        let cell = |i| ChannelCell { first: first(i), count: first(i + 1) - first(i), ..ChannelCell::default() };
        let parts = match layout.kind {
            Kind::Columns(_) => Parts::Mixed(vec![Spread::default(); count as usize]),
            _ => Parts::InOrder(0, Spread::default()),
        };
        let cells: Vec<ChannelCell> = (0..cells).map(cell).collect();
        let known = vec![(0, 0); cells.len()];
        Self { found: Channels { axis, count, dead: 0, least: None, most: None, cells }, known, parts }
    }

    pub(super) fn add(&mut self, channel: u64, part: &Spread) {
        match &mut self.parts {
            Parts::Mixed(spreads) => {
                if let Some(spread) = spreads.get_mut(channel as usize) {
                    spread.combine(part);
                }
            }
            Parts::InOrder(current, spread) if *current == channel => spread.combine(part),
            Parts::InOrder(current, spread) => {
                let (done, whole) = (std::mem::replace(current, channel), std::mem::replace(spread, *part));
                self.complete(done, &whole);
            }
        }
    }

    fn complete(&mut self, channel: u64, spread: &Spread) {
        let found = &mut self.found;
        let at = found.cells.partition_point(|cell| cell.first <= channel).saturating_sub(1);
        let (Some(cell), Some(known)) = (found.cells.get_mut(at), self.known.get_mut(at)) else { return };
        let dead = spread.is_dead();
        cell.dead += u64::from(dead);
        found.dead += u64::from(dead);
        if let Some(variance) = spread.variance() {
            *cell.variance.get_or_insert(0.0) += variance;
            known.0 += 1;
            if found.most.is_none_or(|(_, most)| variance > most) {
                found.most = Some((channel, variance));
            }
            if !dead && found.least.is_none_or(|(_, least)| variance < least) {
                found.least = Some((channel, variance));
            }
        }
        if let Some(norm) = spread.l2() {
            *cell.norm.get_or_insert(0.0) += norm;
            known.1 += 1;
        }
    }

    pub(super) fn finish(mut self) -> Channels {
        match std::mem::replace(&mut self.parts, Parts::Mixed(Vec::new())) {
            Parts::InOrder(channel, spread) => self.complete(channel, &spread),
            Parts::Mixed(spreads) => (0..).zip(&spreads).for_each(|(channel, spread)| self.complete(channel, spread)),
        }
        for (cell, (variances, norms)) in self.found.cells.iter_mut().zip(&self.known) {
            cell.variance = cell.variance.map(|sum| sum / *variances as f64);
            cell.norm = cell.norm.map(|sum| sum / *norms as f64);
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Grouping, Moments};

    #[test]
    fn axes() {
        for (shape, input, axis) in [
            (&[8, 4][..], 1, Some(0)),
            (&[8, 4, 3, 3], 1, Some(0)),
            (&[8, 4], 0, Some(1)),
            (&[8], 1, None),
            (&[0, 4], 1, None),
            (&[1 << 40, 4], 1, Some(0)),
            (&[4, 1 << 40], 0, None),
        ] {
            assert_eq!(Channels::axis_of(shape, input), axis, "{shape:?}");
        }
    }

    #[test]
    fn channels_are_drawn_together() {
        for (shape, axis) in [([300u64, 10], 0), ([10, 300], 1), ([5, 7], 0), ([130, 2], 0)] {
            let layout = Layout::new(&shape, Grouping::Axis(axis));
            let value = |channel: u64, i: u64| if channel % 50 == 3 { 0.0 } else { (i as f32 + 1.0) * channel as f32 };
            let mut sums = ChannelSums::new(axis, &layout, 128);
            let (channels, each) = (shape[axis], shape[1 - axis]);
            // Each in two parts.
            for half in [0..each / 2, each / 2..each] {
                for channel in 0..channels {
                    let part: Vec<f32> = half.clone().map(|i| value(channel, i)).collect();
                    if axis == 0 && half.start == 0 {
                        let whole: Vec<f32> = (0..each).map(|i| value(channel, i)).collect();
                        for part in whole.chunks(each.div_ceil(2) as usize) {
                            sums.add(channel, &Spread::from(&Moments::of(part)));
                        }
                    } else if axis == 1 {
                        sums.add(channel, &Spread::from(&Moments::of(&part)));
                    }
                }
            }
            let found = sums.finish();
            assert_eq!((found.axis, found.count, found.cells.len() as u64), (axis, channels, channels.min(128)));
            assert_eq!(found.cells.iter().map(|cell| cell.count).sum::<u64>(), channels);
            assert!(found.cells.iter().all(|cell| cell.count == channels / found.cells.len() as u64 || channels > 128));
            // Channel 0 is all zeros, too.
            let dead = (0..channels).filter(|c| c % 50 == 3 || *c == 0).count() as u64;
            assert_eq!((found.dead, found.cells.iter().map(|cell| cell.dead).sum::<u64>()), (dead, dead));
            let variance = |channel: u64| {
                let whole: Vec<f32> = (0..each).map(|i| value(channel, i)).collect();
                Moments::of(&whole).variance().unwrap()
            };
            assert_eq!(found.most.unwrap().0, channels - 1);
            assert_eq!(found.least.unwrap().0, 1);
            for cell in &found.cells {
                let mean = (cell.first..cell.first + cell.count).map(variance).sum::<f64>() / cell.count as f64;
                assert!((cell.variance.unwrap() - mean).abs() <= 1e-6 * mean, "{cell:?}");
            }
        }
    }
}
