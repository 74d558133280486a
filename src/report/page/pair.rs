//! The sections about two models: before and after.

use super::Model;
use super::blocks::{Block, Section, Table};
use super::maps::{Values, map};
use super::model::{bitmask_bytes, mapped};
use super::tensors::{Changes, Columns, Data, Detail, Ranges, kinds};
use super::whole::{Histograms, at_magnitude};
use crate::Result;
use crate::report::figure::{Bar, Bars, Figure, Mark, Scale, safe};
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
    sections.push(section("layers", "Layers", maps(before, after, &found)?));
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
        maps(before, after, &found)?,
    ];
    super::only_figures(blocks.into_iter().flatten(), each)
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
        ("skewness", a.skewness, b.skewness),
        ("kurtosis", a.kurtosis, b.kurtosis),
        ("least", a.min, b.min),
        ("most", a.max, b.max),
        ("L1", a.l1, b.l1),
        ("L2", a.l2, b.l2),
    ] {
        rows.push(vec![name.to_owned(), number::real(a), number::real(b), difference(a, b)]);
    }
    let cut: u64 = found.changes.iter().map(|change| change.cut).sum();
    let text = format!(
        "{} ({}) before, {} ({}) after. {} of {} weights went.",
        crate::escape(&before.name),
        number::bytes(before.file_bytes),
        crate::escape(&after.name),
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
        return Ok(vec![Block::Text("No weight went from any tensor.".to_owned())]);
    }
    let tensors = &before.survey.tensors;
    let share = |change: &Change| {
        let gone = change.cut as f64;
        100.0 * gone / tensors[change.before].entry.statistics.count.max(1) as f64
    };
    let only = cut.iter().filter(|change| change.only_cut).count();
    let how = if only == cut.len() {
        "What is left is as it was.".to_owned()
    } else {
        format!("In {} of them other weights changed, too, as they do in training.", cut.len() - only)
    };
    let revived: u64 = found.changes.iter().map(|change| change.revived).sum();
    let revived =
        if revived > 0 { format!(" {} zeros became weights.", number::grouped(revived)) } else { String::new() };
    let text = Block::Text(format!("{} tensors lost weights. {how}{revived}", cut.len()));
    if cut.len() > BARS {
        let kinds = kinds(before.survey);
        let values: Values = found.changes.iter().map(|change| (change.before, share(change))).collect();
        let chosen = mapped(tensors);
        let values = values.into_iter().filter(|(tensor, _)| chosen.contains(tensor)).collect();
        let (figure, links) = map("cuts", "Weights cut, %", Scale::Linear, &kinds, tensors, &values)?;
        return Ok(vec![text, Block::Figure(Box::new(figure), links)]);
    }
    let bar = |change: &&Change| {
        let label = match change.range.filter(|_| change.only_cut) {
            Some((_, high)) => format!("{:.1} %, |w| to {}", share(change), number::real(Some(high))),
            None => format!("{:.1} %", share(change)),
        };
        Bar {
            name: tensors[change.before].entry.name.clone(),
            value: share(change),
            reference: None,
            before: None,
            label,
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
        at_least: 140.0,
    };
    Ok(vec![text, Block::Figure(Box::new(drawn.draw()?), Vec::new())])
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
            })
        })
        .take(BARS)
        .collect();
    let mut blocks = Vec::new();
    if !bars.is_empty() {
        let drawn = Bars {
            name: "widths",
            title: "Output channels before (light) and after (dark)",
            what: "output channels",
            reference: None,
            bars: &bars,
            log: false,
            at_least: 0.0,
        };
        blocks.push(Block::Figure(Box::new(drawn.draw()?), Vec::new()));
    }
    let row = |change: &&Change| {
        let shape = |shape: &[u64]| number::shape(shape);
        let (was, is) = (&a[change.before].entry, &b[change.after].entry);
        let (n, m) = (was.statistics.count, is.statistics.count);
        let less = 100.0 * (n as f64 - m as f64) / n.max(1) as f64;
        vec![crate::escape(&was.name), shape(&was.shape), shape(&is.shape), format!("{less:.1} % fewer weights")]
    };
    let rows: Vec<Vec<String>> = resized.iter().take(LISTED).map(row).collect();
    let caption = match resized.len() - rows.len() {
        0 => format!("{} tensors of another shape", resized.len()),
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
    Ok(figures.into_iter().map(|figure| Block::Figure(Box::new(figure), Vec::new())).collect())
}

fn maps(before: &Model, after: &Model, found: &Comparison) -> Result<Vec<Block>> {
    let (tensors, kinds) = (&before.survey.tensors, kinds(before.survey));
    let chosen = mapped(tensors);
    let changes = || found.changes.iter().filter(|change| chosen.contains(&change.before));
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
        let values: Values = values;
        if !values.is_empty() {
            let (figure, links) = map(name, title, scale, &kinds, tensors, &values)?;
            blocks.push(Block::Figure(Box::new(figure), links));
        }
    }
    Ok(blocks)
}

fn only_one(before: &Model, after: &Model, found: &Comparison) -> Option<Section> {
    let list = |model: &Model, which: &[usize], caption: &str| {
        let row = |i: &usize| {
            let entry = &model.survey.tensors[*i].entry;
            vec![crate::escape(&entry.name), entry.dtype.to_string(), number::shape(&entry.shape)]
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
    let detail = Detail::for_tensors(2 * before.survey.tensors.len());
    let by_before: std::collections::HashMap<usize, &Change> =
        found.changes.iter().map(|change| (change.before, change)).collect();
    let (mut tensors, mut later, mut changes) = (Columns::default(), Columns::default(), Changes::default());
    for index in 0..before.survey.tensors.len() {
        let kind = kinds.places[index].0;
        let change = by_before.get(&index);
        let ranges = |model: &Model, i: usize| Ranges::of(&model.survey.tensors[i].entry.statistics);
        let among = change.map(|change| ranges(after, change.after));
        tensors.push(before.survey, index, kind, detail, among)?;
        match change {
            Some(change) => {
                let among = Some(ranges(before, index));
                later.push(after.survey, change.after, kind, detail, among)?;
            }
            None => later.push_none(),
        }
        changes.cut.push(change.map_or(0, |change| change.cut));
        changes.only_cut.push(change.is_some_and(|change| change.only_cut));
        changes.revived.push(change.map_or(0, |change| change.revived));
        let (low, high) = change.and_then(|change| change.range).unzip();
        changes.low.push(super::pack::short(low, 5));
        changes.high.push(super::pack::short(high, 5));
    }
    Ok(Data {
        detail,
        kinds: kinds.rows,
        rates: Vec::new(),
        thresholds: Vec::new(),
        tensors,
        after: Some(later),
        changes: Some(changes),
    })
}
