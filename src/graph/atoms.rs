//! Single channels: which of them are one, and which must stay.

use std::rc::Rc;

/// A stretch of channels along an axis: `count` of them, each `run` consecutive indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first channel, those after it follow; `None` where no weight makes them and none can go.
    pub(super) atom: Option<u32>,
    /// How many channels.
    pub(super) count: u64,
    /// Indices that each takes.
    pub(super) run: u64,
    /// The node because of which a channel whose weights are 0 is not 0 here; `None` where it is 0.
    pub(super) nonzero: Option<usize>,
}

/// The channels along an axis, from its first index to its last.
pub(super) type Channels = Rc<[Segment]>;

/// Segments that an axis may have; beyond, it is not followed.
pub(super) const MOST_SEGMENTS: usize = 1 << 16;

impl Segment {
    /// Indices of which none can go.
    pub(super) fn fixed(length: u64) -> Self {
        Self { atom: None, count: length, run: 1, nonzero: None }
    }
}

/// The length of an axis along which these lie.
pub(super) fn length(channels: &[Segment]) -> u64 {
    channels.iter().fold(0, |sum, segment| sum.saturating_add(segment.count.saturating_mul(segment.run)))
}

/// Why a channel whose weights are 0 is not 0 along this axis, if so.
pub(super) fn nonzero(channels: &[Segment]) -> Option<usize> {
    channels.iter().filter(|segment| segment.atom.is_some()).find_map(|segment| segment.nonzero)
}

/// The same channels, each of `times` as many indices, all of it `repeats` times; `None` where that is too much.
pub(super) fn spread(channels: &[Segment], repeats: u64, times: u64) -> Option<Channels> {
    let repeats = usize::try_from(repeats).ok()?;
    if repeats.checked_mul(channels.len())? > MOST_SEGMENTS {
        return None;
    }
    let mut one = Vec::with_capacity(channels.len());
    for segment in channels {
        let run = segment.run.checked_mul(times)?;
        run.checked_mul(segment.count)?;
        one.push(Segment { run, ..segment.clone() });
    }
    Some((0..repeats).flat_map(|_| one.iter().cloned()).collect())
}

/// The same channels, of which none is 0 where its weights are because of `node`, or all are where that is `None`.
pub(super) fn with_nonzero(channels: &[Segment], node: Option<usize>) -> Channels {
    channels.iter().map(|segment| Segment { nonzero: node, ..segment.clone() }).collect()
}

/// Channels, united as operators demand (union by the lowest number), and the first reason why each must stay.
#[derive(Default)]
pub(super) struct Atoms {
    parents: Vec<u32>,
    /// Of roots: an index into `texts`, the lowest of all that were united; `NO_REASON` without.
    reasons: Vec<u32>,
    texts: Vec<String>,
}

const NO_REASON: u32 = u32::MAX;

impl Atoms {
    /// Channels that are followed in a graph: more than any network has, few enough to hold.
    pub(super) const MOST: u64 = 1 << 22;

    /// `count` new channels; `None` where that is more than can be followed.
    pub(super) fn fresh(&mut self, count: u64) -> Option<Channels> {
        let first = u32::try_from(self.parents.len()).ok()?;
        if count.checked_add(u64::from(first))? > Self::MOST {
            return None;
        }
        let after = first + u32::try_from(count).ok()?;
        self.parents.extend(first..after);
        self.reasons.resize(self.parents.len(), NO_REASON);
        Some(Rc::new([Segment { atom: Some(first), count, run: 1, nonzero: None }]))
    }

    /// How many channels there are, before they were united.
    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    /// The channel that stands for all that are one with `atom`.
    pub(super) fn root(&mut self, mut atom: u32) -> u32 {
        while self.parents[atom as usize] != atom {
            let grandparent = self.parents[self.parents[atom as usize] as usize];
            self.parents[atom as usize] = grandparent;
            atom = grandparent;
        }
        atom
    }

    /// Why a channel must stay.
    pub(super) fn reason(&mut self, atom: u32) -> Option<(u32, &str)> {
        let root = self.root(atom);
        let reason = self.reasons[root as usize];
        self.texts.get(reason as usize).map(|text| (reason, text.as_str()))
    }

    fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parents[high as usize] = low;
        self.reasons[low as usize] = self.reasons[low as usize].min(self.reasons[high as usize]);
    }

    /// These channels must stay, and why; what was said earlier stands.
    pub(super) fn freeze(&mut self, channels: &[Segment], why: &str) {
        for segment in channels {
            let Some(first) = segment.atom else { continue };
            // `fresh` made as many as `count` says.
            for atom in (first..).take(usize::try_from(segment.count).unwrap_or(usize::MAX)) {
                self.freeze_one(atom, why);
            }
        }
    }

    /// Channels made since there were `known` must stay, and why.
    pub(super) fn freeze_since(&mut self, known: usize, why: &str) {
        for atom in (0..).take(self.parents.len()).skip(known) {
            self.freeze_one(atom, why);
        }
    }

    fn freeze_one(&mut self, atom: u32, why: &str) {
        let root = self.root(atom) as usize;
        if self.reasons[root] != NO_REASON {
            return;
        }
        if self.texts.last().is_none_or(|last| last != why) {
            self.texts.push(why.to_owned());
        }
        // As many texts as atoms at most, plus one: far fewer than `NO_REASON`.
        self.reasons[root] = (self.texts.len() - 1) as u32;
    }

    /// Unites what lies at the same index; channels that meet indices where nothing can go must stay, and `why`. False, and
    /// nothing is done, where the lengths differ.
    pub(super) fn join(&mut self, a: &[Segment], b: &[Segment], why: &str) -> bool {
        if length(a) != length(b) {
            return false;
        }
        let (mut left, mut right) = (Walk::new(a), Walk::new(b));
        while let (Some((x, n)), Some((y, m))) = (left.stretch(), right.stretch()) {
            match (x, y) {
                (Some(x), Some(y)) => self.unite(x, y),
                (Some(one), None) | (None, Some(one)) => self.freeze_one(one, why),
                (None, None) => {}
            }
            left.skip(n.min(m));
            right.skip(n.min(m));
        }
        true
    }
}

/// Whether the same channels lie at the same indices, united or not.
pub(super) fn same(atoms: &mut Atoms, a: &[Segment], b: &[Segment]) -> bool {
    let (mut left, mut right) = (Walk::new(a), Walk::new(b));
    loop {
        match (left.stretch(), right.stretch()) {
            (None, None) => return true,
            (Some((x, n)), Some((y, m))) => {
                if x.map(|atom| atoms.root(atom)) != y.map(|atom| atoms.root(atom)) {
                    return false;
                }
                left.skip(n.min(m));
                right.skip(n.min(m));
            }
            _ => return false,
        }
    }
}

/// A walk along the indices of an axis, a channel at a time, in stretches where none can go at once.
pub(super) struct Walk<'s> {
    segments: std::slice::Iter<'s, Segment>,
    now: Option<&'s Segment>,
    /// Indices of `now` that are behind.
    offset: u64,
}

impl<'s> Walk<'s> {
    pub(super) fn new(segments: &'s [Segment]) -> Self {
        Self { segments: segments.iter(), now: None, offset: 0 }
    }

    /// The channel here, and how many indices of it are still to come.
    pub(super) fn stretch(&mut self) -> Option<(Option<u32>, u64)> {
        loop {
            if let Some(now) = self.now {
                let total = now.count.saturating_mul(now.run);
                if self.offset < total {
                    return Some(match now.atom {
                        None => (None, total - self.offset),
                        // Below `Atoms::MOST`, as `fresh` made them.
                        Some(first) => (
                            Some(first.saturating_add((self.offset / now.run) as u32)),
                            now.run - self.offset % now.run,
                        ),
                    });
                }
            }
            self.now = Some(self.segments.next()?);
            self.offset = 0;
        }
    }

    /// Goes on by `indices`, no more than `stretch` said.
    pub(super) fn skip(&mut self, indices: u64) {
        self.offset = self.offset.saturating_add(indices);
    }
}
