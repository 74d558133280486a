//! A GitHub table: the columns of a wide table, with names that stay text.

use std::io::{self, Write};

use super::columns::{self, Column, Row};
use super::table::Dress;

/// No width to keep to: every column that the first rows call for.
#[derive(Default)]
pub(super) struct Markdown {
    shown: Vec<usize>,
    nan_shown: bool,
    inf_shown: bool,
}

impl Markdown {
    fn cells(&self, row: &Row) -> String {
        let mut cells: Vec<String> = self.shown.iter().map(|&index| literal(&row.cells[index])).collect();
        if let (Some(words), Some(name)) = (row.untold(self.nan_shown, self.inf_shown), cells.first_mut()) {
            name.push_str(&format!(" ({words})"));
        }
        format!("| {} |", cells.join(" | "))
    }
}

impl Dress for Markdown {
    fn histogram_width(&self) -> usize {
        32
    }

    fn text_width(&self) -> Option<usize> {
        None
    }

    fn head(&mut self, out: &mut dyn Write, columns: &[Column], rows: &[Row], _more: bool) -> io::Result<()> {
        self.shown = columns::called_for(columns, rows);
        let shown: Vec<&Column> = self.shown.iter().map(|&index| &columns[index]).collect();
        self.nan_shown = shown.contains(&&Column::Nan);
        self.inf_shown = shown.contains(&&Column::Inf);
        let titles: Vec<String> = shown.iter().map(|column| column.title()).collect();
        let rules: Vec<&str> = shown.iter().map(|column| if column.is_text() { ":---" } else { "---:" }).collect();
        writeln!(out, "| {} |\n| {} |", titles.join(" | "), rules.join(" | "))
    }

    fn row(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()> {
        writeln!(out, "{}", self.cells(row))
    }

    fn total(&mut self, out: &mut dyn Write, row: &Row) -> io::Result<()> {
        writeln!(out, "{}", self.cells(row))
    }

    fn notes(&mut self, out: &mut dyn Write, notes: &[String]) -> io::Result<()> {
        writeln!(out)?;
        notes.iter().try_for_each(|note| writeln!(out, "- {}", literal(note)))
    }
}

/// `text` with everything that Markdown or HTML could act on escaped. `.` and digits are safe inside a line, and a
/// backslash before ASCII punctuation is always that punctuation.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (index, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // GitHub links bare addresses and pings people.
            '@' => out.push_str("&#64;"),
            ':' if text[index..].starts_with("://") => out.push_str("&#58;"),
            // An underscore inside a word is literal; at a word's edge it may open emphasis.
            '_' if inside_word(text, index) => out.push('_'),
            '\\' | '|' | '`' | '*' | '_' | '~' | '[' | ']' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

fn inside_word(text: &str, index: usize) -> bool {
    let before = text[..index].chars().next_back().is_some_and(char::is_alphanumeric);
    before && text[index + 1..].chars().next().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text() {
        for (name, written) in [
            ("layers.0.q_proj.weight", "layers.0.q_proj.weight"),
            ("a|b`c`", "a\\|b\\`c\\`"),
            ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;amp;"),
            ("_x_ **y** @me", "\\_x\\_ \\*\\*y\\*\\* &#64;me"),
            ("http://a", "http&#58;//a"),
            ("a\\|b", "a\\\\\\|b"),
        ] {
            assert_eq!(literal(name), written);
        }
    }
}
