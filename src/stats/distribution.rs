//! Exact quantiles and histograms of groups, and of everything.
//!
//! Tensors are taken in units: as many whole tensors, or whole groups of one tensor, as fit in half of the memory bound
//! are read once and stay resident for every question. A single group that does not fit is streamed: once for moments
//! and the first 16 bits, once more for the next 16 and the histogram.

use super::analyse::Analysis;
use super::entry::{Quantiles, Statistics};
use super::fold::{EntrySink, Groups, Total, entry, statistics};
use super::histogram::edges;
use super::large::Large;
use super::layout::{Kind, Layout, Region};
use super::order_statistics::Ranks;
use super::small::Small;
use super::total::TotalCounts;
use super::units::{Unit, Units};
use super::{Moments, Options, Standard, Transform};
use crate::scan::{Counts, Digits, Piece, Request, Resident, Source};
use crate::{Float, Result};

/// The upper 16 bits.
const FIRST_DIGITS: Digits = Digits { level: 0, prefixes: &[0], widen: false };
/// Elements of the pieces that whole groups are asked about in.
const GROUP_PIECE: u64 = 1 << 16;
/// Bytes of answers to such a piece, at most, where it has more than one group.
const GROUP_PIECE_ANSWERS: u64 = 4 << 20;
/// Groups of up to as many elements are answered on the CPU whatever the engine: they are in its memory already, and
/// one is too little for a workgroup.
const TINY_GROUP: u64 = 64;

pub(crate) struct Distributions<'a> {
    pub(crate) analysis: &'a Analysis<'a>,
}

/// What is asked of a group.
pub(crate) struct Question {
    pub(crate) ranks: Option<Ranks>,
    /// `None` where the group has no finite value, or where its range cannot be cut.
    pub(crate) edges: Option<Vec<f64>>,
}

impl Question {
    pub(crate) fn new(options: &Options, moments: &Moments, found: &Statistics) -> Self {
        let defined = found.min.zip(found.max).filter(|_| moments.finite > 0);
        Self {
            ranks: defined
                .filter(|_| !options.quantiles.is_empty())
                .map(|_| Ranks::new(&options.quantiles, moments.finite)),
            edges: defined.zip(options.histogram).and_then(|((min, max), bins)| edges(min, max, bins)),
        }
    }
}

/// Fills in what was asked for and is undefined.
pub(crate) fn fill_undefined(options: &Options, found: &mut Statistics) {
    if found.quantiles.is_none() && !options.quantiles.is_empty() {
        found.quantiles = Some(Quantiles(options.quantiles.iter().map(|q| (*q, None)).collect()));
    }
    if found.histogram.is_none() && options.histogram.is_some() {
        found.histogram = Some(None);
    }
}

/// The map from weights, or magnitudes, to the values that are reported. It never falls.
#[derive(Clone, Copy)]
pub(crate) struct Map {
    pub(crate) magnitude: bool,
    standard: Option<Standard>,
}

impl Map {
    pub(crate) fn new(transform: Transform, whole: &Moments) -> Self {
        // Where there is no σ, nothing is asked.
        let standard = if transform == Transform::Standardize { whole.standard() } else { None };
        Self { magnitude: transform == Transform::Log, standard }
    }

    pub(crate) fn apply(&self, x: f64) -> f64 {
        match self.standard {
            Some(standard) => standard.place(x),
            None if self.magnitude => crate::kernels::moments::ln_of(x),
            None => x,
        }
    }
}

impl<'a> Distributions<'a> {
    pub(crate) fn new(analysis: &'a Analysis<'a>) -> Self {
        Self { analysis }
    }

    /// Everything: entries as units are done, then the total.
    pub(crate) fn run(&self, sink: EntrySink) -> Result<Statistics> {
        let mut total = Total::default();
        let mut counts = TotalCounts::new(self.analysis);
        let mut resident = None;
        let mut units = Units::new(self).peekable();
        let mut tensor = TensorSoFar::default();
        let mut only = true;
        while let Some(unit) = units.next() {
            resident = self.unit(&unit, &mut tensor, &mut total, &mut counts, sink)?;
            only &= units.peek().is_none();
        }
        // Where all of the model is in memory still, the total needs no further read.
        let resident = resident.filter(|_| only);
        counts.statistics(&total, resident.as_ref())
    }

    /// Host bytes that a region's weights and answers take.
    pub(super) fn cost(&self, float: Float, layout: &Layout, region: Region) -> u64 {
        let (_, groups) = layout.groups_of(region);
        (region.elements() * float.bytes() as u64).saturating_add(groups.saturating_mul(self.group_cost()))
    }

    pub(super) fn group_cost(&self) -> u64 {
        let options = self.analysis.options;
        // Moments, statistics and question; ranks, keys and values; edges twice, thresholds, and counts thrice.
        640 + 128 * options.quantiles.len() as u64 + 48 * options.histogram.unwrap_or(0) as u64
    }

    fn unit(
        &self,
        unit: &Unit,
        tensor: &mut TensorSoFar,
        total: &mut Total,
        counts: &mut TotalCounts,
        sink: EntrySink,
    ) -> Result<Option<Resident>> {
        let analysis = self.analysis;
        if let [Piece { tensor: index, layout: layout @ Layout { kind: Kind::Empty(groups), .. }, .. }] =
            unit.wholes[..]
        {
            self.empty(index, &layout, groups, sink)?;
            total.add(index, &Moments::default(), analysis.options.transform);
            return Ok(None);
        }
        let resident = match unit.streamed {
            true => None,
            false => {
                let pool = analysis.engine.cpu_engine().pool();
                Some(pool.install(|| Resident::load(&analysis.file, &unit.wholes))?)
            }
        };
        let source: &dyn Source = resident.as_ref().map_or(&analysis.file, |r| r);
        let (groups, first_digits) = self.moments(unit, source, counts)?;
        let mut asked = Vec::with_capacity(unit.wholes.len());
        for (whole, groups) in unit.wholes.iter().zip(&groups) {
            tensor.begin(analysis, whole)?;
            let known = match tensor.known {
                Some(known) => known,
                None => groups.whole(),
            };
            asked.push(Asked::new(analysis, *whole, groups, &known));
            // Group by group, as always: sums must not depend on where memory ended.
            groups.iter().for_each(|(_, m)| tensor.so_far.combine(m));
            if tensor.ends_with(whole) {
                total.add(whole.tensor, &tensor.so_far, analysis.options.transform);
            }
        }
        for float in Float::ALL {
            let (compute, cpu) = (analysis.engine.compute(float), analysis.engine.cpu_engine());
            let small = |a: &Asked| a.whole.layout.largest_group() <= compute.group_elements();
            // A tensor without elements may have groups; nothing can be asked of them.
            let of_float = asked.iter_mut().filter(|a| a.whole.float == float && a.whole.region.elements() > 0);
            let (mut small, large): (Vec<_>, Vec<_>) = of_float.partition(|a| !unit.streamed && small(a));
            small.sort_by_key(|a| a.whole.layout.largest_group() > TINY_GROUP);
            let tiny = small.partition_point(|a| a.whole.layout.largest_group() <= TINY_GROUP);
            let (tiny, small) = small.split_at_mut(tiny);
            Small::new(analysis.options, tiny).answer(analysis.options, cpu, source, tiny)?;
            Small::new(analysis.options, small).answer(analysis.options, compute, source, small)?;
            for asked in large {
                for (group, m, question, found) in &mut asked.groups {
                    let piece = Piece { region: asked.whole.layout.group(*group), ..asked.whole };
                    let (streamed, map, first_digits) = (unit.streamed, asked.map, first_digits.as_deref());
                    Large { analysis, source, streamed, piece, map, first_digits }.fill(m, question, found)?;
                }
            }
        }
        for Asked { whole, groups, .. } in asked {
            for (group, _, _, mut found) in groups {
                fill_undefined(analysis.options, &mut found);
                sink(entry(analysis.tensors[whole.tensor], &whole.layout, group, found))?;
            }
        }
        Ok(resident)
    }

    /// The groups of a tensor without elements: however many, each is the same, and none is held.
    fn empty(&self, tensor: usize, layout: &Layout, groups: u64, sink: EntrySink) -> Result<()> {
        let (analysis, nothing) = (self.analysis, Moments::default());
        let mut found = statistics(&nothing, &nothing, analysis.options.transform);
        fill_undefined(analysis.options, &mut found);
        (0..groups).try_for_each(|group| sink(entry(analysis.tensors[tensor], layout, group, found.clone())))
    }

    /// The moments of a unit's groups, whole by whole, and the counts of the first digits of a streamed one: a pass for
    /// each format, since each has a table of its own.
    fn moments(
        &self,
        unit: &Unit,
        source: &dyn Source,
        counts: &mut TotalCounts,
    ) -> Result<(Vec<Groups>, Option<Vec<u64>>)> {
        let analysis = self.analysis;
        let new = |whole: &Piece| {
            let (first, count) = whole.layout.groups_of(whole.region);
            Groups::new(first, count)
        };
        let mut groups: Vec<Groups> = unit.wholes.iter().map(new).collect();
        let mut first_digits = None;
        let first_tensor = unit.wholes.first().map_or(0, |w| w.tensor);
        for float in Float::ALL {
            let wholes = unit.wholes.iter().filter(|w| w.float == float);
            let mut pieces = wholes.flat_map(|w| analysis.pieces(w.tensor, w.layout, w.region)).peekable();
            if pieces.peek().is_none() {
                continue;
            }
            let digits = counts.digits(float).or(unit.streamed.then_some(FIRST_DIGITS));
            let request = Request { moments: Some(analysis.values()), digits, ..analysis.request() };
            let mut found = Counts::for_request(&request);
            counts.compute(float).scan(source, &mut pieces, &request, &mut found, &mut |piece, moments| {
                let groups = &mut groups[piece.tensor - first_tensor];
                piece.layout.runs(piece.region).zip(moments).for_each(|(run, m)| groups.add(run.group, m));
                Ok(())
            })?;
            if counts.digits(float).is_some() {
                counts.add(float, &found.digits);
            }
            first_digits = (unit.streamed && digits.is_some_and(|d| !d.widen)).then_some(found.digits);
        }
        Ok((groups, first_digits))
    }
}

/// A region of whole groups and what is asked of each.
pub(super) struct Asked<'a> {
    pub(super) whole: Piece,
    pub(super) map: Map,
    pub(super) groups: Vec<(u64, &'a Moments, Question, Statistics)>,
}

impl<'a> Asked<'a> {
    fn new(analysis: &Analysis, whole: Piece, groups: &'a Groups, tensor: &Moments) -> Self {
        let options = analysis.options;
        let each = groups.iter().map(|(group, m)| {
            let found = statistics(m, tensor, options.transform);
            (group, m, Question::new(options, m, &found), found)
        });
        Self { whole, map: Map::new(options.transform, tensor), groups: each.collect() }
    }

    /// The region in pieces of whole groups.
    pub(super) fn pieces(&self, options: &Options) -> impl Iterator<Item = Piece> + use<> {
        let (whole, largest) = (self.whole, self.whole.layout.largest_group());
        let answer = 4 * (2 * options.quantiles.len() + options.histogram.unwrap_or(0)) as u64;
        let groups = (GROUP_PIECE_ANSWERS / answer.max(1)).max(1);
        let regions =
            whole.layout.whole_groups(whole.region, GROUP_PIECE.min(groups.saturating_mul(largest)).max(largest));
        regions.map(move |region| Piece { region, ..whole })
    }
}

/// The tensor whose groups are being answered, which may take several units.
#[derive(Default)]
struct TensorSoFar {
    tensor: Option<usize>,
    so_far: Moments,
    /// Where its moments were needed before its last unit.
    known: Option<Moments>,
}

impl TensorSoFar {
    fn begin(&mut self, analysis: &Analysis, whole: &Piece) -> Result<()> {
        if self.tensor == Some(whole.tensor) {
            return Ok(());
        }
        let split = whole.region != whole.layout.all();
        let needed = split && analysis.options.transform == Transform::Standardize;
        let known = if needed { Some(analysis.whole(whole.tensor)?) } else { None };
        *self = Self { tensor: Some(whole.tensor), so_far: Moments::default(), known };
        Ok(())
    }

    fn ends_with(&self, whole: &Piece) -> bool {
        let Region { row, rows, col, cols } = whole.region;
        row + rows >= whole.layout.rows && col + cols >= whole.layout.cols
    }
}
