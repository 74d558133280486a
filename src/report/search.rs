//! What a search has come to, as text.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::number::{UNDEFINED, count, grouped, percent};
use super::text::{shorten, width};
use super::{Look, PruneFormat};
use crate::escape;
use crate::search::{Found, Phase, Round};

/// Columns after the name: heading and width.
const COLUMNS: [(&str, usize); 3] = [("size", 7), ("cut", 7), ("share", 7)];
/// What they take, with the gaps before them.
const OTHERS: usize = 7 + 7 + 7 + 3 * 2;
/// A name that has to shrink keeps this many cells.
const LEAST_NAME: usize = 12;

impl PruneFormat {
    /// Writes what a search has come to; a table takes the width that `look` says.
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn write_search(self, out: &mut dyn Write, found: &Found, look: Look) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, &Json::of(found))?;
                writeln!(out)
            }
            Self::Table => table(out, found, look.width),
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    baseline: Option<f64>,
    baseline_test_metric: Option<f64>,
    floor: f64,
    parameters: u64,
    macs: Option<u64>,
    best: Option<Best<'a>>,
    rounds: Vec<Row<'a>>,
    evaluations: u32,
    seconds: f64,
}

#[derive(Serialize)]
struct Best<'a> {
    round: u32,
    metric: Option<f64>,
    loss: Option<f64>,
    test_metric: Option<f64>,
    sparsity: f64,
    /// Those that are left.
    params: u64,
    macs: Option<u64>,
    rates: BTreeMap<&'a str, f64>,
}

#[derive(Serialize)]
struct Row<'a> {
    round: u32,
    phase: &'a str,
    sparsity: f64,
    params: u64,
    macs: Option<u64>,
    metric: Option<f64>,
    loss: Option<f64>,
    accepted: bool,
    seconds: f64,
}

/// How many are left where that share is gone.
fn left(whole: u64, gone: f64) -> u64 {
    whole.saturating_sub((whole as f64 * gone).round() as u64)
}

fn macs_left(found: &Found, round: &Round) -> Option<u64> {
    Some(left(found.macs?, round.macs?))
}

impl<'a> Json<'a> {
    fn of(found: &'a Found) -> Self {
        let rate = |cut: u64, size: u64| if size == 0 { 0.0 } else { cut as f64 / size as f64 };
        let best = |round: &Round| Best {
            round: round.round,
            metric: round.metric,
            loss: round.loss,
            test_metric: found.test.and_then(|(_, best)| best),
            sparsity: round.sparsity,
            params: left(found.parameters, round.params),
            macs: macs_left(found, round),
            rates: found.units.iter().map(|unit| (unit.name.as_str(), rate(unit.cut, unit.size))).collect(),
        };
        let row = |round: &'a Round| Row {
            round: round.round,
            phase: round.phase.name(),
            sparsity: round.sparsity,
            params: left(found.parameters, round.params),
            macs: macs_left(found, round),
            metric: round.metric,
            loss: round.loss,
            accepted: round.accepted,
            seconds: round.seconds,
        };
        Self {
            baseline: found.rounds.first().and_then(|round| round.metric),
            baseline_test_metric: found.test.and_then(|(model, _)| model),
            floor: found.floor,
            parameters: found.parameters,
            macs: found.macs,
            best: found.best_round().map(best),
            rounds: found.rounds.iter().filter(|round| round.phase != Phase::Test).map(row).collect(),
            evaluations: found.evaluations,
            seconds: found.seconds,
        }
    }
}

/// A row a unit, and what it came to.
fn table(out: &mut dyn Write, found: &Found, limit: Option<usize>) -> io::Result<()> {
    let (Some(baseline), Some(best)) = (found.rounds.first(), found.best_round()) else { return Ok(()) };
    let most = limit.map_or(usize::MAX, |limit| limit.saturating_sub(OTHERS).max(LEAST_NAME));
    let names: Vec<String> = found.units.iter().map(|unit| shorten(&escape(&unit.name), most)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0).max("total".len());
    let row = |out: &mut dyn Write, name: &str, cells: [String; 3]| {
        let mut line = format!("{name}{}", " ".repeat(widest - width(name)));
        for (cell, (_, wide)) in cells.iter().zip(COLUMNS) {
            line.extend(["  ", &" ".repeat(wide.saturating_sub(width(cell))), cell]);
        }
        writeln!(out, "{}", line.trim_end())
    };
    let rule = "─".repeat(widest + COLUMNS.iter().map(|(_, wide)| wide + 2).sum::<usize>());
    row(out, "unit", COLUMNS.map(|(heading, _)| heading.to_owned()))?;
    writeln!(out, "{rule}")?;
    for (unit, name) in found.units.iter().zip(&names) {
        row(out, name, [count(unit.size), count(unit.cut), percent(unit.cut, unit.size)])?;
    }
    let sum = |of: fn(&crate::search::SearchedUnit) -> u64| found.units.iter().map(of).fold(0, u64::saturating_add);
    let (size, cut) = (sum(|unit| unit.size), sum(|unit| unit.cut));
    writeln!(out, "{rule}")?;
    row(out, "total", [count(size), count(cut), percent(cut, size)])?;
    writeln!(out)?;
    let figure = |value: Option<f64>| value.map_or_else(|| UNDEFINED.to_owned(), number);
    writeln!(
        out,
        "metric      {} → {}  (to keep: {})",
        figure(baseline.metric),
        figure(best.metric),
        number(found.floor)
    )?;
    if let Some((model, pruned)) = found.test {
        writeln!(out, "test        {} → {}", figure(model), figure(pruned))?;
    }
    let change = |what: &str, before: u64, gone: f64| {
        let after = left(before, gone);
        let share = percent(before - after, before);
        format!("{what:<12}{} → {}  ({share} less)", grouped(before), grouped(after))
    };
    writeln!(out, "{}", change("parameters", found.parameters, best.params))?;
    if let (Some(before), Some(gone)) = (found.macs, best.macs) {
        writeln!(out, "{}", change("MACs", before, gone))?;
    }
    let (phase, round) = (best.phase.name(), best.round);
    writeln!(out, "{} evaluations in {:.1} s; best: round {round} ({phase})", found.evaluations, found.seconds)
}

/// Up to six digits after the point, those that say something.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) {
        return format!("{value:.4e}");
    }
    let text = format!("{value:.6}");
    let short = text.trim_end_matches('0');
    // Accuracies line up with four.
    let least = short.find('.').map_or(short.len(), |point| point + 5);
    text.get(..least.max(short.len())).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in
            [(0.9935, "0.9935"), (1.0, "1.0000"), (0.98, "0.9800"), (0.123_456_7, "0.123457"), (0.0, "0.0000")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!((number(1e-9).as_str(), number(-12345678.0).as_str()), ("1.0000e-9", "-1.2346e7"));
    }
}
