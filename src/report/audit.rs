//! What an audit found, as a table or as JSON.

use std::io::{self, Write};

use super::text::{shorten, width};
use super::{Look, footer, json, number};
use crate::audit::{Bytes, Entry, Summary};
use crate::engine::EngineInfo;
use crate::error::escape;
use crate::prune::NofM;

/// Writes an audit as one JSON object, one entry a line inside it.
pub struct AuditJson<W> {
    out: W,
    entries: u64,
}

impl<W: Write> AuditJson<W> {
    /// Writes what comes before the entries.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn begin(mut out: W, model: &str, engine: &EngineInfo) -> io::Result<Self> {
        out.write_all(b"{\"secateur\":")?;
        json::value(&mut out, env!("CARGO_PKG_VERSION"))?;
        json::field(&mut out, "model", model)?;
        json::field(&mut out, "engine", engine)?;
        out.write_all(b",\n\"tensors\":[")?;
        Ok(Self { out, entries: 0 })
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.out.write_all(if self.entries == 0 { b"\n" } else { b",\n" })?;
        self.entries += 1;
        json::value(&mut self.out, entry)
    }

    /// Writes what comes after the entries, and flushes.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn end(mut self, summary: &Summary) -> io::Result<()> {
        self.out.write_all(b"\n]")?;
        json::field(&mut self.out, "total", &summary.total)?;
        if let Some(verdict) = &summary.verdict {
            json::field(&mut self.out, "verdict", verdict)?;
        }
        json::field(&mut self.out, "skipped", &summary.skipped)?;
        json::field(&mut self.out, "bytes", &summary.bytes)?;
        json::field(&mut self.out, "seconds", &summary.seconds)?;
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}

const TITLES: [&str; 8] = ["name", "zeros", "N:M", "empty", "dense", "bitmask", "channels", ""];
const GAP: usize = 2;
/// A name that has to shrink keeps this many cells.
const LEAST_NAME: usize = 12;

/// Writes an audit as a table: every entry, the total, and what they mean below it.
///
/// # Errors
/// Where `out` cannot be written.
pub fn audit_table(out: &mut dyn Write, entries: &[Entry], summary: &Summary, look: Look) -> io::Result<()> {
    let mut rows: Vec<[String; 8]> = entries.iter().map(row).collect();
    let total = &summary.total;
    let [dense, bitmask, channels] = sizes(&total.bytes);
    let zeros = number::percent(total.zeros, total.count);
    rows.push(["total".to_owned(), zeros, String::new(), String::new(), dense, bitmask, channels, String::new()]);

    let mut titles = TITLES.map(str::to_owned);
    titles[7] = summary.verdict.as_ref().map_or(String::new(), |verdict| verdict.pattern.to_string());
    let mut widths: [usize; 8] = std::array::from_fn(|index| width(&titles[index]));
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(widest, cell)| *widest = (*widest).max(width(cell)));
    }
    if let Some(limit) = look.width {
        let others: usize = widths[1..].iter().filter(|cells| **cells > 0).map(|cells| cells + GAP).sum();
        widths[0] = widths[0].min(limit.saturating_sub(others).max(LEAST_NAME));
    }
    let paint = |code: &str, text: &str| {
        if look.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let used: usize = widths.iter().filter(|cells| **cells > 0).map(|cells| cells + GAP).sum();
    let rule = paint("2", &"─".repeat(used.saturating_sub(GAP)));
    writeln!(out, "{}", paint("1", &line(&titles, &widths)))?;
    writeln!(out, "{rule}")?;
    for (index, row) in rows.iter().enumerate() {
        if index + 1 == rows.len() {
            writeln!(out, "{rule}")?;
        }
        writeln!(out, "{}", line(row, &widths))?;
    }
    writeln!(out)?;
    notes(entries, summary, look).iter().try_for_each(|note| writeln!(out, "{note}"))?;
    out.flush()
}

fn row(entry: &Entry) -> [String; 8] {
    let empty = match (entry.empty_outputs, entry.empty_inputs) {
        (Some(outputs), Some(inputs)) => format!("{}/{}", number::count(outputs), number::count(inputs)),
        _ => number::UNDEFINED.to_owned(),
    };
    let verdict = match entry.judgement.as_ref().map(|judgement| judgement.satisfies) {
        Some(Some(true)) => "yes",
        Some(Some(false)) => "NO",
        Some(None) => number::UNDEFINED,
        None => "",
    };
    let [dense, bitmask, channels] = sizes(&entry.bytes);
    let zeros = number::percent(entry.zeros, entry.count);
    [escape(&entry.name), zeros, strongest(&entry.patterns), empty, dense, bitmask, channels, verdict.to_owned()]
}

/// The patterns that no other one of them implies.
fn strongest(patterns: &[NofM]) -> String {
    let implied = |p: &NofM| patterns.iter().any(|other| other != p && other.implies(*p));
    let left: Vec<String> = patterns.iter().filter(|p| !implied(p)).map(NofM::to_string).collect();
    if left.is_empty() { number::UNDEFINED.to_owned() } else { left.join(",") }
}

fn sizes(bytes: &Bytes) -> [String; 3] {
    [bytes.dense, bytes.bitmask, bytes.without_empty_channels].map(number::bytes)
}

fn line(cells: &[String; 8], widths: &[usize; 8]) -> String {
    let mut out = shorten(&cells[0], widths[0]);
    let mut pad = widths[0].saturating_sub(width(&out));
    for (cell, widest) in cells.iter().zip(widths).skip(1).filter(|(_, widest)| **widest > 0) {
        out.extend(std::iter::repeat_n(' ', pad + GAP + widest.saturating_sub(width(cell))));
        out.push_str(cell);
        pad = 0;
    }
    out.truncate(out.trim_end().len());
    out
}

fn notes(entries: &[Entry], summary: &Summary, look: Look) -> Vec<String> {
    let total = &summary.total;
    let mut notes = vec![
        footer::covered_by(total.tensors, total.count, summary.bytes, summary.seconds),
        "N:M: the strictest patterns along the input axis; empty: output/input channels of nothing but zeros"
            .to_owned(),
        "dense, as a bitmask with the weights kept, and dense without empty channels".to_owned(),
    ];
    if let Some(verdict) = &summary.verdict {
        let kept = verdict.judged - verdict.failed;
        let judged = number::grouped(verdict.judged);
        notes.push(format!("{}: satisfied by {} of {judged} judged", verdict.pattern, number::grouped(kept)));
        let reasons = entries.iter().filter_map(|entry| {
            let reason = entry.judgement.as_ref()?.left_out.as_deref()?;
            Some((entry.name.as_str(), reason))
        });
        notes.extend(footer::left_out("not judged", reasons, look.width));
    }
    let skipped = summary.skipped.iter().map(|skipped| (skipped.name.as_str(), skipped.reason.as_str()));
    notes.extend(footer::left_out("skipped", skipped, look.width));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_patterns_are_not_shown() {
        let of = |texts: &[&str]| {
            let patterns: Vec<NofM> = texts.iter().map(|text| text.parse().expect("a pattern")).collect();
            strongest(&patterns)
        };
        assert_eq!(of(&[]), "–");
        assert_eq!(of(&["2:4", "4:8", "8:16", "3:4"]), "2:4");
        assert_eq!(of(&["1:2", "2:4", "2:8", "4:8"]), "1:2,2:8");
        assert_eq!(of(&["1:2", "1:4", "2:4", "3:4", "1:8", "2:8", "4:8", "2:16", "4:16", "8:16"]), "1:8");
    }
}
