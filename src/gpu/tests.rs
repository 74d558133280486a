//! The GPU engine against the CPU engine, whose twins are tested against naive oracles.

use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

use super::{AdapterChoice, GpuEngine};
use crate::cpu::CpuEngine;
use crate::order::for_each_bits;
use crate::scan::{
    Buffer, Compute, Counts, DIGIT_VALUES, Digits, GroupRequest, Piece, Request, Source, Thresholds, Values,
};
use crate::stats::layout::{Layout, Region};
use crate::stats::{Grouping, Moments};
use crate::{Float, Result};

/// The engines, or `None` where there is no adapter and nobody insists on one.
pub(crate) fn engines() -> Option<&'static (CpuEngine, GpuEngine)> {
    static ENGINES: OnceLock<Option<(CpuEngine, GpuEngine)>> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        let cpu = CpuEngine::new(None).unwrap();
        match GpuEngine::new(&AdapterChoice::Default, Arc::clone(cpu.pool())) {
            Ok(gpu) => Some((cpu, gpu)),
            Err(e) => {
                assert!(std::env::var_os("SECATEUR_REQUIRE_GPU").is_none(), "SECATEUR_REQUIRE_GPU is set, but {e}");
                None
            }
        }
    });
    if engines.is_none() {
        skipped();
    }
    engines.as_ref()
}

/// Past the test harness, which swallows what passing tests print.
fn skipped() {
    use std::io::Write;
    let why = "skipped: no GPU adapter was found (SECATEUR_REQUIRE_GPU=1 makes this a failure)";
    writeln!(std::io::stderr(), "{why}").unwrap();
}

/// A tensor in memory.
struct Held {
    float: Float,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Source for Vec<Held> {
    fn load<'a>(&'a self, piece: &Piece, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let (width, held) = (piece.float.bytes(), &self[piece.tensor]);
        let Region { row, rows, col, cols } = piece.region;
        let out = buffer.first(piece.bytes() as usize);
        for (part, row) in out.chunks_exact_mut(cols as usize * width).zip(row..row + rows) {
            let from = (row * piece.layout.cols + col) as usize * width;
            part.copy_from_slice(&held.bytes[from..from + part.len()]);
        }
        Ok(out)
    }
}

fn pieces(tensors: &[Held], by: Grouping) -> Vec<Piece> {
    let each = tensors.iter().enumerate().flat_map(|(tensor, held)| {
        let (float, layout) = (held.float, Layout::new(&held.shape, by));
        layout.pieces(float, layout.all()).map(move |region| Piece { tensor, float, layout, region })
    });
    each.collect()
}

/// Deterministic bits.
pub(super) fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// The nearest value of a format to `x`, toward zero.
fn encode(float: Float, x: f64) -> Vec<u8> {
    match float {
        Float::F64 => x.to_le_bytes().to_vec(),
        Float::F32 => (x as f32).to_le_bytes().to_vec(),
        Float::F16 => half::f16::from_f64(x).to_le_bytes().to_vec(),
        Float::BF16 => half::bf16::from_f64(x).to_le_bytes().to_vec(),
        Float::E4M3 | Float::E5M2 => {
            let size = (0..float.non_finite()).rev().find(|b| float.value(*b) <= x.abs()).unwrap_or(0);
            vec![size as u8 | if x < 0.0 { 0x80 } else { 0 }]
        }
    }
}

/// Tensors of every format, of awkward shapes, that hold values of each kind.
fn tensors() -> Vec<Held> {
    let mut all = Vec::new();
    let (mut random, mut bits) = (noise(1), noise(2));
    let mut normal = move || (0..12).map(|_| (random() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
    let shapes: [&[u64]; 8] =
        [&[], &[3], &[7, 5, 3, 3], &[1, 9001], &[129, 4, 1], &[70, 130], &[2, 20_000], &[2, 150, 2, 35]];
    for float in Float::ALL.into_iter().filter(|f| super::Gpu::computes(*f)) {
        for shape in shapes {
            let n: u64 = shape.iter().product();
            all.push(Held {
                float,
                shape: shape.to_vec(),
                bytes: (0..n).flat_map(|_| bits().to_le_bytes()[..float.bytes()].to_vec()).collect(),
            });
            let kinds: [fn(u64, f64) -> f64; 7] = [
                |_, x| x * 0.02,
                |_, x| 1000.0 + x,
                |_, x| x * 1e-10,
                |_, x| x * 1e30,
                |_, x| x * 1e-41,
                |i, x| if i == 5 { 1e4 } else { x },
                |i, _| if i.is_multiple_of(3) { 0.0 } else { -0.25 },
            ];
            for kind in kinds {
                let bytes = (0..n).flat_map(|i| encode(float, kind(i, normal()))).collect();
                all.push(Held { float, shape: shape.to_vec(), bytes });
            }
        }
    }
    all
}

const GROUPINGS: [Grouping; 7] = [
    Grouping::Tensor,
    Grouping::Output,
    Grouping::Input,
    Grouping::Axis(2),
    Grouping::Axis(3),
    Grouping::Block(NonZeroU64::new(5).unwrap()),
    Grouping::Block(NonZeroU64::new(300).unwrap()),
];

fn scan(compute: &dyn Compute, source: &Vec<Held>, pieces: &[Piece], request: &Request) -> (Vec<Moments>, Counts) {
    let (mut found, mut counts) = (Vec::new(), Counts::for_request(request));
    let mut next = pieces.iter();
    compute
        .scan(source, &mut pieces.iter().copied(), request, &mut counts, &mut |piece, moments| {
            assert_eq!(Some(piece), next.next(), "pieces come in order");
            found.extend_from_slice(moments);
            Ok(())
        })
        .unwrap();
    (found, counts)
}

#[track_caller]
fn assert_near(gpu: &Moments, cpu: &Moments, case: &str) {
    let exact = |m: &Moments| (m.count, m.finite, m.nan, m.inf, m.zeros, m.min, m.max, m.is_constant());
    assert_eq!(exact(gpu), exact(cpu), "{case}");
    let (Some(variance), Some(mean)) = (cpu.variance(), cpu.mean()) else { return };
    let near = |name: &str, a: Option<f64>, b: Option<f64>, unit: f64| match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= 4e-6 * unit, "{case}: {name} {a:e} is not {b:e}"),
        (a, b) => assert_eq!(a, b, "{case}: {name}"),
    };
    near("mean", gpu.mean(), Some(mean), mean.abs().max(variance.sqrt()));
    near("variance", gpu.variance(), Some(variance), variance);
    // mean |z|³ ≤ (mean z⁴)^¾.
    let z4 = cpu.kurtosis().map_or(1.0, |k| k + 3.0);
    near("skewness", gpu.skewness(), cpu.skewness(), z4.powf(0.75).max(1.0));
    near("kurtosis", gpu.kurtosis(), cpu.kurtosis(), z4);
    near("l1", gpu.l1(), cpu.l1(), cpu.l1().unwrap_or(0.0));
}

#[test]
fn moments_agree_with_the_cpu() {
    let Some((cpu, gpu)) = engines() else { return };
    let tensors = tensors();
    for by in GROUPINGS {
        let pieces = pieces(&tensors, by);
        for values in [Values::Weights, Values::Logarithms] {
            let request = Request { moments: Some(values), ..Request::default() };
            let runs: Vec<&Piece> = pieces.iter().flat_map(|p| std::iter::repeat_n(p, p.runs() as usize)).collect();
            let (want, _) = scan(cpu, &tensors, &pieces, &request);
            let (found, _) = scan(gpu, &tensors, &pieces, &request);
            assert_eq!(found.len(), want.len());
            for ((found, want), piece) in found.iter().zip(&want).zip(runs) {
                let case = format!("{by} {values:?} {:?} #{} {:?}", piece.float, piece.tensor, piece.region);
                assert_near(found, want, &case);
            }
        }
    }
}

#[test]
fn counts_are_the_same() {
    let Some((cpu, gpu)) = engines() else { return };
    let all = tensors();
    for float in Float::ALL.into_iter().filter(|f| super::Gpu::computes(*f)) {
        let tensors: Vec<Held> = tensors().into_iter().filter(|t| t.float == float).collect();
        let pieces = pieces(&tensors, Grouping::Input);
        let mut prefixes: Vec<u64> = Vec::new();
        for_each_bits(float, &all.iter().find(|t| t.float == float).unwrap().bytes, |b| prefixes.push(b >> 16));
        prefixes.extend([0, 0x3c00, 0x3c01, 0xbd10, 0xffff]);
        prefixes.sort_unstable();
        prefixes.dedup();
        for magnitude in [false, true] {
            let edges = [-1e20, -0.021, -0.02, -1e-10, 0.0, 1e-40, 0.02, 1.0, 999.0, 1e30];
            let keys = edges.map(|edge| float.first_key(magnitude, |x| x >= edge)).to_vec();
            let bins = Thresholds { keys, magnitude };
            let levels = if float == Float::F32 { 0..2 } else { 0..1 };
            for level in levels {
                let prefixes = if level == 0 { &[0][..] } else { &prefixes };
                let digits = Some(Digits { level, prefixes, widen: false });
                let request = Request { digits, bins: Some(&bins), ..Request::default() };
                let (_, want) = scan(cpu, &tensors, &pieces, &request);
                let (_, found) = scan(gpu, &tensors, &pieces, &request);
                assert!(want.digits.iter().sum::<u64>() > 0 && want.digits.len() == prefixes.len() * DIGIT_VALUES);
                assert!(found.digits == want.digits, "{float:?} level {level}");
                assert_eq!(found.bins, want.bins, "{float:?} {magnitude}");
            }
        }
        // No inner edge: everything finite is in one bin.
        let bins = Thresholds { keys: Vec::new(), magnitude: false };
        let request = Request { bins: Some(&bins), ..Request::default() };
        assert_eq!(scan(gpu, &tensors, &pieces, &request).1.bins, scan(cpu, &tensors, &pieces, &request).1.bins);
    }
}

#[test]
fn groups_are_answered_the_same() {
    let Some((cpu, gpu)) = engines() else { return };
    let tensors = tensors();
    for by in GROUPINGS {
        for (tensor, held) in tensors.iter().enumerate().filter(|(i, _)| i % 7 == 0) {
            let (float, layout) = (held.float, Layout::new(&held.shape, by));
            if layout.groups() > 3_000 {
                continue;
            }
            let pieces: Vec<Piece> = layout
                .whole_groups(layout.all(), 4_000.max(layout.largest_group()))
                .map(|region| Piece { tensor, float, layout, region })
                .collect();
            let groups = layout.groups() as usize;
            let ranks: Vec<u64> =
                (0..groups as u64).flat_map(|g| [0, g % 5, 7 + g % 11, u64::from(u32::MAX)]).collect();
            for magnitude in [false, true] {
                let edges = [-0.5, 0.0, 0.01];
                let keys = edges.map(|edge| float.first_key(magnitude, |x| x >= edge));
                let thresholds = keys.repeat(groups);
                let request = GroupRequest {
                    ranks: &ranks,
                    ranks_each: 4,
                    thresholds: &thresholds,
                    thresholds_each: Some(3),
                    magnitude,
                    memory_bytes: 0,
                };
                let want = cpu.groups(&tensors, &pieces, &request).unwrap();
                let found = gpu.groups(&tensors, &pieces, &request).unwrap();
                assert_eq!(found.bins, want.bins, "{by} {float:?} {:?} {magnitude}", held.shape);
                // Where a group has no value there is nothing to be the same.
                let empty = |group: usize| want.bins[group * 4..][..4].iter().sum::<u64>() == 0;
                for (i, (found, want)) in found.keys.iter().zip(&want.keys).enumerate() {
                    assert!(empty(i / 4) || found == want, "{by} {float:?} {:?} {magnitude} key {i}", held.shape);
                }
            }
        }
    }
}

#[test]
fn more_workgroups_than_one_dimension_has() {
    let Some((cpu, gpu)) = engines() else { return };
    let mut bits = noise(3);
    let (rows, cols) = (66_000, 129);
    let bytes = (0..rows * cols).map(|_| bits() as u8 & 0x77).collect();
    let tensors = vec![Held { float: Float::E4M3, shape: vec![rows, cols], bytes }];
    let pieces = pieces(&tensors, Grouping::Output);
    let request = Request { moments: Some(Values::Weights), memory_bytes: 1 << 30, ..Request::default() };
    let (want, _) = scan(cpu, &tensors, &pieces, &request);
    let (found, _) = scan(gpu, &tensors, &pieces, &request);
    assert_eq!(found.len(), 66_000);
    for (row, (found, want)) in found.iter().zip(&want).enumerate() {
        assert_near(found, want, &format!("row {row}"));
    }
}

#[test]
fn tables_are_split_at_the_limits_of_the_adapter() {
    let Some((_, gpu)) = engines() else { return };
    let at_once = gpu.prefixes_at_once() as u64;
    assert!(at_once >= 1 && at_once * DIGIT_VALUES as u64 * 4 <= gpu.gpu.binding_bytes());
    assert!(gpu.chunk_bytes(u64::MAX) < gpu.gpu.binding_bytes());
}

#[test]
fn many_ranks_of_one_group() {
    let Some((cpu, gpu)) = engines() else { return };
    let mut bits = noise(4);
    let bytes = (0..60_000).flat_map(|_| bits().to_le_bytes()[..4].to_vec()).collect();
    let tensors = vec![Held { float: Float::F32, shape: vec![60_000], bytes }];
    let layout = Layout::new(&[60_000], Grouping::Tensor);
    let pieces = [Piece { tensor: 0, float: Float::F32, layout, region: layout.all() }];
    let ranks: Vec<u64> = (0..500).map(|i| i * 117).collect();
    let request = GroupRequest {
        ranks: &ranks,
        ranks_each: ranks.len(),
        thresholds: &[],
        thresholds_each: None,
        magnitude: false,
        memory_bytes: 0,
    };
    assert_eq!(gpu.groups(&tensors, &pieces, &request).unwrap(), cpu.groups(&tensors, &pieces, &request).unwrap());
}
