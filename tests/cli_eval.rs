//! `secateur eval`, as scripts see it.
#![cfg(all(feature = "cli", feature = "eval"))]

mod files;
mod net;
#[path = "files/sets.rs"]
mod sets;

use assert_cmd::Command;
use files::Folder;
use net::Net;
use predicates::str::contains;
use sets::{Labels, set};

fn secateur(folder: &Folder, arguments: &str) -> assert_cmd::assert::Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.current_dir(folder.path("")).args(arguments.split(' ')).assert()
}

/// Outputs are inputs; three of four are right.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut net = Net::new(1, &[-1, 2]);
    net.outputs = vec![net.op("Identity", &["x"], &[])];
    folder.write("net.onnx", net.encode());
    let inputs = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
    set(&folder, "data.safetensors", &[4, 2], &inputs, &Labels::Classes(&[0, 1, 0, 1]));
    folder
}

#[test]
fn a_table_or_one_line_of_json() {
    let folder = folder();
    let table = secateur(&folder, "eval net.onnx --data data.safetensors").success();
    let text = String::from_utf8_lossy(&table.get_output().stdout).into_owned();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((&rows[0][..], &rows[2][..]), (&["accuracy", "0.75"][..], &["samples", "4"][..]), "{text}");
    assert!(rows[1][0] == "loss" && rows[3][0] == "seconds" && rows.len() == 4, "{text}");

    let json =
        secateur(&folder, "eval net.onnx --data data.safetensors --metric mse --format json --threads 1").success();
    let text = String::from_utf8_lossy(&json.get_output().stdout).into_owned();
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&found["metric"], &found["loss"], &found["samples"]), (&0.25.into(), &0.25.into(), &4.into()));
    assert_eq!((&found["name"], text.lines().count()), (&"mse".into(), 1));

    // (x − 1)/0.5: 0 and 1 become −2 and 0; three inputs have (1 + 4)/2 then, the wrong one (0 + 9)/2.
    let line = "eval net.onnx --data data.safetensors --metric mse --normalize 1,0.5 --batch 3 --output identity_0";
    secateur(&folder, line).success().stdout(contains("mse      3"));
    secateur(&folder, "eval net.onnx --data data.safetensors --normalize -1,-0.5").failure().code(2);
}

#[cfg(unix)]
#[test]
fn its_json_is_what_a_command_is_to_print() {
    use secateur::evaluate::{CommandEvaluator, Evaluator};
    let folder = folder();
    let binary = env!("CARGO_BIN_EXE_secateur");
    let data = folder.path("data.safetensors");
    let command = format!("'{binary}' eval {{model}} --data '{}' --format json", data.display());
    let measure = CommandEvaluator::new(command, None).evaluate(&folder.path("net.onnx")).expect("a number");
    assert!(measure.metric == 0.75 && measure.loss.is_some(), "{measure:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder();
    for (arguments, code, message) in [
        ("eval net.onnx", 2, "--data"),
        ("eval net.onnx --data data.safetensors --metric f1", 2, "expected accuracy, top5"),
        ("eval net.onnx --data data.safetensors --batch 0", 2, "between 1 and 1048576"),
        ("eval net.onnx --data data.safetensors --normalize 1", 2, "expected means"),
        ("eval net.onnx --data data.safetensors --normalize 1,1,1,1,1,1", 2, "3 means"),
        ("eval net.onnx --data none.safetensors", 1, "check the path"),
        ("eval data.safetensors --data data.safetensors", 1, "only .onnx"),
        ("eval net.onnx --data data.safetensors --output y", 1, "no output `y`, but [`identity_0`]"),
    ] {
        secateur(&folder, arguments).failure().code(code).stderr(contains(message));
    }
}
