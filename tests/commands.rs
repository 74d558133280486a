//! Commands of the user's: as evaluators, and as tuners.
#![cfg(unix)]

mod files;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use files::{Folder, file, header};
use secateur::evaluate::{CommandEvaluator, Evaluator, Measure};
use secateur::tune::{CommandTuner, FineTuner, Tuning};
use secateur::{Error, Result};

fn evaluate(command: &str, model: &str) -> Result<Measure> {
    CommandEvaluator::new(command, Some(Duration::from_secs(20))).evaluate(Path::new(model))
}

fn refusal(result: Result<Measure>) -> String {
    match result {
        Err(Error::Run(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_gets_the_model_and_gives_numbers() {
    let folder = Folder::new();
    let odd = folder.path("it's a \"model\" $(exit 3) {model}.onnx");
    let command = "printf '%s\\n' {model} \"{model}\" \"$SECATEUR_MODEL\" >&2; echo noise; echo 0.75; echo";
    let measure = CommandEvaluator::new(command, None).evaluate(&odd).expect("a number");
    let name = odd.display();
    assert_eq!(measure, Measure { metric: 0.75, loss: None, log: format!("{name}\n{name}\n{name}\n") });
    // Relative paths are as good from another folder.
    let relative = evaluate("cd / && echo {model} >&2 && echo 1", "some/model.onnx").expect("a number");
    let here = std::env::current_dir().expect("a folder").join("some/model.onnx");
    assert_eq!(relative.log.trim(), here.display().to_string());
    let json = evaluate("echo '{\"metric\": 0.5, \"loss\": 1.25, \"epochs\": 3}'", "x").expect("numbers");
    assert_eq!((json.metric, json.loss), (0.5, Some(1.25)));
    assert!(evaluate("cat; echo 1", "x").is_ok(), "there is nothing to read from stdin");
}

#[test]
fn what_fails_is_told_with_its_last_words() {
    let message = refusal(evaluate("echo one >&2; echo two >&2; echo half; exit 3", "x"));
    for part in ["exit 3`", "exit status: 3", "one | two", "stdout: half"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(refusal(evaluate("kill -9 $$", "x")).contains("signal: 9"));
    assert!(refusal(evaluate("exit 1", "x")).contains("it wrote nothing"));
    assert!(refusal(evaluate("no-such-program-anywhere {model}", "x")).contains("127"));
    let message = refusal(evaluate("echo traceback >&2; echo accuracy 0.9", "x"));
    assert!(message.contains("`accuracy 0.9`, which is no number") && message.contains("traceback"), "{message}");
    let message = refusal(evaluate("printf 'a\\033[2J\\n' >&2; exit 1", "x"));
    assert!(!message.contains('\u{1b}') && !message.contains('\n'), "{message}");
}

#[test]
fn what_hangs_is_killed_with_all_it_started() {
    let folder = Folder::new();
    let started = folder.path("pid");
    let command = format!("echo waiting >&2; (sleep 300; echo) & echo $! > {}; sleep 300; echo 1", started.display());
    let begun = Instant::now();
    let mut evaluator = CommandEvaluator::new(command, Some(Duration::from_millis(500)));
    let message = refusal(evaluator.evaluate(Path::new("x")));
    assert!(message.contains("did not end within 0.5 seconds") && message.contains("waiting"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let pid = fs::read_to_string(started).expect("it started");
    let gone = || {
        // Killed, and perhaps not waited for yet by whoever adopts orphans here.
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    if cfg!(target_os = "linux") {
        assert!(
            (0..100).any(|_| gone() || {
                std::thread::sleep(Duration::from_millis(20));
                false
            }),
            "{pid}"
        );
    }
}

#[test]
fn a_pipe_held_open_is_not_waited_for() {
    let begun = Instant::now();
    let measure = evaluate("(sleep 30 &) ; echo 0.5", "x").expect("a number");
    assert_eq!(measure.metric, 0.5);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Nor is one that was closed early the end.
    let measure = evaluate("echo 0.5; exec 1>&- 2>&-; sleep 0.3; exit 0", "x").expect("a number");
    assert_eq!(measure.metric, 0.5);
}

#[test]
fn any_amount_of_output_is_read_and_its_end_kept() {
    let command =
        "head -c 50000000 /dev/zero | tr '\\0' x >&2; head -c 50000000 /dev/zero; echo; echo last >&2; echo 2";
    let measure = evaluate(command, "x").expect("a number");
    assert_eq!(measure.metric, 2.0);
    assert!(measure.log.len() == 64 << 10 && measure.log.ends_with("xlast\n"), "{}", measure.log.len());
    let endless = refusal(evaluate("head -c 1000000 /dev/zero | tr '\\0' 1", "x"));
    assert!(endless.len() < 2000, "a line is shown in part: {endless}");
}

#[test]
fn a_tuner_leaves_the_same_tensors() {
    let folder = Folder::new();
    let model = folder.write("model.safetensors", file(&header(&[("w", "F32", "[2]", 0, 8)]), 8));
    let other = folder.write("other.safetensors", file(&header(&[("w", "F32", "[1,2]", 0, 8)]), 8));
    let more =
        folder.write("more.safetensors", file(&header(&[("v", "U8", "[1]", 8, 9), ("w", "F32", "[2]", 0, 8)]), 9));
    let less = folder.write("less.safetensors", file(&header(&[("v", "F32", "[2]", 0, 8)]), 8));
    let mask = folder.path("the masks");
    let mut number = 0;
    let mut tune = |command: &str, mask: Option<&Path>| {
        number += 1;
        let output = folder.path(&format!("out {number}.safetensors"));
        let job = Tuning { model: &model, mask, output: &output, epochs: Some(0.5), seed: 7 };
        CommandTuner::new(command, Some(Duration::from_secs(20))).fine_tune(&job)
    };
    let told = "printf '%s,' {mask} \"$SECATEUR_MASK\" $SECATEUR_EPOCHS $SECATEUR_SEED >&2; cp {model} {output}";
    assert_eq!(tune(told, None).expect("a copy"), ",,0.5,7,");
    let name = mask.display();
    assert_eq!(tune(told, Some(&mask)).expect("a copy"), format!("{name},{name},0.5,7,"));
    let mut refusal = |command: &str| match tune(command, None) {
        Err(Error::Run(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(refusal("echo no >&2; false").contains("exit status: 1"));
    let message = refusal("echo done >&2");
    assert!(message.contains("wrote no ") && message.contains("done"), "{message}");
    assert!(refusal("echo rubbish > {output}").contains("cannot be read"));
    let copied = |from: &Path| format!("cp {} {{output}}", from.display());
    assert!(refusal(&copied(&other)).contains("`w` is of shape [1, 2], and not [2]"));
    assert!(refusal(&copied(&more)).contains("`v`, which the model has not"));
    assert!(refusal(&copied(&less)).contains("without tensor `w`"));
}
