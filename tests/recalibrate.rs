//! Statistics of `BatchNormalization` estimated anew, against naive sums over the batches.
#![cfg(feature = "eval")]

mod files;
mod net;
#[path = "files/sets.rs"]
mod sets;
#[path = "files/shared.rs"]
mod shared;

use std::num::NonZeroUsize;
use std::path::Path;

use files::Folder;
use net::{Net, results, sample};
use secateur::data::DataSet;
use secateur::evaluate::{Evaluator, Metric, OnnxEvaluator, Recalibrated, Recalibration, recalibrate};
use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination, GroupCriterion};
use secateur::{Checkpoint, Engine, Error, Progress};
use sets::{Labels, set};
use shared::{few_images, shared};

const COUNT: usize = 130;
const BATCH: usize = 64;
const PLACES: usize = 16;

fn floats(model: &Checkpoint, name: &str) -> Vec<f32> {
    let tensor = model.get(name).expect("a tensor");
    let mut bytes = vec![0; tensor.bytes() as usize];
    model.read_exact_at(tensor, 0, &mut bytes).expect("it is readable");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

/// Mean and variance (over n) of each channel of [n, channels, places].
fn statistics(values: &[f32], channels: usize, places: usize) -> Vec<(f64, f64)> {
    let of = |channel: usize| {
        let rows = values.chunks(places).skip(channel).step_by(channels);
        let all: Vec<f64> = rows.flatten().map(|&x| f64::from(x)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64)
    };
    (0..channels).map(of).collect()
}

fn assert_near(found: &[f32], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((f64::from(*found) - wanted).abs() <= 1e-5 * wanted.abs().max(0.1), "{what}: {found} {wanted}");
    }
}

/// conv, bn, relu, conv, bn, relu, pool, fc.
fn two(batch: i64) -> Net {
    let mut net = Net::new(9, &[batch, 3, 4, 4]);
    let mut x = "x".to_owned();
    for (layer, from, to) in [(1, 3, 8), (2, 8, 6)] {
        x = net.conv(&format!("conv{layer}"), &x, from, to);
        x = net.batch_norm(&format!("bn{layer}"), &x, to);
        x = net.op("Relu", &[&x], &[]);
    }
    let pool = net.op("GlobalAveragePool", &[&x], &[]);
    let flat = net.op("Flatten", &[&pool], &[]);
    net.outputs = vec![net.linear("fc", &flat, 6, 4)];
    net
}

#[test]
fn statistics_are_those_of_batches() {
    let folder = Folder::new();
    let mut net = two(-1);
    let inputs = sample(&mut net, &[COUNT, 3, 4, 4]);
    let data = set(&folder, "data.safetensors", &[COUNT, 3, 4, 4], &inputs, &Labels::None);
    let data = DataSet::open(&data).expect("a data set");

    // What is before each layer, one batch after the other; the last two inputs are no batch.
    let (mut means, mut variances) = (vec![vec![0.0; 8], vec![0.0; 6]], vec![vec![0.0; 8], vec![0.0; 6]]);
    let unbiased = (BATCH * PLACES) as f64 / (BATCH * PLACES - 1) as f64;
    for batch in inputs.chunks_exact(BATCH * 3 * PLACES) {
        let mut x = batch.to_vec();
        for (layer, from, to) in [(0, 3, 8), (1, 8, 6)] {
            let mut alone = Net::new(1, &[-1, from as i64, 4, 4]);
            let name = format!("conv{}", layer + 1);
            alone.outputs = vec![alone.conv(&name, "x", from as u64, to as u64)];
            for part in ["weight", "bias"] {
                let name = format!("{name}.{part}");
                alone.weights.insert(name.clone(), net.weights[&name].clone());
            }
            x = results(alone.encode(), &[BATCH, from, 4, 4], &x).remove(0);
            let part = |part: &str| &net.weights[&format!("bn{}.{part}", layer + 1)].1;
            let found = statistics(&x, to, PLACES);
            for (channel, (mean, variance)) in found.iter().enumerate() {
                means[layer][channel] += mean / 2.0;
                variances[layer][channel] += variance * unbiased / 2.0;
            }
            for (row, values) in x.chunks_mut(PLACES).enumerate() {
                let (mean, variance) = found[row % to];
                for value in values {
                    let scale = f64::from(part("weight")[row % to]);
                    let new = (f64::from(*value) - mean) / (variance + 1e-5).sqrt() * scale;
                    *value = (new + f64::from(part("bias")[row % to])).max(0.0) as f32;
                }
            }
        }
    }

    for (name, batch, opset, threads) in
        [("free", -1, 17, 1), ("one", 1, 17, 2), ("new", -1, 18, 3), ("old", -1, 11, 2)]
    {
        let mut file = two(batch).encode();
        *file.last_mut().expect("the version of the operator set") = opset;
        let model = folder.open(&format!("{name}.onnx"), &file).expect("a network");
        let out = folder.path(&format!("{name}-out.onnx"));
        let batch = NonZeroUsize::new(BATCH);
        let options = Recalibration { batch, threads: NonZeroUsize::new(threads), force: false };
        let done = recalibrate(&model, &data, &options, &out).expect("it can be recalibrated").expect("finite values");
        assert_eq!(done, Recalibrated { layers: 2, batches: 2, batch: BATCH });
        let new = Checkpoint::open(&out).expect("a network");
        for tensor in model.tensors() {
            let (found, what) = (tensor.name(), format!("{name}: {}", tensor.name()));
            match found {
                "bn1.running_mean" => assert_near(&floats(&new, found), &means[0], &what),
                "bn2.running_mean" => assert_near(&floats(&new, found), &means[1], &what),
                "bn1.running_var" => assert_near(&floats(&new, found), &variances[0], &what),
                "bn2.running_var" => assert_near(&floats(&new, found), &variances[1], &what),
                _ => assert_eq!(floats(&new, found), floats(&model, found), "{what}"),
            }
        }
        let size = |path: &Path| std::fs::metadata(path).expect("a file").len();
        assert_eq!(size(&out), size(model.path()), "nothing but numbers is other");
        // By default a batch is what is there, and no file is replaced unasked.
        let defaults = Recalibration::default();
        assert!(matches!(recalibrate(&model, &data, &defaults, &out), Err(Error::Usage(_))));
        let done =
            recalibrate(&model, &data, &Recalibration { force: true, ..defaults }, &out).expect("it is replaced");
        assert_eq!(done, Some(Recalibrated { layers: 2, batches: 1, batch: COUNT }));
    }
}

#[test]
fn features_without_places_have_statistics_too() {
    let folder = Folder::new();
    let mut net = Net::new(2, &[1, 5]);
    net.outputs = vec![net.batch_norm("bn", "x", 5)];
    let inputs = sample(&mut net, &[BATCH, 5]);
    let data = set(&folder, "data.safetensors", &[BATCH, 5], &inputs, &Labels::None);
    let data = DataSet::open(&data).expect("a data set");
    let model = folder.open("net.onnx", &net.encode()).expect("a network");
    let out = folder.path("out.onnx");
    recalibrate(&model, &data, &Recalibration::default(), &out).expect("it can be recalibrated");
    let (new, found) = (Checkpoint::open(&out).expect("a network"), statistics(&inputs, 5, 1));
    assert_near(&floats(&new, "bn.running_mean"), &found.iter().map(|s| s.0).collect::<Vec<_>>(), "means");
    let unbiased = BATCH as f64 / (BATCH - 1) as f64;
    assert_near(
        &floats(&new, "bn.running_var"),
        &found.iter().map(|s| s.1 * unbiased).collect::<Vec<_>>(),
        "variances",
    );
}

#[test]
fn what_cannot_be_recalibrated_is_said_and_nothing_is_written() {
    let folder = Folder::new();
    let inputs = vec![1.0; 4 * 3 * PLACES];
    let path = set(&folder, "data.safetensors", &[4, 3, 4, 4], &inputs, &Labels::None);
    let data = DataSet::open(&path).expect("a data set");
    let out = folder.path("out.onnx");
    let refused = |model: &Checkpoint| {
        let error = recalibrate(model, &data, &Recalibration::default(), &out).expect_err("it cannot");
        assert!(!out.exists());
        (matches!(error, Error::Graph(_)), error.to_string())
    };
    let mut folded = Net::new(1, &[-1, 3, 4, 4]);
    folded.outputs = vec![folded.conv("conv", "x", 3, 4)];
    let (is_graph, message) = refused(&folder.open("folded.onnx", &folded.encode()).expect("a network"));
    assert!(is_graph && message.contains("not possible: the network has no BatchNormalization"), "{message}");
    let mut infinite = two(-1);
    infinite.weights.get_mut("conv1.bias").expect("a bias").1[3] = f32::INFINITY;
    let infinite = folder.open("infinite.onnx", &infinite.encode()).expect("a network");
    let nothing = recalibrate(&infinite, &data, &Recalibration::default(), &out).expect("it runs");
    assert!(nothing.is_none() && !out.exists(), "{nothing:?}");
    let (_, message) = refused(&Checkpoint::open(&path).expect("weights alone"));
    assert!(message.contains("no network"), "{message}");

    // One value of each channel.
    let mut net = Net::new(2, &[-1, 5]);
    net.outputs = vec![net.batch_norm("bn", "x", 5)];
    let one = DataSet::open(&set(&folder, "one.safetensors", &[1, 5], &[0.0; 5], &Labels::None)).expect("a data set");
    let model = folder.open("net.onnx", &net.encode()).expect("a network");
    let error = recalibrate(&model, &one, &Recalibration::default(), &out).expect_err("it cannot").to_string();
    assert!(error.contains("no variance"), "{error}");
}

#[test]
fn a_network_that_was_cut_gets_better() {
    let folder = Folder::new();
    let (Some(model), Some(data)) = (shared("models/resnet20_cifar10.onnx"), few_images(&folder)) else { return };
    let few = || DataSet::open(&data).expect("a data set");

    let original = Checkpoint::open(&model).expect("a network");
    let graph = original.graph().expect("sound").expect("it is ONNX");
    let cut = folder.path("cut.onnx");
    let criterion = GroupCriterion::L1;
    let options = ChannelOptions { amount: Amount::Sparsity(0.5), criterion, ..ChannelOptions::default() };
    let to = Destination { out: Some(&cut), ..Destination::default() };
    let engine = Engine::cpu(None).expect("a CPU");
    prune::channels(&original, &graph, &engine, &ChannelTask::Options(&options), &to, &Progress::default())
        .expect("it can be cut");
    let mut measure = OnnxEvaluator::new(few(), Metric::Accuracy);
    let mut after = |model: &Path, name: &str| {
        let out = folder.path(name);
        let model = Checkpoint::open(model).expect("a network");
        let done = recalibrate(&model, &few(), &Recalibration::default(), &out).expect("it can be recalibrated");
        assert!(done.is_some());
        let mut accuracy = |path: &Path| measure.evaluate(path).expect("it runs").metric;
        (accuracy(model.path()), accuracy(&out))
    };
    let (before, now) = after(&model, "same.onnx");
    assert!((before - now).abs() < 0.05, "{before} {now}");
    let (before, now) = after(&cut, "better.onnx");
    assert!(now > before + 0.08, "{before} {now}");
}
