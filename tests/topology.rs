//! Networks declared for safetensors: the same cuts as those of an ONNX file that says the same, and files that say nothing
//! sensible.

mod files;
mod net;

use std::path::Path;

use files::Folder;
use net::{Net, Value};
use safetensors::tensor::TensorView;
use secateur::graph::{Dependencies, Topology};
use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination};
use secateur::{Checkpoint, Dtype, Engine, Progress};

const TOPOLOGY: &str = r#"
input = [3, 8, 8]
ignore = ["ema.*"]

[[layer]]
op = "conv"
tensors = "stem"
padding = 1

[[layer]]
name = "in"
op = "relu"

[[layer]]
op = "conv"
tensors = "a"
padding = [1, 1]

[[layer]]
op = "batch-norm"
tensors = "a.bn"

[[layer]]
op = "silu"

[[layer]]
name = "residual"
op = "conv"
tensors = "b"
padding = 1

[[layer]]
name = "sum"
op = "add"
from = ["residual", "in"]

[[layer]]
op = "conv"
tensors = "depthwise"
padding = 1
groups = 6

[[layer]]
name = "both"
op = "concat"
from = ["sum", "in"]

[[layer]]
op = "max-pool"
kernel = 2

[[layer]]
op = "flatten"

[[layer]]
op = "linear"
tensors = "fc"
"#;

/// What [`TOPOLOGY`] declares, in ONNX.
fn network() -> Net {
    let mut net = Net::new(11, &[-1, 3, 8, 8]);
    let x = net.conv("stem", "x", 3, 6);
    let x = net.op("Relu", &[&x], &[]);
    let y = net.conv("a", &x, 6, 7);
    let y = net.batch_norm("a.bn", &y, 7);
    let gate = net.op("Sigmoid", &[&y], &[]);
    let y = net.op("Mul", &[&y, &gate], &[]);
    let y = net.conv("b", &y, 7, 6);
    let sum = net.op("Add", &[&y, &x], &[]);
    net.grouped_conv("depthwise", &sum, 6, 6, 6);
    let both = net.op("Concat", &[&sum, &x], &[("axis", Value::Int(1))]);
    let twos = || Value::Ints(vec![2; 2]);
    let y = net.op("MaxPool", &[&both], &[("kernel_shape", twos()), ("strides", twos())]);
    let y = net.op("Flatten", &[&y], &[]);
    let y = net.linear("fc", &y, 12 * 16, 5);
    net.outputs.push(y);
    net
}

fn safetensors_of(net: &Net, path: &Path) {
    let bytes: Vec<Vec<u8>> =
        net.weights.values().map(|(_, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = net.weights.iter().zip(&bytes).map(|((name, (shape, _)), bytes)| {
        let shape = shape.iter().map(|axis| *axis as usize).collect();
        (name.clone(), TensorView::new(Dtype::F32, shape, bytes).expect("it fits"))
    });
    safetensors::serialize_to_file(views, None, path).expect("space for a small file");
}

fn tensor(model: &Checkpoint, name: &str) -> (Vec<u64>, Vec<u8>) {
    let tensor = model.get(name).unwrap_or_else(|| panic!("no {name}"));
    let mut bytes = vec![0; tensor.bytes() as usize];
    model.read_exact_at(tensor, 0, &mut bytes).expect("it is readable");
    (tensor.shape().to_vec(), bytes)
}

#[test]
fn declared_and_told_by_onnx_are_cut_alike() {
    let folder = Folder::new();
    let net = network();
    let (onnx, weights) = (folder.path("m.onnx"), folder.path("m.safetensors"));
    folder.write("m.onnx", net.encode());
    safetensors_of(&net, &weights);
    let topology = Topology::read(folder.write("m.toml", TOPOLOGY)).expect("a good file");
    let (onnx, weights) = (Checkpoint::open(&onnx).expect("sound"), Checkpoint::open(&weights).expect("sound"));
    let told = onnx.graph().expect("sound").expect("it is ONNX");
    let declared = topology.graph(&weights).expect("it fits");
    let classes = |graph| Dependencies::of(graph).expect("sound").classes.into_iter().map(|c| (c.name, c.members));
    assert!(classes(&told).eq(classes(&declared)));

    let engine = Engine::cpu(None).expect("a CPU");
    let options = ChannelOptions { amount: Amount::Sparsity(0.5), ..ChannelOptions::default() };
    let task = ChannelTask::Options(&options);
    let out = [folder.path("out.onnx"), folder.path("out.safetensors")];
    for ((model, graph), out) in [(&onnx, &told), (&weights, &declared)].into_iter().zip(&out) {
        let to = Destination { out: Some(out), ..Destination::default() };
        prune::channels(model, graph, &engine, &task, &to, &Progress::default()).expect("it can be cut");
    }
    let [one, other] = out.map(|out| Checkpoint::open(out).expect("what is written is sound"));
    for name in net.weights.keys() {
        assert!(tensor(&one, name) == tensor(&other, name), "{name}");
    }
    assert_eq!(tensor(&other, "stem.weight").0, [3, 3, 3, 3]);
    // The original widths are kept, and the topology fits the smaller network, but for its number of groups.
    assert!(other.metadata().expect("metadata")["secateur.channels"].contains("\"stem.weight\":6"));
    let smaller = TOPOLOGY.replace("groups = 6", "groups = 3");
    let topology = Topology::read(folder.write("smaller.toml", smaller)).expect("a good file");
    let again = Dependencies::of(&topology.graph(&other).expect("it fits")).expect("sound");
    assert_eq!(again.classes[0].channels, 3);
}

#[test]
fn the_examples_fit() {
    let model = Checkpoint::open("examples/data/cnn.safetensors").expect("the example");
    let graph = Topology::read("examples/data/cnn.toml").expect("a good file").graph(&model).expect("it fits");
    let found = Dependencies::of(&graph).expect("sound");
    let free: Vec<(&str, u64)> =
        found.classes.iter().filter(|c| c.frozen.is_none()).map(|c| (c.name.as_str(), c.channels)).collect();
    let wanted = [("features.0.weight", 16), ("features.7.weight", 32), ("features.11.weight", 32)];
    assert_eq!(free[..3], wanted);
    for name in ["lenet5", "resnet20"] {
        Topology::read(format!("examples/topologies/{name}.toml")).expect("a good file");
    }
}

#[test]
fn files_that_make_no_sense_say_why() {
    let folder = Folder::new();
    safetensors_of(&network(), &folder.path("m.safetensors"));
    let model = Checkpoint::open(folder.path("m.safetensors")).expect("sound");
    let cases = [
        ("", "input"),
        ("input = [3]\nlayer = 5", "line 2"),
        (&TOPOLOGY.replace("op = \"silu\"", "op = \"swish\""), "unknown variant `swish`"),
        (&TOPOLOGY.replace("padding = [1, 1]", "paddings = 1"), "unknown field `paddings`"),
        (&TOPOLOGY.replace("[3, 8, 8]", "[]"), "`input` needs"),
        (&TOPOLOGY.replace("op = \"silu\"", "op = \"silu\"\nkernel = 2"), "layer 5: `kernel` means nothing"),
        (
            &TOPOLOGY.replace("tensors = \"stem\"", "tensors = \"gone\""),
            "layer 1: the model has no tensor `gone.weight`",
        ),
        (&TOPOLOGY.replace("[\"sum\", \"in\"]", "[\"later\", \"in\"]"), "no layer before it is called so"),
        (&TOPOLOGY.replace("[\"sum\", \"in\"]", "\"in\""), "has to name two layers"),
        (&TOPOLOGY.replace("name = \"sum\"", "name = \"in\""), "another layer has this name"),
        (&TOPOLOGY.replace("tensors = \"b\"", "tensors = \"a.bn\""), "is not what it needs"),
        (&TOPOLOGY.replace("[1, 1]", "[1, 1, 1]"), "3 lengths for 2 axes"),
        (&TOPOLOGY.replace("kernel = 2", "kernel = 0"), "at least 1"),
        (&TOPOLOGY.replace("kernel = 2", "kernel = 4"), "layer 12 (`fc.weight`) does not fit"),
        (&TOPOLOGY.replace("op = \"flatten\"", "op = \"dropout\""), "(`fc.weight`) does not fit"),
        (&TOPOLOGY.replace("groups = 6", "groups = 2"), "(`depthwise.weight`) does not fit"),
        (&TOPOLOGY.replace("[3, 8, 8]", "[4, 8, 8]"), "layer 1 (`stem.weight`) does not fit"),
        (
            &TOPOLOGY.replace("\nop = \"linear\"\ntensors = \"fc\"\n", "\nop = \"relu\"\n"),
            "no layer names the tensor `fc",
        ),
    ];
    for (text, part) in cases {
        let path = folder.write("m.toml", text);
        let told = Topology::read(path).and_then(|topology| topology.graph(&model)).expect_err(part).to_string();
        assert!(told.contains(part) && told.contains("m.toml") && !told.contains('\n'), "{part}: {told}");
    }
}
