//! The k-th magnitude of weights in memory, on all cores, beside the same threads summing the same bytes.
//!
//! `cargo bench --bench select`; with `SECATEUR_KTH_FILE` it takes the largest F32 tensor of that file, which
//! `benches/peers/kth.py` times in torch and numpy. The answer is checked before it is timed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use secateur::prune::kth_magnitude;
use secateur::{Checkpoint, Engine, Float};

/// Bytes that a thread takes at a time.
const PIECE: usize = 128 << 10;

/// F32 weights: those of a file, or 2^26 roughly normal ones.
fn weights() -> Vec<u8> {
    if let Some(path) = std::env::var_os("SECATEUR_KTH_FILE") {
        let model = Checkpoint::open(path).expect("a model");
        let floats = model.tensors().iter().filter(|t| t.float() == Some(Float::F32));
        let tensor = floats.max_by_key(|t| t.elements()).expect("an F32 tensor");
        let mut bytes = vec![0; tensor.bytes() as usize];
        model.read_exact_at(tensor, 0, &mut bytes).expect("its weights");
        return bytes;
    }
    let mut state = 1u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..1 << 26).flat_map(|_| ((0..4).map(|_| uniform()).sum::<f32>() * 0.0346).to_le_bytes()).collect()
}

/// The ceiling: every word is loaded and added, nothing else.
fn sum(bytes: &[u8]) -> u64 {
    let piece = |bytes: &[u8]| {
        let mut lanes = [0u64; 8];
        for chunk in bytes.as_chunks::<64>().0 {
            for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
                *lane = lane.wrapping_add(u64::from_le_bytes(*word));
            }
        }
        lanes.into_iter().fold(0, u64::wrapping_add)
    };
    bytes.par_chunks(PIECE).map(piece).reduce(|| 0, u64::wrapping_add)
}

fn bench(c: &mut Criterion) {
    let bytes = weights();
    let engine = Engine::cpu(None).expect("threads");
    let elements = bytes.len() / 4;
    let mut sorted: Vec<u32> = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b) & 0x7fff_ffff).collect();
    let mut group = c.benchmark_group("k-th magnitude, f32, all cores");
    group.sample_size(10).throughput(Throughput::BytesDecimal(bytes.len() as u64));
    group.bench_function("sum of words", |b| b.iter(|| black_box(sum(black_box(&bytes)))));
    for (name, rate) in [("half", 0.5), ("nine tenths", 0.9)] {
        let k = (rate * elements as f64) as u64;
        let want = f32::from_bits(*sorted.select_nth_unstable(k as usize - 1).1);
        let find = || kth_magnitude(&engine, Float::F32, &bytes, k).expect("the CPU does not fail");
        assert_eq!(find(), Some(want.into()));
        group.bench_function(name, |b| b.iter(|| black_box(find())));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
