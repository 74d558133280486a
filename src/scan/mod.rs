//! Passing over weights piece by piece: what an engine is asked, and where it reads from.

mod cut;
mod gather;
mod source;

pub(crate) use cut::{CutCounts, HostRule, Job, Rule, aligned_unit};
pub(crate) use gather::{Gather, Slices};
pub(crate) use source::{Buffer, File, Resident, Source};

use crate::stats::Moments;
use crate::stats::layout::{Layout, Region};
use crate::survey::{Spread, ValueCounts};
use crate::{Float, Result};

/// A part of one tensor that is read and computed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Index of its tensor in the source.
    pub(crate) tensor: usize,
    pub(crate) float: Float,
    pub(crate) layout: Layout,
    pub(crate) region: Region,
}

impl Piece {
    pub(crate) fn bytes(&self) -> u64 {
        self.region.elements() * self.float.bytes() as u64
    }

    pub(crate) fn runs(&self) -> u64 {
        self.layout.run_count(self.region)
    }
}

/// What to compute over the pieces of a pass, all in the one read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    /// The moments of each run, of the weights or of the logarithms of their magnitudes.
    pub(crate) moments: Option<Values>,
    /// Counts of digits of the weights' bits, over all pieces together.
    pub(crate) digits: Option<Digits<'a>>,
    /// Counts of values between thresholds, over all pieces together.
    pub(crate) bins: Option<&'a Thresholds>,
    /// What an engine may hold for the pass, on the host and on a device each; 0 for as little as it can.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "the CPU engine holds a few pieces a thread"))]
    pub(crate) memory_bytes: u64,
}

/// What the moments are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Weights,
    Logarithms,
}

/// Which 16 bits of a weight are counted, of the weights whose bits above them are one of `prefixes`. Weights of 8 and
/// 16 bits are counted whole, at `level` 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits<'a> {
    /// 0 for the upper 16 bits, 1 for the next, and so on.
    pub(crate) level: u32,
    /// Ascending; the empty prefix, 0, at level 0.
    pub(crate) prefixes: &'a [u64],
    /// Whether f32 weights are widened to f64 first, so that they share its digits.
    pub(crate) widen: bool,
}

/// Values of one digit.
pub(crate) const DIGIT_VALUES: usize = 1 << 16;

/// Ascending thresholds, in the order of [`crate::order::key`]; a value's bin is the number of thresholds that are at
/// most its key. Non-finite values, and zeros of magnitudes, are in no bin.
#[derive(Clone, Debug)]
pub(crate) struct Thresholds {
    pub(crate) keys: Vec<u64>,
    /// Whether keys are those of magnitudes.
    pub(crate) magnitude: bool,
}

/// What a pass over some pieces has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// For each prefix asked for, [`DIGIT_VALUES`] counts by the digit.
    pub(crate) digits: Vec<u64>,
    /// For each bin, one count.
    pub(crate) bins: Vec<u64>,
}

impl Counts {
    pub(crate) fn for_request(request: &Request) -> Self {
        Self {
            digits: vec![0; request.digits.map_or(0, |d| d.prefixes.len() * DIGIT_VALUES)],
            bins: vec![0; request.bins.map_or(0, |b| b.keys.len() + 1)],
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let add = |into: &mut [u64], from: &[u64]| into.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        add(&mut self.digits, &other.digits);
        add(&mut self.bins, &other.bins);
    }
}

/// What groups that lie whole in a piece are asked.
pub(crate) struct GroupRequest<'a> {
    /// Order statistics by rank among the finite values (under `magnitude`, among the non-zero magnitudes):
    /// `ranks_each` ascending ranks for each group, piece after piece. A rank beyond the group's values gives its
    /// last, or 0 where it has none.
    pub(crate) ranks: &'a [u64],
    pub(crate) ranks_each: usize,
    /// Ascending thresholds as in [`Thresholds`], `thresholds_each` for each group.
    pub(crate) thresholds: &'a [u64],
    pub(crate) thresholds_each: Option<usize>,
    pub(crate) magnitude: bool,
    /// As in [`Request`].
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "the CPU engine holds a few pieces a thread"))]
    pub(crate) memory_bytes: u64,
}

/// The answers, in the order of the question.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct GroupAnswer {
    /// The key of each rank.
    pub(crate) keys: Vec<u64>,
    /// `thresholds_each` + 1 counts for each group.
    pub(crate) bins: Vec<u64>,
}

/// Receives a piece and the moments of its runs.
pub(crate) type MomentSink<'a> = &'a mut dyn FnMut(&Piece, &[Moments]) -> Result<()>;

/// Hears what a survey finds.
pub(crate) trait SurveySink {
    /// A piece, pieces in order: its moments, where they do not follow from counts, and the spread of each of its runs, where
    /// those are of channels.
    fn piece(&mut self, piece: &Piece, moments: &Moments, channels: &[Spread]) -> Result<()>;

    /// How often each value of a tensor occurs, after its last piece.
    fn counts(&mut self, tensor: usize, counts: ValueCounts) -> Result<()>;
}

/// An engine's work.
pub(crate) trait Compute: Sync {
    /// Passes over `pieces` once. `sink` gets the moments of each piece's runs, pieces in order; `counts` are added to.
    fn scan(
        &self,
        source: &dyn Source,
        pieces: &mut dyn Iterator<Item = Piece>,
        request: &Request,
        counts: &mut Counts,
        sink: MomentSink,
    ) -> Result<()>;

    /// Answers `request` for `pieces`, each holding whole groups.
    fn groups(&self, source: &dyn Source, pieces: &[Piece], request: &GroupRequest) -> Result<GroupAnswer>;

    /// Cuts every job as its rule says, in order: the `budgets` are what ties may still be cut, and go down.
    fn cut(&self, jobs: &mut [Job], budgets: &mut [u64], memory_bytes: u64) -> Result<Vec<CutCounts>>;

    /// Copies what every job keeps. `memory_bytes` as in [`Request`].
    fn gather(&self, jobs: &mut [Gather], memory_bytes: u64) -> Result<()>;

    /// Elements up to which a group is best asked about by [`Self::groups`].
    fn group_elements(&self) -> u64;

    /// Prefixes that digits can be counted for in one pass.
    fn prefixes_at_once(&self) -> usize;
}
