//! What scripts rely on: exit statuses, where things are written, and what is refused.
#![cfg(feature = "cli")]

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};

fn secateur(arguments: &[&str]) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("secateur").args(arguments).env("NO_COLOR", "1").assert()
}

#[test]
fn wrong_usage_exits_2() {
    for (arguments, message) in [
        (&["stats"][..], "MODEL"),
        (&["prune"], "MODEL"),
        (&["shear"], "unrecognized subcommand"),
        (&["stats", "m", "--by", "block:0"], "block:N with N ≥ 1"),
        (&["stats", "m", "--transform", "ln"], "none, log or standardize"),
        (&["stats", "m", "--quantiles", "1.5"], "between 0 and 1"),
        (&["stats", "m", "--quantiles", "0.1,nan"], "between 0 and 1"),
        (&["stats", "m", "--histogram", "0"], "1..=65536"),
        (&["stats", "m", "--histogram", "65537"], "1..=65536"),
        (&["stats", "m", "--format", "xml"], "table, json, jsonl, csv or markdown"),
        (&["stats", "m", "--memory", "1MiB"], "less than 64MiB"),
        (&["stats", "m", "--memory", "lots"], "256MiB"),
        (&["stats", "m", "--threads", "0"], "between 1 and 4096"),
        (&["stats", "m", "--engine", "tpu"], "auto, gpu, cpu"),
        (&["stats", "m", "-o", "other.safetensors"], "-o takes the report"),
        (&["completions", "cmd.exe"], "bash"),
    ] {
        secateur(arguments).code(2).stdout("").stderr(starts_with("error: ").and(contains(message)));
    }
}

#[test]
fn no_arguments_show_the_help() {
    secateur(&[]).code(2).stderr(contains("Usage: secateur"));
}

#[test]
fn a_missing_model_exits_1_in_one_line() {
    let line = predicate::function(|text: &str| text.lines().count() == 1);
    secateur(&["stats", "no/such/model.safetensors"])
        .code(1)
        .stdout("")
        .stderr(line.and(starts_with("error: ")).and(contains("no/such/model.safetensors")));
}

#[test]
fn help_and_version() {
    let version = concat!("secateur ", env!("CARGO_PKG_VERSION"), "\n");
    secateur(&["--version"]).success().stdout(version).stderr("");
    for subcommand in ["stats", "prune", "audit", "restore", "dataset", "devices", "completions"] {
        secateur(&[subcommand, "--help"]).success().stdout(contains("Example").and(contains("secateur ")));
        secateur(&["help", subcommand]).success();
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        secateur(&["completions", shell]).success().stdout(contains("quantiles")).stderr("");
    }
}

#[test]
fn devices_name_the_cpu() {
    secateur(&["devices"]).success().stdout(contains("CPU  ")).stderr("");
    let output = secateur(&["devices", "--format", "json"]).success().get_output().stdout.clone();
    let listing: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(listing["cpu"]["kind"], "cpu");
    assert!(listing["adapters"].is_array());
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    for arguments in [&["completions", "zsh"][..], &["devices"]] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("secateur"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is read.
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

/// A model of one tensor `w`: 1, 2, NaN.
fn model() -> Vec<u8> {
    let header = br#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}         "#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([1.0, 2.0, f32::NAN].iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[test]
fn results_go_to_stdout_or_to_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    fs::write(&path, model()).unwrap();
    let name = path.to_str().unwrap();
    let warning = "warning: NaN or inf in 1 tensor: w\n";
    secateur(&["stats", name, "--engine", "cpu", "--format", "jsonl"])
        .success()
        .stdout(starts_with(r#"{"name":"w","dtype":"F32","shape":[3],"group":null,"count":3,"nan":1,"#))
        .stderr(warning);
    secateur(&["stats", name, "--engine", "cpu", "--quiet"])
        .success()
        .stdout(contains("1 tensor, 3 elements"))
        .stderr("");
    for (file, start) in [("s.json", "{\"secateur\":"), ("s.csv", "name,dtype,"), ("s.md", "| name |"), ("s", "name ")]
    {
        let out = folder.path().join(file);
        secateur(&["stats", name, "--engine", "cpu", "-o", out.to_str().unwrap()]).success().stdout("").stderr(warning);
        assert!(fs::read_to_string(&out).unwrap().starts_with(start), "{file}");
    }
    // Five files, and no temporary one left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    let link = folder.path().join("link.json");
    fs::hard_link(&path, &link).unwrap();
    let refused = contains("a file of the model");
    secateur(&["stats", name, "-o", link.to_str().unwrap()]).code(2).stdout("").stderr(refused);
    assert_eq!(fs::read(&path).unwrap(), model());
}

#[test]
fn an_adapter_and_the_cpu_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    fs::write(&path, model()).unwrap();
    let arguments = ["stats", path.to_str().unwrap(), "--engine", "cpu", "--adapter", "0"];
    secateur(&arguments).code(2).stderr(contains("--adapter chooses a GPU"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("secateur"))
        .args(["completions", "zsh"])
        .env("NO_COLOR", "1")
        .stdout(full)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.starts_with("error: <stdout>: No space left on device"), "{told}");
}
