//! A process that is told to end removes what it has half written, and what was there stays.
#![cfg(all(feature = "cli", unix))]

#[path = "files/copies.rs"]
mod copies;
mod files;
#[path = "files/models.rs"]
mod models;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use copies::contents;
use files::Folder;
use models::{Made, file_of};
use secateur::Dtype;

const PATIENCE: Duration = Duration::from_secs(60);

fn start(folder: &Folder, before: &str, arguments: &str) -> Child {
    let secateur = env!("CARGO_BIN_EXE_secateur");
    Command::new("sh")
        .args(["-c", &format!("{before} exec {secateur} {arguments}")])
        .current_dir(folder.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell")
}

fn temporaries(folder: &Folder) -> usize {
    let names = fs::read_dir(folder.path("")).expect("the folder").flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".secateur-")).count()
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(1));
    }
}

fn tell(child: &Child, signal: &str) {
    let told = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(told.success());
}

fn end(mut child: Child) -> ExitStatus {
    wait_for("it ends", || child.try_wait().expect("our child").is_some());
    child.wait().expect("our child")
}

/// Something that is still being written when the signal comes: several seconds of work, in which the reader sleeps.
fn slow() -> Vec<u8> {
    let zeros = |name: &str| Made::new(name, Dtype::F32, &[4096, 4096], vec![0; 64 << 20]);
    file_of(&[zeros("a"), zeros("b")], &[])
}

#[test]
fn a_signal_removes_what_is_half_written() {
    let folder = Folder::new();
    fs::create_dir(folder.path("model")).expect("a new folder");
    folder.write("model/model.safetensors", slow());
    folder.write("model/config.json", "{}");
    fs::hard_link(folder.path("model/model.safetensors"), folder.path("m")).expect("a link");
    folder.write("old", "old");
    let before = contents(&folder.path(""));
    let often = "--engine cpu --threads 1 --sparsity 0.5 --criterion random:1";
    for (arguments, at_least) in [
        (format!("prune m -o old --force --mask mask --plan plan {often}"), 3),
        (format!("prune model -o new --mask mask {often}"), 2),
        ("stats m -o old --by block:16 --engine cpu --threads 1 --format csv".to_owned(), 1),
    ] {
        for (signal, number) in [("-TERM", 15), ("-INT", 2), ("-HUP", 1)] {
            let child = start(&folder, "", &arguments);
            wait_for("its temporaries", || temporaries(&folder) >= at_least);
            tell(&child, signal);
            let status = end(child);
            assert_eq!((status.signal(), status.code()), (Some(number), None), "{arguments} {signal}");
            assert_eq!(temporaries(&folder), 0, "{arguments} {signal}");
            assert!(contents(&folder.path("")) == before, "{arguments} {signal}");
        }
    }
}

#[test]
fn what_is_ignored_stays_so() {
    let folder = Folder::new();
    folder.write("m", slow());
    let arguments = "prune m -o out --engine cpu --threads 1 --sparsity 0.5 --criterion random:1";
    let child = start(&folder, "trap '' HUP;", arguments);
    wait_for("its temporary", || temporaries(&folder) == 1);
    tell(&child, "-HUP");
    assert!(end(child).success());
    assert!(File::open(folder.path("out")).is_ok());
}
