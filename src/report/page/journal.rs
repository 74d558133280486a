//! The section about a search.

use super::blocks::{Block, Fact, Section, Table};
use crate::Result;
use crate::report::figure::{Bar, Bars, Curve, Figure, Point, curve_svg, safe};
use crate::report::number;
use crate::search::{Phase, Recorded, Round};

/// Rows of rounds.
const ROUNDS: usize = 500;
/// Bars of units.
const UNITS: usize = 60;

pub(super) fn section(journal: &Recorded) -> Result<Section> {
    Ok(Section { id: "search", heading: "Search".to_owned(), blocks: blocks(journal)? })
}

/// The same as pictures.
pub(super) fn figures(journal: &Recorded, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
    super::only_figures(blocks(journal)?.into_iter(), each)
}

/// The name of the model that was searched.
pub(super) fn model_name(journal: &Recorded) -> String {
    let name = journal.model.first().and_then(|path| path.file_name());
    name.map_or_else(|| "a search".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn blocks(journal: &Recorded) -> Result<Vec<Block>> {
    let mut blocks = vec![Block::Facts(facts(journal))];
    let curve = curve(journal);
    let title = format!("{} against what was cut", journal.metric);
    let figure = Figure {
        name: "curve".to_owned(),
        title: safe(&title, 90),
        description: "The metric of every candidate against the share that was cut.".to_owned(),
        svg: curve_svg(&curve)?,
    };
    blocks.push(Block::figure(figure));
    if journal.best.is_some() && !journal.units.is_empty() {
        blocks.push(Block::figure(rates(journal)?));
    }
    blocks.push(Block::Table(rounds(journal)));
    Ok(blocks)
}

fn saved(journal: &Recorded, round: &Round) -> f64 {
    journal.save.of(&round.saved()).unwrap_or(f64::NAN)
}

fn metric(journal: &Recorded, value: Option<f64>) -> String {
    match value {
        Some(value) if journal.is_share => format!("{:.2} %", 100.0 * value),
        value => number::real(value),
    }
}

fn facts(journal: &Recorded) -> Vec<Fact> {
    let of_phase = |phase: Phase| journal.rounds.iter().filter(move |round| round.phase == phase);
    let baseline = of_phase(Phase::Baseline).next().and_then(|round| round.metric);
    let best = journal.best.map(|best| &journal.rounds[best]);
    let seconds: f64 = journal.rounds.iter().map(|round| round.seconds).sum();
    let rounds = journal.rounds.iter().filter(|round| round.phase != Phase::Test).count();
    let what = if journal.lower_is_better { "ceiling" } else { "floor" };
    let mut facts = vec![
        Fact::new("unpruned", metric(journal, baseline)).note(safe(&journal.metric, 60)),
        Fact::new(what, metric(journal, journal.floor)).note("what had to be kept"),
        Fact::new("rounds", number::grouped(rounds as u64)).note(format!("{seconds:.1} s")),
    ];
    match best {
        Some(best) => {
            let cut = |share: f64| format!("{:.2} %", 100.0 * share);
            facts.push(Fact::new("chosen", metric(journal, best.metric)).note(format!("round {}", best.round)));
            let note = format!("{} in all", cut(best.params));
            facts.push(Fact::new(journal.save.removed(journal.channels), cut(saved(journal, best))).note(note));
            if let Some(macs) = best.macs {
                facts.push(Fact::new("operations saved", cut(macs)));
            }
        }
        None => facts.push(Fact::new("chosen", "nothing").note("no candidate keeps what had to be kept")),
    }
    if let Some(test) = of_phase(Phase::Test).next_back() {
        facts.push(Fact::new("test set", metric(journal, test.metric)).note("which chose nothing"));
    }
    facts
}

fn curve(journal: &Recorded) -> Curve {
    let point = |(index, round): (usize, &Round)| Point {
        round: round.round,
        saved: saved(journal, round),
        metric: round.metric.unwrap_or(f64::NAN),
        kept: round.accepted,
        best: journal.best == Some(index),
        test: round.phase == Phase::Test,
    };
    Curve {
        title: model_name(journal),
        metric_name: journal.metric.clone(),
        percent: journal.is_share,
        saved_name: journal.save.removed(journal.channels).to_owned(),
        higher_is_better: !journal.lower_is_better,
        baseline: journal.rounds.first().and_then(|round| round.metric).unwrap_or(f64::NAN),
        floor: journal.floor.unwrap_or(f64::NAN),
        points: journal.rounds.iter().enumerate().map(point).collect(),
    }
}

fn rates(journal: &Recorded) -> Result<Figure> {
    let bar = |unit: &crate::search::SearchedUnit| {
        let share = 100.0 * unit.cut as f64 / unit.size.max(1) as f64;
        let label = format!("{share:.1} % of {}", number::count(unit.size));
        Bar { name: unit.name.clone(), value: share, reference: None, before: None, label, tensor: None }
    };
    let bars: Vec<Bar> = journal.units.iter().take(UNITS).map(bar).collect();
    let title = match journal.units.len() - bars.len() {
        0 => "What the chosen candidate cuts of each layer".to_owned(),
        more => format!("What the chosen candidate cuts of each layer ({more} more are not shown)"),
    };
    let what = if journal.channels { "channels cut, %" } else { "weights cut, %" };
    Bars { name: "rates", title: &title, what, reference: None, bars: &bars, log: false, at_least: 125.0 }.draw()
}

fn rounds(journal: &Recorded) -> Table {
    let row = |(index, round): (usize, &Round)| {
        let outcome = match () {
            () if journal.best == Some(index) => "chosen",
            () if round.accepted => "accepted",
            () if round.held => "kept",
            () => "rejected",
        };
        let outcome = if matches!(round.phase, Phase::Baseline | Phase::Test) { "" } else { outcome };
        vec![
            round.round.to_string(),
            round.phase.name().to_owned(),
            format!("{:.2} %", 100.0 * saved(journal, round)),
            metric(journal, round.metric),
            number::real(round.loss),
            outcome.to_owned(),
            format!("{:.1}", round.seconds),
        ]
    };
    let rows: Vec<Vec<String>> = journal.rounds.iter().enumerate().take(ROUNDS).map(row).collect();
    let caption = match journal.rounds.len() - rows.len() {
        0 => "Rounds".to_owned(),
        more => format!("The first {ROUNDS} rounds; {more} more are in rounds.jsonl"),
    };
    let head = vec!["round", "for", "cut", "metric", "loss", "outcome", "seconds"];
    Table { caption, head, rows }
}
