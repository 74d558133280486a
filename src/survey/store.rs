//! The counts of many tensors, without holding them all.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::ValueCounts;
use crate::{Error, Float, Result};

/// [`ValueCounts`] of tensors, in the order in which they were pushed: in memory up to a number of bytes, in an anonymous
/// temporary file beyond (under `TMPDIR`, gone when this is dropped). A cell takes about three bytes.
#[derive(Debug)]
pub(crate) struct Store {
    cells: SpooledTempFile,
    /// The format of each, and where its cells start and end.
    tensors: Vec<(Float, u64, u64)>,
}

impl Store {
    /// Nothing yet; up to `memory_bytes` are held in memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let most = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        Self { cells: tempfile::spooled_tempfile(most), tensors: Vec::new() }
    }

    pub(crate) fn push(&mut self, counts: &ValueCounts) -> Result<()> {
        let mut bytes = Vec::with_capacity(4 * counts.cells().len());
        let mut last = 0;
        for (bits, count) in counts.cells() {
            write_number(&mut bytes, u64::from(bits - last));
            write_number(&mut bytes, *count);
            last = *bits;
        }
        let start = self.tensors.last().map_or(0, |(_, _, end)| *end);
        self.cells.seek(SeekFrom::Start(start)).and_then(|_| self.cells.write_all(&bytes)).map_err(failed)?;
        self.tensors.push((counts.float(), start, start + bytes.len() as u64));
        Ok(())
    }

    pub(crate) fn get(&mut self, index: usize) -> Result<ValueCounts> {
        let (float, start, end) = self.tensors[index];
        let mut bytes = vec![0; (end - start) as usize];
        self.cells.seek(SeekFrom::Start(start)).and_then(|_| self.cells.read_exact(&mut bytes)).map_err(failed)?;
        let mut rest = bytes.as_slice();
        let (mut cells, mut last) = (Vec::new(), 0u16);
        while let (Some(step), Some(count)) = (read_number(&mut rest), read_number(&mut rest)) {
            last = last.wrapping_add(step as u16);
            cells.push((last, count));
        }
        Ok(ValueCounts::new(float, cells))
    }
}

/// Seven bits a byte, the lowest first; the last byte has its highest bit clear (LEB128).
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn failed(source: io::Error) -> Error {
    Error::io(std::env::temp_dir(), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_from_memory_and_from_a_file() {
        let all: Vec<(u16, u64)> = (0..=u16::MAX).map(|bits| (bits, u64::from(bits).pow(4) + 1)).collect();
        let wanted = [
            ValueCounts::new(Float::BF16, all),
            ValueCounts::new(Float::E4M3, Vec::new()),
            ValueCounts::new(Float::F64, vec![(0xffff, u64::MAX), (7, 1), (0, 3)]),
        ];
        for memory_bytes in [0, 100, 1 << 30] {
            let mut store = Store::new(memory_bytes);
            for counts in &wanted[..2] {
                store.push(counts).unwrap();
            }
            assert_eq!(store.get(0).unwrap(), wanted[0]);
            store.push(&wanted[2]).unwrap();
            for (index, counts) in wanted.iter().enumerate().rev() {
                assert_eq!(&store.get(index).unwrap(), counts, "{memory_bytes}");
            }
        }
    }
}
