//! The trainer: its gradients against differences of losses in a runtime that is not ours, and what it writes.
#![cfg(feature = "train")]

mod files;
mod net;

use std::path::Path;

use files::Folder;
use net::{Net, Value, results, sample};
use safetensors::tensor::TensorView;
use secateur::data::DataSet;
use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination, GroupCriterion, Masks};
use secateur::train::{Event, LearningRate, Optimizer, TrainOptions, Trainer};
use secateur::tune::{FineTuner, Tuning};
use secateur::{Checkpoint, Dtype, Engine, Progress, Result};

/// A data set in `folder`: inputs of that shape, labels of classes or values.
fn data(folder: &Folder, name: &str, shape: &[usize], inputs: &[f32], labels: Labels<'_>) -> DataSet {
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let inputs = bytes(inputs);
    let (labels, dtype, each) = match labels {
        Labels::Classes(classes) => (classes.iter().flat_map(|c| c.to_le_bytes()).collect(), Dtype::I64, vec![]),
        Labels::Values(each, values) => (bytes(values), Dtype::F32, vec![each]),
    };
    let label_shape: Vec<usize> = [shape[0]].into_iter().chain(each).collect();
    let views = [
        ("inputs", TensorView::new(Dtype::F32, shape.to_vec(), &inputs).expect("inputs")),
        ("labels", TensorView::new(dtype, label_shape, &labels).expect("labels")),
    ];
    let path = folder.write(name, safetensors::serialize(views, None).expect("a small file"));
    DataSet::open(&path).expect("a data set")
}

enum Labels<'a> {
    Classes(&'a [i64]),
    Values(usize, &'a [f32]),
}

/// Two classes that a small network can tell apart: a bright upper or lower half.
fn halves(folder: &Folder, name: &str, count: usize) -> DataSet {
    let mut net = Net::new(7, &[]);
    let classes: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    let inputs: Vec<f32> = classes
        .iter()
        .flat_map(|class| (0..64).map(|i| f32::from((i < 32) == (*class == 0))).collect::<Vec<_>>())
        .map(|x| 0.3 * x + 0.5 * net.random())
        .collect();
    data(folder, name, &[count, 1, 8, 8], &inputs, Labels::Classes(&classes))
}

/// Convolution, normalization, pool and a product at the end.
fn small(seed: u64) -> Net {
    let mut net = Net::new(seed, &[-1, 1, 8, 8]);
    let conv = net.conv("conv1", "x", 1, 6);
    let norm = net.batch_norm("norm", &conv, 6);
    let relu = net.op("Relu", &[&norm], &[]);
    let pool = net.op("MaxPool", &[&relu], &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))]);
    let conv = net.conv("conv2", &pool, 6, 8);
    let relu = net.op("Relu", &[&conv], &[]);
    let pool = net.op("GlobalAveragePool", &[&relu], &[]);
    let flat = net.op("Flatten", &[&pool], &[]);
    let out = net.linear("fc", &flat, 8, 2);
    net.outputs = vec![out];
    net
}

fn ints(values: &[i64]) -> Value {
    Value::Ints(values.to_vec())
}

fn options() -> TrainOptions {
    TrainOptions { epochs: 3.0, batch: 16, learning_rate: 0.05, ..TrainOptions::default() }
}

/// Trains `net`; the file, and the loss of each epoch.
fn train(net: &Net, data: DataSet, options: TrainOptions, masks: Option<&Path>) -> Result<(Vec<u8>, Vec<f64>)> {
    let folder = Folder::new();
    let model = folder.open("m.onnx", &net.encode()).expect("a sound file");
    let masks = masks.map(Masks::open).transpose()?;
    let (out, mut losses) = (folder.path("out.onnx"), Vec::new());
    Trainer::new(data, options)?.train(&model, masks.as_ref(), &out, false, &mut |event| {
        if let Event::Epoch { loss, .. } = event {
            losses.push(loss);
        }
        Ok(())
    })?;
    Ok((std::fs::read(&out).expect("the output"), losses))
}

/// The elements of a F32 tensor of a file.
fn tensor(file: &[u8], name: &str) -> Vec<f32> {
    let folder = Folder::new();
    let model = folder.open("m.onnx", file).expect("a sound file");
    let tensor = model.get(name).expect("a tensor");
    let mut values = vec![0.0f32; tensor.elements() as usize];
    model.read_exact_at(tensor, 0, bytemuck::cast_slice_mut(&mut values)).expect("it is readable");
    values
}

/// The cross-entropy of the file's logits, in f64.
fn cross_entropy(file: Vec<u8>, shape: &[usize], input: &[f32], classes: &[i64]) -> f64 {
    let logits = results(file, shape, input).remove(0);
    let rows = logits.chunks(logits.len() / classes.len()).zip(classes);
    let one = |(row, class): (&[f32], &i64)| {
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        sum.ln() - f64::from(row[*class as usize])
    };
    rows.map(one).sum::<f64>() / classes.len() as f64
}

#[test]
fn gradients_are_differences_of_the_loss() {
    // Smooth throughout, so that differences are true.
    let mut net = Net::new(11, &[-1, 2, 6, 6]);
    let conv = net.grouped_conv("conv1", "x", 2, 4, 2);
    let tanh = net.op("Tanh", &[&conv], &[]);
    let weight = net.weight("conv2.weight", &[3, 4, 2, 3], 0.4, 0.0);
    let conv = net.op(
        "Conv",
        &[&tanh, &weight],
        &[("strides", ints(&[2, 1])), ("dilations", ints(&[1, 2])), ("pads", ints(&[0, 1, 1, 2]))],
    );
    let conv = net.op("Sigmoid", &[&conv], &[]);
    let pool = net.op("AveragePool", &[&conv], &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[1, 1]))]);
    let flat = net.op("Flatten", &[&pool], &[]);
    let width = ours_width(&net, &flat);
    let weight = net.weight("product", &[width, 5], 0.5, 0.0);
    let product = net.op("MatMul", &[&flat, &weight], &[]);
    let bias = net.weight("added", &[5], 0.3, 0.0);
    let added = net.op("Add", &[&product, &bias], &[]);
    let gelu = net.op("Tanh", &[&added], &[]);
    let out = net.linear("fc", &gelu, 5, 3);
    net.outputs = vec![out];

    let (shape, classes) = ([4, 2, 6, 6], [0, 2, 1, 2]);
    let input = sample(&mut net, &shape);
    let folder = Folder::new();
    let data = data(&folder, "d.safetensors", &shape, &input, Labels::Classes(&classes));
    // One step of plain descent at rate 1 is the gradient.
    let rate = TrainOptions {
        epochs: 1.0,
        batch: 4,
        learning_rate: 1.0,
        schedule: LearningRate::Constant,
        momentum: 0.0,
        ..TrainOptions::default()
    };
    let (file, losses) = train(&net, data, rate, None).expect("it trains");
    assert!((losses[0] - cross_entropy(net.encode(), &shape, &input, &classes)).abs() < 1e-5);
    let names: Vec<String> = net.weights.keys().cloned().collect();
    for name in names {
        let after = tensor(&file, &name);
        let count = after.len();
        for index in (0..count).step_by((count / 6).max(1)) {
            let before = net.weights[&name].1[index];
            let mut loss = |by: f32| {
                net.weights.get_mut(&name).expect("a weight").1[index] = before + by;
                let loss = cross_entropy(net.encode(), &shape, &input, &classes);
                net.weights.get_mut(&name).expect("a weight").1[index] = before;
                loss
            };
            let difference = (loss(0.01) - loss(-0.01)) / 0.02;
            let gradient = f64::from(before - after[index]);
            assert!((gradient - difference).abs() < 2e-4, "{name} {index}: {gradient} {difference}");
        }
    }
}

/// Elements of an input's `value`.
fn ours_width(net: &Net, value: &str) -> u64 {
    let mut net = net.clone();
    net.outputs = vec![value.to_owned()];
    let shape = [1, 2, 6, 6];
    let input = sample(&mut net, &shape);
    results(net.encode(), &shape, &input)[0].len() as u64
}

#[test]
fn training_makes_the_loss_small() {
    let folder = Folder::new();
    for (optimizer, learning_rate) in [(Optimizer::Sgd, 0.1), (Optimizer::Adam, 0.01), (Optimizer::AdamW, 0.01)] {
        for fresh in [false, true] {
            let options =
                TrainOptions { optimizer, learning_rate, fresh, epochs: 14.5, weight_decay: 1e-4, ..options() };
            let (_, losses) = train(&small(1), halves(&folder, "d.safetensors", 96), options, None).expect("it trains");
            assert_eq!(losses.len(), 15);
            assert!(losses[14] < 0.2 && losses[14] < losses[0], "{optimizer} {fresh}: {losses:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = Folder::new();
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let options = TrainOptions { seed, fresh: true, ..options() };
        let data = halves(&folder, &format!("{threads}-{seed}.safetensors"), 80);
        pool.install(|| train(&small(1), data, options, None).expect("it trains").0)
    };
    let first = run(1, 5);
    assert!(run(1, 5) == first && run(3, 5) == first, "the same seed");
    assert!(run(1, 6) != first, "another seed");
}

#[test]
fn what_a_mask_cuts_stays_zero() {
    let folder = Folder::new();
    let net = small(1);
    let model = folder.open("m.onnx", &net.encode()).expect("a sound file");
    let (cut, mask) = (folder.path("cut.onnx"), folder.path("mask.safetensors"));
    let to = Destination { out: Some(&cut), mask: Some(&mask), ..Destination::default() };
    let rates = prune::Options { sparsity: 0.5, ..prune::Options::default() };
    let engine = Engine::cpu(None).expect("a CPU");
    prune::run(&model, &engine, &prune::Task::Options(&rates), &to, &Progress::default()).expect("it can be cut");
    let zeros = |file: &[u8]| -> Vec<Vec<bool>> {
        ["conv1.weight", "conv2.weight", "fc.weight"]
            .map(|name| tensor(file, name).iter().map(|x| x.to_bits() == 0).collect())
            .to_vec()
    };
    let cut_file = std::fs::read(&cut).expect("the output");
    let wanted = zeros(&cut_file);
    assert!(wanted.iter().flatten().filter(|zero| **zero).count() > 100);
    // By masks; by what is 0; and neither.
    let model = Checkpoint::open(&cut).expect("a sound file");
    for (held, masked, hold_zeros) in [(true, true, false), (true, false, true), (false, false, false)] {
        for optimizer in [Optimizer::Sgd, Optimizer::AdamW] {
            let out = folder.path("out.onnx");
            let options = TrainOptions { optimizer, hold_zeros, learning_rate: 0.01, ..options() };
            let masks = masked.then(|| Masks::open(&mask).expect("masks"));
            let trainer = Trainer::new(halves(&folder, "d.safetensors", 64), options).expect("options");
            trainer.train(&model, masks.as_ref(), &out, true, &mut |_| Ok(())).expect("it trains");
            let file = std::fs::read(&out).expect("the output");
            assert_eq!(zeros(&file) == wanted, held, "{masked} {hold_zeros}");
            assert!(tensor(&file, "fc.weight") != tensor(&cut_file, "fc.weight"));
        }
    }
}

#[test]
fn running_statistics_move_towards_those_of_the_batch() {
    let folder = Folder::new();
    let mut net = Net::new(3, &[-1, 2, 4, 4]);
    let norm = net.batch_norm("norm", "x", 2);
    let flat = net.op("Flatten", &[&norm], &[]);
    let out = net.linear("fc", &flat, 32, 2);
    net.outputs = vec![out];
    let input = sample(&mut net, &[8, 2, 4, 4]);
    let data = data(&folder, "d.safetensors", &[8, 2, 4, 4], &input, Labels::Classes(&[0, 1, 0, 1, 0, 1, 0, 1]));
    let once = TrainOptions { epochs: 1.0, batch: 8, ..options() };
    let (file, _) = train(&net, data, once, None).expect("it trains");
    for channel in 0..2 {
        let values: Vec<f64> =
            (0..8).flat_map(|n| &input[(n * 2 + channel) * 16..][..16]).map(|&x| f64::from(x)).collect();
        let mean = values.iter().sum::<f64>() / 128.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 127.0;
        for (name, batch) in [("norm.running_mean", mean), ("norm.running_var", variance)] {
            let wanted = 0.9 * f64::from(net.weights[name].1[channel]) + 0.1 * batch;
            let found = f64::from(tensor(&file, name)[channel]);
            assert!((found - wanted).abs() < 1e-5, "{name}: {found} {wanted}");
        }
    }
    assert!(tensor(&file, "norm.weight") != net.weights["norm.weight"].1);
}

#[test]
fn a_network_without_some_of_its_channels_trains() {
    let folder = Folder::new();
    let model = folder.open("m.onnx", &small(1).encode()).expect("a sound file");
    let graph = model.graph().expect("a sound graph").expect("it is ONNX");
    let (cut, out) = (folder.path("cut.onnx"), folder.path("out.onnx"));
    let criterion = GroupCriterion::Random { seed: 1 };
    let options_ = ChannelOptions { amount: Amount::Sparsity(0.5), criterion, ..ChannelOptions::default() };
    let to = Destination { out: Some(&cut), ..Destination::default() };
    let engine = Engine::cpu(None).expect("a CPU");
    prune::channels(&model, &graph, &engine, &ChannelTask::Options(&options_), &to, &Progress::default())
        .expect("it can be cut");
    // As a search would.
    let mut trainer = Trainer::new(halves(&folder, "d.safetensors", 96), options()).expect("options");
    let job = Tuning { model: &cut, mask: None, output: &out, epochs: Some(6.0), seed: 1 };
    trainer.fine_tune(&job).expect("it trains");
    assert!(trainer.fine_tune(&job).is_err(), "the output is there");
    let trained = Checkpoint::open(&out).expect("a sound file");
    assert_eq!(trained.get("conv1.weight").expect("a tensor").shape(), [3, 1, 3, 3]);
    let loss = |path: &Path| {
        let data = || halves(&folder, "v.safetensors", 64);
        // One step that changes nothing.
        let steps = TrainOptions { epochs: 0.25, learning_rate: 1e-9, ..options() };
        let trainer = Trainer::new(data(), steps).and_then(|trainer| trainer.with_validation(data())).expect("options");
        let model = Checkpoint::open(path).expect("a sound file");
        let mut found = None;
        let mut watch = |event| {
            if let Event::Epoch { validation, .. } = event {
                found = validation;
            }
            Ok(())
        };
        trainer.train(&model, None, &folder.path("unused.onnx"), true, &mut watch).expect("it runs");
        found.expect("a validation")
    };
    let (before, after) = (loss(&cut), loss(&out));
    assert!(after.loss < before.loss && after.accuracy > Some(0.9), "{before:?} {after:?}");
}

#[test]
fn a_softmax_at_the_end_is_part_of_the_loss() {
    let folder = Folder::new();
    let trained = |last: Option<&str>| {
        let mut net = small(1);
        let logits = net.outputs[0].clone();
        net.outputs = vec![last.map_or(logits.clone(), |op| net.op(op, &[&logits], &[("axis", Value::Int(-1))]))];
        let (file, losses) = train(&net, halves(&folder, "d.safetensors", 48), options(), None).expect("it trains");
        (tensor(&file, "fc.weight"), losses)
    };
    let wanted = trained(None);
    assert_eq!(trained(Some("Softmax")), wanted);
    assert_eq!(trained(Some("LogSoftmax")), wanted);
}

#[test]
fn what_comes_after_a_softmax_is_not_taken_for_logits() {
    let folder = Folder::new();
    let mut net = small(3);
    let softmax = net.op("Softmax", &[&net.outputs[0].clone()], &[("axis", Value::Int(1))]);
    net.outputs = vec![net.op("Flatten", &[&softmax], &[])];
    let error = train(&net, halves(&folder, "d.safetensors", 16), options(), None).expect_err("a double softmax");
    assert!(error.to_string().contains("has Flatten after its Softmax"), "{error}");
}

#[test]
fn values_are_learnt_by_their_squared_error() {
    let folder = Folder::new();
    let mut net = Net::new(3, &[-1, 4]);
    let hidden = net.linear("fc1", "x", 4, 8);
    let tanh = net.op("Tanh", &[&hidden], &[]);
    let dropped = net.op("Dropout", &[&tanh], &[]);
    let out = net.linear("fc2", &dropped, 8, 2);
    net.outputs = vec![out];
    let input = sample(&mut net, &[64, 4]);
    let labels: Vec<f32> = input.chunks(4).flat_map(|x| [x[0] - x[1], x[2] * 0.5 + 1.0]).collect();
    let data = data(&folder, "d.safetensors", &[64, 4], &input, Labels::Values(2, &labels));
    let rate = TrainOptions { epochs: 60.0, optimizer: Optimizer::Adam, learning_rate: 0.02, ..options() };
    let (_, losses) = train(&net, data, rate, None).expect("it trains");
    assert!(losses[59] < 0.2 * losses[0], "{losses:?}");
}

#[test]
fn what_cannot_be_trained_is_refused_with_the_reason() {
    let folder = Folder::new();
    let refused = |net: &Net, data: DataSet, options: TrainOptions| {
        train(net, data, options, None).map(|_| ()).expect_err("it does not train").to_string()
    };
    let all = || halves(&folder, "d.safetensors", 16);
    let check = |message: String, part: &str| assert!(message.contains(part), "{message}");

    let mut net = small(1);
    let out = net.op("Einsum", &[&net.outputs[0].clone()], &[]);
    net.outputs = vec![out];
    check(refused(&net, all(), options()), "the operator `Einsum` is not known to the trainer, which knows Add, ");

    let four = data(&folder, "four.safetensors", &[4, 1, 8, 8], &[0.5; 256], Labels::Classes(&[0, 1, 2, 0]));
    check(refused(&small(1), four, options()), "has 2 outputs, and the data have a class 2");
    let wide = data(&folder, "wide.safetensors", &[4, 1, 8, 9], &[0.5; 288], Labels::Classes(&[0; 4]));
    check(refused(&small(1), wide, options()), "takes inputs of shape [1, 8, 8], and the data's are [1, 8, 9]");
    let values = data(&folder, "values.safetensors", &[4, 1, 8, 8], &[0.5; 256], Labels::Values(3, &[0.0; 12]));
    check(refused(&small(1), values, options()), "gives values of shape [4, 2], and the data have 3 an input");
    let endless = TrainOptions { learning_rate: 1e30, ..options() };
    check(refused(&small(1), all(), endless), "lower --learning-rate");
    for wrong in [
        TrainOptions { epochs: f64::NAN, ..options() },
        TrainOptions { batch: 0, ..options() },
        TrainOptions { learning_rate: 0.0, ..options() },
        TrainOptions { momentum: 1.0, ..options() },
        TrainOptions { weight_decay: -1.0, ..options() },
    ] {
        check(refused(&small(1), all(), wrong), "can be");
    }

    let mut net = small(1);
    net.outputs.push("x".to_owned());
    check(refused(&net, all(), options()), "has 2 outputs");
    // Weights that do not fit their operator.
    let mut net = small(1);
    net.weights.insert("fc.weight".to_owned(), (vec![2, 9], vec![0.1; 18]));
    check(refused(&net, all(), options()), "multiplies values of shapes [16, 8] and [2, 9]");
    let mut net = small(1);
    net.weights.insert("conv2.weight".to_owned(), (vec![8, 5, 3, 3], vec![0.1; 360]));
    check(refused(&net, all(), options()), "applies a weight of shape [8, 5, 3, 3]");
}

#[test]
fn weights_alone_are_no_network() {
    let folder = Folder::new();
    let bytes = 1.0f32.to_le_bytes();
    let view = [("w", TensorView::new(Dtype::F32, vec![1], &bytes).expect("a tensor"))];
    let model = folder.open("w.safetensors", &safetensors::serialize(view, None).expect("a file")).expect("weights");
    let trainer = Trainer::new(halves(&folder, "d.safetensors", 16), options()).expect("options");
    let refused = trainer.train(&model, None, &folder.path("o.safetensors"), false, &mut |_| Ok(()));
    assert!(refused.expect_err("no network").to_string().contains(".onnx"));
}
