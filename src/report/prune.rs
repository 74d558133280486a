//! What a prune has done, as text.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

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
    /// Writes `summary`.
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn write(self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, summary)?;
                writeln!(out)
            }
            Self::Table => table(out, summary),
        }
    }
}

/// Columns after the name: heading and width.
const COLUMNS: [(&str, usize); 5] = [("count", 7), ("cut", 7), ("share", 6), ("zeros", 6), ("threshold", 10)];
/// The widest name that leaves 80 columns whole.
const NAME: usize = 80 - (7 + 7 + 6 + 6 + 10 + 5 * 2);

fn table(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let names: Vec<String> = summary.tensors.iter().map(|t| shorten(&escape(&t.name), NAME)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0).max("total".len());
    let row = |out: &mut dyn Write, name: &str, cells: [String; 5]| {
        write!(out, "{name}{}", " ".repeat(widest - width(name)))?;
        for (cell, (_, wide)) in cells.iter().zip(COLUMNS) {
            write!(out, "  {}{cell}", " ".repeat(wide.saturating_sub(width(cell))))?;
        }
        writeln!(out)
    };
    let rule = "─".repeat(widest + COLUMNS.iter().map(|(_, wide)| wide + 2).sum::<usize>());
    row(out, "name", COLUMNS.map(|(heading, _)| heading.to_owned()))?;
    writeln!(out, "{rule}")?;
    for (t, name) in summary.tensors.iter().zip(&names) {
        let cells =
            [count(t.count), count(t.cut), percent(t.cut, t.count), percent(t.zeros_after, t.count), real(t.threshold)];
        row(out, name, cells)?;
    }
    writeln!(out, "{rule}")?;
    let total = &summary.total;
    let zeros = summary.tensors.iter().map(|t| t.zeros_after).sum();
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
    left_out(out, summary)
}

/// One line for each reason, with some of the names.
fn left_out(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for left in &summary.left_out {
        match reasons.iter_mut().find(|(reason, _)| *reason == left.reason) {
            Some((_, names)) => names.push(&left.name),
            None => reasons.push((&left.reason, vec![&left.name])),
        }
    }
    for (reason, names) in reasons {
        let shown: Vec<String> = names.iter().take(3).map(|name| shorten(&escape(name), 40)).collect();
        let more =
            if names.len() > 3 { format!(" and {} more", grouped(names.len() as u64 - 3)) } else { String::new() };
        writeln!(out, "{} left out: {}: {}{more}", tensors(names.len()), escape(reason), shown.join(", "))?;
    }
    Ok(())
}

fn tensors(n: usize) -> String {
    format!("{} tensor{}", grouped(n as u64), if n == 1 { "" } else { "s" })
}
