//! Results as tables, JSON, CSV and Markdown, written as they come.
//!
//! A report holds at most a few megabytes, however many entries pass through it: groups of a large model number
//! hundreds of millions.

mod audit;
mod bench;
mod channels;
mod columns;
mod csv;
mod figure;
mod footer;
mod json;
mod markdown;
mod number;
mod page;
mod prune;
mod search;
mod table;
mod text;

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use crate::engine::EngineInfo;
use crate::stats::{Entry, Options, Summary};

pub use audit::{AuditJson, audit_table};
pub use bench::{BenchFormat, BenchReport};
pub use figure::{Curve, Figure, Point, curve_csv, curve_svg};
pub use number::{bytes as format_bytes, bytes_binary as format_bytes_binary};
pub use page::{Model, Subject};
pub use prune::PruneFormat;

/// What is known before the first entry.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The model, as the user named it.
    pub model: &'a str,
    /// What computes.
    pub engine: &'a EngineInfo,
    /// What was asked.
    pub options: &'a Options,
}

/// A writer of results: `begin` once, `entry` for each tensor or group, `end` once.
pub trait Report {
    /// Writes what comes before the entries.
    fn begin(&mut self, header: &Header) -> io::Result<()>;
    /// Writes one entry, at once or after a bounded number of further ones.
    fn entry(&mut self, entry: &Entry) -> io::Result<()>;
    /// Writes what comes after the entries, and flushes.
    fn end(&mut self, summary: &Summary) -> io::Result<()>;
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Aligned columns for reading, as many as the width allows.
    #[default]
    Table,
    /// One JSON object, one entry a line inside it.
    Json,
    /// One JSON object a line for each entry, nothing else.
    Jsonl,
    /// A header row and one row for each entry.
    Csv,
    /// A GitHub table.
    Markdown,
}

/// How a table is dressed; the other formats ignore it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; `None` shows everything in full.
    pub width: Option<usize>,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

impl Format {
    /// Every format, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Table, Self::Json, Self::Jsonl, Self::Csv, Self::Markdown];

    /// The format that a file name's extension stands for, if any.
    ///
    /// ```
    /// use secateur::report::Format;
    /// assert_eq!(Format::from_path("stats.CSV".as_ref()), Some(Format::Csv));
    /// assert_eq!(Format::from_path("stats".as_ref()), None);
    /// ```
    pub fn from_path(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Self::Table,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "md" | "markdown" => Self::Markdown,
            _ => return None,
        })
    }

    /// A report of this format on `out`, which it flushes at its end.
    pub fn report<'w>(self, out: Box<dyn io::Write + 'w>, look: Look) -> Box<dyn Report + 'w> {
        match self {
            Self::Table => Box::new(table::Table::new(out, table::Plain::new(look))),
            Self::Markdown => Box::new(table::Table::new(out, markdown::Markdown::default())),
            Self::Json => Box::new(json::Json::new(out)),
            Self::Jsonl => Box::new(json::Jsonl::new(out)),
            Self::Csv => Box::new(csv::Csv::new(out)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|format| format.to_string() == text);
        named.ok_or_else(|| "expected table, json, jsonl, csv or markdown".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("JSON".parse::<Format>().is_err());
    }

    #[test]
    fn extensions() {
        for (path, format) in [
            ("a.json", Some(Format::Json)),
            ("a.jsonl", Some(Format::Jsonl)),
            ("a.csv", Some(Format::Csv)),
            ("a.md", Some(Format::Markdown)),
            ("a.b/c", None),
            ("a.bin", None),
        ] {
            assert_eq!(Format::from_path(path.as_ref()), format, "{path}");
        }
    }
}
