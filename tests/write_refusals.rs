//! What the writer refuses, and what a failure leaves: nothing.

#[path = "files/copies.rs"]
mod copies;
mod files;

use copies::{contents, copy, names};
use files::{Folder, file, header, index, one};
use secateur::Error;
use secateur::checkpoint::{Checkpoint, Writer, check_outputs};
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

#[test]
fn what_must_not_be_written_is_refused() {
    let folder = Folder::new();
    let bytes = one("w", 4);
    for path in ["m.safetensors", "single/model.safetensors", "other.safetensors", "full/x"] {
        folder.write(path, &bytes);
    }
    folder.write("shards/s.safetensors", &bytes);
    folder.write("shards/model.safetensors.index.json", index(&[("w", "s.safetensors")]));
    fs::create_dir(folder.path("void")).expect("room");
    let (same, exists, inside) = ("this is the model, or a file of it", "add --force", "inside the model's folder");
    let (is_folder, is_file) =
        ("this is a folder, and the model is a file", "this is a file, and the model is a folder");
    let by_index = "shards/model.safetensors.index.json";
    let mut cases = vec![
        ("m.safetensors", "m.safetensors", true, same),
        ("m.safetensors", "other.safetensors", false, exists),
        ("m.safetensors", "void", true, is_folder),
        ("m.safetensors", "none/out.safetensors", true, "its folder does not exist"),
        ("m.safetensors", "other.safetensors/out", true, "a file"),
        ("single", "single", true, same),
        ("single", "single/model.safetensors", true, same),
        ("single", "other.safetensors", true, is_file),
        ("single", "full", true, "has content"),
        ("single", "single/out", false, inside),
        ("single", "", true, "the model lies inside this folder"),
        ("shards", "shards/s.safetensors", true, same),
        ("shards", by_index, true, same),
        (by_index, "shards", true, same),
        (by_index, "shards/out", true, inside),
        (by_index, "none/out", true, "its folder does not exist"),
    ];
    #[cfg(unix)]
    {
        fs::hard_link(folder.path("m.safetensors"), folder.path("hard")).expect("a hard link");
        fs::hard_link(folder.path("shards/s.safetensors"), folder.path("shard-hard")).expect("a hard link");
        symlink("m.safetensors", folder.path("soft")).expect("a link");
        symlink("shards", folder.path("linked")).expect("a link");
        symlink("nothing", folder.path("dangling")).expect("a link");
        symlink("/dev/null", folder.path("null")).expect("a link");
        let _ = std::os::unix::net::UnixListener::bind(folder.path("socket")).expect("a socket");
        cases.extend([
            ("m.safetensors", "hard", true, same),
            ("m.safetensors", "soft", true, same),
            ("soft", "m.safetensors", true, same),
            ("shards", "shard-hard", true, same),
            ("shards", "linked", true, same),
            ("shards", "linked/out", true, inside),
            ("m.safetensors", "dangling", true, "a symbolic link to nothing"),
            ("m.safetensors", "null", true, "a device, a pipe or a socket"),
            ("shards", "null", true, "a device, a pipe or a socket"),
            ("m.safetensors", "socket", true, "a device, a pipe or a socket"),
        ]);
    }
    let before = names(&folder.path(""));
    for (model, out, force, part) in cases {
        let source = Checkpoint::open(folder.path(model)).expect("a good model");
        let error = copy(&source, &folder.path(out), force).expect_err(out);
        let message = error.to_string();
        // What lies below a file is for the operating system to say.
        let usage = matches!(error, Error::Usage(_)) || out == "other.safetensors/out";
        assert!(
            usage && message.contains(out) && (part == "a file" || message.contains(part)),
            "{model} {out}: {message}"
        );
    }
    assert_eq!(names(&folder.path("")), before);
    assert_eq!(fs::read(folder.path("m.safetensors")).expect("it is there"), bytes);
    assert_eq!(contents(&folder.path("shards")).len(), 2);
}

#[test]
fn force_replaces_a_file_and_keeps_a_link() {
    let folder = Folder::new();
    let source = folder.open("m.safetensors", &one("w", 4)).expect("a good file");
    folder.write("old.safetensors", "old");
    copy(&source, &folder.path("old.safetensors"), true).expect("room");
    assert_eq!(fs::read(folder.path("old.safetensors")).expect("it is there"), one("w", 4));
    #[cfg(unix)]
    {
        folder.write("deep/old.safetensors", "old");
        symlink("deep/old.safetensors", folder.path("link")).expect("a link");
        copy(&source, &folder.path("link"), true).expect("room");
        assert!(fs::symlink_metadata(folder.path("link")).expect("it is there").is_symlink());
        assert_eq!(fs::read(folder.path("deep/old.safetensors")).expect("it is there"), one("w", 4));
        let mode = |name| fs::metadata(folder.path(name)).expect("it is there").permissions().mode();
        assert_eq!(mode("old.safetensors"), mode("m.safetensors"), "the umask's");
    }
}

#[test]
fn half_an_output_never_appears() {
    let folder = Folder::new();
    let json = header(&[("a", "U8", "[4]", 0, 4), ("b", "U8", "[4]", 4, 8)]);
    let single = folder.open("m.safetensors", &file(&json, 8)).expect("a good file");
    let shards = Checkpoint::open("examples/data/sharded").expect("a good model");
    let old = folder.write("old.safetensors", "old");
    for (source, out) in [(&single, old.as_path()), (&shards, folder.path("new").as_path())] {
        let half = || {
            let writer = Writer::same(source, out, true).expect("room");
            writer.copy(source, &source.tensors()[0]).expect("room");
            writer
        };
        let unfinished = half();
        assert_eq!(names(&folder.path("")).len(), 3, "a temporary is beside it");
        drop(unfinished);
        let error = half().finish().expect_err("it is not finished");
        assert!(error.to_string().contains("bytes of tensors were written"), "{error}");
        assert_eq!(names(&folder.path("")), ["m.safetensors", "old.safetensors"], "the temporary is gone");
    }
    assert_eq!(fs::read(old).expect("it is there"), b"old");
    // Somebody else's file, which has appeared meanwhile.
    let out = folder.path("race.safetensors");
    let writer = Writer::same(&single, &out, false).expect("room");
    single.tensors().iter().try_for_each(|tensor| writer.copy(&single, tensor)).expect("room");
    fs::write(&out, "theirs").expect("room");
    assert!(writer.finish().is_err());
    assert_eq!(fs::read(&out).expect("it is there"), b"theirs");
    assert_eq!(names(&folder.path("")).len(), 3);
}

/// Only where this runs as root and may mount; elsewhere it says so.
#[test]
#[cfg(target_os = "linux")]
#[expect(clippy::print_stderr, reason = "a test that cannot be run says so")]
fn a_full_disk_is_found_at_once_and_leaves_nothing() {
    let folder = Folder::new();
    fs::create_dir(folder.path("small")).expect("room");
    let small = folder.path("small");
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small).output();
    if !mount.is_ok_and(|done| done.status.success()) {
        eprintln!("a full disk was not tried: nothing can be mounted here");
        return;
    }
    let source = folder.open("m.safetensors", &one("w", 3 << 20)).expect("a good file");
    fs::create_dir(folder.path("model")).expect("room");
    let files = Checkpoint::open(folder.write("model/model.safetensors", one("w", 1000))).expect("a good file");
    folder.write("model/other", vec![1; 3 << 20]);
    let other = Checkpoint::open(folder.path("model")).expect("a good model");
    // The folder is empty, but what is mounted cannot be renamed over.
    let mount_point = copy(&other, &small, false);
    let full = [(&source, "small/out.safetensors"), (&other, "small/out")]
        .map(|(source, out)| Writer::same(source, &folder.path(out), false).map(drop));
    let left = names(&small);
    let works = copy(&files, &folder.path("small/fits"), false);
    let unmounted = std::process::Command::new("umount").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    for failure in full {
        let message = failure.expect_err("no room").to_string();
        assert!(message.contains("free some space"), "{message}");
    }
    assert!(left.is_empty(), "{left:?}");
    works.expect("room for a small one");
    let message = mount_point.expect_err("mounted").to_string();
    assert!(message.contains("cannot be replaced as a whole"), "{message}");
}

#[test]
#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "a test that cannot be run says so")]
fn a_read_only_folder_is_an_error() {
    let folder = Folder::new();
    let source = folder.open("m.safetensors", &one("w", 3)).expect("a good file");
    fs::create_dir(folder.path("locked")).expect("room");
    fs::set_permissions(folder.path("locked"), fs::Permissions::from_mode(0o555)).expect("it is ours");
    if fs::write(folder.path("locked/probe"), "").is_ok() {
        eprintln!("a read-only folder was not tried: this user may write everywhere");
        return;
    }
    let out = folder.path("locked/out.safetensors");
    let message = copy(&source, &out, false).expect_err("read-only").to_string();
    assert!(message.contains("out.safetensors") && message.contains("check its permissions"), "{message}");
}

#[test]
fn outputs_may_not_destroy_each_other_nor_inputs() {
    let folder = Folder::new();
    folder.write("model/model.safetensors", one("w", 4));
    folder.write("model/config.json", "{}");
    folder.write("side", "old");
    fs::create_dir(folder.path("void")).expect("room");
    let at = |name: &str| folder.path(name);
    let model = Checkpoint::open(at("model")).expect("a good model");
    let check = |out: &str, side: &str, other: &str, input: &str| {
        let (out, side, other, input) = (at(out), at(side), at(other), at(input));
        let sides: [(&str, &Path); 2] = [("mask", &side), ("plan", &other)];
        check_outputs(&model, Some(("out", &out)), &sides, &[("norms", &input)])
    };
    check("out", "side", "new", "norms").expect("nothing in common");
    check("void", "side", "void/../new", "norms").expect("nothing in common");
    let mut cases = vec![
        ("out", "a", "a", "i", "plan", "mask names it"),
        ("out", "a", "void/../a", "i", "plan", "mask names it"),
        ("out", "a", "out/", "i", "plan", "out names it"),
        ("out", "a", "b", "b", "plan", "norms reads it"),
        ("a", "b", "c", "a", "out", "norms reads it"),
        ("out", "out/deep/a", "b", "i", "mask", "lies inside out"),
        ("void", "a", "void/a", "i", "plan", "lies inside out"),
        ("out", "model/new", "b", "i", "mask", "inside the model's folder"),
        ("out", "model/deep/new", "b", "i", "mask", "inside the model's folder"),
        ("out", "model/config.json", "b", "i", "mask", "never written"),
        ("out", "model", "b", "i", "mask", "never written"),
    ];
    #[cfg(unix)]
    {
        fs::hard_link(at("side"), at("hard")).expect("a link");
        fs::hard_link(at("model/config.json"), at("config")).expect("a link");
        symlink("side", at("soft")).expect("a link");
        symlink("void", at("soft void")).expect("a link");
        symlink("model", at("soft model")).expect("a link");
        cases.extend([
            ("out", "side", "hard", "i", "plan", "mask names it"),
            ("out", "side", "soft", "i", "plan", "mask names it"),
            ("void", "soft void/a", "b", "i", "mask", "lies inside out"),
            ("out", "soft model/a", "b", "i", "mask", "inside the model's folder"),
            ("out", "config", "b", "i", "mask", "never written"),
        ]);
    }
    for (out, side, other, input, which, why) in cases {
        let told = check(out, side, other, input).expect_err(why);
        assert!(matches!(told, Error::Usage(_)), "{told}");
        let told = told.to_string();
        assert!(told.starts_with(&format!("{which} ")) && told.contains(why), "{why}: {told}");
    }
}
