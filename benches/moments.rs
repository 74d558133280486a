//! Moments in memory, on all cores, beside the same threads summing the same bytes.
//!
//! Every answer is checked before it is timed. The array outgrows the caches. `cargo bench --bench moments` prints
//! GB/s for each; the ratio of two lines of one run is what counts, since machines differ and are busy.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use rayon::prelude::*;
use secateur::{Float, stats::Moments};

/// Bytes of the array: many times any cache.
const BYTES: usize = 256 << 20;
/// Bytes that a thread takes at a time, as the engine does.
const PIECE: usize = 128 << 10;

/// Weights before they repeat.
const PERIOD: usize = 1 << 18;

/// Roughly normal weights with σ 0.02.
fn weights() -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let block: Vec<f32> = (0..PERIOD).map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 0.0346).collect();
    block.iter().copied().cycle().take(BYTES / 4).collect()
}

fn bytes_of(float: Float, weights: &[f32]) -> Vec<u8> {
    let n = BYTES / float.bytes();
    let values = weights.iter().cycle().take(n);
    match float {
        Float::F32 => values.flat_map(|x| x.to_le_bytes()).collect(),
        Float::F16 => values.flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Float::BF16 => values.flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        Float::F64 => values.flat_map(|x| f64::from(*x).to_le_bytes()).collect(),
        Float::E4M3 | Float::E5M2 => values.map(|x| bf16::from_f32(*x).to_le_bytes()[1]).collect(),
    }
}

/// The ceiling: every word is loaded and added, nothing else.
fn sum(bytes: &[u8]) -> u64 {
    bytes.par_chunks(PIECE).map(sum_piece).reduce(|| 0, u64::wrapping_add)
}

fn sum_piece(bytes: &[u8]) -> u64 {
    // Eight lanes that the compiler makes vectors of.
    let mut lanes = [0u64; 8];
    for chunk in bytes.as_chunks::<64>().0 {
        for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}

/// The ceiling of f32: what a plain sum in 32 lanes takes.
fn sum_f32(bytes: &[u8]) -> f32 {
    let piece = |bytes: &[u8]| {
        let mut lanes = [0f32; 32];
        for chunk in bytes.as_chunks::<128>().0 {
            for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<4>().0) {
                *lane += f32::from_le_bytes(*word);
            }
        }
        lanes.iter().sum::<f32>()
    };
    bytes.par_chunks(PIECE).map(piece).sum()
}

fn moments(float: Float, bytes: &[u8]) -> Moments {
    let parts: Vec<Moments> = bytes.par_chunks(PIECE).map(|piece| Moments::of_bytes(float, piece)).collect();
    let mut total = Moments::default();
    parts.iter().for_each(|part| total.combine(part));
    total
}

fn check(float: Float, bytes: &[u8], found: &Moments) {
    let n = PERIOD;
    let one = Moments::of_bytes(float, &bytes[..n * float.bytes()]);
    // The weights repeat, so that the whole has the statistics of a part.
    let close =
        |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(1.0));
    assert_eq!(found.count, (bytes.len() / float.bytes()) as u64);
    assert!(close(found.variance(), one.variance()) && close(found.kurtosis(), one.kurtosis()), "{found:?} {one:?}");
}

fn bench(c: &mut Criterion) {
    let weights = weights();
    let mut group = c.benchmark_group("in memory, all cores");
    group.sample_size(10).throughput(Throughput::BytesDecimal(BYTES as u64));
    for float in [Float::F32, Float::BF16, Float::F16, Float::E4M3, Float::F64] {
        let bytes = bytes_of(float, &weights);
        check(float, &bytes, &moments(float, &bytes));
        let name = format!("{float:?}").to_lowercase();
        group.bench_function(format!("sum of words, {name}"), |b| b.iter(|| black_box(sum(black_box(&bytes)))));
        if float == Float::F32 {
            group.bench_function("sum of floats, f32", |b| b.iter(|| black_box(sum_f32(black_box(&bytes)))));
        }
        group.bench_function(format!("moments, {name}"), |b| b.iter(|| black_box(moments(float, black_box(&bytes)))));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
