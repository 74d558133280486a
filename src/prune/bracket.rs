//! The k-th magnitude of weights in memory by one pass: a sample says between which two values it lies, and only what is
//! between them is looked at closely (after Floyd and Rivest, "Expected time bounds for selection", 1975). The answer is
//! exact: where the sample misleads, `None` says so.

use fearless_simd::{Level, dispatch, prelude::*};
use rayon::prelude::{ParallelIterator as _, ParallelSlice as _};

use super::rank::Cut;
use crate::Float;
use crate::cpu::CpuEngine;
use crate::kernels::lanes::{Lanes, Sixteen, ThirtyTwo};
use crate::order::bits_at;

/// Elements of the sample: as many as make looking at it cheap beside the pass.
const SAMPLES: std::ops::RangeInclusive<usize> = 1 << 12..=1 << 16;

/// Ranks of a sample that the bracket lies to either side: three standard deviations of a median's, so that one tensor in
/// some hundred is counted again.
fn margin(samples: usize) -> usize {
    3 * samples.isqrt() / 2
}

/// What is known about the magnitudes of a part.
#[derive(Default)]
struct Seen {
    below: u64,
    nan: u64,
    low: u64,
    high: u64,
    between: Vec<u32>,
}

/// What is cut where the `k` lowest (or, `above`, highest) magnitudes of `bytes` are, of formats of 16 and 32 bits; the outer
/// `None` where the sample does not lead there.
pub(super) fn cut(cpu: &CpuEngine, float: Float, bytes: &[u8], k: u64, above: bool) -> Option<Option<Cut>> {
    let elements = bytes.len() / float.bytes();
    let (low, high) = bracket(float, bytes, k, above)?;
    let share = elements.div_ceil(cpu.threads()).max(1 << 18) * float.bytes();
    let most = elements / 8 / cpu.threads().max(1) + SAMPLES.start();
    let look = |part: &[u8]| {
        dispatch!(Level::new(), simd => match float.bytes() {
            2 => look::<_, Sixteen<_>>(simd, float, part, low, high, most),
            _ => look::<_, ThirtyTwo<_>>(simd, float, part, low, high, most),
        })
    };
    let seen: Vec<Option<Seen>> = cpu.pool().install(|| bytes.par_chunks(share).map(look).collect());
    settle(seen.into_iter().collect::<Option<Vec<Seen>>>()?, elements as u64, k, above, low, high)
}

/// Two magnitudes between which the threshold should lie.
fn bracket(float: Float, bytes: &[u8], k: u64, above: bool) -> Option<(u32, u32)> {
    let elements = bytes.len() / float.bytes();
    if !matches!(float.bytes(), 2 | 4) || elements < 8 * SAMPLES.start() {
        return None;
    }
    let samples = (elements / 64).clamp(*SAMPLES.start(), *SAMPLES.end());
    let margin = margin(samples);
    // At places without a pattern, the same every time.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut place = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((u128::from(state) * elements as u128) >> 64) as usize
    };
    let mut sample: Vec<u32> = (0..samples).map(|_| float.magnitude(bits_at(float, bytes, place())) as u32).collect();
    sample.retain(|m| u64::from(*m) <= float.largest_magnitude());
    let rank = if above { elements as u64 - k } else { k };
    let at = (rank as u128 * samples as u128 / elements as u128) as usize;
    let high = match sample.len() {
        n if at + margin < n => *sample.select_nth_unstable(at + margin).1,
        _ => float.largest_magnitude() as u32,
    };
    let low = match at.checked_sub(margin) {
        Some(i) if i < sample.len() => *sample.select_nth_unstable(i).1,
        _ => 0,
    };
    Some((low, high))
}

/// `None` where too much lies between.
#[inline(always)]
fn look<S: Simd, L: Lanes<S>>(simd: S, float: Float, bytes: &[u8], low: u32, high: u32, most: usize) -> Option<Seen> {
    let mut seen = Seen::default();
    let beyond = float.largest_magnitude() as u32 + 1;
    let count = |word: u32| u64::from(word.count_ones());
    let (words, rest) = bytes.split_at(bytes.len() / (32 * L::WIDTH) * 32 * L::WIDTH);
    for elements in words.chunks_exact(32 * L::WIDTH) {
        let magnitudes = L::load(simd, elements).magnitude(simd);
        let (below, lows, highs) =
            (magnitudes.less(simd, low), magnitudes.equal(simd, low), magnitudes.equal(simd, high));
        let mut inside = magnitudes.less(simd, high) & !below & !lows;
        seen.below += count(below);
        seen.low += count(lows);
        seen.high += count(highs);
        seen.nan += 32 - count(magnitudes.less(simd, beyond));
        if inside == 0 {
            continue;
        }
        if seen.between.len() > most {
            return None;
        }
        while inside != 0 {
            seen.between.push(float.magnitude(bits_at(float, elements, inside.trailing_zeros() as usize)) as u32);
            inside &= inside - 1;
        }
    }
    for i in 0..rest.len() / L::WIDTH {
        let m = float.magnitude(bits_at(float, rest, i)) as u32;
        seen.below += u64::from(m < low);
        seen.low += u64::from(m == low);
        seen.high += u64::from(m == high);
        seen.nan += u64::from(m >= beyond);
        seen.between.extend((low < m && m < high).then_some(m));
    }
    Some(seen)
}

/// The cut, if the bracket holds it: `None` where it does not, `Some(None)` where nothing is cut.
fn settle(seen: Vec<Seen>, elements: u64, k: u64, above: bool, low: u32, high: u32) -> Option<Option<Cut>> {
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    let (below, lows, highs) = (sum(|s| s.below), sum(|s| s.low), sum(|s| s.high));
    let count = elements - sum(|s| s.nan);
    let k = k.min(count);
    if k == 0 {
        return Some(None);
    }
    let mut between: Vec<u32> = seen.into_iter().flat_map(|s| s.between).collect();
    let inside = between.len() as u64;
    let highs = if high == low { 0 } else { highs };
    // Counted from 0, among those that are no NaN.
    let rank = if above { count - k } else { k - 1 };
    let rest = rank.checked_sub(below)?;
    let (key, under, equal) = if rest < lows {
        (low, below, lows)
    } else if rest - lows < inside {
        let key = *between.select_nth_unstable((rest - lows) as usize).1;
        let under = between.iter().filter(|m| **m < key).count() as u64;
        (key, below + lows + under, between.iter().filter(|m| **m == key).count() as u64)
    } else if rest - lows - inside < highs {
        (high, below + lows + inside, highs)
    } else {
        return None;
    };
    let outside = if above { count - under - equal } else { under };
    Some(Some(Cut { key: key.into(), ties: k - outside, equal, outside }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough elements for a sample: normal ones, few values, sorted ones, NaN among them.
    fn cases(float: Float) -> Vec<Vec<u8>> {
        let n = 50_000usize;
        let mut state = 7u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut sum = || (0..4).map(|_| (next() >> 40) as f32 / (1 << 24) as f32 - 0.5).sum::<f32>();
        let bits = |x: f32| u64::from(x.to_bits()) >> (32 - float.bits());
        let normal: Vec<u64> = (0..n).map(|_| bits(sum())).collect();
        let few: Vec<u64> = normal.iter().map(|b| b % 3).collect();
        let equal = vec![bits(0.5); n];
        let mut sorted = normal.clone();
        sorted.sort_unstable();
        let nan = normal.iter().enumerate().map(|(i, b)| if i % 3 == 0 { float.sign() - 1 } else { *b }).collect();
        let odd: Vec<u64> = normal.iter().map(|b| if b % 7 == 0 { float.largest_magnitude() } else { *b }).collect();
        let bytes =
            |bits: Vec<u64>| bits.iter().flat_map(|b| b.to_le_bytes().into_iter().take(float.bytes())).collect();
        [normal, few, equal, sorted, nan, odd].into_iter().map(bytes).collect()
    }

    #[test]
    fn equals_a_sort() {
        let cpu = CpuEngine::new(std::num::NonZeroUsize::new(2)).unwrap();
        let mut settled = 0;
        for float in [Float::F32, Float::BF16, Float::F16] {
            for (case, bytes) in cases(float).into_iter().enumerate() {
                let n = bytes.len() / float.bytes();
                let mut sorted: Vec<u64> = (0..n).map(|i| float.magnitude(bits_at(float, &bytes, i))).collect();
                sorted.retain(|m| *m <= float.largest_magnitude());
                sorted.sort_unstable();
                for k in [1, 2, 500, n / 3, n / 2, n * 2 / 3 + 1, n - 1, n] {
                    for above in [false, true] {
                        let Some(found) = cut(&cpu, float, &bytes, k as u64, above) else { continue };
                        settled += 1;
                        let k = k.min(sorted.len());
                        let key = sorted[if above { sorted.len() - k } else { k - 1 }];
                        let equal = sorted.iter().filter(|m| **m == key).count() as u64;
                        let outside =
                            sorted.iter().filter(|m| if above { **m > key } else { **m < key }).count() as u64;
                        let want = Cut { key, ties: k as u64 - outside, equal, outside };
                        assert_eq!(found, Some(want), "{float:?} case {case} k {k} above {above}");
                    }
                }
            }
        }
        assert!(settled > 200, "the sample leads nowhere: {settled}");
    }
}
