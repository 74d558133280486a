//! Cuts on the GPU against those on the CPU, whose twins are tested against naive ones.

use super::tests::{engines, noise};
use crate::Float;
use crate::cpu::CpuEngine;
use crate::gpu::GpuEngine;
use crate::scan::{Compute, CutCounts, Job, Rule};

/// Weights of a format: many ties, zeros of both signs, and whatever else bits can be.
fn weights(float: Float, elements: usize, seed: u64) -> Vec<u8> {
    let mut next = noise(seed);
    let bits = |x: u64| match x % 4 {
        0 => x >> 8 & 3 | (x >> 20 & 1) << (float.bits() - 1),
        1 => (float.non_finite() - 3 + (x >> 8) % 6) | (x >> 20 & 1) << (float.bits() - 1),
        _ => x >> (64 - float.bits()),
    };
    (0..elements).flat_map(|_| bits(next()).to_le_bytes().into_iter().take(float.bytes())).collect()
}

/// Everything that a cut leaves behind.
type Left = (Vec<Vec<u8>>, Vec<Vec<u32>>, Vec<u64>, Vec<CutCounts>);

fn cut(engine: &dyn Compute, cases: &[(Float, Vec<u8>, Rule)], budgets: &[u64], masks_wanted: bool) -> Left {
    let mut bytes: Vec<Vec<u8>> = cases.iter().map(|c| c.1.clone()).collect();
    let words = |c: &(Float, Vec<u8>, Rule)| (c.1.len() / c.0.bytes()).div_ceil(32);
    let mut masks: Vec<Vec<u32>> = cases.iter().map(|c| vec![0; words(c)]).collect();
    let mut budgets = budgets.to_vec();
    let mut jobs: Vec<Job> = cases
        .iter()
        .zip(&mut bytes)
        .zip(&mut masks)
        .map(|((c, bytes), mask)| Job { float: c.0, bytes, first: 0, rule: c.2, mask: masks_wanted.then_some(mask) })
        .collect();
    let counts = engine.cut(&mut jobs, &mut budgets, 0).unwrap();
    (bytes, masks, budgets, counts)
}

fn compare(cpu: &CpuEngine, gpu: &GpuEngine, cases: &[(Float, Vec<u8>, Rule)], budgets: &[u64]) {
    for wanted in [true, false] {
        let (want, found) = (cut(cpu, cases, budgets, wanted), cut(gpu, cases, budgets, wanted));
        let floats: Vec<Float> = cases.iter().map(|c| c.0).collect();
        assert_eq!(found.3, want.3, "counts {floats:?}");
        assert_eq!(found.2, want.2, "budgets {floats:?}");
        assert!(found.0 == want.0, "weights {floats:?}");
        assert!(found.1 == want.1, "masks {floats:?}");
    }
}

const FORMATS: [Float; 5] = [Float::F32, Float::F16, Float::BF16, Float::E4M3, Float::E5M2];

#[test]
fn thresholds_share_budgets_in_order() {
    let Some((cpu, gpu)) = engines() else { return };
    for float in FORMATS {
        for above in [false, true] {
            let keys = [0, 1, 2, float.largest_magnitude() - 1, float.largest_magnitude()];
            for key in keys {
                let rule = |budget| Rule::Threshold { key, above, budget };
                // More than a chunk, a tile and a word, and less.
                let cases: Vec<_> = [(40, 1), (700_001, 1), (8192, 2), (31, 1), (8193, 1), (1, 2), (600_000, 3)]
                    .into_iter()
                    .map(|(n, budget)| (float, weights(float, n, n as u64), rule(budget)))
                    .collect();
                compare(cpu, gpu, &cases, &[0, 50_000, u64::MAX, (1 << 32) + 7]);
            }
        }
    }
}

#[test]
fn patterns_along_any_stride() {
    let Some((cpu, gpu)) = engines() else { return };
    for float in FORMATS {
        for (n, m, stride) in [(2, 4, 1), (4, 8, 9), (1, 3, 1), (31, 32, 2), (1, 2, 300), (2, 4, 25)] {
            let rule = |above| Rule::NofM { n, m, stride, above };
            let unit = m as usize * stride as usize;
            let cases: Vec<_> = [(1, false), (700_000 / unit, true), (37, false)]
                .into_iter()
                .map(|(groups, above)| (float, weights(float, groups * unit, groups as u64), rule(above)))
                .collect();
            compare(cpu, gpu, &cases, &[0]);
        }
    }
}

#[test]
fn given_masks_and_several_formats() {
    let Some((cpu, gpu)) = engines() else { return };
    let mut next = noise(5);
    let mut masks = Vec::new();
    for n in [1usize, 33, 300_000] {
        let mut mask: Vec<u32> = (0..n.div_ceil(32)).map(|_| next() as u32).collect();
        if n % 32 != 0 {
            *mask.last_mut().unwrap() &= !(u32::MAX << (n % 32));
        }
        masks.push((n, mask));
    }
    let cases: Vec<_> = FORMATS
        .into_iter()
        .flat_map(|float| masks.iter().map(move |(n, mask)| (float, weights(float, *n, 9), Rule::Mask(mask))))
        .collect();
    compare(cpu, gpu, &cases, &[0]);
}
