//! The wire format of protocol buffers: fields of a message in a file, found without reading what they hold.
//!
//! A decoder of whole messages would need a model's weights in memory, would not say where in the file they are, and would
//! drop what it does not know. So fields are walked here, and only messages that hold no weights are decoded as such.

use std::fs::File;
use std::path::Path;

use prost::encoding::{decode_varint, encode_varint};

use crate::checkpoint::positioned;
use crate::{Error, Result};

/// Bytes read at once.
const WINDOW_BYTES: u64 = 1 << 16;
/// The longest varint.
const VARINT_BYTES: u64 = 10;

/// How a field's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Kind {
    Varint,
    Fixed64,
    /// Bytes, text, a message, or several numbers.
    Length,
    Fixed32,
}

/// A field of a message: offsets are those of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Field {
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// Where its key starts.
    pub(super) start: u64,
    /// Where its value starts, behind its length if it has one.
    pub(super) body: u64,
    pub(super) end: u64,
    /// Of a varint, its value.
    pub(super) value: u64,
}

impl Field {
    pub(super) fn length(&self) -> u64 {
        self.end - self.body
    }

    /// An error unless it holds bytes, text or a message.
    pub(super) fn whole(&self, wire: &Wire, what: &str) -> Result<Self> {
        if self.kind == Kind::Length {
            return Ok(*self);
        }
        Err(wire.damaged(&format!("{what} at byte {} is a number", self.start)))
    }
}

/// A file that is read through a small window.
pub(super) struct Wire<'a> {
    pub(super) path: &'a Path,
    file: &'a File,
    bytes: u64,
    window: Vec<u8>,
    /// Where in the file the window starts.
    at: u64,
}

impl<'a> Wire<'a> {
    /// Over `file`, which is `bytes` long.
    pub(super) fn new(path: &'a Path, file: &'a File, bytes: u64) -> Self {
        Self { path, file, bytes, window: Vec::new(), at: 0 }
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::format(self.path, format!("not a sound ONNX file: {what}; download it or export it again"))
    }

    /// The bytes from `at` on, as many as there are up to `bytes`, which is small.
    fn peek(&mut self, at: u64, bytes: u64) -> Result<&[u8]> {
        let bytes = bytes.min(self.bytes.saturating_sub(at));
        let held = at >= self.at && at + bytes <= self.at + self.window.len() as u64;
        if !held {
            self.window.resize(WINDOW_BYTES.max(bytes).min(self.bytes.saturating_sub(at)) as usize, 0);
            self.at = at;
            positioned::read_exact_at(self.file, &mut self.window, at).map_err(|e| Error::io(self.path, e))?;
        }
        Ok(&self.window[(at - self.at) as usize..][..bytes as usize])
    }

    /// The varint at `at`, which is moved behind it.
    pub(super) fn varint(&mut self, at: &mut u64, end: u64) -> Result<u64> {
        let left = end.saturating_sub(*at).min(VARINT_BYTES);
        let bytes = self.peek(*at, left)?;
        let mut rest = bytes;
        let value = decode_varint(&mut rest);
        let used = bytes.len() - rest.len();
        match value {
            Ok(value) => {
                *at += used as u64;
                Ok(value)
            }
            Err(_) => Err(self.damaged(&format!("no number at byte {at}"))),
        }
    }

    /// The field at `at`, which is moved behind it; `None` at `end`.
    pub(super) fn field(&mut self, at: &mut u64, end: u64) -> Result<Option<Field>> {
        if *at >= end {
            return Ok(None);
        }
        let start = *at;
        let key = self.varint(at, end)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0);
        let Some(number) = number else { return Err(self.damaged(&format!("no field at byte {start}"))) };
        let (kind, value, length) = match key & 7 {
            0 => (Kind::Varint, self.varint(at, end)?, 0),
            1 => (Kind::Fixed64, 0, 8),
            2 => (Kind::Length, 0, self.varint(at, end)?),
            5 => (Kind::Fixed32, 0, 4),
            _ => return Err(self.damaged(&format!("no field at byte {start}"))),
        };
        let body = *at;
        let Some(after) = body.checked_add(length).filter(|after| *after <= end) else {
            let what = format!("{length} bytes from byte {body} on are beyond the end at {end}: truncated or damaged");
            return Err(self.damaged(&what));
        };
        *at = after;
        Ok(Some(Field { number, kind, start, body, end: after, value }))
    }

    /// What is from `start` to `end`, which the caller has found to be within bounds.
    pub(super) fn read(&mut self, start: u64, end: u64) -> Result<Vec<u8>> {
        let length = end.saturating_sub(start);
        if length <= WINDOW_BYTES {
            return self.peek(start, length).map(<[u8]>::to_vec);
        }
        let mut bytes = vec![0; length as usize];
        positioned::read_exact_at(self.file, &mut bytes, start).map_err(|e| Error::io(self.path, e))?;
        Ok(bytes)
    }

    /// The text of a field, at most 64 KiB of it.
    pub(super) fn text(&mut self, field: &Field, what: &str) -> Result<String> {
        let field = field.whole(self, what)?;
        if field.length() > WINDOW_BYTES {
            return Err(self.damaged(&format!("{what} is {} bytes long", field.length())));
        }
        let bytes = self.read(field.body, field.end)?;
        String::from_utf8(bytes).map_err(|_| self.damaged(&format!("{what} at byte {} is no UTF-8 text", field.body)))
    }
}

/// The key of field `number`, of what has a length.
pub(super) fn key(number: u32) -> Vec<u8> {
    varint(u64::from(number) << 3 | 2)
}

pub(super) fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VARINT_BYTES as usize);
    encode_varint(value, &mut bytes);
    bytes
}

/// A field that has a length.
pub(super) fn field(number: u32, body: &[u8]) -> Vec<u8> {
    [&key(number), &varint(body.len() as u64), body].concat()
}

/// A field that is a number.
pub(super) fn number_field(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value)].concat()
}

/// A function from a field's number and value to a new value.
type Replace<'a> = &'a mut dyn FnMut(u32, &[u8]) -> Result<Option<Vec<u8>>>;

/// The message `bytes` with some fields replaced: `replace` gets each field's number and value (of a number, its varint) and
/// gives a new value, or `None` to leave it as it is, byte for byte.
pub(super) fn replaced(path: &Path, bytes: &[u8], replace: Replace) -> Result<Vec<u8>> {
    let damaged = || Error::format(path, "not a sound ONNX file: a message ends too early; export it again");
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        let key = decode_varint(&mut rest).map_err(|_| damaged())?;
        let number = (key >> 3) as u32;
        let value_start = before.len() - rest.len();
        let length = match key & 7 {
            0 => {
                let all = rest.len();
                decode_varint(&mut rest).map_err(|_| damaged())?;
                let used = all - rest.len();
                rest = &before[value_start..];
                used
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(decode_varint(&mut rest).map_err(|_| damaged())?).map_err(|_| damaged())?,
            _ => return Err(damaged()),
        };
        let body = rest.get(..length).ok_or_else(damaged)?;
        rest = &rest[length..];
        match replace(number, body)? {
            None => out.extend(&before[..before.len() - rest.len()]),
            Some(new) if key & 7 == 2 => out.extend(field(number, &new)),
            Some(new) => {
                out.extend(&before[..value_start]);
                out.extend(new);
            }
        }
    }
    Ok(out)
}
