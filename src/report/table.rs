//! Tables whose columns are chosen from the first rows, then streamed.

use std::io::{self, Write};

use super::columns::{self, Column, Row};
use super::text::{shorten, width};
use super::{Header, Look, Report, footer};
use crate::stats::{Entry, Summary};

/// What may be held while the columns are chosen.
const HELD_ROWS: usize = 1000;
const HELD_BYTES: usize = 4 << 20;

/// How a table is laid out on a page.
pub(super) trait Dress {
    /// Cells that a histogram takes at most.
    fn histogram_width(&self) -> usize;
    /// Width that running text keeps to, if any.
    fn text_width(&self) -> Option<usize>;
    /// Chooses columns from all there are and the first rows, and writes the head. With `more` to come, what has not
    /// been seen yet needs room as well.
    fn head(&mut self, out: &mut dyn Write, columns: &[Column], rows: &[Row], more: bool) -> io::Result<()>;
    /// Writes a row.
    fn row(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()>;
    /// Writes the row of the whole.
    fn total(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()>;
    /// Writes what is to be said below, one remark a line.
    fn notes(&mut self, out: &mut dyn Write, notes: &[String]) -> io::Result<()>;
}

/// A table in some dress.
pub(super) struct Table<W, D> {
    out: W,
    dress: D,
    columns: Vec<Column>,
    held: Vec<Row>,
    held_bytes: usize,
    begun: bool,
    about: Vec<String>,
}

impl<W: Write, D: Dress> Table<W, D> {
    pub(super) fn new(out: W, dress: D) -> Self {
        Self { out, dress, columns: Vec::new(), held: Vec::new(), held_bytes: 0, begun: false, about: Vec::new() }
    }

    /// Writes the head and the rows held; with `total` these are all there are.
    fn release(&mut self, total: Option<&Row>) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let mut rows = std::mem::take(&mut self.held);
        let entries = rows.len();
        rows.extend(total.cloned());
        self.dress.head(&mut self.out, &self.columns, &rows, total.is_none())?;
        rows[..entries].iter().try_for_each(|row| self.dress.row(&mut self.out, row))
    }
}

impl<W: Write, D: Dress> Report for Table<W, D> {
    fn begin(&mut self, header: &Header) -> io::Result<()> {
        self.columns = columns::all(header.options);
        self.about = footer::about(header);
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let row = Row::of_entry(&self.columns, entry, self.dress.histogram_width());
        if self.begun {
            return self.dress.row(&mut self.out, &row);
        }
        self.held_bytes += row.held_bytes();
        self.held.push(row);
        if self.held.len() >= HELD_ROWS || self.held_bytes >= HELD_BYTES { self.release(None) } else { Ok(()) }
    }

    fn end(&mut self, summary: &Summary) -> io::Result<()> {
        let total = Row::of_total(&self.columns, &summary.total, self.dress.histogram_width());
        self.release(Some(&total))?;
        self.dress.total(&mut self.out, &total)?;
        let mut notes = vec![footer::covered(summary)];
        notes.append(&mut self.about);
        notes.extend(footer::non_finite(summary));
        notes.extend(footer::skipped(summary, self.dress.text_width()));
        self.dress.notes(&mut self.out, &notes)?;
        self.out.flush()
    }
}

/// Aligned columns on a terminal or in a text file.
pub(super) struct Plain {
    look: Look,
    shown: Vec<Shown>,
    hidden: Vec<String>,
    line: usize,
    short: Option<(String, String)>,
}

/// A column that is shown: its place among all, its width, and where it ends on the line.
struct Shown {
    index: usize,
    width: usize,
    column: Column,
}

const GAP: usize = 2;

impl Plain {
    pub(super) fn new(look: Look) -> Self {
        Self { look, shown: Vec::new(), hidden: Vec::new(), line: 0, short: None }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.look.colour && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// One line of cells. A cell wider than its column borrows the gap of those after it, so that the columns come
    /// back into line.
    fn line<'c>(&self, cells: impl Iterator<Item = (&'c str, Option<&'static str>)>) -> String {
        let (mut out, mut at, mut edge) = (String::new(), 0, 0);
        for ((cell, colour), shown) in cells.zip(&self.shown) {
            let start = edge + if edge == 0 { 0 } else { GAP };
            edge = start + shown.width;
            let target = if shown.column.is_text() { start } else { edge.saturating_sub(width(cell)) };
            let gap = target.saturating_sub(at).max(usize::from(at > 0));
            out.extend(std::iter::repeat_n(' ', gap));
            at += gap + width(cell);
            match colour {
                Some(code) => out.push_str(&self.paint(code, cell)),
                None => out.push_str(cell),
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }

    fn name(&mut self, name: &str) -> String {
        let (Some(first), Some(_)) = (self.shown.first(), self.look.width) else { return name.to_owned() };
        // Groups repeat the name of their tensor millions of times.
        if let Some((long, short)) = &self.short
            && long == name
        {
            return short.clone();
        }
        let short = shorten(name, first.width);
        self.short = Some((name.to_owned(), short.clone()));
        short
    }

    fn cells(&mut self, row: &Row) -> String {
        let name = self.name(&row.cells[0]);
        self.line(self.shown.iter().map(|shown| {
            let cell = if shown.index == 0 { &name } else { &row.cells[shown.index] };
            let flagged = matches!(shown.column, Column::Nan | Column::Inf) && cell != "0";
            (cell.as_str(), flagged.then_some("33"))
        }))
    }

    fn rule(&self) -> String {
        self.paint("2", &"─".repeat(self.line))
    }
}

impl Dress for Plain {
    fn histogram_width(&self) -> usize {
        if self.look.width.is_some_and(|width| width < 120) { 12 } else { 32 }
    }

    fn text_width(&self) -> Option<usize> {
        self.look.width
    }

    fn head(&mut self, out: &mut dyn Write, columns: &[Column], rows: &[Row], more: bool) -> io::Result<()> {
        let widest = |index: usize, column: &Column| {
            let cells = rows.iter().map(|row| width(&row.cells[index])).max().unwrap_or(0);
            cells.max(width(&column.title())).max(if more { column.usual_width() } else { 0 })
        };
        let mut all: Vec<Shown> = columns::called_for(columns, rows)
            .into_iter()
            .map(|index| (index, &columns[index]))
            .map(|(index, column)| Shown { index, width: widest(index, column), column: column.clone() })
            .collect();
        if let Some(limit) = self.look.width {
            let longest_name = all[0].width;
            // A name that has to shrink keeps two fifths of the line: enough to tell layers apart.
            all[0].width = longest_name.min((limit * 2 / 5).max(12));
            all.sort_by_key(|shown| shown.column.importance());
            let mut room = limit.saturating_sub(all[0].width);
            let mut has_min = true;
            let (mut kept, hidden): (Vec<Shown>, Vec<Shown>) = all.into_iter().partition(|shown| {
                let needed = if shown.index == 0 { 0 } else { GAP + shown.width };
                // Half a range would mislead.
                let fits = needed <= room && (shown.column != Column::Max || has_min);
                if fits {
                    room -= needed;
                } else if shown.column == Column::Min {
                    has_min = false;
                }
                fits
            });
            kept[0].width = longest_name.min(kept[0].width + room);
            kept.sort_by_key(|shown| shown.index);
            self.hidden = hidden.iter().map(|shown| shown.column.title()).collect();
            all = kept;
        }
        self.line = all.iter().map(|shown| shown.width + GAP).sum::<usize>().saturating_sub(GAP);
        self.shown = all;
        let titles: Vec<String> = self.shown.iter().map(|shown| shown.column.title()).collect();
        writeln!(out, "{}", self.line(titles.iter().map(|title| (title.as_str(), Some("1")))))?;
        writeln!(out, "{}", self.rule())
    }

    fn row(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()> {
        let cells = self.cells(row);
        let shown = |wanted: Column| self.shown.iter().any(|shown| shown.column == wanted);
        match row.untold(shown(Column::Nan), shown(Column::Inf)) {
            Some(words) => writeln!(out, "{cells}  {}", self.paint("33", &words)),
            None => writeln!(out, "{cells}"),
        }
    }

    fn total(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()> {
        writeln!(out, "{}", self.rule())?;
        writeln!(out, "{}", self.cells(row))
    }

    fn notes(&mut self, out: &mut dyn Write, notes: &[String]) -> io::Result<()> {
        writeln!(out)?;
        for note in notes {
            writeln!(out, "{note}")?;
        }
        if !self.hidden.is_empty() {
            writeln!(out, "not shown at this width: {}", self.hidden.join(", "))?;
        }
        Ok(())
    }
}
