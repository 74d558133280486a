//! An output file as parts of its source, new bytes, and room for the elements of tensors.

use super::wire::{self, Field};

/// A part of an output.
#[derive(Debug)]
pub(in crate::checkpoint) enum Part {
    /// These bytes of the source.
    Copy { start: u64, end: u64 },
    /// These bytes.
    Bytes(Vec<u8>),
    /// The elements of the array of this index, so many bytes.
    Data { array: usize, bytes: u64 },
    /// A message with these parts, made from the one that `field` is.
    Message { field: Field, parts: Vec<Part> },
}

impl Part {
    /// All of `field`, its key included.
    pub(super) fn whole(field: &Field) -> Self {
        Self::Copy { start: field.start, end: field.end }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Copy { start, end } => end - start,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Data { bytes, .. } => *bytes,
            Self::Message { field, parts } => {
                let inner = length(parts);
                inner + if inner == field.length() { field.body - field.start } else { head(field, inner).len() as u64 }
            }
        }
    }
}

/// The bytes that `parts` take.
pub(in crate::checkpoint) fn length(parts: &[Part]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes()))
}

fn head(field: &Field, length: u64) -> Vec<u8> {
    [wire::key(field.number), wire::varint(length)].concat()
}

/// What is at a place of an output: parts without messages.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Piece {
    Copy { start: u64, end: u64 },
    Bytes(Vec<u8>),
    Data { array: usize, bytes: u64 },
}

/// The pieces of `parts` in order, what is copied from one stretch of the source in one.
pub(in crate::checkpoint) fn pieces(parts: Vec<Part>) -> Vec<Piece> {
    let mut found = Vec::new();
    flatten(parts, &mut found);
    found
}

fn flatten(parts: Vec<Part>, found: &mut Vec<Piece>) {
    for part in parts {
        match part {
            Part::Copy { start, end } => copy(start, end, found),
            Part::Bytes(bytes) => found.push(Piece::Bytes(bytes)),
            Part::Data { array, bytes } => found.push(Piece::Data { array, bytes }),
            Part::Message { field, parts } => {
                let inner = length(&parts);
                // A length that stays is spelt as it was.
                match inner == field.length() {
                    true => copy(field.start, field.body, found),
                    false => found.push(Piece::Bytes(head(&field, inner))),
                }
                flatten(parts, found);
            }
        }
    }
}

fn copy(start: u64, end: u64, found: &mut Vec<Piece>) {
    match found.last_mut() {
        Some(Piece::Copy { end: before, .. }) if *before == start => *before = end,
        _ if start < end => found.push(Piece::Copy { start, end }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Kind;
    use super::*;

    #[test]
    fn lengths_are_rewritten_where_they_change() {
        // A message of 200 bytes whose length is spelt in three bytes where two do.
        let field = Field { number: 7, kind: Kind::Length, start: 10, body: 14, end: 214, value: 0 };
        let same = vec![
            Part::Copy { start: 14, end: 100 },
            Part::Data { array: 3, bytes: 100 },
            Part::Copy { start: 200, end: 214 },
        ];
        let parts = vec![Part::Copy { start: 0, end: 10 }, Part::Message { field, parts: same }];
        assert_eq!(length(&parts), 214);
        let data = || Piece::Data { array: 3, bytes: 100 };
        assert_eq!(pieces(parts), [Piece::Copy { start: 0, end: 100 }, data(), Piece::Copy { start: 200, end: 214 }]);

        let shorter = vec![Part::Copy { start: 14, end: 100 }, Part::Data { array: 3, bytes: 100 }];
        let parts = vec![Part::Copy { start: 0, end: 10 }, Part::Message { field, parts: shorter }];
        assert_eq!(length(&parts), 10 + 3 + 186);
        let head = Piece::Bytes(vec![7 << 3 | 2, 186, 1]);
        assert_eq!(
            pieces(parts),
            [Piece::Copy { start: 0, end: 10 }, head, Piece::Copy { start: 14, end: 100 }, data()]
        );
    }
}
