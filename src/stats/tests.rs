//! Every way of streaming, on small data in little memory, against a sort.

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};

use proptest::prelude::*;

use super::analyse::run;
use super::histogram::edges;
use super::{Entry, Grouping, Moments, Options, Statistics, Summary, Transform, oracle};
use crate::order::for_each_bits;
use crate::{Checkpoint, Engine, Float, Progress};

/// A tensor to be written: its shape, its dtype, and its bytes.
#[derive(Clone, Debug)]
struct Made {
    shape: Vec<u64>,
    float: Float,
    seed: u64,
}

impl Made {
    fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Values that repeat, cross zero, spread over octaves, and now and then are no numbers.
    fn bytes(&self) -> Vec<u8> {
        let mut state = self.seed | 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let special = self.seed.is_multiple_of(3);
        (0..self.elements())
            .flat_map(|_| {
                let (a, b) = (next(), next());
                let spread = 2f64.powi(-((a % 7) as i32));
                let value = match a % 97 {
                    0..4 => 0.0,
                    4 => -0.0,
                    5 if special => f64::NAN,
                    6 if special => f64::NEG_INFINITY,
                    _ => (b as f64 / (1u64 << 30) as f64 - 0.9) * spread,
                };
                encode(self.float, value)
            })
            .collect()
    }

    fn values(&self) -> Vec<f64> {
        let mut values = Vec::new();
        for_each_bits(self.float, &self.bytes(), |bits| values.push(self.float.value(bits)));
        values
    }
}

fn encode(float: Float, value: f64) -> Vec<u8> {
    match float {
        Float::F64 => value.to_le_bytes().to_vec(),
        Float::F32 => (value as f32).to_le_bytes().to_vec(),
        Float::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
        Float::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
        // The upper byte of an f16 is an E5M2; whatever E4M3 makes of it is a value, too.
        Float::E5M2 | Float::E4M3 => half::f16::from_f64(value).to_le_bytes()[1..].to_vec(),
    }
}

fn write(tensors: &[Made]) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    let mut data = Vec::new();
    let entries: Vec<String> = tensors
        .iter()
        .enumerate()
        .map(|(i, tensor)| {
            let start = data.len();
            data.extend(tensor.bytes());
            let (dtype, shape, end) = (tensor.float.dtype(), &tensor.shape, data.len());
            format!(r#""t{i:02}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, file).unwrap();
    let checkpoint = Checkpoint::open(path).unwrap();
    (folder, checkpoint)
}

/// The group of each element of the flattened tensor, by definition.
fn group_of(shape: &[u64], by: Grouping, i: u64) -> usize {
    if shape.len() < 2 {
        return 0;
    }
    let cols: u64 = shape[1..].iter().product();
    let along = |axis: usize| i / shape[axis + 1..].iter().product::<u64>() % shape[axis];
    let group = match by {
        Grouping::Axis(axis) if axis < shape.len() => along(axis),
        Grouping::Tensor | Grouping::Axis(_) => 0,
        Grouping::Output => along(0),
        Grouping::Input => along(1),
        Grouping::Block(n) => i / cols * cols.div_ceil(n.get()) + i % cols / n.get(),
    };
    group as usize
}

/// The values of a group, transformed as the definition says: with the mean and σ of `whole`.
fn transformed(values: &[f64], whole: &Moments, transform: Transform) -> Vec<f64> {
    let finite = values.iter().copied().filter(|x| x.is_finite());
    match transform {
        Transform::None => finite.collect(),
        Transform::Log => finite.filter(|x| *x != 0.0).map(|x| x.abs().ln()).collect(),
        Transform::Standardize => {
            let (mean, variance) = (whole.mean().unwrap_or(0.0), whole.variance().unwrap_or(0.0));
            finite.filter(|_| variance > 0.0).map(|x| (x - mean) / variance.sqrt()).collect()
        }
    }
}

fn near(found: Option<f64>, expected: f64, scale: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() <= 2e-6 * scale.max(expected.abs()))
}

/// Asserts that `found` are the statistics of `values`, of which `raw` are the weights.
fn check(label: &str, found: &Statistics, raw: &[f64], mut values: Vec<f64>, options: &Options) {
    let exact = options.transform == Transform::None;
    assert_eq!(found.count, raw.len() as u64, "{label}");
    assert_eq!(found.nan, raw.iter().filter(|x| x.is_nan()).count() as u64, "{label}");
    assert_eq!(found.inf, raw.iter().filter(|x| x.is_infinite()).count() as u64, "{label}");
    let quantiles = found.quantiles.as_ref().map_or(&[][..], |q| &q.0);
    assert_eq!(quantiles.len(), options.quantiles.len(), "{label}");
    if values.is_empty() {
        assert!(found.mean.is_none() && quantiles.iter().all(|(_, value)| value.is_none()), "{label}: {found:?}");
        return;
    }
    values.sort_by(f64::total_cmp);
    let naive = oracle::moments(&values);
    let sigma = naive.variance().unwrap().sqrt();
    assert!(near(found.mean, naive.mean().unwrap(), sigma), "{label}: {found:?}, {naive:?}");
    assert!(near(found.variance, naive.variance().unwrap(), 0.0), "{label}: {found:?}, {naive:?}");
    if let Some(kurtosis) = naive.kurtosis().filter(|_| sigma > 1e-3) {
        assert!(near(found.kurtosis, kurtosis, kurtosis + 3.0), "{label}: {found:?}, {naive:?}");
    }
    for (q, value) in quantiles {
        let h = q * (values.len() - 1) as f64;
        let (low, high) = (values[h as usize], values[(h as usize + 1).min(values.len() - 1)]);
        let expected = low + (high - low) * h.fract();
        // The last digit depends on which end one interpolates from.
        let rounding = if exact { 4.0 * f64::EPSILON } else { 2e-6 };
        let allowed = rounding * low.abs().max(high.abs()).max(if exact { 0.0 } else { 1.0 });
        assert!(value.is_some_and(|v| (v - expected).abs() <= allowed), "{label}: q{q} {value:?}, not {expected}");
    }
    if let Some(bins) = options.histogram {
        let edges = edges(found.min.unwrap(), found.max.unwrap(), bins).unwrap();
        let mut counts = vec![0; bins];
        for value in &values {
            counts[edges[1..bins].partition_point(|edge| edge <= value)] += 1;
        }
        let ours = found.histogram.clone().flatten().unwrap();
        assert_eq!(ours.edges, edges, "{label}");
        let moved: u64 = ours.counts.iter().zip(&counts).map(|(a, b)| a.abs_diff(*b)).sum();
        assert_eq!(ours.counts.iter().sum::<u64>(), values.len() as u64, "{label}");
        // A transformed value that is at an edge to the last digits may fall on its other side.
        let at_an_edge = |v: &&f64| edges.iter().any(|edge| (**v - edge).abs() <= 1e-6 * v.abs().max(1.0));
        let allowed = if exact { 0 } else { 2 * values.iter().filter(at_an_edge).count() as u64 };
        assert!(moved <= allowed, "{label}: {:?}, not {counts:?}", ours.counts);
    }
}

fn answer(checkpoint: &Checkpoint, threads: usize, options: &Options) -> (Vec<Entry>, Summary, [u64; 2]) {
    let engine = Engine::cpu(NonZeroUsize::new(threads)).unwrap();
    let progress = Progress::default();
    let mut entries = Vec::new();
    let summary = run(checkpoint, &engine, options, &progress, &mut |entry| {
        entries.push(entry);
        Ok(())
    });
    (entries, summary.unwrap(), [progress.bytes(), progress.total()])
}

fn check_all(tensors: &[Made], options: &Options) {
    let (_folder, checkpoint) = write(tensors);
    let (entries, summary, [read, expected]) = answer(&checkpoint, 2, options);
    assert_eq!(read, expected, "progress ends at its end");
    let plenty = Options { memory_bytes: 1 << 30, ..options.clone() };
    let (again, total, _) = answer(&checkpoint, 3, &plenty);
    assert_eq!((&again, &total.total), (&entries, &summary.total), "memory and threads change nothing");
    let mut entries = entries.iter();
    let (mut all, mut all_raw) = (Vec::new(), Vec::new());
    for tensor in tensors {
        let raw = tensor.values();
        let whole = oracle::moments(&raw);
        let count = (0..tensor.elements()).map(|i| group_of(&tensor.shape, options.by, i) + 1).max().unwrap_or(1);
        let mut groups = vec![Vec::new(); count];
        for (i, value) in (0..).zip(&raw) {
            groups[group_of(&tensor.shape, options.by, i)].push(*value);
        }
        for (group, values) in groups.iter().enumerate() {
            let entry = entries.next().expect("as many entries as groups");
            let label = format!("{tensor:?} by {} group {group}", options.by);
            check(&label, &entry.statistics, values, transformed(values, &whole, options.transform), options);
        }
        all.extend(transformed(&raw, &whole, options.transform));
        all_raw.extend(raw);
    }
    assert!(entries.next().is_none());
    check("total", &summary.total, &all_raw, all, options);
}

fn shape() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        2 => prop::collection::vec(1..12u64, 0..4),
        2 => (1..4u64, 1..90_000u64).prop_map(|(r, c)| vec![r, c]),
        1 => (1..3u64, 262_000..270_000u64).prop_map(|(r, c)| vec![r, c]),
        1 => (100_000..270_000u64, 1..3u64).prop_map(|(r, c)| vec![r, c]),
        2 => (1..300u64, 1..20u64, 1..20u64).prop_map(|(r, c, k)| vec![r, c, k]),
        1 => (1..4u64, 1..4u64, 1..40_000u64).prop_map(|(r, c, k)| vec![r, c, k]),
        1 => (1..20_000u64, 1..5u64, 1..3u64, 1..3u64).prop_map(|(r, c, k, l)| vec![r, c, k, l]),
        1 => Just(vec![270_000]),
    ]
}

fn grouping() -> impl Strategy<Value = Grouping> {
    let block = |n| Grouping::Block(NonZeroU64::new(n).unwrap());
    prop_oneof![
        2 => Just(Grouping::Tensor),
        2 => Just(Grouping::Output),
        2 => Just(Grouping::Input),
        3 => (0..4usize).prop_map(Grouping::Axis),
        1 => (64..4000u64).prop_map(block),
        1 => (100_000..280_000u64).prop_map(block),
    ]
}

fn tensor() -> impl Strategy<Value = Made> {
    (shape(), prop::sample::select(&Float::ALL[..]), any::<u64>()).prop_map(|(shape, float, seed)| Made {
        shape,
        float,
        seed,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn streaming_equals_a_sort(
        tensors in prop::collection::vec(tensor(), 1..3),
        by in grouping(),
        transform in prop::sample::select(vec![Transform::None, Transform::Log, Transform::Standardize]),
        quantiles in prop::sample::subsequence(vec![0.0, 0.01, 0.3, 0.5, 0.99, 1.0], 0..4),
        histogram in prop::option::of(1..12usize),
        memory_bytes in prop::sample::select(vec![1u64 << 16, 1 << 18, 1 << 20, 1 << 23]),
    ) {
        check_all(&tensors, &Options { by, transform, quantiles, histogram, memory_bytes, ..Options::default() });
    }
}

#[test]
fn reads_are_counted() {
    let make = |shape: &[u64], float| Made { shape: shape.to_vec(), float, seed: 5 };
    let (long, wide) = ([280_000], [2, 280_000]);
    let quantiles =
        || Options { quantiles: vec![0.5], histogram: Some(4), memory_bytes: 1 << 16, ..Options::default() };
    let standardize = || Options { transform: Transform::Standardize, ..quantiles() };
    let output = |options| Options { by: Grouping::Output, ..options };
    for (shape, float, options, reads) in [
        (&long[..], Float::F32, Options { memory_bytes: 1 << 16, ..Options::default() }, 1),
        // Whatever fits is read once.
        (&long, Float::F64, Options { memory_bytes: 1 << 23, ..quantiles() }, 1),
        (&long, Float::F64, Options { memory_bytes: 1 << 23, ..standardize() }, 1),
        (&long, Float::BF16, quantiles(), 1),
        (&wide, Float::E4M3, output(quantiles()), 1),
        // Groups and the total need the lower 16 bits.
        (&long, Float::F32, quantiles(), 3),
        (&wide, Float::F32, output(quantiles()), 3),
        // Four passes for the total.
        (&long, Float::BF16, standardize(), 5),
        (&long, Float::F32, standardize(), 6),
        // And one for the tensor's mean and σ.
        (&wide, Float::F32, output(standardize()), 7),
    ] {
        let (_folder, checkpoint) = write(&[make(shape, float)]);
        let (_, summary, [read, expected]) = answer(&checkpoint, 2, &options);
        assert_eq!((read, expected), (reads * summary.bytes, reads * summary.bytes), "{shape:?} {float:?} {options:?}");
    }
}
