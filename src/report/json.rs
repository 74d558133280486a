//! JSON and JSON lines. A value that is undefined or beyond f64 is `null`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::{Header, Report};
use crate::error::escape;
use crate::stats::{Entry, Summary};

/// One object, as CLI.md lays it out: `tensors` holds one entry a line, so that grep finds whole entries.
pub(super) struct Json<W> {
    out: W,
    entries: u64,
}

impl<W: Write> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }
}

impl<W: Write> Report for Json<W> {
    fn begin(&mut self, header: &Header) -> io::Result<()> {
        let (by, transform) = (header.options.by.to_string(), header.options.transform.to_string());
        self.out.write_all(b"{\"secateur\":")?;
        value(&mut self.out, env!("CARGO_PKG_VERSION"))?;
        field(&mut self.out, "model", header.model)?;
        field(&mut self.out, "engine", header.engine)?;
        field(&mut self.out, "by", &by)?;
        field(&mut self.out, "transform", &transform)?;
        self.out.write_all(b",\n\"tensors\":[")
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.out.write_all(if self.entries == 0 { b"\n" } else { b",\n" })?;
        self.entries += 1;
        value(&mut self.out, entry)
    }

    fn end(&mut self, summary: &Summary) -> io::Result<()> {
        self.out.write_all(b"\n],\n\"total\":")?;
        value(&mut self.out, &summary.total)?;
        self.out.write_all(b",\n\"skipped\":[")?;
        for (index, skipped) in summary.skipped.iter().enumerate() {
            self.out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            value(&mut self.out, skipped)?;
        }
        self.out.write_all(b"]")?;
        field(&mut self.out, "bytes", &summary.bytes)?;
        field(&mut self.out, "seconds", &summary.seconds)?;
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}

/// One entry a line, nothing else.
pub(super) struct Jsonl<W> {
    out: W,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Report for Jsonl<W> {
    fn begin(&mut self, _header: &Header) -> io::Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        value(&mut self.out, entry)?;
        self.out.write_all(b"\n")
    }

    fn end(&mut self, _summary: &Summary) -> io::Result<()> {
        self.out.flush()
    }
}

pub(super) fn field<W: Write, T: Serialize + ?Sized>(out: &mut W, name: &str, content: &T) -> io::Result<()> {
    write!(out, ",\"{name}\":")?;
    value(out, content)
}

pub(super) fn value<W: Write, T: Serialize + ?Sized>(out: &mut W, content: &T) -> io::Result<()> {
    // Gathered first: the serializer writes a few bytes at a time, and `out` may be behind a virtual call.
    let mut text = Vec::with_capacity(512);
    content.serialize(&mut Serializer::with_formatter(&mut text, Harmless))?;
    out.write_all(&text)
}

/// Compact JSON whose strings cannot steer a terminal: serde_json escapes C0 controls, this also DEL, C1 and what
/// [`escape`] calls hidden, as `\uXXXX`, which every parser reads back.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // Keys and nearly all names: no need to look closer.
        let plain = fragment.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if plain || escape(fragment) == fragment {
            return CompactFormatter.write_string_fragment(out, fragment);
        }
        for c in fragment.chars() {
            let text = c.encode_utf8(&mut [0; 4]).to_owned();
            if escape(&text) == text {
                out.write_all(text.as_bytes())?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
