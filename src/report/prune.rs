//! What a prune has done, as text.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use super::Look;
use super::number::{bytes, count, grouped, percent, real};
use super::text::{shorten, width};
use crate::escape;
use crate::prune::Summary;

/// How the summary of a prune is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PruneFormat {
    /// For people.
    #[default]
    Table,
    /// One object.
    Json,
}

impl fmt::Display for PruneFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Json => "json",
        })
    }
}

impl FromStr for PruneFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err("expected table or json".to_owned()),
        }
    }
}

impl PruneFormat {
    /// Writes `summary`; a table takes the width that `look` says.
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn write(self, out: &mut dyn Write, summary: &Summary, look: Look) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, summary)?;
                writeln!(out)
            }
            Self::Table => match &summary.channels {
                Some(channels) => super::channels::table(out, summary, channels, look.width),
                None => table(out, summary, look.width),
            },
        }
    }
}

/// Columns after the name: heading and width.
const COLUMNS: [(&str, usize); 5] = [("count", 7), ("cut", 7), ("share", 6), ("zeros", 6), ("threshold", 10)];
/// What they take, with the gaps before them.
const OTHERS: usize = 7 + 7 + 6 + 6 + 10 + 5 * 2;
/// A name that has to shrink keeps this many cells.
const LEAST_NAME: usize = 12;

fn table(out: &mut dyn Write, summary: &Summary, limit: Option<usize>) -> io::Result<()> {
    let most = limit.map_or(usize::MAX, |limit| limit.saturating_sub(OTHERS).max(LEAST_NAME));
    let names: Vec<String> = summary.tensors.iter().map(|t| shorten(&escape(&t.name), most)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0).max("total".len());
    let row = |out: &mut dyn Write, name: &str, cells: [String; 5]| {
        let mut line = format!("{name}{}", " ".repeat(widest - width(name)));
        for (cell, (_, wide)) in cells.iter().zip(COLUMNS) {
            line.extend(["  ", &" ".repeat(wide.saturating_sub(width(cell))), cell]);
        }
        writeln!(out, "{}", line.trim_end())
    };
    let rule = "─".repeat(widest + COLUMNS.iter().map(|(_, wide)| wide + 2).sum::<usize>());
    row(out, "name", COLUMNS.map(|(heading, _)| heading.to_owned()))?;
    writeln!(out, "{rule}")?;
    for (t, name) in summary.tensors.iter().zip(&names) {
        let cells = [
            count(t.count),
            count(t.cut),
            percent(t.cut, t.count),
            percent(t.zeros_after.unwrap_or(0), t.count),
            real(t.threshold),
        ];
        row(out, name, cells)?;
    }
    writeln!(out, "{rule}")?;
    let total = &summary.total;
    let zeros = summary.tensors.iter().filter_map(|t| t.zeros_after).sum();
    let cells = [
        count(total.count),
        count(total.cut),
        percent(total.cut, total.count),
        percent(zeros, total.count),
        String::new(),
    ];
    row(out, "total", cells)?;
    writeln!(out)?;
    let seconds = summary.seconds;
    writeln!(
        out,
        "{} of {} weights cut in {}, {} in {seconds:.2} s",
        grouped(total.cut),
        grouped(total.count),
        tensors(summary.tensors.len()),
        bytes(total.bytes_after),
    )?;
    writeln!(out, "{}: {}", summary.engine.kind, escape(&summary.engine.name))?;
    left_out(out, summary, limit)
}

/// For each reason a line with some of the names, or two where one is too short.
fn left_out(out: &mut dyn Write, summary: &Summary, limit: Option<usize>) -> io::Result<()> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for left in &summary.left_out {
        let index = *known.entry(&left.reason).or_insert(reasons.len());
        match reasons.get_mut(index) {
            Some((_, names)) => names.push(&left.name),
            None => reasons.push((&left.reason, vec![&left.name])),
        }
    }
    let limit = limit.unwrap_or(usize::MAX);
    for (reason, names) in reasons {
        let line = format!("{} left out: {}:", tensors(names.len()), escape(reason));
        let shown: Vec<String> = names.iter().take(3).map(|name| shorten(&escape(name), 40)).collect();
        let more = |shown: usize| match names.len() - shown {
            0 => String::new(),
            others => format!(" and {} more", grouped(others as u64)),
        };
        let list = |n: usize| format!("{}{}", shown[..n].join(", "), more(n));
        let fits = |room: usize| (1..=shown.len()).rev().map(list).find(|list| width(list) <= room);
        if let Some(list) = fits(limit.saturating_sub(width(&line) + 1)) {
            writeln!(out, "{line} {list}")?;
        } else {
            writeln!(out, "{line}\n  {}", fits(limit.saturating_sub(2)).unwrap_or_else(|| list(1)))?;
        }
    }
    Ok(())
}

fn tensors(n: usize) -> String {
    format!("{} tensor{}", grouped(n as u64), if n == 1 { "" } else { "s" })
}
