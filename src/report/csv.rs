//! Comma-separated values: the field names of the JSON, one row an entry.
//!
//! Numbers are written as in JSON, so that they read back to the same f64; undefined is an empty cell. Names are for
//! spreadsheets: control characters are escaped, and a name that a spreadsheet would run as a formula (it starts with
//! `=`, `+`, `-` or `@`) gets a leading apostrophe. No known model has such names; JSON has every name as it is.

use std::io::{self, Write};

use ::csv::{ErrorKind, Terminator, Writer, WriterBuilder};
use serde::Serialize;

use super::{Header, Report};
use crate::error::escape;
use crate::stats::{Entry, Summary};

const NAMES: [&str; 17] = [
    "name", "dtype", "shape", "group", "count", "nan", "inf", "zeros", "mean", "variance", "skewness", "kurtosis",
    "min", "max", "abs_max", "l1", "l2",
];

pub(super) struct Csv<W: Write> {
    out: Writer<W>,
    quantiles: usize,
    histogram: bool,
    text: Vec<u8>,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> Self {
        // RFC 4180 says CRLF; what reads these files (pandas, awk, spreadsheets) is happier with LF.
        let out = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
        Self { out, quantiles: 0, histogram: false, text: Vec::new() }
    }

    /// A cell as JSON writes it, `null` left empty.
    fn cell(&mut self, content: &impl Serialize) -> io::Result<()> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, content)?;
        if self.text == b"null" {
            self.text.clear();
        }
        self.out.write_field(&self.text).map_err(unwrapped)
    }
}

impl<W: Write> Report for Csv<W> {
    fn begin(&mut self, header: &Header) -> io::Result<()> {
        self.quantiles = header.options.quantiles.len();
        self.histogram = header.options.histogram.is_some();
        let mut names = NAMES.map(str::to_owned).to_vec();
        names.extend(header.options.quantiles.iter().map(|probability| format!("quantiles.{probability}")));
        if self.histogram {
            names.extend(["histogram.edges".to_owned(), "histogram.counts".to_owned()]);
        }
        self.out.write_record(&names).map_err(unwrapped)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let s = &entry.statistics;
        self.out.write_field(inert(&entry.name)).map_err(unwrapped)?;
        self.out.write_field(entry.dtype.to_string()).map_err(unwrapped)?;
        self.cell(&entry.shape)?;
        self.cell(&entry.group)?;
        self.cell(&s.count)?;
        self.cell(&s.nan)?;
        self.cell(&s.inf)?;
        self.cell(&s.zeros)?;
        for real in [s.mean, s.variance, s.skewness, s.kurtosis, s.min, s.max, s.abs_max, s.l1, s.l2] {
            self.cell(&real)?;
        }
        let quantiles = s.quantiles.as_ref().map_or(&[][..], |quantiles| &quantiles.0);
        for index in 0..self.quantiles {
            self.cell(&quantiles.get(index).and_then(|quantile| quantile.1))?;
        }
        if self.histogram {
            let histogram = s.histogram.as_ref().and_then(Option::as_ref);
            self.cell(&histogram.map(|histogram| &histogram.edges))?;
            self.cell(&histogram.map(|histogram| &histogram.counts))?;
        }
        // No further field: the end of the row.
        self.out.write_record(None::<&[u8]>).map_err(unwrapped)
    }

    fn end(&mut self, _summary: &Summary) -> io::Result<()> {
        self.out.flush()
    }
}

/// csv's own conversion hides the kind of an I/O error, by which a closed pipe is recognised.
fn unwrapped(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// A name that stays text when a spreadsheet opens it.
fn inert(name: &str) -> String {
    let name = escape(name);
    if name.starts_with(['=', '+', '-', '@']) { format!("'{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed() {
        for (name, shown) in [
            ("conv1.weight", "conv1.weight"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\\t=1"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(inert(name), shown);
        }
    }
}
