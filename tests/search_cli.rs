//! `secateur search`, as scripts see it: killed, resumed, and with commands that fail or hang.
#![cfg(all(feature = "cli", feature = "eval", unix))]

mod files;
mod net;
#[path = "files/sets.rs"]
mod sets;

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use files::Folder;
use net::Net;
use serde_json::Value;
use sets::{Labels, set};

const BINARY: &str = env!("CARGO_BIN_EXE_secateur");

/// A network of two layers, and data that it has all right.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut net = Net::new(3, &[-1, 8]);
    let hidden = net.linear("fc1", "x", 8, 12);
    let hidden = net.op("Relu", &[&hidden], &[]);
    net.outputs = vec![net.linear("fc2", &hidden, 12, 3)];
    folder.write("net.onnx", net.encode());
    let inputs: Vec<f32> = (0..60 * 8).map(|_| net.random()).collect();
    let outputs = net::results(net.encode(), &[60, 8], &inputs).remove(0);
    let largest = |row: &[f32]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).map_or(0, |class| class as i64);
    let labels: Vec<i64> = outputs.chunks(3).map(largest).collect();
    set(&folder, "data.safetensors", &[60, 8], &inputs, &Labels::Classes(&labels));
    folder
}

/// `secateur search` with those arguments, which have no spaces, and a command that evaluates.
fn search(folder: &Folder, arguments: &str, eval: Option<&str>) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(folder.path("")).args("search net.onnx --engine cpu".split(' ')).args(arguments.split(' '));
    command.args(eval.map(|eval| ["--eval", eval]).into_iter().flatten());
    command
}

fn run(folder: &Folder, arguments: &str, eval: Option<&str>) -> Output {
    search(folder, arguments, eval).output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What a journal says of rounds, but for the time that they took.
fn rounds(folder: &Folder, journal: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(journal).join("rounds.jsonl")).unwrap_or_default();
    let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let timeless = |mut round: Value| {
        round.as_object_mut().expect("a round").remove("seconds");
        round
    };
    whole.map(timeless).collect()
}

/// Kills it when its journal has that many rounds; whether it was still there to be killed.
fn kill_at(folder: &Folder, journal: &str, count: usize, mut child: Child) -> bool {
    let begin = Instant::now();
    while rounds(folder, journal).len() < count && child.try_wait().expect("a child").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not get to round {count}");
        sleep(Duration::from_millis(2));
    }
    let there = child.try_wait().expect("a child").is_none();
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    there
}

#[test]
fn what_is_killed_goes_on_and_ends_the_same() {
    let folder = folder();
    let eval = |log: &str| {
        format!("echo >> {log}; sleep 0.02; '{BINARY}' eval {{model}} --data data.safetensors --format json")
    };
    let options = "--max-drop 0.1 --evaluations 16 --seed 4 --format json -o";
    let whole = json(&run(&folder, &format!("{options} whole.onnx --journal whole"), Some(&eval("whole.log"))));
    let expected = rounds(&folder, "whole");
    assert_eq!(whole["evaluations"], expected.len());

    let (arguments, eval) = (format!("{options} out.onnx --journal killed"), eval("killed.log"));
    let mut kills = 0;
    for count in [1, 2, 3, 5, 6, 9, 12] {
        let mut search = search(&folder, &arguments, Some(&eval));
        let child = search.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        kills += usize::from(kill_at(&folder, "killed", count, child));
        assert!(!folder.path("out.onnx").exists());
        // Its last command goes on without it for a moment.
        sleep(Duration::from_millis(200));
    }
    let found = json(&run(&folder, &arguments, Some(&eval)));
    assert_eq!(rounds(&folder, "killed"), expected);
    assert_eq!(found["best"], whole["best"]);
    assert!(kills > 4, "{kills}");
    let read = |name: &str| fs::read(folder.path(name)).expect(name);
    assert!(read("out.onnx") == read("whole.onnx"), "the same model");
    assert!(read("killed/plan.json") == read("whole/plan.json"), "the same plan");
    // Only what was being evaluated is evaluated again.
    let lines = read("killed.log").len();
    assert!(lines <= expected.len() + kills, "{lines} evaluations of {} rounds", expected.len());
    let lines = |name: &str| fs::read_to_string(folder.path(name)).expect(name).lines().count();
    assert_eq!(lines("killed/curve.csv"), lines("whole/curve.csv"));
    // The plan does the same by itself.
    let prune = ["prune", "net.onnx", "-o", "again.onnx", "--from-plan", "killed/plan.json"];
    let done = Command::new(BINARY).current_dir(folder.path("")).args(prune).output().expect("it runs");
    assert!(done.status.success() && read("again.onnx") == read("out.onnx"), "{}", stderr(&done));
}

#[test]
fn what_fails_or_hangs_is_an_error_and_nothing_is_lost() {
    let folder = folder();
    let arguments = "-o out.onnx --max-drop 0.1 --evaluations 8 --eval-timeout 5s --journal journal --format json";
    // What the command does is not in its text: a journal is one search's, with one command.
    let eval = "sh eval.sh {model}";
    let script = |third: &str| {
        let evaluate = format!("'{BINARY}' eval $1 --data data.safetensors --format json");
        let count = "echo >> log; echo \"looking at $1\" >&2; [ $(wc -l < log) -eq 3 ]";
        folder.write("eval.sh", format!("if {count}; then {third}; fi; {evaluate}"));
        let _ = fs::remove_file(folder.path("log"));
    };
    for (third, wanted) in [
        ("echo 'out of memory' >&2; exit 7", "exit status: 7"),
        ("sleep 300", "did not end within"),
        ("echo '0.97 accuracy'; exit 0", "`0.97 accuracy`, which is no number"),
    ] {
        script(third);
        let _ = fs::remove_dir_all(folder.path("journal"));
        let begin = Instant::now();
        let failed = run(&folder, arguments, Some(eval));
        assert!(begin.elapsed() < Duration::from_secs(60), "{third}");
        let said = stderr(&failed);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted) && said.contains("looking at"), "{third}: {said}");
        assert!(failed.stdout.is_empty() && !folder.path("out.onnx").exists());
        assert_eq!(rounds(&folder, "journal").len(), 2, "{third}");
        let kept = fs::read_to_string(folder.path("journal/failed.txt")).expect("why");
        assert!(kept.starts_with("round 2: ") && kept.contains(wanted), "{kept}");
    }
    script("true");
    let found = json(&run(&folder, arguments, Some(eval)));
    assert_eq!(found["evaluations"], 8);
    assert_eq!(fs::read(folder.path("log")).expect("a log").len(), 6, "two rounds were there");
    assert!(!folder.path("journal/failed.txt").exists(), "what failed has been done since");
    let log = rounds(&folder, "journal")[3]["log"].clone();
    assert!(log.as_str().is_some_and(|log| log.starts_with("looking at ")), "{log}");
}

#[test]
fn nothing_that_keeps_the_floor_is_status_one() {
    let folder = folder();
    let data = "--eval-data data.safetensors";
    let none = run(&folder, &format!("-o out.onnx {data} --floor 1.01 --evaluations 6"), None);
    let said = stderr(&none);
    assert_eq!(none.status.code(), Some(1), "{said}");
    assert!(said.contains("no cut keeps 1.01; the nearest of 5 was") && !folder.path("out.onnx").exists(), "{said}");
    for (arguments, code, message) in [
        ("-o out.onnx", 2, "--eval-data"),
        ("-o out.onnx --eval-data data.safetensors --eval true", 2, "cannot be used with"),
        ("-o data.safetensors --force --eval-data data.safetensors", 2, "--eval-data"),
        ("-o net.onnx --force --eval-data data.safetensors", 2, "net.onnx"),
        ("-o out.onnx --eval-data data.safetensors --metric cross-entropy", 2, "--max-drop"),
        ("-o out.onnx --eval-data data.safetensors --rounds 3", 2, "--sparsity"),
        ("-o out.onnx --eval-data data.safetensors --macs 0.5", 2, "unexpected argument"),
        ("-o out.onnx --eval-data data.safetensors --round-to 4", 2, "--pattern channel"),
        ("-o out.onnx --eval-data data.safetensors --max-drop -1", 2, "--max-drop"),
        ("-o out.onnx --eval-data data.safetensors --final-epochs 2", 2, "--train-data"),
        ("-o out.onnx --eval-data none.safetensors", 1, "none.safetensors"),
        (
            "-o out.onnx --eval-data data.safetensors --strategy dynamic --rounds 2 --sparsity 40%",
            2,
            "--strategy fixed",
        ),
        ("-o out.onnx --eval-data data.safetensors --step 30%", 2, "--step is for --strategy fixed"),
        ("-o out.onnx --eval-data data.safetensors --rounds 2 --sparsity 40% --step 30%", 2, "cannot be used with"),
        ("-o out.onnx --eval-data data.safetensors --optimizer sgd", 2, "--train-data"),
        ("-o out.onnx --eval-data data.safetensors --finetune true --epochs 3", 2, "cannot be used with"),
        ("-o out.onnx --eval-data data.safetensors --pattern 2:4 --allocation lamp", 2, "an N:M pattern has none"),
        ("-o out.onnx --eval true --max-drop 1 --batch 4", 2, "--batch is about"),
        ("-o out.onnx --eval true --max-drop 1 --normalize 0,1", 2, "--normalize is about"),
    ] {
        let wrong = run(&folder, arguments, None);
        let said = stderr(&wrong);
        assert_eq!(wrong.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(message), "{arguments}: {said}");
    }
}

#[test]
fn what_ran_out_of_time_goes_on_with_more_of_it() {
    let folder = folder();
    let arguments = "-o out.onnx --force --eval-data data.safetensors --test-data data.safetensors --max-drop 0.2 \
        --evaluations 12 --format json --journal journal";
    let run = |more: &str| run(&folder, &format!("{arguments} {more}"), None);
    // No time at all: the model itself, and nothing that could be tested.
    let none = run("--time-limit 1ms");
    assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
    let phases = |journal: &str| {
        let all = rounds(&folder, journal);
        all.iter().map(|round| round["phase"].as_str().expect("a phase").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(phases("journal"), ["baseline"]);
    let whole = json(&run("--time-limit 1h"));
    assert_eq!(whole["evaluations"], 12);
    // As if its time had been up after five rounds: what came then is no end any more.
    let text = fs::read_to_string(folder.path("journal/rounds.jsonl")).expect("rounds");
    let lines: Vec<&str> = text.lines().collect();
    let ended = |line: &str, number: usize| {
        let mut round: Value = serde_json::from_str(line).expect("a round");
        round["round"] = number.into();
        round.to_string()
    };
    let early = [&lines[..5], &[&ended(lines[12], 5), &ended(lines[13], 6)]].concat().join("\n") + "\n";
    folder.write("journal/rounds.jsonl", early);
    let again = json(&run("--time-limit 1h"));
    assert_eq!(again["best"], whole["best"]);
    let ends = phases("journal");
    assert_eq!((ends.len(), &ends[12..]), (14, &["test".to_owned(), "test".to_owned()][..]));
    let other = search(&folder, &arguments.replace("0.2", "0.3"), None).output().expect("it runs");
    assert!(stderr(&other).contains("its floor.drop is 0.2, now it is 0.3"), "{}", stderr(&other));
}

#[test]
fn channels_by_the_built_in_runner() {
    let folder = folder();
    let arguments = "-o out.onnx --pattern channel --eval-data data.safetensors --test-data data.safetensors \
        --max-drop 0.4 --format json";
    let found = json(&run(&folder, arguments, None));
    let best = &found["best"];
    assert!(found["baseline"] == 1.0 && best["metric"].as_f64() >= Some(0.6), "{found}");
    // The test set is the validation set here.
    assert_eq!((&best["test_metric"], &found["baseline_test_metric"]), (&best["metric"], &found["baseline"]));
    let size = |name: &str| fs::metadata(folder.path(name)).expect(name).len();
    assert!(size("out.onnx") < size("net.onnx") && best["params"].as_u64() < Some(8 * 12 + 12 + 12 * 3 + 3), "{best}");
    let eval = ["eval", "out.onnx", "--data", "data.safetensors", "--format", "json"];
    let eval = Command::new(BINARY).current_dir(folder.path("")).args(eval).output().expect("it runs");
    assert_eq!(json(&eval)["metric"], best["metric"]);
}
