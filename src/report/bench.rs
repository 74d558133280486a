//! What was measured, as a table, as Markdown or as JSON; rows as they come.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use serde::Serialize;

use super::text::width;
use super::{Look, json, number};
use crate::bench::{Machine, Row, Spread};
use crate::error::escape;

/// How measurements are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BenchFormat {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON object, one row a line inside it.
    Json,
    /// A table in Markdown.
    Markdown,
}

impl BenchFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Table, Self::Json, Self::Markdown];
}

impl fmt::Display for BenchFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Markdown => "markdown",
        })
    }
}

impl FromStr for BenchFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.to_string() == text);
        found.ok_or_else(|| "expected table, json or markdown".to_owned())
    }
}

/// A writer of measurements.
pub struct BenchReport<W> {
    out: W,
    format: BenchFormat,
    look: Look,
    rows: u64,
    /// The engine and size of the last row: a line is left free between blocks.
    block: Option<(crate::EngineKind, u64)>,
}

/// Titles and widths of a table's columns; what is longer pushes the rest to the right.
const COLUMNS: [(&str, usize); 8] = [
    ("engine", 6),
    ("kernel", 13),
    ("of", 26),
    ("size", 7),
    ("GB/s", 8),
    ("of ceiling", 13),
    ("device", 9),
    ("call", 9),
];

#[derive(Serialize)]
struct JsonRow<'a> {
    #[serde(flatten)]
    row: &'a Row,
    gigabytes_per_second: f64,
}

impl<W: Write> BenchReport<W> {
    /// Writes what comes before the rows.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn begin(mut out: W, format: BenchFormat, look: Look, machine: &Machine) -> io::Result<Self> {
        match format {
            BenchFormat::Json => {
                out.write_all(b"{\"secateur\":")?;
                json::value(&mut out, env!("CARGO_PKG_VERSION"))?;
                json::field(&mut out, "machine", machine)?;
                out.write_all(b",\n\"rows\":[")?;
            }
            BenchFormat::Table | BenchFormat::Markdown => {
                let processor = machine.processor.iter().map(|name| format!("{}: ", escape(name)));
                let processor: String = processor.collect();
                let gpu = machine.gpu.as_deref().map_or(String::new(), |gpu| format!("; {}", escape(gpu)));
                writeln!(out, "{processor}{}{gpu}\n", machine.cpu)?;
            }
        }
        let mut report = Self { out, format, look, rows: 0, block: None };
        let titles = COLUMNS.map(|(title, _)| title.to_owned());
        match format {
            BenchFormat::Table => report.line(&titles, true)?,
            BenchFormat::Markdown => {
                report.line(&titles, true)?;
                report.out.write_all(b"|---|---|---|---:|---:|---:|---:|---:|\n")?;
            }
            BenchFormat::Json => {}
        }
        report.out.flush()?;
        Ok(report)
    }

    /// Writes a row, at once.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.rows += 1;
        if self.format == BenchFormat::Json {
            self.out.write_all(if self.rows == 1 { b"\n" } else { b",\n" })?;
            let row = JsonRow { row, gigabytes_per_second: row.gigabytes_per_second() };
            return json::value(&mut self.out, &row);
        }
        // Sizes of one block differ by what is rounded to whole rows.
        let block = (row.engine, row.bytes.next_power_of_two());
        if self.format == BenchFormat::Table && self.block.is_some_and(|last| last != block) {
            writeln!(self.out)?;
        }
        self.block = Some(block);
        let beside = row.beside.and_then(|ceiling| serde_json::to_value(ceiling).ok());
        let beside = beside.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2} {}", beside.replace('-', " ")));
        let cells = [
            row.engine.to_string(),
            row.kernel.to_owned(),
            row.of.clone(),
            number::bytes_binary(row.bytes),
            rate(row.gigabytes_per_second()),
            ratio,
            row.kernel_seconds.map_or(String::new(), milliseconds),
            milliseconds(row.seconds),
        ];
        self.line(&cells, false)?;
        self.out.flush()
    }

    /// Writes what comes after the rows, and flushes.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn end(mut self, seconds: f64) -> io::Result<()> {
        match self.format {
            BenchFormat::Json => {
                self.out.write_all(b"\n]")?;
                json::field(&mut self.out, "seconds", &seconds)?;
                self.out.write_all(b"}\n")?;
            }
            BenchFormat::Table | BenchFormat::Markdown => {
                writeln!(
                    self.out,
                    "\nMedian times: on the device by its own clock, and from call to answer. GB/s and the share of the ceiling\n\
                     are by the device's clock where it has one; a ceiling is the same bytes summed, copied or read in this\n\
                     run. Every answer was checked before it was timed. {seconds:.0} s."
                )?;
            }
        }
        self.out.flush()
    }

    fn line(&mut self, cells: &[String; 8], titles: bool) -> io::Result<()> {
        if self.format == BenchFormat::Markdown {
            return writeln!(self.out, "| {} |", cells.join(" | "));
        }
        let mut line = String::new();
        for (index, (cell, (_, least))) in cells.iter().zip(COLUMNS).enumerate() {
            let padding = " ".repeat(least.saturating_sub(width(cell)));
            // Text reads from the left, numbers line up at the right.
            let text = if index < 3 { format!("{cell}{padding}") } else { format!("{padding}{cell}") };
            line.push_str(&text);
            line.push_str("  ");
        }
        let line = line.trim_end();
        if titles && self.look.colour {
            writeln!(self.out, "\u{1b}[1m{line}\u{1b}[0m")
        } else {
            writeln!(self.out, "{line}")
        }
    }
}

fn rate(gigabytes_per_second: f64) -> String {
    match gigabytes_per_second {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

fn milliseconds(spread: Spread) -> String {
    let milliseconds = spread.median * 1e3;
    match milliseconds {
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 1.0 => format!("{ms:.1} ms"),
        ms => format!("{:.0} µs", ms * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Ceiling;
    use crate::{EngineKind, bench};

    #[test]
    fn formats_round_trip() {
        for format in BenchFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
    }

    fn row() -> Row {
        let spread = |median| bench::Spread { least: median / 2.0, median, most: median * 2.0 };
        Row {
            engine: EngineKind::Gpu,
            kernel: "moments",
            of: "bf16 by output".to_owned(),
            bytes: 16 << 20,
            runs: 3,
            seconds: spread(0.002),
            kernel_seconds: Some(spread(0.0005)),
            beside: Some(Ceiling::CopyFile),
            ratio: Some(0.5),
        }
    }

    fn written(format: BenchFormat) -> String {
        let (cpu, gpu) = ("AVX2, 2 threads".to_owned(), Some("A \u{1b} GPU".to_owned()));
        let machine = Machine { processor: None, cpu, gpu, system: "linux" };
        let mut out = Vec::new();
        let mut report = BenchReport::begin(&mut out, format, Look::default(), &machine).unwrap();
        report.row(&row()).unwrap();
        report.end(1.0).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_say_what_was_measured() {
        for format in [BenchFormat::Table, BenchFormat::Markdown] {
            let text = written(format);
            let line = text.lines().find(|line| line.contains("bf16 by output")).unwrap();
            for cell in ["gpu", "moments", "16.0 MiB", "33.6", "0.50 copy file", "500 µs", "2.0 ms"] {
                assert!(line.contains(cell), "{cell} in {line}");
            }
            assert!(!text.contains('\u{1b}'));
        }
        let json: serde_json::Value = serde_json::from_str(&written(BenchFormat::Json)).unwrap();
        assert_eq!(json["rows"][0]["beside"], "copy-file");
        assert_eq!(json["rows"][0]["kernel_seconds"]["median"], 0.0005);
        assert!((json["rows"][0]["gigabytes_per_second"].as_f64().unwrap() - 33.554432).abs() < 1e-9);
    }
}
