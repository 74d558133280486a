//! Exact quantiles and histograms of groups, and of everything.
//!
//! Tensors are taken in units: as many whole tensors, or whole groups of one tensor, as fit in half of the memory bound
//! are read once and stay resident for every question. A single group that does not fit is streamed: once for moments
//! and the first 16 bits, once more for the next 16 and the histogram.

use super::analyse::Analysis;
use super::entry::{Quantiles, Statistics};
use super::fold::{EntrySink, Groups, Total, entry, statistics};
use super::histogram::{edges, thresholds};
use super::large::Large;
use super::layout::{Layout, Region};
use super::order_statistics::Ranks;
use super::total::TotalCounts;
use super::{Histogram, Moments, Options, Standard, Transform};
use crate::scan::{Compute, Counts, Digits, GroupRequest, Piece, Request, Resident, Source};
use crate::{Float, Result};

/// The upper 16 bits.
const FIRST_DIGITS: Digits = Digits { level: 0, prefixes: &[0], widen: false };
/// Elements of the pieces that whole groups are asked about in.
const GROUP_PIECE: u64 = 1 << 16;

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
        let mut units = Units { of: self, tensor: 0, rest: None }.peekable();
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
    fn cost(&self, float: Float, layout: &Layout, region: Region) -> u64 {
        let (_, groups) = layout.groups_of(region);
        (region.elements() * float.bytes() as u64).saturating_add(groups.saturating_mul(self.group_cost()))
    }

    fn group_cost(&self) -> u64 {
        let options = self.analysis.options;
        256 + 96 * options.quantiles.len() as u64 + 40 * options.histogram.unwrap_or(0) as u64
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
            let compute = analysis.engine.compute(float);
            let small = |a: &Asked| a.whole.layout.largest_group() <= compute.group_elements();
            // A tensor without elements may have groups; nothing can be asked of them.
            let of_float = asked.iter_mut().filter(|a| a.whole.float == float && a.whole.region.elements() > 0);
            let (mut small, large): (Vec<_>, Vec<_>) = of_float.partition(|a| !unit.streamed && small(a));
            Small::new(analysis.options, &small).answer(compute, source, &mut small)?;
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
struct Asked<'a> {
    whole: Piece,
    map: Map,
    groups: Vec<(u64, &'a Moments, Question, Statistics)>,
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
    fn pieces(&self) -> impl Iterator<Item = Piece> + use<> {
        let whole = self.whole;
        let regions = whole.layout.whole_groups(whole.region, GROUP_PIECE.max(whole.layout.largest_group()));
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

/// Regions that are answered together.
struct Unit {
    wholes: Vec<Piece>,
    /// Whether it is a single group that does not fit in memory.
    streamed: bool,
}

struct Units<'a> {
    of: &'a Distributions<'a>,
    tensor: usize,
    /// The regions still to come of a tensor that does not fit in memory.
    rest: Option<Box<dyn Iterator<Item = Piece> + 'a>>,
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

/// Questions about groups of one format that an engine answers many of at once, whatever their tensors.
struct Small {
    ranks: Vec<u64>,
    ranks_each: usize,
    thresholds: Vec<u64>,
    thresholds_each: Option<usize>,
    magnitude: bool,
    memory_bytes: u64,
}

impl Small {
    fn new(options: &Options, asked: &[&mut Asked]) -> Self {
        let ranks_each = 2 * options.quantiles.len();
        let thresholds_each = options.histogram.map(|bins| bins - 1);
        let groups = asked.iter().map(|a| a.groups.len()).sum::<usize>();
        let mut small = Self {
            ranks: Vec::with_capacity(groups * ranks_each),
            ranks_each,
            thresholds: Vec::with_capacity(groups * thresholds_each.unwrap_or(0)),
            thresholds_each,
            magnitude: options.transform == Transform::Log,
            memory_bytes: options.memory_bytes,
        };
        for (asked, question) in asked.iter().flat_map(|a| a.groups.iter().map(move |g| (a, &g.2))) {
            // As many for every group: the last is repeated.
            let distinct = question.ranks.as_ref().map_or(&[][..], |r| &r.distinct);
            let last = distinct.last().copied().unwrap_or(0);
            small.ranks.extend(distinct.iter().copied().chain(std::iter::repeat(last)).take(ranks_each));
            let filled = small.thresholds.len() + thresholds_each.unwrap_or(0);
            small.thresholds.extend(question.edges.as_ref().map_or_else(Vec::new, |edges| {
                thresholds(asked.whole.float, small.magnitude, edges, |x| asked.map.apply(x))
            }));
            small.thresholds.resize(filled, u64::MAX);
        }
        small
    }

    fn answer(&self, compute: &dyn Compute, source: &dyn Source, asked: &mut [&mut Asked]) -> Result<()> {
        let pieces: Vec<Piece> = asked.iter().flat_map(|a| a.pieces()).collect();
        if pieces.is_empty() {
            return Ok(());
        }
        let answer = compute.groups(
            source,
            &pieces,
            &GroupRequest {
                ranks: &self.ranks,
                ranks_each: self.ranks_each,
                thresholds: &self.thresholds,
                thresholds_each: self.thresholds_each,
                magnitude: self.magnitude,
                memory_bytes: self.memory_bytes,
            },
        )?;
        let groups = asked.iter_mut().flat_map(|a| {
            let (float, map) = (a.whole.float, a.map);
            a.groups.iter_mut().map(move |(_, _, question, found)| (float, map, question, found))
        });
        for (i, (float, map, question, found)) in groups.enumerate() {
            if let Some(ranks) = &question.ranks {
                let keys = answer.keys.get(i * self.ranks_each..).unwrap_or_default();
                let value = |rank: usize| keys.get(rank).map(|key| map.apply(float.key_value(*key, map.magnitude)));
                found.quantiles = Some(ranks.interpolate(value));
            }
            if let (Some(edges), Some(each)) = (&question.edges, self.thresholds_each) {
                let counts = answer.bins.get(i * (each + 1)..(i + 1) * (each + 1)).unwrap_or_default().to_vec();
                found.histogram = Some(Some(Histogram { edges: edges.clone(), counts }));
            }
        }
        Ok(())
    }
}
