//! What a page is made of, and the template that writes it.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::report::figure::Figure;
use crate::{Error, Result};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = concat!(
    include_str!("assets/numbers.js"),
    include_str!("assets/charts.js"),
    include_str!("assets/detail.js"),
    include_str!("assets/table.js")
);

/// A part of a page under a heading.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: String,
    pub(super) blocks: Vec<Block>,
}

/// A piece of a section.
pub(super) enum Block {
    /// A paragraph.
    Text(String),
    /// Numbers with names: each with a note, or none.
    Facts(Vec<Fact>),
    /// A picture, and under it what leads on.
    Figure(Box<Figure>, Vec<Link>),
    /// A table of words.
    Table(Table),
    /// The table of tensors, which the script fills.
    Tensors { compared: bool },
}

impl Block {
    /// A picture that leads nowhere.
    pub(super) fn figure(figure: Figure) -> Self {
        Self::Figure(Box::new(figure), Vec::new())
    }
}

/// A number with a name.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) note: String,
}

impl Fact {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), note: String::new() }
    }

    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

/// What opens a tensor's details.
pub(super) struct Link {
    pub(super) tensor: usize,
    pub(super) text: String,
}

/// A table of words.
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<&'static str>,
    /// The first cell names its row.
    pub(super) rows: Vec<Vec<String>>,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: &'a str,
    subtitle: &'a str,
    sections: &'a [Section],
    version: &'static str,
    /// The hash of the only script that may run.
    script_hash: String,
    style: &'static str,
    script: &'static str,
    /// JSON in which nothing ends its element.
    data: String,
}

/// The page as HTML. Whatever text there is in sections is escaped.
pub(super) fn html(title: &str, subtitle: &str, sections: &[Section], data: &impl serde::Serialize) -> Result<String> {
    let failed = |error: String| Error::Run(format!("the page cannot be written: {error}"));
    let data = serde_json::to_string(data).map_err(|error| failed(error.to_string()))?;
    let page = Page {
        title,
        subtitle,
        sections,
        version: env!("CARGO_PKG_VERSION"),
        script_hash: BASE64.encode(Sha256::digest(SCRIPT)),
        style: STYLE,
        script: SCRIPT,
        data: inert(&data),
    };
    page.render().map_err(|error| failed(error.to_string()))
}

/// JSON that is the same to a parser, and nothing but text to a browser.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_element() {
        let text = "</script><!--<script>&amp;\u{2028}";
        let json = serde_json::to_string(&[text]).unwrap();
        let found = inert(&json);
        assert!(!found.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(serde_json::from_str::<Vec<String>>(&found).unwrap(), [text]);
    }

    #[test]
    fn whatever_is_said_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"'</title></script>";
        let blocks = vec![
            Block::Text(evil.to_owned()),
            Block::Facts(vec![Fact::new("weights", evil).note(evil)]),
            Block::Table(Table {
                caption: evil.to_owned(),
                head: vec!["a"],
                rows: vec![vec![evil.to_owned(), evil.to_owned()]],
            }),
        ];
        let section = Section { id: "a", heading: evil.to_owned(), blocks };
        let page = html(evil, evil, &[section], &[evil]).unwrap();
        assert!(!page.contains("<img") && !page.contains("onerror=alert(1)>"), "{page}");
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script>").count(), 2);
    }
}
