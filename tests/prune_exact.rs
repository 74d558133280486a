//! Which weights are cut: bit for bit those of a stable sort, whatever the format, and however much is held at once.

mod files;
#[path = "files/models.rs"]
mod models;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use files::Folder;
use models::{FLOATS, Made, bytes_of, file_of, lowest, noise, rounded};
use proptest::prelude::*;
use secateur::audit::{self, audit};
use secateur::prune::{self, Allocation, Criterion, Destination, Keep, Options, Outcome, Random, Task, Wanda};
use secateur::{Checkpoint, Dtype, Engine, Progress};

const KEEPS: [Keep; 2] = [Keep::Largest, Keep::Smallest];

fn cpu(threads: usize) -> Engine {
    Engine::cpu(NonZeroUsize::new(threads)).expect("threads")
}

/// Prunes `model` to `out` as `options` say.
fn prune(engine: &Engine, model: &Path, out: &Path, options: &Options) -> Outcome {
    let model = Checkpoint::open(model).expect("a good model");
    let to = Destination { out: Some(out), force: true, ..Destination::default() };
    prune::run(&model, engine, &Task::Options(options), &to, &Progress::default()).expect("it can be pruned")
}

fn scores(tensor: &Made, keep: Keep) -> Vec<f64> {
    let sign = if keep == Keep::Smallest { -1.0 } else { 1.0 };
    tensor.values().iter().map(|w| w.abs() * sign).collect()
}

/// What each tensor becomes, by sorting each alone.
fn naive_uniform(tensors: &[Made], rate: f64, keep: Keep) -> Vec<Vec<u8>> {
    let each = |t: &Made| t.without(lowest(&scores(t, keep), rounded(rate, t.values().len())));
    tensors.iter().map(each).collect()
}

/// What each tensor becomes, by sorting all of them together, in the order of their names.
fn naive_global(tensors: &[Made], rate: f64, keep: Keep) -> Vec<Vec<u8>> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&t| tensors[t].name.as_bytes());
    let mut all = Vec::new();
    for &t in &order {
        all.extend(scores(&tensors[t], keep).into_iter().enumerate().map(|(i, score)| (t, i, score)));
    }
    let flat: Vec<f64> = all.iter().map(|(.., score)| *score).collect();
    let mut cuts = vec![Vec::new(); tensors.len()];
    lowest(&flat, rounded(rate, flat.len())).into_iter().for_each(|at| cuts[all[at].0].push(all[at].1));
    tensors.iter().zip(cuts).map(|(t, cut)| t.without(cut)).collect()
}

#[test]
fn the_naive_sort_is_one() {
    let nan = f64::NAN;
    assert_eq!(lowest(&[1.0, 0.0, nan, -0.0, 1.0, 0.5], 4), [1, 3, 5, 0]);
    assert_eq!(lowest(&[nan, 2.0, nan], 3), [1]);
    let tensor = Made::f32("w", &[3], &[1.0, -2.0, 3.0]);
    assert_eq!(tensor.without([1]), Made::f32("w", &[3], &[1.0, 0.0, 3.0]).bytes);
    let awkward = FLOATS.map(|dtype| Made::awkward("w", dtype, &[40, 40], 1).values());
    for values in awkward {
        let count = |of: fn(&f64) -> bool| values.iter().filter(|x| of(x)).count();
        assert!(count(|x| x.is_nan()) > 20 && count(|x| *x == 0.0) > 100 && count(|x| *x == -3.0) > 50);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_a_stable_sort_cuts(
        kinds in prop::collection::vec((0..FLOATS.len(), 1..9u64, 1..40u64, any::<u64>()), 1..5),
        rate in prop_oneof![0.0..1.0, Just(0.5), Just(1.0 - f64::EPSILON)],
        global in any::<bool>(),
    ) {
        let folder = Folder::new();
        // Natural and bytewise order of these names differ, and the file's order is neither.
        let names = ["w10", "w9", "W2", "a.w"];
        let tensors: Vec<Made> = kinds
            .iter()
            .zip(names)
            .map(|(&(dtype, rows, columns, seed), name)| Made::awkward(name, FLOATS[dtype], &[rows, columns], seed))
            .collect();
        let model = folder.write("m.safetensors", file_of(&tensors, &[]));
        let out = folder.path("out.safetensors");
        for keep in KEEPS {
            let allocation = if global { Allocation::Global } else { Allocation::Uniform };
            let options = Options { sparsity: rate, allocation, keep, ..Options::default() };
            let done = prune(&cpu(2), &model, &out, &options);
            let want = if global { naive_global(&tensors, rate, keep) } else { naive_uniform(&tensors, rate, keep) };
            for (tensor, want) in tensors.iter().zip(want) {
                let same = bytes_of(&out, &tensor.name) == want;
                prop_assert!(same, "{} {} {allocation} {keep} {rate}", tensor.name, tensor.dtype);
            }
            let n = |t: &Made| t.values().len();
            let asked = match global {
                true => rounded(rate, tensors.iter().map(n).sum()),
                false => tensors.iter().map(|t| rounded(rate, n(t))).sum(),
            };
            let rankable: usize = tensors.iter().map(|t| t.values().iter().filter(|x| !x.is_nan()).count()).sum();
            let cut = done.summary.total.cut as usize;
            prop_assert!(cut == asked || (cut < asked && cut <= rankable), "{cut} of {asked} asked");
        }
    }
}

#[test]
fn wanda_cuts_the_same_number_of_each_row() {
    let folder = Folder::new();
    // A norm for each input of a convolution, and for each column of a matrix.
    let tensors = [
        Made::awkward("conv", Dtype::BF16, &[5, 6, 3], 3),
        Made::awkward("fc", Dtype::F32, &[7, 45], 4),
        Made::awkward("unknown", Dtype::F32, &[2, 2], 5),
    ];
    let model = folder.write("m.safetensors", file_of(&tensors, &[]));
    let mut random = noise(6);
    // Integers, so that many scores tie.
    let mut norms = |n: u64| (0..n).map(|_| (random() % 4) as f32).collect::<Vec<f32>>();
    let (conv, fc) = (norms(6), norms(45));
    let norms = folder.write("n", file_of(&[Made::f32("conv", &[6], &conv), Made::f32("fc", &[45], &fc)], &[]));
    let norm: [&dyn Fn(usize) -> f32; 2] = [&|column| conv[column / 3], &|column| fc[column]];
    for keep in KEEPS {
        for rate in [0.0, 0.3, 0.5, 0.95] {
            let criterion = Criterion::Scored(Arc::new(Wanda::open(&norms).expect("norms")));
            let options = Options { sparsity: rate, criterion, keep, ..Options::default() };
            let out = folder.path("out.safetensors");
            let done = prune(&cpu(2), &model, &out, &options);
            for (tensor, norm) in tensors.iter().zip(norm) {
                let values = tensor.values();
                let columns = values.len() / tensor.shape[0] as usize;
                let mut cut = Vec::new();
                for (row, values) in values.chunks(columns).enumerate() {
                    let sign = if keep == Keep::Smallest { -1.0 } else { 1.0 };
                    let score = |(column, w): (usize, &f64)| f64::from(w.abs() as f32 * norm(column)) * sign;
                    let scores: Vec<f64> = values.iter().enumerate().map(score).collect();
                    cut.extend(lowest(&scores, rounded(rate, columns)).into_iter().map(|i| row * columns + i));
                }
                assert!(bytes_of(&out, &tensor.name) == tensor.without(cut), "{} {keep} {rate}", tensor.name);
            }
            assert_eq!(bytes_of(&out, "unknown"), tensors[2].bytes);
            assert_eq!(done.summary.left_out[0].reason, "the file of norms has none for it");
        }
    }
}

#[test]
fn random_cuts_exactly_k_by_seed_and_tensor() {
    let folder = Folder::new();
    let ones = |name: &str| Made::f32(name, &[20, 50], &[1.0; 1000]);
    let model = folder.write("m.safetensors", file_of(&[ones("a"), ones("b")], &[]));
    let mut found = Vec::new();
    for seed in [1, 2, u64::MAX] {
        for allocation in [Allocation::Uniform, Allocation::Global] {
            let criterion = Criterion::Scored(Arc::new(Random::new(seed)));
            let options = Options { sparsity: 0.3, criterion, allocation, ..Options::default() };
            let out = folder.path("out.safetensors");
            let done = prune(&cpu(2), &model, &out, &options);
            let again = folder.path("again.safetensors");
            prune(&cpu(1), &model, &again, &options);
            let parts = ["a", "b"].map(|name| bytes_of(&out, name));
            assert_eq!(parts, ["a", "b"].map(|name| bytes_of(&again, name)), "{seed}");
            let zeros = parts.iter().map(|part| part.chunks(4).filter(|w| *w == [0; 4]).count());
            let zeros: Vec<usize> = zeros.collect();
            assert_eq!((zeros.iter().sum::<usize>(), done.summary.total.cut), (600, 600), "{seed} {allocation}");
            assert!(allocation == Allocation::Global || zeros == [300, 300]);
            // About as many of every quarter.
            let quarter = parts[0][..1000].chunks(4).filter(|w| *w == [0; 4]).count();
            assert!((50..100).contains(&quarter), "{seed}: {quarter} of 250");
            if allocation == Allocation::Uniform {
                found.extend(parts);
            }
        }
    }
    for (i, one) in found.iter().enumerate() {
        assert!(!found[..i].contains(one), "two seeds or two tensors are cut alike");
    }
}

#[test]
fn after_two_of_four_an_audit_is_content() {
    let folder = Folder::new();
    let model = Path::new("examples/data/cnn-bf16.safetensors");
    let out = folder.path("out.safetensors");
    let failed = |path: &Path, only: &str| {
        let options = audit::Options { pattern: only.parse().ok(), ..audit::Options::default() };
        let found = Checkpoint::open(path).expect("a good model");
        let summary = audit(&found, &options, &Progress::default(), &mut |_| Ok(())).expect("it can be read");
        let verdict = summary.verdict.expect("a pattern was given");
        assert!(verdict.judged > 0, "{only}");
        verdict.failed
    };
    for pattern in ["2:4", "1:2", "3:8", "1:16"] {
        assert!(failed(model, pattern) > 0, "{pattern}");
        for keep in KEEPS {
            let options = Options { pattern: pattern.parse().expect(pattern), keep, ..Options::default() };
            prune(&cpu(2), model, &out, &options);
            assert_eq!(failed(&out, pattern), 0, "{pattern} {keep}");
        }
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_writes_the_same_bytes() {
    let Some(gpu) = files::gpu() else { return };
    let folder = Folder::new();
    let made: Vec<Made> =
        (0..).zip(FLOATS).map(|(i, dtype)| Made::awkward(&format!("w{i}"), dtype, &[64, 24, 3, 3], i)).collect();
    let awkward = folder.write("awkward.safetensors", file_of(&made, &[]));
    let element = |sparsity, allocation| Options { sparsity, allocation, ..Options::default() };
    let cases = [
        element(0.5, Allocation::Uniform),
        element(0.9, Allocation::Global),
        element(0.9, Allocation::Lamp),
        Options { keep: Keep::Smallest, ..element(0.3, Allocation::Global) },
        Options { pattern: "2:4".parse().expect("a pattern"), ..Options::default() },
        Options { criterion: "random:1".parse().expect("a criterion"), ..element(0.5, Allocation::Global) },
    ];
    let examples = ["cnn.safetensors", "cnn-f16.safetensors", "cnn-bf16.safetensors"].map(|name| {
        let example: &Path = "examples/data".as_ref();
        example.join(name)
    });
    for model in examples.iter().chain([&awkward]) {
        for options in &cases {
            let [one, other] = ["cpu.safetensors", "gpu.safetensors"].map(|name| folder.path(name));
            let by_cpu = prune(&cpu(2), model, &one, options);
            let by_gpu = prune(&gpu, model, &other, options);
            let same = std::fs::read(&one).expect("written") == std::fs::read(&other).expect("written");
            assert!(same, "{}: {options:?}", model.display());
            assert_eq!(by_cpu.plan, by_gpu.plan, "{}: {options:?}", model.display());
        }
    }
}
