//! `secateur train`, in binaries that can and that cannot.
#![cfg(feature = "cli")]

mod files;
#[cfg(feature = "train")]
mod net;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use files::Folder;
use predicates::prelude::*;

fn secateur() -> Command {
    cargo_bin_cmd!("secateur")
}

#[cfg(not(feature = "train"))]
#[test]
fn a_binary_without_training_says_so() {
    let folder = Folder::new();
    let mut train = secateur();
    train
        .args(["train", "net.onnx", "-o", "out.onnx", "--train-data", "d", "--epochs", "3"])
        .current_dir(folder.path(""));
    train
        .assert()
        .code(2)
        .stderr(predicate::str::contains("built without training: cargo install --path . --features train"));
    secateur().args(["train", "--help"]).assert().success().stdout(predicate::str::contains("--features train"));
}

#[cfg(feature = "train")]
mod with_training {
    use super::*;
    use crate::net::Net;
    use safetensors::tensor::TensorView;
    use secateur::Dtype;

    /// A network, and 32 images whose class is how bright they are.
    fn folder() -> Folder {
        let folder = Folder::new();
        let mut net = Net::new(1, &[-1, 16]);
        let out = net.linear("fc", "x", 16, 2);
        net.outputs = vec![out];
        folder.write("net.onnx", net.encode());
        let inputs: Vec<u8> = (0..32 * 16).map(|i| if i / 16 % 2 == 0 { 20 } else { 200 }).collect();
        let labels: Vec<u8> = (0..32).map(|i| i % 2).collect();
        let views = [
            ("inputs", TensorView::new(Dtype::U8, vec![32, 16], &inputs).expect("inputs")),
            ("labels", TensorView::new(Dtype::U8, vec![32], &labels).expect("labels")),
        ];
        folder.write("d.safetensors", safetensors::serialize(views, None).expect("a small file"));
        folder
    }

    #[test]
    fn an_epoch_is_a_line() {
        let folder = folder();
        let run = |more: &[&str]| {
            let mut train = secateur();
            train.args(["train", "net.onnx", "-o", "out.onnx", "--train-data", "d.safetensors", "--batch", "8"]);
            train.args(["--learning-rate", "0.5", "--normalize", "0.5,0.25"]).args(more).current_dir(folder.path(""));
            train.assert()
        };
        let two = predicate::function(|printed: &str| {
            let lines: Vec<&str> = printed.lines().collect();
            let begins = |line: &str, number| line.starts_with(&format!("epoch {number}  loss "));
            let [first, second] = lines[..] else { return false };
            begins(first, 1) && begins(second, 2) && second.contains("  accuracy 100.00%  ") && second.ends_with(" s")
        });
        run(&["--epochs", "2", "--eval-data", "d.safetensors"]).success().stdout(two);
        let trained = std::fs::read(folder.path("out.onnx")).expect("the output");
        run(&[]).code(2).stderr(predicate::str::contains("--force"));
        run(&["--epochs", "2", "--force"]).success().stdout(predicate::str::contains("validation").not());
        assert!(std::fs::read(folder.path("out.onnx")).expect("the output") == trained, "the same seed");
        run(&["--epochs", "2", "--force", "--keep-weights"]).success();
        assert!(std::fs::read(folder.path("out.onnx")).expect("the output") != trained);
        run(&["--epochs", "-1", "--force"]).failure();
        run(&["--schedule", "sometimes", "--force"]).code(2);
        run(&["--device", "tpu", "--force"]).code(2).stderr(predicate::str::contains("expected cpu or gpu"));
        #[cfg(not(feature = "train-gpu"))]
        run(&["--device", "gpu", "--force"]).code(1).stderr(predicate::str::contains("--features train-gpu"));
    }

    #[test]
    fn a_search_trains_each_candidate_and_tests_the_best() {
        let folder = folder();
        let search = |name: &str, more: &[&str]| {
            let mut search = secateur();
            search.args(["search", "net.onnx", "-o", name, "--train-data", "d.safetensors", "--eval-data"]);
            search.args(["d.safetensors", "--test-data", "d.safetensors", "--normalize", "0.5,0.25", "--batch", "8"]);
            search.args(["--learning-rate", "0.05", "--max-drop", "1", "--seed", "5", "--format", "json"]);
            let done = search.args(more).current_dir(folder.path("")).assert().success();
            serde_json::from_slice::<serde_json::Value>(&done.get_output().stdout).expect("JSON")
        };
        let ramp = ["--rounds", "3", "--sparsity", "75%", "--epochs", "4", "--final-epochs", "6"];
        let found = search("out.onnx", &[&ramp[..], &["--journal", "journal"]].concat());
        let best = &found["best"];
        assert_eq!(
            (&best["sparsity"], &best["metric"], &best["test_metric"]),
            (&0.75.into(), &1.0.into(), &1.0.into())
        );
        let phases: Vec<&str> =
            found["rounds"].as_array().expect("rounds").iter().flat_map(|r| r["phase"].as_str()).collect();
        assert_eq!(phases, ["baseline", "rate", "rate", "rate", "final"]);
        // The cut weights stayed 0 through all of it, and the others did not.
        let zeros = |name: &str| {
            let model = secateur::Checkpoint::open(folder.path(name)).expect("a network");
            let weights = model.get("fc.weight").expect("its weights").clone();
            let mut bytes = vec![0; weights.bytes() as usize];
            model.read_exact_at(&weights, 0, &mut bytes).expect("its bytes");
            bytes.chunks(4).map(|weight| weight == [0; 4]).collect::<Vec<_>>()
        };
        let cut = zeros("out.onnx");
        assert_eq!(cut.iter().filter(|zero| **zero).count(), 24, "of 32");
        let mut eval = secateur();
        eval.args(["eval", "out.onnx", "--data", "d.safetensors", "--normalize", "0.5,0.25", "--format", "json"]);
        eval.current_dir(folder.path("")).assert().success().stdout(predicate::str::contains("\"metric\":1.0"));
        // The same seed ends the same, with a journal or without.
        search("again.onnx", &ramp);
        let read = |name: &str| std::fs::read(folder.path(name)).expect(name);
        assert!(read("again.onnx") == read("out.onnx"));
        let rounds = std::fs::read_to_string(folder.path("journal/rounds.jsonl")).expect("rounds");
        let seeds = rounds.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a round"));
        let seeds: Vec<_> = seeds.map(|round| round["seed"].as_u64()).collect();
        assert_eq!(seeds, [None, Some(6), Some(7), Some(8), Some(9), None, None]);
    }
}
