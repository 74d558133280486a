//! Comma-separated values: the field names of the JSON, one row an entry.
//!
//! Numbers are written as in JSON, so that they read back to the same f64; undefined is an empty cell. Names are for
//! spreadsheets: control characters are escaped, and a name that a spreadsheet would run as a formula (it starts with
//! `=`, `+`, `-` or `@`) gets a leading apostrophe. No known model has such names; JSON has every name as it is.

use std::io::{self, Write};

use ::csv::{Terminator, Writer, WriterBuilder};
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
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> Self {
        // RFC 4180 says CRLF; what reads these files (pandas, awk, spreadsheets) is happier with LF.
        let out = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
        Self { out, quantiles: 0, histogram: false }
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
        Ok(self.out.write_record(&names)?)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let s = &entry.statistics;
        let mut cells = vec![
            inert(&entry.name),
            entry.dtype.to_string(),
            json(&entry.shape)?,
            json(&entry.group)?,
            s.count.to_string(),
            s.nan.to_string(),
            s.inf.to_string(),
            json(&s.zeros)?,
        ];
        let reals = [s.mean, s.variance, s.skewness, s.kurtosis, s.min, s.max, s.abs_max, s.l1, s.l2];
        for real in reals {
            cells.push(json(&real)?);
        }
        let quantiles = s.quantiles.as_ref().map_or(&[][..], |quantiles| &quantiles.0);
        for index in 0..self.quantiles {
            cells.push(json(&quantiles.get(index).and_then(|quantile| quantile.1))?);
        }
        if self.histogram {
            let histogram = s.histogram.as_ref().and_then(Option::as_ref);
            cells.push(json(&histogram.map(|histogram| &histogram.edges))?);
            cells.push(json(&histogram.map(|histogram| &histogram.counts))?);
        }
        Ok(self.out.write_record(&cells)?)
    }

    fn end(&mut self, _summary: &Summary) -> io::Result<()> {
        self.out.flush()
    }
}

fn json(content: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(content)?;
    Ok(if text == "null" { String::new() } else { text })
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
