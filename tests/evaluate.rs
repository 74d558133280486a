//! The built-in evaluator, against naive functions of the outputs that rten gives.
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
use net::{Net, Value, results, sample};
use secateur::data::DataSet;
use secateur::evaluate::{Evaluator, Measure, Metric, OnnxEvaluator};
use secateur::{Error, Result};
use sets::{Labels, set};
use shared::{FEW, few_images, shared};

const COUNT: usize = 50;
const CLASSES: usize = 7;
const SHAPE: [usize; 4] = [COUNT, 3, 4, 4];

/// A convolution, a pool over all places and a linear layer; with `end` as the last operator.
fn small(batch: i64, end: Option<&str>) -> Net {
    let mut net = Net::new(5, &[batch, 3, 4, 4]);
    let conv = net.conv("conv", "x", 3, 8);
    let relu = net.op("Relu", &[&conv], &[]);
    let pool = net.op("GlobalAveragePool", &[&relu], &[]);
    let flat = net.op("Flatten", &[&pool], &[]);
    let mut last = net.linear("fc", &flat, 8, CLASSES as u64);
    if let Some(end) = end {
        last = net.op(end, &[&last], &[]);
    }
    net.outputs = vec![last];
    net
}

fn evaluator(data: &Path, metric: Metric) -> OnnxEvaluator {
    OnnxEvaluator::new(DataSet::open(data).expect("a data set"), metric)
}

/// Metric and loss of `outputs`, as the definitions say.
fn naive(metric: Metric, outputs: &[f32], classes: &[i64]) -> (f64, f64) {
    let rows: Vec<Vec<f64>> = outputs.chunks(CLASSES).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let mean = |f: &dyn Fn(&[f64], usize) -> f64| {
        rows.iter().zip(classes).map(|(row, &class)| f(row, class as usize)).sum::<f64>() / rows.len() as f64
    };
    let among = |most: usize| {
        mean(&|row, class| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            f64::from(u8::from(order[..most].contains(&class)))
        })
    };
    let entropy = mean(&|row, class| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[class]);
    let squares = mean(&|row, class| {
        let error = |(i, x): (usize, &f64)| (x - f64::from(u8::from(i == class))).powi(2);
        row.iter().enumerate().map(error).sum::<f64>() / row.len() as f64
    });
    match metric {
        Metric::Accuracy => (among(1), entropy),
        Metric::Top5 => (among(5), entropy),
        Metric::CrossEntropy => (entropy, entropy),
        Metric::MeanSquaredError => (squares, squares),
    }
}

fn assert_near(found: &Measure, (metric, loss): (f64, f64), what: &str) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    assert!(near(found.metric, metric) && near(found.loss.expect("a loss"), loss), "{what}: {found:?} {metric} {loss}");
}

/// Inputs, their classes, and what the network makes of them, all at once.
fn case() -> (Vec<f32>, Vec<i64>, Vec<f32>) {
    let mut net = small(-1, None);
    let inputs = sample(&mut net, &SHAPE);
    let classes = (0..COUNT as i64).map(|i| i * i % CLASSES as i64).collect();
    let outputs = results(net.encode(), &SHAPE, &inputs).remove(0);
    (inputs, classes, outputs)
}

#[test]
fn metrics_are_those_of_all_inputs_however_they_are_run() {
    let (inputs, classes, outputs) = case();
    let folder = Folder::new();
    let data = set(&folder, "data.safetensors", &SHAPE, &inputs, &Labels::Classes(&classes));
    for metric in Metric::ALL {
        for (name, batch) in [("free", -1), ("one", 1), ("eight", 8), ("hundred", 100)] {
            let model = folder.write(&format!("{name}.onnx"), small(batch, None).encode());
            for (batch, threads) in [(None, None), (Some(1), Some(1)), (Some(7), Some(3)), (Some(64), Some(2))] {
                let [batch, threads] = [batch, threads].map(|n| n.and_then(NonZeroUsize::new));
                let found = evaluator(&data, metric).batch(batch).threads(threads).evaluate(&model).expect("it runs");
                let what = format!("{metric} {name} {batch:?} {threads:?}");
                assert_near(&found, naive(metric, &outputs, &classes), &what);
            }
        }
    }
}

#[test]
fn what_ends_in_softmax_gives_probabilities() {
    let (inputs, classes, outputs) = case();
    let folder = Folder::new();
    let data = set(&folder, "data.safetensors", &SHAPE, &inputs, &Labels::Classes(&classes));
    for end in ["Softmax", "LogSoftmax"] {
        for moved in [false, true] {
            let mut net = small(-1, Some(end));
            if moved {
                net.outputs = vec![net.op("Identity", &[&net.outputs[0].clone()], &[])];
            }
            let model = folder.write("end.onnx", net.encode());
            for metric in [Metric::CrossEntropy, Metric::Accuracy] {
                let found = evaluator(&data, metric).evaluate(&model).expect("it runs");
                assert_near(&found, naive(metric, &outputs, &classes), end);
            }
        }
    }
}

#[test]
fn values_are_labels_too() {
    let (inputs, _, outputs) = case();
    let folder = Folder::new();
    let wanted: Vec<f32> = outputs.iter().map(|x| x + 0.5).collect();
    let data = set(&folder, "data.safetensors", &SHAPE, &inputs, &Labels::Values(&wanted));
    let model = folder.write("net.onnx", small(-1, None).encode());
    let found = evaluator(&data, Metric::MeanSquaredError).evaluate(&model).expect("it runs");
    assert_near(&found, (0.25, 0.25), "mse");
    assert!(refusal(evaluator(&data, Metric::Accuracy).evaluate(&model)).contains("--metric mse"));
}

#[test]
fn axes_of_length_one_and_flat_inputs_fit() {
    let folder = Folder::new();
    let mut net = Net::new(3, &[-1, 6]);
    net.outputs = vec![net.linear("fc", "x", 6, 3)];
    let flat = folder.write("flat.onnx", net.encode());
    let inputs = sample(&mut net, &[4, 6]);
    let mut found = Vec::new();
    for (number, shape) in [&[4, 6][..], &[4, 1, 2, 3], &[4, 6, 1]].into_iter().enumerate() {
        let name = format!("{number}.safetensors");
        let data = set(&folder, &name, shape, &inputs, &Labels::Classes(&[0, 1, 2, 0]));
        found.push(evaluator(&data, Metric::CrossEntropy).evaluate(&flat).expect("it fits").metric);
    }
    assert!(found.iter().all(|metric| *metric == found[0]), "{found:?}");
    // Channels last are as many elements, in another order.
    let model = folder.write("net.onnx", small(-1, None).encode());
    let data = set(&folder, "last.safetensors", &[1, 4, 4, 3], &[0.0; 48], &Labels::Classes(&[0]));
    let message = refusal(evaluator(&data, Metric::Accuracy).evaluate(&model));
    assert!(message.contains("[n, 4, 4, 3] do not fit") && message.contains("[batch, 3, 4, 4]"), "{message}");
}

fn refusal(result: Result<Measure>) -> String {
    result.expect_err("it cannot be evaluated").to_string()
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let (inputs, mut classes, _) = case();
    let folder = Folder::new();
    let data = set(&folder, "data.safetensors", &SHAPE, &inputs, &Labels::Classes(&classes));
    let accuracy = || evaluator(&data, Metric::Accuracy);
    let model = folder.write("net.onnx", small(-1, None).encode());

    let bare = set(&folder, "bare.safetensors", &SHAPE, &inputs, &Labels::None);
    let message = refusal(evaluator(&bare, Metric::Accuracy).evaluate(&model));
    assert!(message.contains("bare.safetensors: has no `labels`"), "{message}");
    classes[41] = CLASSES as i64;
    let beyond = set(&folder, "beyond.safetensors", &SHAPE, &inputs, &Labels::Classes(&classes));
    let message = refusal(evaluator(&beyond, Metric::CrossEntropy).evaluate(&model));
    assert!(
        message.contains("label 41 is class 7, and the network has 7") && message.contains("net.onnx"),
        "{message}"
    );

    assert!(refusal(accuracy().evaluate(&data)).contains("holds weights and no network"));
    assert!(refusal(accuracy().evaluate(&folder.path("none.onnx"))).contains("check the path"));
    let message = refusal(accuracy().output(Some("there\nnot".to_owned())).evaluate(&model));
    assert!(message.contains("no output `there\\nnot`, but [`gemm_4`]"), "{message}");

    let mut odd = small(-1, None);
    odd.outputs = vec![odd.op("Unheard", &["x"], &[])];
    let error = accuracy().evaluate(&folder.write("odd.onnx", odd.encode())).expect_err("no such operator");
    assert!(matches!(error, Error::Run(_)) && error.to_string().contains("Unheard"), "{error}");
    let mut lower = Net::new(1, &[-1, 3, 4, 4]);
    let pads = [("kernel_shape", Value::Ints(vec![2; 2])), ("auto_pad", Value::Text("SAME_LOWER"))];
    let pool = lower.op("MaxPool", &["x"], &pads);
    lower.outputs = vec![lower.op("Flatten", &[&pool], &[])];
    assert!(refusal(accuracy().evaluate(&folder.write("lower.onnx", lower.encode()))).contains("SAME_LOWER"));
    let mut two = small(-1, None);
    two.inputs.push(("y".to_owned(), vec![-1, 7]));
    let unused = folder.write("unused.onnx", two.encode());
    assert!(accuracy().evaluate(&unused).is_ok(), "what nothing uses needs no data");
    two.outputs = vec![two.op("Add", &[&two.outputs[0].clone(), "y"], &[])];
    assert!(refusal(accuracy().evaluate(&folder.write("two.onnx", two.encode()))).contains("several inputs"));
    let mut map = Net::new(1, &[-1, 3, 4, 4]);
    map.outputs = vec![map.conv("conv", "x", 3, 7)];
    assert!(refusal(accuracy().evaluate(&folder.write("map.onnx", map.encode()))).contains("[50, 7, 4, 4]"));
    // All inputs in one row.
    let mut mixed = Net::new(1, &[-1, 3, 4, 4]);
    mixed.outputs = vec![mixed.op("Flatten", &["x"], &[("axis", Value::Int(0))])];
    assert!(refusal(accuracy().evaluate(&folder.write("mixed.onnx", mixed.encode()))).contains("--batch 1"));
    let mut wrong = small(-1, None);
    wrong.weights.insert("fc.weight".to_owned(), (vec![7, 9], vec![0.0; 63]));
    let error = accuracy().evaluate(&folder.write("wrong.onnx", wrong.encode())).expect_err("it does not fit");
    assert!(matches!(error, Error::Run(_)), "{error}");
}

#[test]
fn another_output_can_be_asked_for() {
    let (inputs, classes, outputs) = case();
    let folder = Folder::new();
    let data = set(&folder, "data.safetensors", &SHAPE, &inputs, &Labels::Classes(&classes));
    let mut net = small(-1, None);
    let scores = net.outputs.remove(0);
    net.outputs = vec!["x".to_owned(), scores.clone()];
    let model = folder.write("net.onnx", net.encode());
    let found = evaluator(&data, Metric::Accuracy).output(Some(scores)).evaluate(&model).expect("it runs");
    assert_near(&found, naive(Metric::Accuracy, &outputs, &classes), "the second");
}

/// ONNX Runtime's results on the same data.
#[test]
fn trained_networks_are_as_good_as_elsewhere() {
    let folder = Folder::new();
    let Some(data) = few_images(&folder) else { return };
    for (model, loss) in [("resnet20_cifar10", 0.7439822584668687), ("resnet20_cifar10_folded", 0.7439822514464192)] {
        let Some(model) = shared(&format!("models/{model}.onnx")) else { continue };
        let found = evaluator(&data, Metric::Accuracy).evaluate(&model).expect("it runs");
        assert_eq!(found.metric, 422.0 / FEW as f64);
        assert!((found.loss.expect("a loss") - loss).abs() < 1e-5, "{found:?}");
    }
}
