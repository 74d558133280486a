//! A process that is about to end takes the commands it runs with it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use secateur::evaluate::{CommandEvaluator, Evaluator, end_commands};

#[test]
fn what_runs_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, begun) = (folder.path().join("pids"), Instant::now());
    let command = format!("sleep 300 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", path.display());
    // It waits for ever from then on, so that it has nothing to complain of.
    std::thread::spawn(move || CommandEvaluator::new(command, None).evaluate(Path::new("x")));
    let until = |what: &str, there: &mut dyn FnMut() -> bool| {
        while !there() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let mut pids = String::new();
    until("it starts", &mut || {
        pids = fs::read_to_string(&path).unwrap_or_default();
        !pids.is_empty()
    });
    end_commands();
    for pid in pids.split_whitespace() {
        // What is killed and not waited for is still listed.
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        until("it ends", &mut || stat().is_empty() || stat().contains(") Z "));
    }
}
