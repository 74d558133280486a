//! The sections about two models: before and after.

use super::Model;
use super::blocks::{Block, Section, Table};
use super::maps::{self, Values};
use super::model::{bitmask_bytes, mapped, plural, prefix};
use super::tensors::{Changes, Columns, Data, Detail, Ranges, kinds};
use super::whole::{Histograms, at_magnitude};
use crate::Result;
use crate::report::figure::{Bar, Bars, Figure, Mark, Scale, safe, strip};
use crate::report::number;
use crate::survey::{Change, Comparison, compare};

/// More tensors than that are a map, not bars.
const BARS: usize = 40;
/// Rows of tensors that only one model has.
const LISTED: usize = 200;

/// What a page says of two models.
pub(super) fn sections(before: &mut Model, after: &mut Model) -> Result<(Vec<Section>, Data)> {
    let found = compare(before.survey, after.survey)?;
    let section = |id, heading: &str, blocks| Section { id, heading: heading.to_owned(), blocks };
    let mut sections = vec![
        section("totals", "Before and after", totals(before, after, &found)),
        section("cuts", "What was cut", cuts(before, after, &found)?),
    ];
    let widths = widths(before, after, &found)?;
    if !widths.is_empty() {
        sections.push(section("widths", "Widths", widths));
    }
    sections.push(section("histogram", "Weights", histograms(before, after, &found)?));
    sections.push(section("layers", "Layers", layers(before, after, &found)?));
    let how = "Statistics are those after; a name opens both. Sort by the headings.".to_owned();
    sections.push(section("tensors", "Tensors", vec![Block::Text(how), Block::Tensors { compared: true }]));
    sections.extend(only_one(before, after, &found));
    Ok((sections, data(before, after, &found)?))
}

/// The same as pictures.
pub(super) fn figures(before: &mut Model, after: &mut Model, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
    let found = compare(before.survey, after.survey)?;
    let blocks = [
        cuts(before, after, &found)?,
        widths(before, after, &found)?,
        histograms(before, after, &found)?,
        layers(before, after, &found)?,
    ];
    super::only_figures(blocks.into_iter().flatten(), each)?;
    found.changes.iter().try_for_each(|change| tensor_figures(before, after, change, each))
}

fn tensor_figures(
    before: &mut Model,
    after: &mut Model,
    change: &Change,
    each: &mut dyn FnMut(Figure) -> Result<()>,
) -> Result<()> {
    let ranges = |model: &Model, i: usize| Ranges::of(&model.survey.tensors[i].entry.statistics);
    let ranges = ranges(before, change.before).with(ranges(after, change.after));
    let name = before.survey.tensors[change.before].entry.name.clone();
    let mark = match (change.range, change.least_left.filter(|_| change.cut > 0)) {
        (Some((_, high)), _) => at_magnitude(high, format!("largest |w| cut: {}", number::real(Some(high)))),
        (None, Some(least)) => at_magnitude(least, format!("smallest |w| left: {}", number::real(Some(least)))),
        (None, None) => None,
    };
    let marks: Vec<Mark> = mark.into_iter().collect();
    let earlier = Histograms::of_tensor(before.survey, change.before, &ranges)?;
    let later = Histograms::of_tensor(after.survey, change.after, &ranges)?;
    let prefix = prefix(change.before, &name);
    for figure in later.figures(&prefix, &format!("{}, before and after", safe(&name, 60)), Some(&earlier), &marks)? {
        each(figure)?;
    }
    for (when, tensor) in
        [("before", &before.survey.tensors[change.before]), ("after", &after.survey.tensors[change.after])]
    {
        if let Some(channels) = &tensor.channels {
            each(strip(
                &format!("{prefix}channels-{when}"),
                &format!("{}: channels {when}", safe(&name, 60)),
                channels,
            )?)?;
        }
    }
    Ok(())
}

fn totals(before: &Model, after: &Model, found: &Comparison) -> Vec<Block> {
    let (a, b) = (&before.survey.total, &after.survey.total);
    let mut rows = Vec::new();
    let mut counts = |name: &str, a: u64, b: u64, shown: fn(u64) -> String| {
        let sign = if b < a { "−" } else { "+" };
        let share = 100.0 * (b as f64 - a as f64) / a as f64;
        // Of next to nothing, several thousand per cent say little.
        let share = if share.abs() < 1000.0 { format!(" ({share:+.1} %)") } else { String::new() };
        let difference = if a == b { String::new() } else { format!("{sign}{}{share}", shown(a.abs_diff(b))) };
        rows.push(vec![name.to_owned(), shown(a), shown(b), difference]);
    };
    counts("bytes in files", before.file_bytes, after.file_bytes, number::bytes);
    let (mask_a, mask_b) = (bitmask_bytes(&before.survey.tensors), bitmask_bytes(&after.survey.tensors));
    counts("bytes as a bitmask", mask_a, mask_b, number::bytes);
    counts("tensors", before.survey.tensors.len() as u64, after.survey.tensors.len() as u64, number::grouped);
    counts("weights", a.count, b.count, number::grouped);
    let (zeros_a, zeros_b) = (a.zeros.unwrap_or(0), b.zeros.unwrap_or(0));
    counts("zeros", zeros_a, zeros_b, number::grouped);
    let dead = |model: &Model| model.survey.tensors.iter().filter_map(|t| t.channels.as_ref()).map(|c| c.dead).sum();
    counts("dead channels", dead(before), dead(after), number::grouped);
    counts("NaN", a.nan, b.nan, number::grouped);
    counts("inf", a.inf, b.inf, number::grouped);
    counts("not 0", a.count - zeros_a, b.count - zeros_b, number::grouped);
    let share = |zeros, count| number::percent(zeros, count);
    rows.push(vec!["sparsity".to_owned(), share(zeros_a, a.count), share(zeros_b, b.count), String::new()]);
    let difference = |a: Option<f64>, b: Option<f64>| {
        a.zip(b).filter(|(a, b)| a != b).map_or_else(String::new, |(a, b)| {
            format!("{}{}", if b >= a { "+" } else { "" }, number::real(Some(b - a)))
        })
    };
    for (name, a, b) in [
        ("mean", a.mean, b.mean),
        ("variance", a.variance, b.variance),
        ("standard deviation", a.variance.map(f64::sqrt), b.variance.map(f64::sqrt)),
        ("skewness", a.skewness, b.skewness),
        ("kurtosis", a.kurtosis, b.kurtosis),
        ("least", a.min, b.min),
        ("most", a.max, b.max),
        ("largest |w|", a.abs_max, b.abs_max),
        ("L1", a.l1, b.l1),
        ("L2", a.l2, b.l2),
    ] {
        rows.push(vec![name.to_owned(), number::real(a), number::real(b), difference(a, b)]);
    }
    let gone: u64 = found.removed.iter().map(|i| before.survey.tensors[*i].entry.statistics.count).sum();
    let cut: u64 = found.changes.iter().map(|change| change.cut).sum::<u64>() + gone;
    let whole = match found.removed.len() {
        0 => String::new(),
        n => format!(", {} of them with {} that are no longer there", number::grouped(gone), plural(n, "tensor")),
    };
    let few = 2 * found.changes.len() < before.survey.tensors.len().max(after.survey.tensors.len());
    let few = if few {
        format!(
            " Only {} have the same name in both: are these two versions of one model?",
            plural(found.changes.len(), "tensor")
        )
    } else {
        String::new()
    };
    let text = format!(
        "{} ({}) before, {} ({}) after. {} of {} weights went{whole}.{few}",
        safe(&before.name, 160),
        number::bytes(before.file_bytes),
        safe(&after.name, 160),
        number::bytes(after.file_bytes),
        number::grouped(cut),
        number::grouped(a.count)
    );
    let same = cut > 0 && after.file_bytes.abs_diff(before.file_bytes) * 100 < before.file_bytes;
    let note = same.then(|| {
        Block::Text(
            "The files are as large as before: single weights that are 0 take their place. They shrink where whole channels \
             go (--pattern channel), or where something stores them as bitmasks."
                .to_owned(),
        )
    });
    let table = Table { caption: "All weights".to_owned(), head: vec!["", "before", "after", "difference"], rows };
    [Some(Block::Text(text)), note, Some(Block::Table(table))].into_iter().flatten().collect()
}

fn cuts(before: &Model, after: &Model, found: &Comparison) -> Result<Vec<Block>> {
    let cut: Vec<&Change> = found.changes.iter().filter(|change| change.cut > 0).collect();
    if cut.is_empty() {
        let what = if found.removed.is_empty() { "" } else { " that is still there" };
        return Ok(vec![Block::Text(format!("No weight went from any tensor{what}."))]);
    }
    let tensors = &before.survey.tensors;
    let share = |change: &Change| {
        let gone = change.cut as f64;
        100.0 * gone / tensors[change.before].entry.statistics.count.max(1) as f64
    };
    let only = cut.iter().filter(|change| change.only_cut).count();
    let wide = |change: &&&Change| {
        tensors[change.before].entry.dtype == crate::Dtype::F32
            || tensors[change.before].entry.dtype == crate::Dtype::F64
    };
    let how = match cut.len() - only {
        0 if cut.iter().any(|change| wide(&change)) => {
            "What is left is as it was, as far as how often each value occurs tells, by its upper 16 bits.".to_owned()
        }
        0 => "What is left is as it was, as far as how often each value occurs tells.".to_owned(),
        others => format!("In {others} of them other weights changed, too, as they do in training."),
    };
    let revived: u64 = found.changes.iter().map(|change| change.revived).sum();
    let revived =
        if revived > 0 { format!(" {} zeros became weights.", number::grouped(revived)) } else { String::new() };
    let text = Block::Text(format!("{} lost weights. {how}{revived}", plural(cut.len(), "tensor")));
    if cut.len() > BARS {
        let kinds = kinds(before.survey);
        let shown = mapped_flags(tensors);
        let values: Values = found.changes.iter().map(|change| (change.before, share(change) / 100.0)).collect();
        let values = values.into_iter().filter(|(tensor, _)| shown[*tensor]).collect();
        let map = maps::block("cuts", "Share of weights cut", Scale::Linear, &kinds, tensors, &values)?;
        return Ok([Some(text), map].into_iter().flatten().collect());
    }
    let bar = |change: &&Change| {
        let label = match change.range {
            Some((_, high)) => format!("{:.1} %, |w| to {}", share(change), number::real(Some(high))),
            None => match change.least_left {
                Some(least) => format!("{:.1} %, |w| from {}", share(change), number::real(Some(least))),
                None => format!("{:.1} %", share(change)),
            },
        };
        Bar {
            name: tensors[change.before].entry.name.clone(),
            value: share(change),
            reference: None,
            before: None,
            label,
            tensor: Some(change.before),
        }
    };
    let bars: Vec<Bar> = cut.iter().map(bar).collect();
    let title = format!("What went from {} to {}", safe(&before.name, 36), safe(&after.name, 36));
    let drawn = Bars {
        name: "cuts",
        title: &title,
        what: "weights cut, %",
        reference: None,
        bars: &bars,
        log: false,
        // Room for what is written at the bars.
        at_least: 160.0,
    };
    Ok(vec![text, Block::figure(drawn.draw()?)])
}

/// Tensors whose channels went: those along the output axis.
fn widths(before: &Model, after: &Model, found: &Comparison) -> Result<Vec<Block>> {
    let resized: Vec<&Change> = found.changes.iter().filter(|change| change.resized).collect();
    if resized.is_empty() {
        return Ok(Vec::new());
    }
    let (a, b) = (&before.survey.tensors, &after.survey.tensors);
    let width = |change: &Change| {
        let axis = a[change.before].channels.as_ref()?.axis;
        let (was, is) = (a[change.before].entry.shape.get(axis)?, b[change.after].entry.shape.get(axis)?);
        (was != is).then_some((*was, *is))
    };
    let bars: Vec<Bar> = resized
        .iter()
        .filter_map(|change| {
            let (was, is) = width(change)?;
            Some(Bar {
                name: a[change.before].entry.name.clone(),
                value: is as f64,
                reference: None,
                before: Some(was as f64),
                label: format!("{was} → {is}"),
                tensor: Some(change.before),
            })
        })
        .take(BARS)
        .collect();
    let mut blocks = Vec::new();
    if !bars.is_empty() {
        let drawn = Bars {
            name: "widths",
            title: "Output channels before (wide bars) and after (narrow)",
            what: "output channels",
            reference: None,
            bars: &bars,
            log: false,
            at_least: 0.0,
        };
        blocks.push(Block::figure(drawn.draw()?));
    }
    let row = |change: &&Change| {
        let shape = |shape: &[u64]| number::shape(shape);
        let (was, is) = (&a[change.before].entry, &b[change.after].entry);
        let (n, m) = (was.statistics.count, is.statistics.count);
        let less = 100.0 * (n as f64 - m as f64) / n.max(1) as f64;
        vec![safe(&was.name, 160), shape(&was.shape), shape(&is.shape), format!("{less:.1} % fewer weights")]
    };
    let rows: Vec<Vec<String>> = resized.iter().take(LISTED).map(row).collect();
    let caption = match resized.len() - rows.len() {
        0 => format!("{} of another shape", plural(resized.len(), "tensor")),
        more => format!("{} tensors of another shape, of which {more} are not listed", resized.len()),
    };
    blocks.push(Block::Table(Table { caption, head: vec!["name", "before", "after", ""], rows }));
    Ok(blocks)
}

fn histograms(before: &mut Model, after: &mut Model, found: &Comparison) -> Result<Vec<Block>> {
    let ranges = || Ranges::of(&before.survey.total).with(Ranges::of(&after.survey.total));
    let ranges = ranges();
    let highest = found.changes.iter().filter_map(|change| change.range).map(|(_, high)| high).fold(0.0, f64::max);
    let label = format!("largest |w| cut anywhere: {}", number::real(Some(highest)));
    let marks: Vec<Mark> = at_magnitude(highest, label).into_iter().collect();
    let name = format!("{} and after", safe(&before.name, 50));
    let earlier = Histograms::of(before.survey, &ranges)?;
    let figures = Histograms::of(after.survey, &ranges)?.figures("", &name, Some(&earlier), &marks)?;
    Ok(figures.into_iter().map(Block::figure).collect())
}

fn layers(before: &Model, after: &Model, found: &Comparison) -> Result<Vec<Block>> {
    let (tensors, kinds) = (&before.survey.tensors, kinds(before.survey));
    let shown = mapped_flags(tensors);
    let changes = || found.changes.iter().filter(|change| shown[change.before]);
    let after = |change: &Change| &after.survey.tensors[change.after].entry.statistics;
    let earlier = |change: &Change| &tensors[change.before].entry.statistics;
    let ratio = |change: &Change| {
        let ratio = (after(change).variance? / earlier(change).variance?).log2();
        ratio.is_finite().then_some((change.before, ratio))
    };
    let difference = |of: fn(&crate::stats::Statistics) -> Option<f64>| -> Values {
        changes().filter_map(|c| Some((c.before, of(after(c))? - of(earlier(c))?))).collect()
    };
    let sparsity = |change: &Change| {
        let s = after(change);
        Some((change.before, s.zeros? as f64 / s.count.max(1) as f64))
    };
    let mut blocks = Vec::new();
    for (name, title, scale, values) in [
        ("map-variance", "Variance: log2 of after / before", Scale::Signed, changes().filter_map(ratio).collect()),
        ("map-skewness", "Skewness: after − before", Scale::Signed, difference(|s| s.skewness)),
        ("map-kurtosis", "Kurtosis: after − before", Scale::Signed, difference(|s| s.kurtosis)),
        ("map-sparsity", "Share of zeros after", Scale::Linear, changes().filter_map(sparsity).collect()),
    ] {
        blocks.extend(maps::block(name, title, scale, &kinds, tensors, &values)?);
    }
    Ok(blocks)
}

/// Of each tensor, whether maps show it.
fn mapped_flags(tensors: &[crate::survey::SurveyedTensor]) -> Vec<bool> {
    let mut shown = vec![false; tensors.len()];
    mapped(tensors).into_iter().for_each(|tensor| shown[tensor] = true);
    shown
}

fn only_one(before: &Model, after: &Model, found: &Comparison) -> Option<Section> {
    let list = |model: &Model, which: &[usize], caption: &str| {
        let row = |i: &usize| {
            let entry = &model.survey.tensors[*i].entry;
            vec![safe(&entry.name, 160), entry.dtype.to_string(), number::shape(&entry.shape)]
        };
        let rows: Vec<Vec<String>> = which.iter().take(LISTED).map(row).collect();
        let caption = match which.len() - rows.len() {
            0 => caption.to_owned(),
            more => format!("{caption}; {more} more are not listed"),
        };
        (!rows.is_empty()).then(|| Block::Table(Table { caption, head: vec!["name", "dtype", "shape"], rows }))
    };
    let blocks: Vec<Block> = [list(before, &found.removed, "Only before"), list(after, &found.added, "Only after")]
        .into_iter()
        .flatten()
        .collect();
    (!blocks.is_empty()).then(|| Section { id: "one", heading: "Only in one of them".to_owned(), blocks })
}

fn data(before: &mut Model, after: &mut Model, found: &Comparison) -> Result<Data> {
    let kinds = kinds(before.survey);
    let detail = Detail::for_tensors(before.survey.tensors.len() + after.survey.tensors.len());
    let by_before: std::collections::HashMap<usize, &Change> =
        found.changes.iter().map(|change| (change.before, change)).collect();
    let (mut tensors, mut later, mut changes) = (Columns::default(), Columns::default(), Changes::default());
    for index in 0..before.survey.tensors.len() {
        let kind = kinds.places[index].0;
        let change = by_before.get(&index);
        let ranges = |model: &Model, i: usize| Ranges::of(&model.survey.tensors[i].entry.statistics);
        let among = change.map(|change| ranges(after, change.after));
        tensors.push(before.survey, index, Some(kind), detail, among)?;
        match change {
            Some(change) => {
                let among = Some(ranges(before, index));
                later.push(after.survey, change.after, None, detail, among)?;
            }
            None => later.push_none(),
        }
        changes.cut.push(change.map_or(0, |change| change.cut));
        changes.only_cut.push(change.is_some_and(|change| change.only_cut));
        let (low, high) = change.and_then(|change| change.range).unzip();
        changes.low.push(super::pack::short(low, 5));
        changes.high.push(super::pack::short(high, 5));
        let left = change.filter(|change| change.cut > 0).and_then(|change| change.least_left);
        changes.left.push(super::pack::short(left, 5));
    }
    Ok(Data { detail, kinds: kinds.rows, rates: Vec::new(), tensors, after: Some(later), changes: Some(changes) })
}
