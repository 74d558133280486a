//! Random numbers that are the same on every machine, in any order of work.

use crate::prune::threefry;

/// A stream of random numbers: blocks of the counter-based generator Threefry-2x32-20 (Salmon et al. 2011).
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    key: [u32; 2],
    counter: u64,
}

impl Stream {
    /// The stream of that purpose under a seed.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: different names are all that is needed.
        let hash =
            purpose.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self { key: threefry(halves(seed), halves(hash)), counter: 0 }
    }

    /// One of many streams beside this one.
    pub(super) fn fork(self, number: u64) -> Self {
        Self { key: threefry(self.key, halves(number)), counter: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        let [low, high] = threefry(self.key, halves(self.counter));
        self.counter = self.counter.wrapping_add(1);
        u64::from(high) << 32 | u64::from(low)
    }

    /// At least 0 and less than `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // The upper half of the product: even to bound / 2^64.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// At least 0 and less than 1.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Numbers below `count` in random order (Fisher and Yates).
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_each_number_once() {
        let order = |seed, epoch| Stream::new(seed, "order").fork(epoch).order(1000);
        let mut sorted = order(3, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(order(3, 0), order(3, 0));
        assert!(order(3, 0) != order(3, 1) && order(3, 0) != order(4, 0) && order(3, 0) != sorted);
        // What every machine must give.
        assert_eq!(Stream::new(0, "order").fork(0).order(8), [5, 6, 2, 1, 0, 7, 4, 3]);
    }
}
