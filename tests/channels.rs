//! Networks without some of their channels give what they give with those channels' weights, biases, scales and shifts set to
//! zero, in a runtime that is not ours.

mod files;
mod net;

use files::Folder;
use net::{Net, Value, assert_close, results, sample};
use proptest::prelude::*;
use secateur::graph::Role;
use secateur::prune::{self, Amount, ChannelOptions, ChannelTask, Destination, GroupCriterion, Plan};
use secateur::{Checkpoint, Engine, Progress};

/// `net` with the channels that `plan` cuts set to zero.
fn zeroed(net: &Net, plan: &Plan) -> Net {
    let mut net = net.clone();
    for class in &plan.classes {
        let made = |role| matches!(role, Role::Output | Role::Bias | Role::Scale);
        for member in class.members.iter().filter(|member| made(member.role)) {
            let (shape, values) = net.weights.get_mut(&member.tensor).expect("a member is a weight");
            let inner: u64 = shape[member.axis + 1..].iter().product();
            let length = shape[member.axis];
            for (at, value) in values.iter_mut().enumerate() {
                let index = (at as u64 / inner) % length;
                let is_cut =
                    |c: &u64| (member.start + c * member.run..member.start + (c + 1) * member.run).contains(&index);
                if class.cut.iter().any(is_cut) {
                    *value = 0.0;
                }
            }
        }
    }
    net
}

/// Prunes `net` and compares; how many channels went.
fn check(net: &mut Net, shape: &[usize], options: &ChannelOptions, engine: &Engine) -> u64 {
    let folder = Folder::new();
    let model = folder.open("m.onnx", &net.encode()).expect("a sound file");
    let graph = model.graph().expect("a sound graph").expect("it is ONNX");
    let out = folder.path("out.onnx");
    let to = Destination { out: Some(&out), ..Destination::default() };
    let task = ChannelTask::Options(options);
    let done = prune::channels(&model, &graph, engine, &task, &to, &Progress::default());
    let done = match done {
        Ok(done) => done,
        Err(error) => panic!("{error}\n{:?}", net.nodes),
    };
    let input = sample(net, shape);
    let wanted = results(zeroed(net, &done.plan).encode(), shape, &input);
    let found = results(std::fs::read(&out).expect("the output"), shape, &input);
    assert_close(&found, &wanted, &format!("{:?}\n{:?}", net.nodes, done.plan.classes));

    // The same again from the plan, to the byte.
    let again = folder.path("again.onnx");
    let to = Destination { out: Some(&again), ..Destination::default() };
    prune::channels(&model, &graph, engine, &ChannelTask::Plan(&done.plan), &to, &Progress::default())
        .expect("it runs");
    assert!(std::fs::read(&again).expect("the output") == std::fs::read(&out).expect("the output"));

    // Widths are what the plan says.
    let pruned = Checkpoint::open(&out).expect("what is written is sound");
    let mut cut = 0;
    for class in &done.plan.classes {
        let width = |model: &Checkpoint| {
            let member = &class.members[0];
            model.get(&member.tensor).expect("it is there").shape()[member.axis]
        };
        assert!(class.cut.is_empty() || class.frozen.is_none(), "{}", class.name);
        assert_eq!(width(&pruned), width(&model) - class.cut.len() as u64 * class.members[0].run, "{}", class.name);
        cut += class.cut.len() as u64;
    }
    cut
}

fn random(seed: u64, rate: f64) -> ChannelOptions {
    let (amount, criterion) = (Amount::Sparsity(rate), GroupCriterion::Random { seed });
    ChannelOptions { amount, criterion, ..ChannelOptions::default() }
}

/// A network of `blocks` kinds of blocks in a row, chosen by numbers, with a head at the end.
fn network(seed: u64, blocks: &[u8], head: u8) -> Net {
    let mut net = Net::new(seed, &[-1, 3, 8, 8]);
    let mut x = net.conv("stem", "x", 3, 6);
    let mut width = 6;
    for (i, block) in blocks.iter().enumerate() {
        let name = |part: &str| format!("block{i}.{part}");
        let next = 4 + (seed + i as u64) % 5;
        (x, width) = match block % 9 {
            0 => {
                let y = net.conv(&name("conv"), &x, width, next);
                let y = net.batch_norm(&name("bn"), &y, next);
                (net.op("Relu", &[&y], &[]), next)
            }
            1 => {
                let y = net.conv(&name("a"), &x, width, next);
                let y = net.batch_norm(&name("a.bn"), &y, next);
                let y = net.op("Relu", &[&y], &[]);
                let y = net.conv(&name("b"), &y, next, width);
                let y = net.batch_norm(&name("b.bn"), &y, width);
                let y = net.op("Add", &[&y, &x], &[]);
                (net.op("Relu", &[&y], &[]), width)
            }
            2 => {
                let (a, b) = (net.conv(&name("a"), &x, width, next), net.conv(&name("b"), &x, width, 3));
                (net.op("Concat", &[&a, &x, &b], &[("axis", Value::Int(1))]), next + width + 3)
            }
            3 => {
                let y = net.grouped_conv(&name("depthwise"), &x, width, width, width);
                let y = net.op("Relu", &[&y], &[]);
                (net.conv(&name("pointwise"), &y, width, next), next)
            }
            4 => {
                let squeezed = net.op("GlobalAveragePool", &[&x], &[]);
                let squeezed = net.conv(&name("squeeze"), &squeezed, width, 3);
                let squeezed = net.op("Relu", &[&squeezed], &[]);
                let excited = net.conv(&name("excite"), &squeezed, 3, width);
                let gate = net.op("Sigmoid", &[&excited], &[]);
                (net.op("Mul", &[&x, &gate], &[]), width)
            }
            5 => {
                let y = net.conv(&name("conv"), &x, width, next);
                let gate = net.op("Sigmoid", &[&y], &[]);
                (net.op("Mul", &[&gate, &y], &[]), next)
            }
            6 => {
                let y = net.conv(&name("conv"), &x, width, next);
                (net.op("Sigmoid", &[&y], &[]), next)
            }
            7 => {
                let y = net.grouped_conv(&name("wide"), &x, width, 2 * width, width);
                (net.op("Tanh", &[&y], &[]), 2 * width)
            }
            _ => {
                let y = net.conv(&name("conv"), &x, width, next);
                let y = net.op("LeakyRelu", &[&y], &[("alpha", Value::Float(0.1))]);
                let shift = net.weight(&name("shift"), &[next, 1, 1], 0.5, 0.0);
                (net.op("Add", &[&y, &shift], &[]), next)
            }
        };
    }
    match head % 4 {
        0 => {
            let ones = || ("strides", Value::Ints(vec![2; 2]));
            let y = net.op("MaxPool", &[&x], &[("kernel_shape", Value::Ints(vec![2; 2])), ones()]);
            let y = net.op("Flatten", &[&y], &[]);
            let y = net.linear("fc1", &y, width * 16, 12);
            let y = net.op("Relu", &[&y], &[]);
            let y = net.linear("fc2", &y, 12, 5);
            net.outputs.push(y);
        }
        1 => {
            let y = net.op("GlobalAveragePool", &[&x], &[]);
            let shape = net.ints("flat", &[0, -1]);
            let y = net.op("Reshape", &[&y, &shape], &[]);
            let weight = net.weight("fc1.weight", &[width, 9], 0.5, 0.0);
            let bias = net.weight("fc1.bias", &[9], 0.5, 0.0);
            let y = net.op("MatMul", &[&y, &weight], &[]);
            let y = net.op("Add", &[&y, &bias], &[]);
            let y = net.op("Relu", &[&y], &[]);
            let weight = net.weight("fc2.weight", &[9, 4], 0.5, 0.0);
            let y = net.op("MatMul", &[&y, &weight], &[]);
            net.outputs.push(y);
        }
        2 => {
            let boxes = net.conv("boxes", &x, width, 4);
            let hidden = net.conv("hidden", &x, width, 7);
            let hidden = net.op("Relu", &[&hidden], &[]);
            let scores = net.conv("scores", &hidden, 7, 2);
            net.outputs.extend([boxes, scores]);
        }
        _ => {
            let flat = net.ints("flat", &[-1, width as i64 * 64]);
            let y = net.op("Reshape", &[&x, &flat], &[]);
            let y = net.linear("fc", &y, width * 64, 5);
            let y = net.op("Softmax", &[&y], &[("axis", Value::Int(1))]);
            net.outputs.push(y);
        }
    }
    net
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn deleting_is_setting_to_zero(
        seed in 0u64..1000,
        blocks in prop::collection::vec(any::<u8>(), 0..6),
        head in any::<u8>(),
        rate in 0.05f64..0.95,
        global in any::<bool>(),
    ) {
        let mut net = network(seed, &blocks, head);
        let allocation = if global { prune::Allocation::Global } else { prune::Allocation::Uniform };
        let options = ChannelOptions { allocation, ..random(seed, rate) };
        check(&mut net, &[2, 3, 8, 8], &options, &Engine::cpu(None).expect("a CPU"));
    }
}

#[test]
fn every_block_and_every_criterion() {
    let engine = Engine::cpu(None).expect("a CPU");
    for criterion in ["variance", "kurtosis", "skewness", "mean", "l1", "l2"] {
        for head in 0..4 {
            let mut net = network(7, &[0, 1, 2, 3, 4, 5, 7, 8], head);
            let criterion = criterion.parse().expect("a criterion");
            let options = ChannelOptions { criterion, ..random(0, 0.5) };
            assert!(check(&mut net, &[2, 3, 8, 8], &options, &engine) > 10);
        }
    }
}

#[test]
fn pruning_again_counts_from_the_original() {
    let engine = Engine::cpu(None).expect("a CPU");
    let folder = Folder::new();
    let net = network(3, &[0, 0], 0);
    folder.write("0.onnx", net.encode());
    let width =
        |name: &str| Checkpoint::open(folder.path(name)).expect("sound").get("fc1.weight").expect("it").shape()[0];
    for (step, rate, wanted) in [(1, 0.25, 9), (2, 0.5, 6), (3, 0.5, 6), (4, 0.25, 6), (5, 0.75, 3)] {
        let model = Checkpoint::open(folder.path(&format!("{}.onnx", step - 1))).expect("sound");
        let graph = model.graph().expect("sound").expect("ONNX");
        let out = folder.path(&format!("{step}.onnx"));
        let to = Destination { out: Some(&out), ..Destination::default() };
        let options = random(step, rate);
        prune::channels(&model, &graph, &engine, &ChannelTask::Options(&options), &to, &Progress::default())
            .expect("it runs");
        assert_eq!(width(&format!("{step}.onnx")), wanted, "{step}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_writes_the_same_bytes() {
    let Some(gpu) = files::gpu() else { return };
    let folder = Folder::new();
    for head in 0..4 {
        let model = folder.open("m.onnx", &network(9, &[0, 1, 2, 3, 4, 5, 7, 8], head).encode()).expect("a sound file");
        let graph = model.graph().expect("a sound graph").expect("it is ONNX");
        let options = ChannelOptions { criterion: GroupCriterion::Variance, ..random(0, 0.4) };
        let cpu = Engine::cpu(None).expect("a CPU");
        let [one, other] = [(&cpu, "cpu"), (&gpu, "gpu")].map(|(engine, name)| {
            let out = folder.path(&format!("{name}{head}.onnx"));
            let to = Destination { out: Some(&out), ..Destination::default() };
            let task = ChannelTask::Options(&options);
            prune::channels(&model, &graph, engine, &task, &to, &Progress::default()).expect("it can be cut");
            std::fs::read(out).expect("the output")
        });
        assert!(one == other, "{head}");
    }
}
