//! Magnitude histograms of many tensors, searched without holding them all.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::{Error, Result};
use tempfile::SpooledTempFile;

/// What [`lamp`](super::lamp) needs of each tensor: its distinct magnitudes and how often each occurs.
///
/// Held in memory up to a number of bytes, 24 a bin, and in an anonymous temporary file beyond (under `TMPDIR`, gone
/// when this is dropped). Beside that 32 bytes a tensor.
///
/// ```
/// use secateur::prune::allocation::{Candidate, Histograms, lamp};
///
/// let mut histograms = Histograms::new(1 << 20);
/// histograms.push([(0.5, 3), (2.0, 1)])?;
/// histograms.push([(0.0, 1), (1.0, 3)])?;
/// let candidates = [Candidate::new("a", [2, 2]), Candidate::new("b", [4])];
/// assert_eq!(lamp(0.5, &candidates, &mut histograms)?, [3, 1]);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Debug)]
pub struct Histograms {
    bins: SpooledTempFile,
    tensors: Vec<Extent>,
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    /// The index of the tensor's first bin among all.
    first: u64,
    bins: u64,
    finite: u64,
    infinite: u64,
}

/// Equal magnitudes of one tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    /// The sum of the squares of all larger finite magnitudes, over this one's square; inf for zeros.
    pub(super) tail: f64,
    /// How many weights are smaller.
    pub(super) below: u64,
    /// How many weights have this magnitude.
    pub(super) count: u64,
}

const BIN_BYTES: usize = 24;

impl Histograms {
    /// No tensors yet; up to `memory_bytes` are held in memory.
    pub fn new(memory_bytes: u64) -> Self {
        let most = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        Self { bins: tempfile::spooled_tempfile(most), tensors: Vec::new() }
    }

    /// Adds the next tensor: its magnitudes in strictly ascending order, inf last, and how many weights have each. NaN
    /// weights are left out. The bins of one tensor are held at once.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the temporary file cannot be written.
    pub fn push(&mut self, bins: impl IntoIterator<Item = (f64, u64)>) -> Result<()> {
        let mut bins: Vec<(f64, u64)> = bins.into_iter().filter(|&(_, count)| count > 0).collect();
        debug_assert!(bins.is_sorted_by(|a, b| a.0 < b.0) && bins.iter().all(|bin| bin.0 >= 0.0));
        let at = bins.partition_point(|bin| bin.0 < f64::INFINITY);
        let infinite = super::sum(bins.drain(at..).map(|(_, count)| count));
        let first = self.tensors.last().map_or(0, |last| last.first + last.bins);
        let (encoded, finite) = encode(&bins);
        self.append(&encoded).map_err(failed)?;
        self.tensors.push(Extent { first, bins: bins.len() as u64, finite, infinite });
        Ok(())
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// How many finite weights the tensor has.
    pub(super) fn finite(&self, tensor: usize) -> u64 {
        self.tensors[tensor].finite
    }

    /// How many infinite weights the tensor has.
    pub(super) fn infinite(&self, tensor: usize) -> u64 {
        self.tensors[tensor].infinite
    }

    /// How many distinct finite magnitudes the tensor has.
    pub(super) fn bins(&self, tensor: usize) -> u64 {
        self.tensors[tensor].bins
    }

    /// The bin of that index in ascending order; below [`bins`](Self::bins).
    pub(super) fn bin(&mut self, tensor: usize, index: u64) -> Result<Bin> {
        let at = (self.tensors[tensor].first + index) * BIN_BYTES as u64;
        let mut bytes = [0; BIN_BYTES];
        self.bins.seek(SeekFrom::Start(at)).and_then(|_| self.bins.read_exact(&mut bytes)).map_err(failed)?;
        let word = |index: usize| bytemuck::pod_read_unaligned::<u64>(&bytes[8 * index..][..8]);
        Ok(Bin { tail: f64::from_bits(word(0)), below: word(1), count: word(2) })
    }

    fn append(&mut self, encoded: &[u8]) -> io::Result<()> {
        self.bins.seek(SeekFrom::End(0))?;
        self.bins.write_all(encoded)
    }
}

/// The stored form of a tensor's finite bins, and how many weights they hold.
fn encode(bins: &[(f64, u64)]) -> (Vec<u8>, u64) {
    let mut words = vec![[0u64; 3]; bins.len()];
    let mut below = 0u64;
    for (word, &(_, count)) in words.iter_mut().zip(bins) {
        (word[1], word[2]) = (below, count);
        below = below.saturating_add(count);
    }
    // Ratios alone matter: with the largest magnitude in [1/2, 1) no square overflows.
    let exponent = bins.last().map_or(0, |&(largest, _)| libm::frexp(largest).1);
    let mut larger = 0.0;
    for (word, &(magnitude, count)) in words.iter_mut().zip(bins).rev() {
        let scaled = libm::scalbn(magnitude, -exponent);
        let square = scaled * scaled;
        // A square that underflows is 0 beside the largest. Neither the sum falls nor the square rises on the way down,
        // so tails rise, whatever the rounding: a search among them is sound.
        word[0] = if square > 0.0 { larger / square } else { f64::INFINITY }.to_bits();
        larger += square * count as f64;
    }
    (bytemuck::cast_slice(&words).to_vec(), below)
}

fn failed(source: io::Error) -> Error {
    Error::io(std::env::temp_dir(), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_come_back_from_memory_and_from_a_file() {
        for memory_bytes in [0, 30, 1 << 20] {
            let mut histograms = Histograms::new(memory_bytes);
            histograms.push([(0.0, 2), (1.0, 3), (1.5, 0), (2.0, 1), (f64::INFINITY, 4)]).unwrap();
            histograms.push([]).unwrap();
            histograms.push([(3e-320, 5)]).unwrap();
            let bin = |histograms: &mut Histograms, tensor, index| {
                let bin = histograms.bin(tensor, index).unwrap();
                (bin.tail, bin.below, bin.count)
            };
            assert_eq!(bin(&mut histograms, 0, 2), (0.0, 5, 1));
            assert_eq!(bin(&mut histograms, 0, 1), (4.0, 2, 3));
            assert_eq!(bin(&mut histograms, 0, 0), (f64::INFINITY, 0, 2));
            assert_eq!(bin(&mut histograms, 2, 0), (0.0, 0, 5));
            // Written after a read.
            histograms.push([(1e308, 1), (f64::MAX, 1)]).unwrap();
            let (tail, ..) = bin(&mut histograms, 3, 0);
            assert!((tail / (1.797_693_134_862_315_7f64 * 1.797_693_134_862_315_7) - 1.0).abs() < 1e-14);
            let sizes: Vec<_> =
                (0..4).map(|t| (histograms.bins(t), histograms.finite(t), histograms.infinite(t))).collect();
            assert_eq!(sizes, [(3, 6, 4), (0, 0, 0), (1, 5, 0), (2, 2, 0)]);
        }
    }
}
