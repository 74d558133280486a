//! `secateur stats` as a user runs it, on the example models and, where they are, on real ones.
#![cfg(feature = "cli")]

use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;

const MODEL: &str = "examples/data/cnn.safetensors";

fn run(arguments: &[&str]) -> String {
    let done = cargo_bin_cmd!("secateur").args(["stats", "--engine", "cpu"]).args(arguments).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    serde_json::from_str(&run(&all)).expect("JSON")
}

/// Everything but how long it took.
fn timeless(mut report: Value) -> Value {
    report["seconds"] = Value::Null;
    report
}

#[test]
fn json_has_the_keys_that_scripts_rely_on() {
    let report = json(&[MODEL, "--quantiles", "0.5", "--histogram", "4"]);
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let mut top = keys(&report);
    top.sort();
    assert_eq!(
        top,
        ["by", "bytes", "engine", "model", "secateur", "seconds", "skipped", "tensors", "total", "transform"]
    );
    let tensors = report["tensors"].as_array().expect("an array");
    assert_eq!(tensors.len(), 24);
    assert_eq!(report["skipped"].as_array().map(Vec::len), Some(4), "num_batches_tracked is I64");
    for entry in tensors {
        let shape: u64 = entry["shape"].as_array().expect("a shape").iter().filter_map(Value::as_u64).product();
        assert_eq!(entry["count"].as_u64(), Some(shape));
        let counted: u64 =
            entry["histogram"]["counts"].as_array().expect("counts").iter().filter_map(Value::as_u64).sum();
        assert_eq!(counted, shape, "every weight is in one bin");
        let at = |value: &Value| value.as_f64().expect("a number");
        assert!(at(&entry["min"]) <= at(&entry["quantiles"]["0.5"]));
        assert!(at(&entry["quantiles"]["0.5"]) <= at(&entry["max"]));
    }
}

#[test]
fn every_format_says_the_same() {
    let report = json(&[MODEL, "--by", "output"]);
    let entries = report["tensors"].as_array().expect("an array");
    let lines = run(&[MODEL, "--by", "output", "--format", "jsonl"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&lines, entries);
    let table = run(&[MODEL, "--by", "output", "--format", "csv"]);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let header = rows.headers().expect("a header").clone();
    let mut count = 0;
    for (row, entry) in rows.records().zip(entries) {
        let row = row.expect("a row");
        count += 1;
        for (name, cell) in header.iter().zip(row.iter()) {
            let same = match &entry[name] {
                Value::Null => cell.is_empty(),
                Value::String(text) => cell == text,
                Value::Number(number) => cell.parse::<f64>().ok() == number.as_f64(),
                other => serde_json::from_str::<Value>(cell).ok().as_ref() == Some(other),
            };
            assert!(same, "{name}: {cell} is not {}", entry[name]);
        }
    }
    assert_eq!(count, entries.len());
}

#[test]
fn a_sharded_model_is_the_same_model() {
    let whole = json(&[MODEL, "--only", "features.*"]);
    for path in ["examples/data/sharded", "examples/data/sharded/model.safetensors.index.json"] {
        let shards = json(&[path, "--only", "features.*"]);
        assert_eq!(shards["tensors"], whole["tensors"], "{path}");
    }
}

#[test]
fn threads_and_memory_change_nothing() {
    let asked = ["--by", "input", "--quantiles", "0.1,0.9", "--histogram", "7", "tests/data/poison.safetensors"];
    let report = timeless(json(&asked));
    for how in [["--threads", "1"], ["--threads", "5"], ["--memory", "64MiB"]] {
        let mut all = asked.to_vec();
        all.extend(how);
        let mut other = timeless(json(&all));
        other["engine"] = report["engine"].clone();
        assert!(other == report, "{how:?}");
    }
}

#[test]
fn globs_choose_whole_names() {
    let names = |arguments: &[&str]| -> Vec<String> {
        let report = json(arguments);
        let tensors = report["tensors"].as_array().expect("an array").clone();
        tensors.iter().filter_map(|t| Some(t["name"].as_str()?.to_owned())).collect()
    };
    assert_eq!(names(&[MODEL, "--only", "*.3.bias"]), ["classifier.3.bias"]);
    assert_eq!(
        names(&[MODEL, "--only", "classifier.*", "--skip", "*.weight"]),
        ["classifier.0.bias", "classifier.3.bias"]
    );
    let mistyped =
        cargo_bin_cmd!("secateur").args(["stats", "--engine", "cpu", MODEL, "--only", "classifier"]).assert();
    mistyped.code(1).stdout("").stderr(predicates::str::contains("--only"));
}

/// The models that are too large to be here, where this machine has them.
fn real_models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models");
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
    files.filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect()
}

#[test]
fn groups_of_real_models_add_up_to_their_tensors() {
    let models = real_models();
    if models.is_empty() {
        // Past the test harness, which swallows what passing tests print.
        writeln!(std::io::stderr(), "skipped: there is no ../shared/data/models").expect("standard error");
    }
    for model in models {
        let model = model.to_string_lossy();
        let whole = json(&[&model]);
        for by in ["output", "input", "block:64"] {
            let parts = json(&[&model, "--by", by]);
            for field in ["count", "zeros", "min", "max"] {
                assert_eq!(parts["total"][field], whole["total"][field], "{model} {by} {field}");
            }
            for field in ["mean", "variance", "skewness", "kurtosis", "l1", "l2"] {
                let at = |report: &Value| report["total"][field].as_f64().expect("a number");
                let (a, b) = (at(&parts), at(&whole));
                assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{model} {by} {field}: {a} is not {b}");
            }
        }
    }
}
