//! The trainer's forward pass, against a runtime that is not ours.
#![cfg(feature = "train")]

mod files;
mod net;

use std::io::Write;
use std::path::{Path, PathBuf};

use files::Folder;
use net::{Net, Value, assert_close, results, sample};
use secateur::graph::Dim;
use secateur::train::{Device, Interpreter};
use secateur::{Checkpoint, Result};

fn ints(values: &[i64]) -> Value {
    Value::Ints(values.to_vec())
}

/// What the interpreter makes of an input.
fn ours(file: &[u8], shape: &[usize], input: &[f32]) -> Result<Vec<Vec<f32>>> {
    let folder = Folder::new();
    let model = folder.open("m.onnx", file)?;
    let made = Interpreter::open(&model, Device::Cpu)?.run(shape, input.to_vec())?;
    Ok(made.into_iter().map(|(_, values)| values).collect())
}

fn check_forward(net: &mut Net, shape: &[usize], what: &str) {
    let input = sample(net, shape);
    let file = net.encode();
    let found = ours(&file, shape, &input).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_close(&found, &results(file, shape, &input), what);
}

#[test]
fn real_networks_give_what_they_give_elsewhere() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models");
    let folder = std::env::var_os("SECATEUR_MODELS").map_or(beside, PathBuf::from);
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let models: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    if models.is_empty() {
        writeln!(std::io::stderr(), "skipped: no .onnx files in {}", folder.display()).expect("stderr");
    }
    for path in models {
        let file = std::fs::read(&path).expect("it is readable");
        let graph = Checkpoint::open(&path).and_then(|model| model.graph()).expect("a graph").expect("ONNX");
        let axes = graph.inputs[0].shape.as_ref().expect("a shape");
        let length = |dim: &Dim| if let Dim::Fixed(length) = dim { *length as usize } else { 3 };
        let shape: Vec<usize> = axes.iter().map(length).collect();
        let input = sample(&mut Net::new(5, &[]), &shape);
        let found = ours(&file, &shape, &input).unwrap_or_else(|error| panic!("{error}"));
        assert_close(&found, &results(file, &shape, &input), &path.display().to_string());
    }
}

#[test]
fn operators_give_what_they_give_elsewhere() {
    let pairs = |attributes: &[(&'static str, Value)]| attributes.to_vec();
    let text = |name, text| (name, Value::Text(text));
    let float = |name, value| (name, Value::Float(value));
    let int = |name, value| (name, Value::Int(value));
    let (kernel, ones) = (("kernel_shape", ints(&[3, 2])), ("strides", ints(&[1, 1])));
    let plain: Vec<(&str, Vec<(&str, Value)>)> = vec![
        ("Relu", vec![]),
        ("LeakyRelu", pairs(&[float("alpha", 0.2)])),
        ("Sigmoid", vec![]),
        ("Tanh", vec![]),
        ("HardSwish", vec![]),
        ("HardSigmoid", pairs(&[float("alpha", 0.3), float("beta", 0.4)])),
        ("Erf", vec![]),
        ("Exp", vec![]),
        ("Neg", vec![]),
        ("Softplus", vec![]),
        ("Softmax", pairs(&[int("axis", 1)])),
        ("LogSoftmax", pairs(&[int("axis", -1)])),
        ("Identity", vec![]),
        ("GlobalAveragePool", vec![]),
        ("GlobalMaxPool", vec![]),
        ("Flatten", pairs(&[int("axis", 2)])),
        ("Transpose", pairs(&[("perm", ints(&[0, 2, 3, 1]))])),
        ("ReduceMean", pairs(&[("axes", ints(&[2, -1])), int("keepdims", 0)])),
        ("MaxPool", pairs(&[kernel.clone(), ones.clone()])),
        ("MaxPool", pairs(&[kernel.clone(), ("pads", ints(&[1, 0, 2, 1])), ("strides", ints(&[2, 1]))])),
        ("MaxPool", pairs(&[kernel.clone(), ("strides", ints(&[2, 2])), int("ceil_mode", 1)])),
        ("AveragePool", pairs(&[kernel.clone(), ones.clone(), ("pads", ints(&[1, 1, 1, 1]))])),
        (
            "AveragePool",
            pairs(&[kernel.clone(), ones.clone(), ("pads", ints(&[1, 1, 1, 1])), int("count_include_pad", 1)]),
        ),
        ("AveragePool", pairs(&[kernel.clone(), ("strides", ints(&[2, 2])), text("auto_pad", "SAME_UPPER")])),
    ];
    for (op, attributes) in plain {
        let mut net = Net::new(3, &[-1, 4, 7, 6]);
        let out = net.op(op, &["x"], &attributes);
        net.outputs = vec![out];
        check_forward(&mut net, &[3, 4, 7, 6], &format!("{op} {attributes:?}"));
    }
}

#[test]
fn convolutions_give_what_they_give_elsewhere() {
    let cases: Vec<(u64, Vec<(&str, Value)>)> = vec![
        (1, vec![("pads", ints(&[1, 2, 0, 1]))]),
        (2, vec![("strides", ints(&[2, 3])), ("pads", ints(&[1, 1, 1, 1]))]),
        (4, vec![("dilations", ints(&[2, 1])), ("pads", ints(&[2, 1, 2, 1]))]),
        (1, vec![("auto_pad", Value::Text("SAME_UPPER")), ("strides", ints(&[2, 2]))]),
    ];
    for (group, mut attributes) in cases {
        let mut net = Net::new(group, &[-1, 4, 9, 8]);
        let weight = net.weight("w", &[8, 4 / group, 3, 2], 0.5, 0.0);
        attributes.push(("group", Value::Int(group as i64)));
        for name in ["strides", "dilations"] {
            if !attributes.iter().any(|(given, _)| *given == name) {
                attributes.push((name, ints(&[1, 1])));
            }
        }
        let out = net.op("Conv", &["x", &weight], &attributes);
        net.outputs = vec![out];
        check_forward(&mut net, &[2, 4, 9, 8], &format!("{attributes:?}"));
    }
    // As onnxruntime has it; rten takes it for SAME_UPPER.
    let text = |text| ("auto_pad", Value::Text(text));
    let pads = [text("SAME_LOWER"), ("pads", ints(&[1, 1, 1, 0])), text("VALID"), ("pads", ints(&[0; 4]))];
    let made = pads.map(|pads| {
        let mut net = Net::new(1, &[-1, 4, 9, 8]);
        let weight = net.weight("w", &[8, 4, 3, 2], 0.5, 0.0);
        let out = net.op("Conv", &["x", &weight], &[pads, ("strides", ints(&[2, 1]))]);
        net.outputs = vec![out];
        ours(&net.encode(), &[1, 4, 9, 8], &sample(&mut Net::new(2, &[]), &[1, 4, 9, 8])).expect("it runs")
    });
    assert_eq!(made[0], made[1]);
    assert_eq!(made[2], made[3]);
    // Along one axis.
    let mut net = Net::new(1, &[-1, 3, 20]);
    let (weight, bias) = (net.weight("w", &[5, 3, 4], 0.5, 0.0), net.weight("b", &[5], 0.5, 0.0));
    let conv = net.op(
        "Conv",
        &["x", &weight, &bias],
        &[("strides", ints(&[2])), ("dilations", ints(&[1])), ("pads", ints(&[1, 2]))],
    );
    let out = net.op("MaxPool", &[&conv], &[("kernel_shape", ints(&[2])), ("strides", ints(&[1]))]);
    net.outputs = vec![out];
    check_forward(&mut net, &[2, 3, 20], "one axis");
}

#[test]
fn shapes_that_were_exported_for_one_input_fit_any_batch() {
    // A batch of 1 that was written down, -1, and a chain that computes it.
    for way in 0..4 {
        let batch = if way == 0 { 1 } else { -1 };
        let mut net = Net::new(2, &[batch, 4, 5, 6]);
        let shape = match way {
            0 => net.ints("shape", &[1, 120]),
            1 => net.ints("shape", &[-1, 120]),
            2 => net.ints("shape", &[0, -1]),
            _ => {
                let (zero, axis, rest) = (net.ints("zero", &[0]), net.ints("axis", &[0]), net.ints("rest", &[-1]));
                let shape = net.op("Shape", &["x"], &[]);
                let first = net.op("Gather", &[&shape, &zero], &[("axis", Value::Int(0))]);
                let first = net.op("Squeeze", &[&first, &axis], &[]);
                let first = net.op("Unsqueeze", &[&first, &axis], &[]);
                net.op("Concat", &[&first, &rest], &[("axis", Value::Int(0))])
            }
        };
        let flat = net.op("Reshape", &["x", &shape], &[]);
        let out = net.linear("fc", &flat, 120, 3);
        net.outputs = vec![out];
        let input = sample(&mut net, &[4, 4, 5, 6]);
        let found = ours(&net.encode(), &[4, 4, 5, 6], &input).unwrap_or_else(|error| panic!("{way}: {error}"));
        // One input at a time, where the file may be for no more.
        let each = input.chunks(120).map(|one| results(net.encode(), &[1, 4, 5, 6], one).remove(0));
        assert_close(&found, &[each.collect::<Vec<_>>().concat()], &format!("{way}"));
    }
}

#[test]
fn arithmetic_broadcasts_and_parts_are_put_together() {
    let mut net = Net::new(4, &[-1, 4, 5, 6]);
    let (a, b) = (net.weight("a", &[4, 1, 1], 1.0, 2.0), net.weight("b", &[6], 1.0, 2.0));
    let x = net.op("Mul", &["x", &a], &[]);
    let y = net.op("Div", &[&x, &b], &[]);
    let z = net.op("Sub", &[&y, &x], &[]);
    let joined = net.op("Concat", &[&x, &y, &z], &[("axis", Value::Int(1))]);
    let (starts, ends, axes, steps) = (
        net.ints("starts", &[1, 0]),
        net.ints("ends", &[i64::MAX, -1]),
        net.ints("axes", &[1, 3]),
        net.ints("steps", &[2, 1]),
    );
    let part = net.op("Slice", &[&joined, &starts, &ends, &axes, &steps], &[]);
    let pads = net.ints("pads", &[0, 1, 0, 0, 0, 2, 0, 3]);
    let padded = net.op("Pad", &[&part, &pads], &[]);
    let last = net.ints("last", &[3]);
    let wide = net.op("Unsqueeze", &[&padded, &last], &[]);
    let narrow = net.op("Squeeze", &[&wide, &last], &[]);
    let weight = net.weight("w", &[8, 7], 0.3, 0.0);
    let product = net.op("MatMul", &[&narrow, &weight], &[]);
    net.outputs = vec![product];
    check_forward(&mut net, &[2, 4, 5, 6], "arithmetic");
}
