//! Random scores that any engine, any thread and any run gives alike.

use std::num::Wrapping;
use std::ops::{Add, BitXor};

use fearless_simd::{Level, dispatch, prelude::*, u32x16};

use super::Score;
use crate::{Result, Tensor};

/// A random score for each weight: the control that any other criterion has to beat.
///
/// The score of element i is a block of the counter-based generator Threefry-2x32-20 (Salmon et al., "Parallel random
/// numbers: as easy as 1, 2, 3", 2011) under a key made of the seed and the tensor's name, so that it depends on neither
/// the order of work nor other tensors. Its upper 24 bits are ranked.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    seed: u64,
}

impl Random {
    /// The scores of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The score of channel `index` of the class `name`, at least 0 and less than 1.
    pub(super) fn channel(&self, name: &str, index: u64) -> f64 {
        let [a, b] = threefry(self.key(name), [index as u32, (index >> 32) as u32]);
        let bits = (u64::from(b) << 32 | u64::from(a)) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }

    fn key(&self, name: &str) -> [u32; 2] {
        // FNV-1a, of which the names of a model need no more than that they differ.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        threefry([self.seed as u32, (self.seed >> 32) as u32], [hash as u32, (hash >> 32) as u32])
    }
}

impl Score for Random {
    fn name(&self) -> String {
        format!("random:{}", self.seed)
    }

    fn score(&self, tensor: &Tensor, first: u64, _weights: &[f32], scores: &mut [f32]) -> Result<()> {
        let key = self.key(tensor.name());
        // Runs in which the counter's upper half stays as it is.
        let mut index = first;
        let mut rest = scores;
        while !rest.is_empty() {
            let length = ((1 << 32) - (index & 0xffff_ffff)).min(rest.len() as u64);
            let (run, after) = rest.split_at_mut(length as usize);
            dispatch!(Level::new(), simd => score_run(simd, key, [index as u32, (index >> 32) as u32], run));
            (index, rest) = (index + length, after);
        }
        Ok(())
    }
}

/// A block for each score, sixteen side by side.
#[inline(always)]
fn score_run<S: Simd>(simd: S, key: [u32; 2], [low, high]: [u32; 2], scores: &mut [f32]) {
    let number = |x| u32x16::splat(simd, x);
    let steps = u32x16::from_fn(simd, |lane| lane as u32);
    let mut counter = low;
    for scores in scores.chunks_mut(16) {
        let counters = [number(counter) + steps, number(high)];
        let [block, _] = rounds(key, counters, number, |x, by| x << by | x >> (32 - by));
        let mut blocks = [0; 16];
        (block >> 8).store_slice(&mut blocks);
        scores.iter_mut().zip(blocks).for_each(|(score, block): (&mut f32, u32)| *score = block as f32);
        counter = counter.wrapping_add(16);
    }
}

/// The block cipher Threefry-2x32 with 20 rounds.
pub(crate) fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    rounds(key, counter.map(Wrapping), Wrapping, |x, by| Wrapping(x.0.rotate_left(by))).map(|x| x.0)
}

#[inline(always)]
fn rounds<T: Copy + Add<Output = T> + BitXor<Output = T>>(
    key: [u32; 2],
    [a, b]: [T; 2],
    number: impl Fn(u32) -> T,
    rotate: impl Fn(T, u32) -> T,
) -> [T; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    let keys = [number(key[0]), number(key[1]), number(0x1bd1_1bda ^ key[0] ^ key[1])];
    let (mut a, mut b) = (a + keys[0], b + keys[1]);
    for injection in 0..5 {
        for round in 0..4 {
            a = a + b;
            b = rotate(b, ROTATIONS[(injection * 4 + round) % 8]) ^ a;
        }
        a = a + keys[(injection + 1) % 3];
        b = b + keys[(injection + 2) % 3] + number(injection as u32 + 1);
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the authors' Random123, as its `kat_vectors` lists them.
    #[test]
    fn the_generator_is_threefry() {
        let cases = [
            ([0; 2], [0; 2], [0x6b20_0159, 0x99ba_4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for (key, counter, want) in cases {
            assert_eq!(threefry(key, counter), want);
        }
    }

    #[test]
    fn runs_of_scores_are_blocks() {
        let (key, low) = ([3, 9], u32::MAX - 70);
        let mut scores = vec![0.0; 71];
        dispatch!(Level::new(), simd => score_run(simd, key, [low, 5], &mut scores));
        for (i, score) in (0..).zip(scores) {
            assert_eq!(score, (threefry(key, [low + i, 5])[0] >> 8) as f32);
        }
    }

    #[test]
    fn seeds_and_names_differ() {
        let keys = [(1, "a"), (2, "a"), (1, "b"), (1 << 32, "a")].map(|(seed, name)| Random::new(seed).key(name));
        assert!((0..4).all(|i| (0..i).all(|j| keys[i] != keys[j])), "{keys:?}");
    }
}
