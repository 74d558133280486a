//! Random scores that any engine, any thread and any run gives alike.

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
        for (index, score) in (first..).zip(scores) {
            let [block, _] = threefry(key, [index as u32, (index >> 32) as u32]);
            *score = (block >> 8) as f32;
        }
        Ok(())
    }
}

/// The block cipher Threefry-2x32 with 20 rounds.
fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let (mut a, mut b) = (counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1]));
    for round in 0..20 {
        a = a.wrapping_add(b);
        b = b.rotate_left(ROTATIONS[round % 8]) ^ a;
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            a = a.wrapping_add(keys[injection % 3]);
            b = b.wrapping_add(keys[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
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
    fn seeds_and_names_differ() {
        let keys = [(1, "a"), (2, "a"), (1, "b"), (1 << 32, "a")].map(|(seed, name)| Random::new(seed).key(name));
        assert!((0..4).all(|i| (0..i).all(|j| keys[i] != keys[j])), "{keys:?}");
    }
}
