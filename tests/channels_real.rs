//! Trained networks without some of their channels, against the same with those channels set to zero, in a runtime that is
//! not ours. They lie beside the checkout, in ../shared/data/models, or where SECATEUR_MODELS says.

mod files;
mod net;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use files::Folder;
use net::{Net, assert_close, results};
use secateur::checkpoint::Writer;
use secateur::graph::{Dim, Role};
use secateur::prune::{self, Allocation, Amount, ChannelOptions, ChannelTask, Destination, GroupCriterion, Plan};
use secateur::{Checkpoint, Engine, Progress};

fn models() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models");
    let folder = std::env::var_os("SECATEUR_MODELS").map_or(beside, PathBuf::from);
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    found.sort();
    if found.is_empty() {
        // Past the harness, which swallows what passing tests print.
        writeln!(std::io::stderr(), "skipped: no .onnx files in {}", folder.display()).expect("stderr");
    }
    found
}

/// The model with the channels of `plan` set to zero: weights, biases, scales and shifts.
fn zeroed(model: &Checkpoint, plan: &Plan, out: &Path) {
    let mut cut: BTreeMap<&str, Vec<(usize, u64, u64)>> = BTreeMap::new();
    for class in &plan.classes {
        for member in class.members.iter().filter(|m| matches!(m.role, Role::Output | Role::Bias | Role::Scale)) {
            let ranges = class.cut.iter().map(|c| (member.axis, member.start + c * member.run, member.run));
            cut.entry(&member.tensor).or_default().extend(ranges);
        }
    }
    let writer = Writer::same(model, out, false).expect("a place to write to");
    for tensor in model.tensors() {
        let mut bytes = vec![0; tensor.bytes() as usize];
        model.read_exact_at(tensor, 0, &mut bytes).expect("it is readable");
        for (axis, start, run) in cut.get(tensor.name()).into_iter().flatten() {
            let inner: u64 = tensor.shape()[axis + 1..].iter().product();
            let length = tensor.shape()[*axis];
            for (element, value) in (0u64..).zip(bytes.chunks_mut((tensor.bytes() / tensor.elements()) as usize)) {
                if (*start..start + run).contains(&(element / inner % length)) {
                    value.fill(0);
                }
            }
        }
        match tensor.float() {
            Some(_) => writer.write_all_at(tensor.name(), 0, &bytes).expect("it is writable"),
            None => writer.copy(model, tensor).expect("it is writable"),
        }
    }
    writer.finish().expect("everything was written");
}

#[test]
fn deleting_is_setting_to_zero() {
    let engine = Engine::cpu(None).expect("a CPU");
    for path in models() {
        let model = Checkpoint::open(&path).expect("a sound file");
        let graph = model.graph().expect("a sound graph").expect("it is ONNX");
        let axes = graph.inputs[0].shape.as_ref().expect("a shape");
        let length = |dim: &Dim| if let Dim::Fixed(length) = dim { *length as usize } else { 2 };
        let shape: Vec<usize> = axes.iter().map(length).collect();
        let mut cut = 0;
        for (seed, rate) in [(1, 0.1), (2, 0.3), (3, 0.5), (4, 0.9)] {
            let folder = Folder::new();
            let (small, zero) = (folder.path("small.onnx"), folder.path("zero.onnx"));
            let allocation = if seed % 2 == 0 { Allocation::Global } else { Allocation::Uniform };
            let criterion = GroupCriterion::Random { seed };
            let options =
                ChannelOptions { amount: Amount::Sparsity(rate), criterion, allocation, ..ChannelOptions::default() };
            let to = Destination { out: Some(&small), ..Destination::default() };
            let task = ChannelTask::Options(&options);
            let done =
                prune::channels(&model, &graph, &engine, &task, &to, &Progress::default()).expect("it can be cut");
            zeroed(&model, &done.plan, &zero);
            let input = net::sample(&mut Net::new(seed, &[]), &shape);
            let run = |path: &Path| results(std::fs::read(path).expect("the output"), &shape, &input);
            assert_close(&run(&small), &run(&zero), &path.display().to_string());
            cut += done.plan.classes.iter().map(|class| class.cut.len()).sum::<usize>();
        }
        assert!(cut > 100, "{}", path.display());
    }
}
