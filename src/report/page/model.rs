//! The sections about one model.

use super::Model;
use super::blocks::{Block, Fact, Section, Table};
use super::kinds::Kinds;
use super::maps::{self, Values};
use super::tensors::{Columns, Data, Detail, Ranges, kinds};
use super::whole::{Histograms, at_magnitude};
use crate::Result;
use crate::report::figure::{Bar, Bars, Figure, Line, Lines, Scale, safe, strip};
use crate::report::number;
use crate::survey::{Prospects, SurveyedTensor, prospects};

/// The rates whose cuts are foretold.
const RATES: [f64; 4] = [0.3, 0.5, 0.7, 0.9];
/// The one of them that has a map.
const HALF: usize = 1;
/// Bars of outliers.
const OUTLIERS: usize = 20;
/// Rows of what is not analysed.
const SKIPPED: usize = 200;

/// What a page says of one model.
pub(super) fn sections(model: &mut Model) -> Result<(Vec<Section>, Data)> {
    let kinds = kinds(model.survey);
    let found = prospects(model.survey, &model.eligible(), &RATES)?;
    let mut sections = vec![
        Section { id: "totals", heading: "Totals".to_owned(), blocks: totals(model) },
        Section { id: "histogram", heading: "Weights".to_owned(), blocks: histograms(model, &found)? },
        Section { id: "layers", heading: "Layers".to_owned(), blocks: layers(model, &kinds)? },
        Section { id: "outliers", heading: "Outliers".to_owned(), blocks: outliers(model)? },
        Section {
            id: "prospects",
            heading: "What pruning would cut".to_owned(),
            blocks: foretold(model, &found, &kinds)?,
        },
        Section {
            id: "tensors",
            heading: "Tensors".to_owned(),
            blocks: vec![
                Block::Text("Sort by the headings; a name opens the tensor's histograms and channels.".to_owned()),
                Block::Tensors { compared: false },
            ],
        },
    ];
    sections.extend(not_analysed(model));
    let detail = Detail::for_tensors(model.survey.tensors.len());
    let mut columns = Columns::default();
    for index in 0..model.survey.tensors.len() {
        columns.push(model.survey, index, Some(kinds.places[index].0), detail, None)?;
    }
    columns.push_prospects(&found, &model.left_out, detail);
    let data = Data { detail, kinds: kinds.rows, rates: RATES.to_vec(), tensors: columns, after: None, changes: None };
    Ok((sections, data))
}

/// The same as pictures: those of the model, and those of each of its tensors.
pub(super) fn figures(model: &mut Model, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
    let kinds = kinds(model.survey);
    let found = prospects(model.survey, &model.eligible(), &RATES)?;
    let blocks =
        [histograms(model, &found)?, layers(model, &kinds)?, outliers(model)?, foretold(model, &found, &kinds)?];
    super::only_figures(blocks.into_iter().flatten(), each)?;
    for index in 0..model.survey.tensors.len() {
        tensor_figures(model, index, each)?;
    }
    Ok(())
}

/// What names of the pictures of a tensor begin with.
pub(super) fn prefix(index: usize, name: &str) -> String {
    format!("tensors/{:05}-{}-", index + 1, file_name(name))
}

fn tensor_figures(model: &mut Model, index: usize, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
    let tensor = &model.survey.tensors[index];
    let (name, ranges) = (tensor.entry.name.clone(), Ranges::of(&tensor.entry.statistics));
    let prefix = prefix(index, &name);
    let channels = tensor.channels.clone();
    for figure in Histograms::of_tensor(model.survey, index, &ranges)?.figures(&prefix, &name, None, &[])? {
        each(figure)?;
    }
    match channels {
        Some(channels) => each(strip(&format!("{prefix}channels"), &format!("{name}: channels"), &channels)?),
        None => Ok(()),
    }
}

/// `1 tensor`, `2 tensors`.
pub(super) fn plural(count: usize, what: &str) -> String {
    format!("{} {what}{}", number::grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// A name that every file system takes, and nothing that leaves a folder.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    name.chars().map(plain).take(80).collect()
}

pub(super) fn totals(model: &Model) -> Vec<Block> {
    let (survey, s) = (&model.survey, &model.survey.total);
    let mut dtypes: Vec<(String, u64)> = Vec::new();
    for tensor in &survey.tensors {
        let dtype = tensor.entry.dtype.to_string();
        match dtypes.iter_mut().find(|(known, _)| *known == dtype) {
            Some((_, count)) => *count += tensor.entry.statistics.count,
            None => dtypes.push((dtype, tensor.entry.statistics.count)),
        }
    }
    let dtypes: Vec<String> =
        dtypes.iter().map(|(name, n)| format!("{name} {}", number::percent(*n, s.count))).collect();
    let skipped = survey.skipped.len();
    let skipped = if skipped > 0 { format!("{skipped} more are not analysed") } else { String::new() };
    let zeros = s.zeros.unwrap_or(0);
    let (sigma, real) = (s.variance.map(f64::sqrt), number::real);
    let dead: u64 = survey.tensors.iter().filter_map(|t| t.channels.as_ref()).map(|channels| channels.dead).sum();
    let mut facts = vec![
        Fact::new("weights", number::count(s.count)).note(number::grouped(s.count)),
        Fact::new("tensors", number::grouped(survey.tensors.len() as u64)).note(skipped),
        Fact::new("files", number::bytes(model.file_bytes)).note(dtypes.join(", ")),
        Fact::new("zeros", number::percent(zeros, s.count)).note(number::grouped(zeros)),
        Fact::new("as a bitmask", number::bytes(bitmask_bytes(&survey.tensors)))
            .note("what the analysed weights would take without their zeros, where that is less"),
        Fact::new("mean", real(s.mean)),
        Fact::new("standard deviation", real(sigma)).note(format!("variance {}", real(s.variance))),
        Fact::new("skewness", number::shape_measure(s.skewness)),
        Fact::new("kurtosis", number::shape_measure(s.kurtosis)).note("0 for a normal distribution"),
        Fact::new("range", format!("{} to {}", real(s.min), real(s.max))),
        Fact::new("dead channels", number::grouped(dead)).note("output channels of zeros alone"),
    ];
    if s.nan + s.inf > 0 {
        let (nan, inf) = (number::grouped(s.nan), number::grouped(s.inf));
        facts.push(Fact::new("not finite", number::count(s.nan + s.inf)).note(format!("{nan} NaN, {inf} inf")));
    }
    let engine = format!("Computed on the {}: {}.", model.engine.kind, model.engine.name);
    vec![Block::Facts(facts), Block::Text(engine)]
}

/// What weights would take as a mask of bits and the weights that are not 0, or as they are, where that is less.
pub(super) fn bitmask_bytes(tensors: &[SurveyedTensor]) -> u64 {
    let of = |tensor: &SurveyedTensor| {
        let s = &tensor.entry.statistics;
        let width = tensor.bytes.checked_div(s.count).unwrap_or(0);
        tensor.bytes.min(s.count.div_ceil(8) + (s.count - s.zeros.unwrap_or(0)) * width)
    };
    tensors.iter().map(of).sum()
}

fn histograms(model: &mut Model, found: &Prospects) -> Result<Vec<Block>> {
    let ranges = Ranges::of(&model.survey.total);
    let marks = found.rates.iter().zip(&found.thresholds);
    let marks = marks.filter(|(rate, _)| [0.5, 0.9].contains(*rate)).filter_map(|(rate, threshold)| {
        let threshold = (*threshold)?;
        let label = format!("{:.0} % would go below {} (global)", 100.0 * rate, number::real(Some(threshold)));
        at_magnitude(threshold, label)
    });
    let marks: Vec<_> = marks.collect();
    let name = safe(&model.name, 60);
    let figures = Histograms::of(model.survey, &ranges)?.figures("", &name, None, &marks)?;
    Ok(figures.into_iter().map(Block::figure).collect())
}

/// Tensors that maps show: those of two axes and more, or all where there are none.
pub(super) fn mapped(tensors: &[SurveyedTensor]) -> Vec<usize> {
    let of = |least: usize| {
        let enough = |i: &usize| tensors[*i].entry.shape.len() >= least && tensors[*i].entry.statistics.count > 0;
        (0..tensors.len()).filter(enough).collect::<Vec<_>>()
    };
    Some(of(2)).filter(|found| !found.is_empty()).unwrap_or_else(|| of(0))
}

fn layers(model: &Model, kinds: &Kinds) -> Result<Vec<Block>> {
    let tensors = &model.survey.tensors;
    let chosen = mapped(tensors);
    if chosen.is_empty() {
        return Ok(vec![Block::Text("There is no tensor with weights.".to_owned())]);
    }
    let values = |value: &dyn Fn(&SurveyedTensor) -> Option<f64>| -> Values {
        chosen.iter().filter_map(|i| Some((*i, value(&tensors[*i])?))).collect()
    };
    let sparsity = |t: &SurveyedTensor| Some(t.entry.statistics.zeros? as f64 / t.entry.statistics.count as f64);
    let mut blocks = vec![Block::Text(
        "A row is a kind of layer, a column a depth. Of tensors that share a place, the one that is farthest from the \
         others of its kind is shown. Biases and norms are left out where there are matrices."
            .to_owned(),
    )];
    for (name, title, scale, values) in [
        ("map-variance", "Variance", Scale::Log, values(&|t| t.entry.statistics.variance)),
        ("map-skewness", "Skewness", Scale::Signed, values(&|t| t.entry.statistics.skewness)),
        ("map-kurtosis", "Kurtosis", Scale::Signed, values(&|t| t.entry.statistics.kurtosis)),
        ("map-sparsity", "Sparsity: share of zeros", Scale::Linear, values(&sparsity)),
    ] {
        blocks.extend(maps::block(name, title, scale, kinds, tensors, &values)?);
    }
    Ok(blocks)
}

fn outliers(model: &Model) -> Result<Vec<Block>> {
    let ratio = |tensor: &SurveyedTensor| {
        let s = &tensor.entry.statistics;
        let sigma = s.variance?.sqrt();
        // Of a few values the largest says little.
        (s.count >= 16 && sigma > 0.0).then_some((s.abs_max? / sigma, s.count))
    };
    let tensors = &model.survey.tensors;
    // A norm's weights lie about 1, not about 0: their σ says nothing of how far out they are.
    let mut found: Vec<(usize, f64, u64)> = mapped(tensors)
        .into_iter()
        .filter_map(|i| ratio(&tensors[i]).map(|(ratio, count)| (i, ratio, count)))
        .collect();
    found.retain(|(_, ratio, _)| ratio.is_finite());
    // By how much they exceed what is to be expected of as many weights.
    let expected = |count: u64| (2.0 * (count as f64).ln()).sqrt();
    found.sort_by(|a, b| (b.1 / expected(b.2)).total_cmp(&(a.1 / expected(a.2))));
    if found.is_empty() {
        return Ok(vec![Block::Text("No tensor has a standard deviation to compare with.".to_owned())]);
    }
    let bar = |(i, ratio, count): &(usize, f64, u64)| Bar {
        name: tensors[*i].entry.name.clone(),
        value: *ratio,
        reference: Some(expected(*count)),
        before: None,
        label: format!("{ratio:.1} σ"),
        tensor: Some(*i),
    };
    let bars: Vec<Bar> = found.iter().take(OUTLIERS).map(bar).collect();
    let figure = Bars {
        name: "outliers",
        title: "Largest |w| against σ",
        what: "largest |w| in standard deviations of its tensor, logarithmic",
        reference: Some("what the largest of as many normal weights would be"),
        bars: &bars,
        log: true,
        at_least: 0.0,
    };
    Ok(vec![
        Block::Text(format!(
            "The largest weight of each tensor beside what the largest of as many normally distributed weights would be, \
             √(2 ln n) σ: the {} tensors where it is most in comparison. Weights far beyond that suffer most from coarse \
             quantization, and are last to be cut by magnitude.",
            bars.len()
        )),
        Block::figure(figure.draw()?),
    ])
}

fn foretold(model: &Model, found: &Prospects, kinds: &Kinds) -> Result<Vec<Block>> {
    let mut eligible: Vec<usize> = (0..found.tensors.len()).filter(|i| found.tensors[*i].is_some()).collect();
    // Neighbours are alike: lines are smooth, and what stands out does.
    eligible.sort_by_key(|i| kinds.places[*i]);
    if eligible.is_empty() {
        return Ok(vec![Block::Text("No tensor here is one that pruning would cut.".to_owned())]);
    }
    let counts = |i: usize| model.survey.tensors[i].entry.statistics.count;
    let share = |i: usize, rate: usize| {
        let cut = found.tensors[i].as_ref().and_then(|t| t.global.get(rate)).map_or(0, |cut| cut.cut);
        cut as f64 / counts(i).max(1) as f64
    };
    // Where the kind changes, a line would join what does not belong together.
    let kind = |i: &usize| kinds.places[*i].0;
    let breaks: Vec<usize> =
        (1..eligible.len()).filter(|place| kind(&eligible[*place]) != kind(&eligible[place - 1])).collect();
    let lines: Vec<Line> = found
        .rates
        .iter()
        .enumerate()
        .map(|(rate, value)| Line {
            name: format!("{:.0} %", 100.0 * value),
            values: eligible.iter().map(|i| 100.0 * share(*i, rate)).collect(),
            level: Some(100.0 * value),
        })
        .collect();
    let row = |rate: usize| {
        let of = |better: fn(&f64, &f64) -> std::cmp::Ordering| {
            let by = |a: &&usize, b: &&usize| better(&share(**a, rate), &share(**b, rate));
            let tensor = eligible.iter().max_by(by).copied().unwrap_or(0);
            let name = &model.survey.tensors[tensor].entry.name;
            format!("{:.1} % of {}", 100.0 * share(tensor, rate), safe(name, 160))
        };
        let cut: u64 = found.tensors.iter().flatten().map(|t| t.global.get(rate).map_or(0, |cut| cut.cut)).sum();
        vec![
            format!("{:.0} %", 100.0 * found.rates[rate]),
            number::grouped(cut),
            number::real(found.thresholds[rate]),
            of(f64::total_cmp),
            of(|a, b| b.total_cmp(a)),
        ]
    };
    let table = Table {
        caption: "A global rate".to_owned(),
        head: vec!["rate", "weights cut", "largest |w| cut", "most of", "least of"],
        rows: (0..found.rates.len()).map(row).collect(),
    };
    let names: Vec<String> = eligible
        .iter()
        .take(5)
        .map(|i| format!("{} {:.1} %", model.survey.tensors[*i].entry.name, 100.0 * share(*i, HALF)))
        .collect();
    let description = format!(
        "Share cut of each of {} tensors by kind and depth, under a global rate of 30, 50, 70 and 90 %. At 50 %: {}.",
        eligible.len(),
        safe(&names.join(", "), 600)
    );
    let figure = Lines {
        name: "prospects",
        title: "What a global rate would cut of each tensor",
        description: &description,
        x: "eligible tensor, by kind and depth",
        y: "weights cut, %",
        to: 100.0,
        breaks: &breaks,
        lines: &lines,
    };
    let wide = |i: &&usize| model.survey.tensors[**i].entry.dtype == crate::Dtype::F64;
    let known = if eligible.iter().any(|i| wide(&i)) { "1/16" } else { "1/128" };
    let exact = if found.exact {
        "These numbers are exact: all eligible weights have at most 16 bits, and their values were counted.".to_owned()
    } else {
        format!(
            "Weights of more than 16 bits were counted by their upper 16, so that thresholds are known to {known} of \
             themselves, and what a global rate cuts of a tensor but for its weights that close to the threshold."
        )
    };
    let text = format!(
        "By magnitude, of the {} weights that pruning takes into account ({} tensors). Uniform cuts the same share of every \
         tensor; global takes the smallest weights wherever they are, and so cuts layers of small weights more. {exact}",
        number::grouped(found.eligible),
        eligible.len()
    );
    let half: Values = eligible.iter().map(|i| (*i, share(*i, HALF))).collect();
    let title = "Share cut of each by a global 50 %";
    let map = maps::block("map-global", title, Scale::Linear, kinds, &model.survey.tensors, &half)?;
    let mut blocks = vec![Block::Text(text), Block::figure(figure.draw()?)];
    blocks.extend(map);
    blocks.push(Block::Table(table));
    Ok(blocks)
}

pub(super) fn not_analysed(model: &Model) -> Option<Section> {
    let skipped = &model.survey.skipped;
    if skipped.is_empty() {
        return None;
    }
    let row =
        |tensor: &crate::stats::Skipped| vec![safe(&tensor.name, 160), tensor.dtype.to_string(), tensor.reason.clone()];
    let rows: Vec<Vec<String>> = skipped.iter().take(SKIPPED).map(row).collect();
    let caption = match skipped.len() - rows.len() {
        0 => plural(skipped.len(), "tensor"),
        more => format!("{} tensors, of which {more} are not listed", skipped.len()),
    };
    let table = Table { caption, head: vec!["name", "dtype", "why"], rows };
    Some(Section { id: "skipped", heading: "Not analysed".to_owned(), blocks: vec![Block::Table(table)] })
}
