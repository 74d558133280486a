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
use crate::scan::{Counts, Digits, GroupAnswer, GroupRequest, Piece, Request, Resident, Source};
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
        let resident = match unit.streamed {
            true => None,
            false => {
                let pool = analysis.engine.cpu_engine().pool();
                Some(pool.install(|| Resident::load(&analysis.file, &unit.wholes))?)
            }
        };
        let source: &dyn Source = resident.as_ref().map_or(&analysis.file, |r| r);
        let mut groups: Vec<Groups> = Vec::with_capacity(unit.wholes.len());
        let mut first_digits = None;
        for run in unit.wholes.chunk_by(|a, b| a.float == b.float) {
            let float = run[0].float;
            let base = groups.len();
            groups.extend(run.iter().map(|whole| {
                let (first, count) = whole.layout.groups_of(whole.region);
                Groups::new(first, count)
            }));
            let mut pieces = run.iter().flat_map(|w| analysis.pieces(w.tensor, w.layout, w.region));
            let digits = counts.digits(float).or(unit.streamed.then_some(FIRST_DIGITS));
            let request = Request { moments: Some(analysis.values()), digits, bins: None };
            let mut found = Counts::for_request(&request);
            let compute = counts.compute(float);
            compute.scan(source, &mut pieces, &request, &mut found, &mut |piece, moments| {
                let groups = &mut groups[base + piece.tensor - run[0].tensor];
                piece.layout.runs(piece.region).zip(moments).for_each(|(run, m)| groups.add(run.group, m));
                Ok(())
            })?;
            if counts.digits(float).is_some() {
                counts.add(float, &found.digits);
            }
            first_digits = (unit.streamed && digits.is_some_and(|d| !d.widen)).then_some(found.digits);
        }
        for (whole, groups) in unit.wholes.iter().zip(&groups) {
            tensor.begin(self.analysis, whole)?;
            let known = match tensor.known {
                Some(known) => known,
                None => groups.whole(),
            };
            self.answer(resident.as_ref(), whole, groups, &known, first_digits.as_deref(), sink)?;
            // Group by group, as always: sums must not depend on where memory ended.
            groups.iter().for_each(|(_, m)| tensor.so_far.combine(m));
            if tensor.ends_with(whole) {
                total.add(whole.tensor, &tensor.so_far, analysis.options.transform);
            }
        }
        Ok(resident)
    }

    /// Entries of the groups of one region.
    fn answer(
        &self,
        resident: Option<&Resident>,
        whole: &Piece,
        groups: &Groups,
        tensor: &Moments,
        first_digits: Option<&[u64]>,
        sink: EntrySink,
    ) -> Result<()> {
        let source: &dyn Source = resident.map_or(&self.analysis.file, |r| r);
        let options = self.analysis.options;
        let map = Map::new(options.transform, tensor);
        let mut all: Vec<(u64, &Moments, Statistics)> =
            groups.iter().map(|(group, m)| (group, m, statistics(m, tensor, options.transform))).collect();
        let questions: Vec<Question> = all.iter().map(|(_, m, found)| Question::new(options, m, found)).collect();
        let compute = self.analysis.engine.compute(whole.float);
        if resident.is_some() && whole.layout.largest_group() <= compute.group_elements() {
            let request = Small::new(options, whole.float, map, &all, &questions);
            let pieces: Vec<Piece> = whole
                .layout
                .whole_groups(whole.region, GROUP_PIECE.max(whole.layout.largest_group()))
                .map(|region| Piece { region, ..*whole })
                .filter(|piece| piece.region.elements() > 0)
                .collect();
            let answer = compute.groups(source, &pieces, &request.request())?;
            request.fill(whole.float, map, &questions, &answer, &mut all);
        } else {
            for ((group, m, found), question) in all.iter_mut().zip(&questions) {
                let piece = Piece { region: whole.layout.group(*group), ..*whole };
                let streamed = resident.is_none();
                Large { analysis: self.analysis, source, streamed, piece, map, first_digits }
                    .fill(m, question, found)?;
            }
        }
        for (group, _, mut found) in all {
            fill_undefined(options, &mut found);
            sink(entry(self.analysis.tensors[whole.tensor], &whole.layout, group, found))?;
        }
        Ok(())
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

/// Questions about groups that an engine answers many of at once.
struct Small {
    ranks: Vec<u64>,
    ranks_each: usize,
    thresholds: Vec<u64>,
    thresholds_each: Option<usize>,
    magnitude: bool,
}

impl Small {
    fn new(
        options: &Options,
        float: Float,
        map: Map,
        all: &[(u64, &Moments, Statistics)],
        questions: &[Question],
    ) -> Self {
        let ranks_each = 2 * options.quantiles.len();
        let thresholds_each = options.histogram.map(|bins| bins - 1);
        let mut small = Self {
            ranks: Vec::with_capacity(all.len() * ranks_each),
            ranks_each,
            thresholds: Vec::with_capacity(all.len() * thresholds_each.unwrap_or(0)),
            thresholds_each,
            magnitude: map.magnitude,
        };
        for (i, question) in questions.iter().enumerate() {
            // As many for every group: the last is repeated.
            let distinct = question.ranks.as_ref().map_or(&[][..], |r| &r.distinct);
            let last = distinct.last().copied().unwrap_or(0);
            small.ranks.extend(distinct.iter().copied().chain(std::iter::repeat(last)).take(ranks_each));
            let keys = question
                .edges
                .as_ref()
                .map_or_else(Vec::new, |edges| thresholds(float, map.magnitude, edges, |x| map.apply(x)));
            small.thresholds.extend(keys);
            small.thresholds.resize((i + 1) * thresholds_each.unwrap_or(0), u64::MAX);
        }
        small
    }

    fn request(&self) -> GroupRequest<'_> {
        GroupRequest {
            ranks: &self.ranks,
            ranks_each: self.ranks_each,
            thresholds: &self.thresholds,
            thresholds_each: self.thresholds_each,
            magnitude: self.magnitude,
        }
    }

    fn fill(
        &self,
        float: Float,
        map: Map,
        questions: &[Question],
        answer: &GroupAnswer,
        all: &mut [(u64, &Moments, Statistics)],
    ) {
        for (i, ((_, _, found), question)) in all.iter_mut().zip(questions).enumerate() {
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
    }
}
