//! The tensors of a page, as its script reads them: a column of values for each property.

use serde::Serialize;

use super::kinds::Kinds;
use super::pack;
use crate::Result;
use crate::report::figure::safe;
use crate::stats::Statistics;
use crate::survey::{ChannelCell, Channels, Prospects, Survey, ValueCounts};

/// How finely tensors are drawn: a page stays small whatever their number.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Detail {
    /// Bins of each histogram.
    pub(super) bins: usize,
    /// Digits of each count.
    pub(super) digits: u32,
    /// Significant digits of statistics.
    #[serde(skip)]
    significant: usize,
}

impl Detail {
    pub(super) fn for_tensors(tensors: usize) -> Self {
        match tensors {
            0..=1500 => Self { bins: 64, digits: 2, significant: 5 },
            1501..=5000 => Self { bins: 48, digits: 1, significant: 5 },
            5001..=20_000 => Self { bins: 24, digits: 1, significant: 4 },
            _ => Self { bins: 16, digits: 1, significant: 4 },
        }
    }
}

/// Everything the script knows.
#[derive(Serialize)]
pub(super) struct Data {
    pub(super) detail: Detail,
    pub(super) kinds: Vec<String>,
    /// The rates of prospects.
    pub(super) rates: Vec<f64>,
    pub(super) tensors: Columns,
    /// The same tensors after pruning, where two models are compared; those that are gone have a count of `null`.
    pub(super) after: Option<Columns>,
    /// What became of each.
    pub(super) changes: Option<Changes>,
}

/// A value for each tensor.
#[derive(Default, Serialize)]
pub(super) struct Columns {
    pub(super) name: Vec<String>,
    kind: Vec<usize>,
    dtype: Vec<String>,
    shape: Vec<Vec<u64>>,
    count: Vec<Option<u64>>,
    nan: Vec<u64>,
    inf: Vec<u64>,
    zeros: Vec<u64>,
    mean: Vec<Option<f64>>,
    variance: Vec<Option<f64>>,
    skewness: Vec<Option<f64>>,
    kurtosis: Vec<Option<f64>>,
    min: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
    l1: Vec<Option<f64>>,
    l2: Vec<Option<f64>>,
    /// Near the mean, over the whole range, and of log2 |w|.
    near: Vec<Packed>,
    whole: Vec<Packed>,
    octaves: Vec<Packed>,
    channels: Vec<Option<Strip>>,
    /// Why it is not eligible for pruning; `null` where it is.
    left_out: Vec<Option<String>>,
    /// By rate: what the uniform and the global allocation would cut, and the uniform one's threshold.
    uniform: Vec<Vec<Option<f64>>>,
    global: Vec<Vec<u64>>,
}

/// A histogram: first and last edge, the largest count, counts.
#[derive(Default, Serialize)]
struct Packed(Option<f64>, Option<f64>, f64, String);

/// A strip of channels: axis, how many, how many dead, least and most variance with their channels; then by cell the variance,
/// the norm and the share of dead ones, each with its largest.
#[derive(Serialize)]
struct Strip(
    usize,
    u64,
    u64,
    Option<(u64, f64)>,
    Option<(u64, f64)>,
    (String, f64),
    (String, f64),
    #[serde(skip_serializing_if = "String::is_empty")] String,
);

/// What became of each tensor.
#[derive(Default, Serialize)]
pub(super) struct Changes {
    pub(super) cut: Vec<u64>,
    pub(super) only_cut: Vec<bool>,
    pub(super) low: Vec<Option<f64>>,
    pub(super) high: Vec<Option<f64>>,
    /// The smallest |w| that is not 0 after, where any were cut.
    pub(super) left: Vec<Option<f64>>,
}

/// Characters of a name that a page carries, and of one that is looked at for its kind.
const NAME: usize = 2000;
const KIND: usize = 300;
/// Deviations from the mean that are near.
const NEAR: f64 = 6.0;
/// Octaves below the largest magnitude that are drawn.
const OCTAVES: f64 = 20.0;

/// What a histogram covers.
pub(super) struct Ranges {
    /// The mean and 6 σ about it, as far as there are weights.
    pub(super) near: Option<(f64, f64)>,
    /// From the least to the most.
    pub(super) whole: Option<(f64, f64)>,
    /// The upper octaves of |w|, in powers of two.
    pub(super) octaves: Option<(f64, f64)>,
}

impl Ranges {
    pub(super) fn of(s: &Statistics) -> Self {
        let whole = s.min.zip(s.max).map(|(min, max)| if min < max { (min, max) } else { widened(min) });
        let near = whole.zip(s.mean.zip(s.variance)).map(|((min, max), (mean, variance))| {
            let reach = NEAR * variance.sqrt();
            let (low, high) = (min.max(mean - reach), max.min(mean + reach));
            if low < high { (low, high) } else { (min, max) }
        });
        let top = s.abs_max.filter(|most| *most > 0.0).map(|most| most.log2().floor() + 1.0);
        let finite = |(low, high): &(f64, f64)| (high - low).is_finite() && high - low > 0.0;
        Self { near: near.filter(finite), whole: whole.filter(finite), octaves: top.map(|top| (top - OCTAVES, top)) }
    }

    /// Ranges of two models together.
    pub(super) fn with(self, other: Self) -> Self {
        let join = |a: Option<(f64, f64)>, b: Option<(f64, f64)>| match (a, b) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        let finite = |(low, high): &(f64, f64)| (high - low).is_finite();
        Self {
            near: join(self.near, other.near).filter(finite),
            whole: join(self.whole, other.whole).filter(finite),
            octaves: join(self.octaves, other.octaves),
        }
    }
}

fn widened(at: f64) -> (f64, f64) {
    let room = (at.abs() / 2.0).max(1e-3);
    (at - room, at + room)
}

/// `bins` + 1 edges.
pub(super) fn edges((low, high): (f64, f64), bins: usize) -> Vec<f64> {
    (0..=bins).map(|i| if i == bins { high } else { low + (high - low) * i as f64 / bins as f64 }).collect()
}

impl Columns {
    /// Adds the tensor of that index, of that kind, or without name and kind where others tell them. `among` is what its
    /// histograms share their edges with.
    pub(super) fn push(
        &mut self,
        survey: &mut Survey,
        index: usize,
        kind: Option<usize>,
        detail: Detail,
        among: Option<Ranges>,
    ) -> Result<()> {
        let counts = survey.counts(index)?;
        let tensor = &survey.tensors[index];
        let (entry, s) = (&tensor.entry, &tensor.entry.statistics);
        if let Some(kind) = kind {
            self.name.push(safe(&entry.name, NAME));
            self.kind.push(kind);
        }
        self.dtype.push(entry.dtype.to_string());
        self.shape.push(entry.shape.clone());
        self.count.push(Some(s.count));
        self.nan.push(s.nan);
        self.inf.push(s.inf);
        self.zeros.push(s.zeros.unwrap_or(0));
        for (column, value) in [
            (&mut self.variance, s.variance),
            (&mut self.skewness, s.skewness),
            (&mut self.kurtosis, s.kurtosis),
            (&mut self.min, s.min),
            (&mut self.max, s.max),
            (&mut self.l1, s.l1),
            (&mut self.l2, s.l2),
        ] {
            column.push(pack::short(value, detail.significant));
        }
        let sigma = s.variance.map_or(f64::NAN, f64::sqrt);
        self.mean.push(pack::short_beside(s.mean, sigma, detail.significant));
        let ranges = Ranges::of(s);
        let ranges = match among {
            Some(other) => ranges.with(other),
            None => ranges,
        };
        let of = |range: Option<(f64, f64)>, what| {
            range.map_or_else(Packed::default, |range| {
                Packed::new(range, &within(&counts, s.zeros.unwrap_or(0), &edges(range, detail.bins), what), detail)
            })
        };
        let packed = [of(ranges.near, Over::Near), of(ranges.whole, Over::Whole), of(ranges.octaves, Over::Octaves)];
        let columns = [&mut self.near, &mut self.whole, &mut self.octaves];
        columns.into_iter().zip(packed).for_each(|(column, packed)| column.push(packed));
        self.channels.push(tensor.channels.as_ref().map(|channels| Strip::new(channels, detail)));
        Ok(())
    }

    /// Adds a tensor that is not there.
    pub(super) fn push_none(&mut self) {
        self.count.push(None);
        self.dtype.push(String::new());
        self.shape.push(Vec::new());
        [&mut self.nan, &mut self.inf, &mut self.zeros].into_iter().for_each(|column| column.push(0));
        let columns = [&mut self.mean, &mut self.variance, &mut self.skewness, &mut self.kurtosis, &mut self.min];
        columns.into_iter().for_each(|column| column.push(None));
        [&mut self.max, &mut self.l1, &mut self.l2].into_iter().for_each(|column| column.push(None));
        [&mut self.near, &mut self.whole, &mut self.octaves].into_iter().for_each(|c| c.push(Packed::default()));
        self.channels.push(None);
    }

    /// Adds what rates would cut.
    pub(super) fn push_prospects(&mut self, prospects: &Prospects, left_out: &[Option<String>], detail: Detail) {
        for (tensor, why) in prospects.tensors.iter().zip(left_out) {
            self.left_out.push(why.clone());
            let found = tensor.clone().unwrap_or_default();
            self.uniform.push(found.uniform.iter().map(|cut| pack::short(cut.threshold, detail.significant)).collect());
            self.global.push(found.global.iter().map(|cut| cut.cut).collect());
        }
    }
}

impl Packed {
    fn new((from, to): (f64, f64), counts: &[f64], detail: Detail) -> Self {
        let (text, most) = pack::counts(counts, detail.digits);
        let edge = |value| pack::short_beside(Some(value), to - from, detail.significant);
        Self(edge(from), edge(to), most, text)
    }
}

/// What a histogram is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The weights near their mean.
    Near,
    /// All of them: no weight lies beyond.
    Whole,
    /// The upper octaves of magnitudes.
    Octaves,
}

/// A histogram without the zeros of a tensor, of which there are so many: after pruning they would dwarf the rest.
pub(super) fn within(counts: &ValueCounts, zeros: u64, edges: &[f64], over: Over) -> Vec<f64> {
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Vec::new() };
    // A bin of its own on either side; the last edge itself belongs within.
    let mut wide = vec![f64::NEG_INFINITY, *first];
    wide.extend(&edges[1..edges.len() - 1]);
    wide.extend([last.next_up(), f64::INFINITY]);
    let mut found = match over {
        Over::Octaves => counts.log2_histogram(&wide),
        Over::Near | Over::Whole => counts.histogram(&wide),
    };
    let bins = edges.len() - 1;
    if over == Over::Whole {
        // Values that are known by their upper bits alone may seem to lie beyond.
        found[1] += found[0];
        found[bins] += found[bins + 1];
    }
    let mut found = found[1..=bins].to_vec();
    if over != Over::Octaves && (*first..=*last).contains(&0.0) {
        let at = edges[1..bins].partition_point(|edge| *edge <= 0.0);
        found[at] = (found[at] - zeros as f64).max(0.0);
    }
    found
}

impl Strip {
    fn new(channels: &Channels, detail: Detail) -> Self {
        let number = |value| pack::short(Some(value), detail.significant);
        let short = |found: Option<(u64, f64)>| found.and_then(|(i, v)| Some((i, number(v)?)));
        let shares = |value: fn(&ChannelCell) -> Option<f64>| {
            let (text, most) = pack::shares(&channels.cells.iter().map(value).collect::<Vec<_>>());
            (text, number(most).unwrap_or(0.0))
        };
        let dead = if channels.dead == 0 {
            String::new()
        } else {
            // On a scale of its own, on which one of thousands still shows.
            let share = |cell: &ChannelCell| cell.dead as f64 / cell.count.max(1) as f64;
            let least = |share: f64| if share > 0.0 { share.max(1.0 / 63.0) } else { 0.0 };
            let shares = channels.cells.iter().map(|cell| Some(least(share(cell)))).chain([Some(1.0)]);
            let (mut text, _) = pack::shares(&shares.collect::<Vec<_>>());
            text.pop();
            text
        };
        let (least, greatest) = (short(channels.least), short(channels.most));
        let (variance, norm) = (shares(|cell| cell.variance), shares(|cell| cell.norm));
        Self(channels.axis, channels.count, channels.dead, least, greatest, variance, norm, dead)
    }
}

/// The kinds of a survey's tensors.
pub(super) fn kinds(survey: &Survey) -> Kinds {
    let names: Vec<String> = survey.tensors.iter().map(|tensor| safe(&tensor.entry.name, KIND)).collect();
    Kinds::new(names.iter().zip(&survey.tensors).map(|(name, tensor)| (name.as_str(), tensor.entry.statistics.count)))
}
