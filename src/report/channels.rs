//! What deleting channels has done, as text.

use std::io::{self, Write};

use super::number::{bytes, count, grouped, percent};
use super::text::{shorten, width};
use crate::escape;
use crate::prune::{Channels, Summary};

/// Columns after the name: heading, and whether it starts at its left edge.
const HEADINGS: [&str; 4] = ["operator", "channels", "parameters", "MACs"];
/// A name that has to shrink keeps this many cells.
const LEAST_NAME: usize = 12;

/// A row a layer, the whole, and what could not be cut.
pub(super) fn table(
    out: &mut dyn Write,
    summary: &Summary,
    channels: &Channels,
    limit: Option<usize>,
) -> io::Result<()> {
    let mut rows: Vec<(String, [String; 4])> = Vec::with_capacity(channels.layers.len() + 1);
    for layer in &channels.layers {
        let width = match (layer.outputs_before, layer.outputs_after) {
            (Some(before), Some(after)) => change(before, after),
            _ => String::new(),
        };
        let macs = match (layer.cost.macs_before, layer.cost.macs_after) {
            (Some(0), _) => String::new(),
            (Some(before), Some(after)) => change(before, after),
            _ => "?".to_owned(),
        };
        let parameters = change(layer.cost.parameters_before, layer.cost.parameters_after);
        rows.push((escape(&layer.cost.name), [escape(&layer.operator), width, parameters, macs]));
    }
    let cost = &channels.cost;
    let macs = match (cost.macs_before, cost.macs_after) {
        (Some(before), Some(after)) => change(before, after),
        _ => "?".to_owned(),
    };
    let total = [String::new(), String::new(), change(cost.parameters_before, cost.parameters_after), macs];
    rows.push(("total".to_owned(), total));
    let column =
        |i: usize| rows.iter().map(|(_, cells)| width(&cells[i])).chain([width(HEADINGS[i])]).max().unwrap_or(0);
    let columns = [0, 1, 2, 3].map(column);
    let others: usize = columns.iter().map(|wide| wide + 2).sum();
    let most = limit.map_or(usize::MAX, |limit| limit.saturating_sub(others).max(LEAST_NAME));
    let names: Vec<String> = rows.iter().map(|(name, _)| shorten(name, most)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0).max("layer".len());
    let row = |out: &mut dyn Write, name: &str, cells: &[String; 4]| {
        let mut line = format!("{name}{}", " ".repeat(widest - width(name)));
        for (i, cell) in cells.iter().enumerate() {
            let gap = " ".repeat(columns[i] - width(cell));
            // Words start at the left, numbers end at the right.
            line.extend(if i == 0 { ["  ", cell, &gap] } else { ["  ", &gap, cell] });
        }
        writeln!(out, "{}", line.trim_end())
    };
    let rule = "─".repeat(widest + others);
    row(out, "layer", &HEADINGS.map(str::to_owned))?;
    writeln!(out, "{rule}")?;
    for (i, ((_, cells), name)) in rows.iter().zip(&names).enumerate() {
        if i + 1 == rows.len() {
            writeln!(out, "{rule}")?;
        }
        row(out, name, cells)?;
    }
    writeln!(out)?;
    let (now, kept) =
        channels.classes.iter().fold((0, 0), |(now, kept), class| (now + class.channels, kept + class.kept));
    let share = |before: u64, after: u64| percent(before.saturating_sub(after), before);
    let macs = match (cost.macs_before, cost.macs_after) {
        (Some(before), Some(after)) => format!(", {} of the operations", share(before, after)),
        _ => String::new(),
    };
    writeln!(
        out,
        "{} of {} channels deleted: {} of the parameters{macs}",
        grouped(now - kept),
        grouped(now),
        share(cost.parameters_before, cost.parameters_after),
    )?;
    let total = &summary.total;
    let (before, after) = (bytes(total.bytes_before), bytes(total.bytes_after));
    writeln!(out, "{before} → {after} in {:.2} s", summary.seconds)?;
    writeln!(out, "{}: {}", summary.engine.kind, escape(&summary.engine.name))?;
    kept_whole(out, channels)
}

/// `20 → 14`, or the number that stays.
fn change(before: u64, after: u64) -> String {
    if before == after { count(before) } else { format!("{} → {}", count(before), count(after)) }
}

/// A line for each class that stays whole: what it is, and why.
fn kept_whole(out: &mut dyn Write, channels: &Channels) -> io::Result<()> {
    let mut whole = channels.classes.iter().filter_map(|class| Some((class, class.whole.as_ref()?))).peekable();
    if whole.peek().is_some() {
        writeln!(out, "\nleft whole:")?;
    }
    whole.try_for_each(|(class, why)| {
        writeln!(out, "  {} ({}): {}", escape(&class.name), grouped(class.channels), escape(why))
    })
}
