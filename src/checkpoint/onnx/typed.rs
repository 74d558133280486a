//! Elements that are stored as numbers of the wire format: decoded once, to a temporary file.

use std::fs::File;

use super::array::Array;
use super::wire::{Field, Kind, Wire};
use crate::checkpoint::positioned;
use crate::{Error, Result};

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Decoded elements, in the order in which arrays were decoded; it has no name, and is gone with the process.
#[derive(Debug)]
pub(super) struct Spill {
    pub(super) file: File,
    bytes: u64,
}

impl Spill {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, bytes: 0 })
    }

    /// Decodes `array`, whose elements are [`Payload::Typed`]; where they start.
    pub(super) fn decode(&mut self, wire: &mut Wire, array: &Array, fields: &[Field]) -> Result<u64> {
        let start = self.bytes;
        let Some(width) = array.bytes.checked_div(array.elements).map(|width| width as usize) else { return Ok(start) };
        let path = wire.path;
        let stored = |what: String| Error::tensor(path, &array.name, what);
        let mut out = Writer { spill: self, out: Vec::new() };
        for field in fields {
            let mut at = field.body;
            // The first of a row of single numbers starts behind its key; the others have keys of their own.
            let mut first = true;
            while at < field.end {
                if field.kind != Kind::Length && !first {
                    wire.varint(&mut at, field.end)?;
                }
                first = false;
                if out.written() - start >= array.bytes {
                    return Err(stored(format!(
                        "more than its {} elements are stored; export it again",
                        array.elements
                    )));
                }
                // Of complex numbers, one half after the other.
                match number(wire, field, array, &mut at)? {
                    Number::Four(bytes) => out.push(&bytes)?,
                    Number::Varint(value) => out.push(&value.to_le_bytes()[..width.min(8)])?,
                    Number::Eight(bytes) => out.push(&bytes)?,
                }
            }
        }
        if out.written() - start != array.bytes {
            let (there, width) = ((out.written() - start), width as u64);
            return Err(stored(format!(
                "{} of its {} elements are stored; export it again",
                there / width,
                array.elements
            )));
        }
        out.flush()?;
        Ok(start)
    }
}

enum Number {
    Four([u8; 4]),
    Eight([u8; 8]),
    Varint(u64),
}

/// The number at `at`, which is moved behind it.
fn number(wire: &mut Wire, field: &Field, array: &Array, at: &mut u64) -> Result<Number> {
    use super::schema::tensor::{DOUBLE_DATA, FLOAT_DATA};
    let fixed = match field.number {
        FLOAT_DATA => 4,
        DOUBLE_DATA => 8,
        _ => return Ok(Number::Varint(wire.varint(at, field.end)?)),
    };
    let end = *at + fixed;
    if end > field.end || (field.kind == Kind::Varint) {
        return Err(Error::tensor(wire.path, &array.name, "its elements end within a number; export it again"));
    }
    let bytes = wire.read(*at, end)?;
    *at = end;
    Ok(match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(four) => Number::Four(four),
        Err(_) => Number::Eight(<[u8; 8]>::try_from(&bytes[..]).unwrap_or_default()),
    })
}

struct Writer<'a> {
    spill: &'a mut Spill,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn written(&self) -> u64 {
        self.spill.bytes + self.out.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.extend_from_slice(bytes);
        if self.out.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let at = self.spill.bytes;
        let failed = |e| Error::io(std::env::temp_dir(), e);
        positioned::write_all_at(&self.spill.file, &self.out, at).map_err(failed)?;
        self.spill.bytes += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }
}
