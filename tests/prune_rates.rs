//! A rate for each tensor, as a table of globs says.

mod files;
#[path = "files/models.rs"]
mod models;

use files::Folder;
use models::{FLOATS, Made, bytes_of, file_of, lowest, rounded};
use secateur::prune::{self, Allocation, Destination, Keep, Options, Rates, Task};
use secateur::{Engine, Error, Progress};

fn tensors() -> Vec<Made> {
    let kinds = ["conv1.weight", "conv2.weight", "fc.weight", "head.weight"].into_iter().zip(FLOATS).zip(1..);
    let mut made: Vec<Made> =
        kinds.map(|((name, dtype), seed)| Made::awkward(name, dtype, &[9, 13 + seed], seed)).collect();
    made.push(Made::f32("conv1.bias", &[3], &[1.0, 2.0, 3.0]));
    made
}

fn options(text: &str) -> Options {
    Options { rates: Some(Rates::parse("r.toml", text).expect("good rates")), ..Options::default() }
}

#[test]
fn each_tensor_loses_its_own_share() {
    let folder = Folder::new();
    let tensors = tensors();
    let model = folder.open("m.safetensors", &file_of(&tensors, &[])).expect("a good model");
    let out = folder.path("out.safetensors");
    let engine = Engine::cpu(None).expect("threads");
    let to = Destination { out: Some(&out), force: true, ..Destination::default() };
    let run = |task: &Task| prune::run(&model, &engine, task, &to, &Progress::default());
    for keep in [Keep::Largest, Keep::Smallest] {
        let options = Options { keep, ..options("\"conv*.weight\" = 0.3\n\"conv2.weight\" = '75%'\nhead.weight = 0") };
        let done = run(&Task::Options(&options)).expect("it can be pruned");
        let rates = [Some(0.3), Some(0.75), None, Some(0.0), None];
        let check = || {
            for (tensor, rate) in tensors.iter().zip(rates) {
                let sign = if keep == Keep::Smallest { -1.0 } else { 1.0 };
                let scores: Vec<f64> = tensor.values().iter().map(|w| w.abs() * sign).collect();
                let k = rounded(rate.unwrap_or(0.0), scores.len());
                let want = tensor.without(if k > 0 { lowest(&scores, k) } else { Vec::new() });
                assert!(bytes_of(&out, &tensor.name) == want, "{} {keep}", tensor.name);
            }
        };
        check();
        let left: Vec<_> = done.plan.left_out.iter().map(|left| (left.name.as_str(), left.reason.as_str())).collect();
        assert_eq!(left, [("conv1.bias", "fewer than two dimensions"), ("fc.weight", "no rate in r.toml")]);
        let json = serde_json::to_value(&done.plan).expect("JSON");
        assert!(["allocation", "classes", "coupled", "transform"].iter().all(|field| json.get(field).is_none()));
        let again = run(&Task::Plan(&done.plan)).expect("the plan can be run");
        assert_eq!(again.plan, done.plan);
        check();
    }
}

#[test]
fn tables_that_do_not_fit() {
    let folder = Folder::new();
    let model = folder.open("m.safetensors", &file_of(&tensors(), &[])).expect("a good model");
    let engine = Engine::cpu(None).expect("threads");
    let run = |options: &Options| {
        prune::run(&model, &engine, &Task::Options(options), &Destination::default(), &Progress::default())
    };
    for (text, parts) in [
        ("conv3.weight = 0.1", &["r.toml: ", "`conv3.weight` matches no name"][..]),
        ("'conv*' = 0.1\n'*.weight' = 0.2", &["r.toml: ", "`conv1.weight`", "`*.weight` = 0.2", "`conv*` = 0.1"]),
        ("conv1.bias = 0.1", &["nothing to cut", "no rate in r.toml"]),
    ] {
        let error = run(&options(text)).expect_err(text).to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "{part}: {error}"));
    }
    let rates = Rates::parse("r.toml", "'conv*' = 0.5\nnone = 0.1").expect("good rates").matching_any();
    let done = run(&Options { rates: Some(rates), ..Options::default() }).expect("keys may match nothing");
    assert_eq!(done.summary.tensors.len(), 2);
    for wrong in [
        Options { sparsity: 0.5, ..options("'*' = 0.1") },
        Options { allocation: Allocation::Global, ..options("'*' = 0.1") },
        Options { pattern: "2:4".parse().expect("a pattern"), ..options("'*' = 0.1") },
    ] {
        assert!(matches!(run(&wrong), Err(Error::Usage(why)) if why.contains("--rates")));
    }
    assert!(matches!(Rates::read(&folder.path("none")), Err(Error::Io { .. })));
    assert!(matches!(Rates::read(&folder.path("")), Err(Error::Format { .. })));
    let binary = folder.write("binary", [0xff, 0xfe]);
    assert!(Rates::read(&binary).expect_err("no text").to_string().contains("UTF-8"));
}

#[cfg(feature = "cli")]
#[test]
fn the_command_line() {
    use assert_cmd::cargo::cargo_bin_cmd;
    use predicates::str::contains;

    let folder = Folder::new();
    let model = folder.write("m.safetensors", file_of(&tensors(), &[]));
    folder.write("rates.toml", "\"conv*.weight\" = \"30%\"\n");
    let prune = |arguments: &[&str]| {
        let mut command = cargo_bin_cmd!("secateur");
        command.current_dir(folder.path("")).args([
            "prune",
            "m.safetensors",
            "--engine",
            "cpu",
            "-o",
            "out.safetensors",
        ]);
        command.args(arguments).assert()
    };
    let done = prune(&["--rates", "rates.toml", "--format", "json"]).success();
    let summary: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).expect("JSON");
    let cut = |i: usize| summary["tensors"][i]["cut"].as_u64();
    assert_eq!((cut(0), cut(1), cut(2)), (Some(rounded(0.3, 9 * 14) as u64), Some(rounded(0.3, 9 * 15) as u64), None));
    assert!(
        summary["left_out"].as_array().is_some_and(|left| left.iter().any(|l| l["reason"] == "no rate in rates.toml"))
    );
    // The library does the same.
    let library = folder.path("library.safetensors");
    let options =
        Options { rates: Some(Rates::read(&folder.path("rates.toml")).expect("good rates")), ..Options::default() };
    let to = Destination { out: Some(&library), ..Destination::default() };
    let model = secateur::Checkpoint::open(model).expect("a good model");
    let engine = Engine::cpu(None).expect("threads");
    prune::run(&model, &engine, &Task::Options(&options), &to, &Progress::default()).expect("it can be pruned");
    let read = |path| std::fs::read(path).expect("it is there");
    assert!(read(library) == read(folder.path("out.safetensors")));

    for (arguments, part) in [
        (&["--rates", "rates.toml", "--sparsity", "0.5"][..], "--sparsity"),
        (&["--rates", "rates.toml", "--from-plan", "p"], "--from-plan"),
        (&["--rates", "rates.toml", "--allocation", "global"], "leave --allocation global out"),
        (&["--rates", "rates.toml", "--pattern", "2:4"], "leave --rates out"),
        (&["--rates", "rates.toml", "--plan", "rates.toml", "--force"], "--rates reads it"),
    ] {
        prune(arguments).code(2).stderr(contains(part));
    }
    folder.write("rates.toml", "conv = 0.3\n");
    prune(&["--rates", "rates.toml", "--force"]).code(1).stderr(contains("rates.toml: `conv` matches no name"));
    prune(&["--rates", "nowhere.toml", "--force"]).code(1).stderr(contains("nowhere.toml"));
}
