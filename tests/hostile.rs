//! Files that are not what they claim to be: each is refused in words that name the file, the tensor and the remedy.

mod files;

use files::{Folder, file, header, one};

/// Writes each file, opens it, and looks for every part in the message.
fn refused(cases: &[(&str, Vec<u8>, &[&str])]) {
    let folder = Folder::new();
    for (name, bytes, parts) in cases {
        folder.write(name, bytes);
        let message = folder.refusal(name);
        assert!(message.contains(*name), "names the file: {message}");
        assert!(!message.contains(|c: char| c.is_control()), "one line: {message:?}");
        assert!(message.len() < 1200, "short: {message}");
        for part in *parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    }
}

fn with_length(length: u64, rest: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), rest].concat()
}

#[test]
fn lengths_are_checked_before_they_are_believed() {
    let f = "a.safetensors";
    refused(&[
        (f, vec![], &["empty", "download"]),
        (f, vec![1], &["1 bytes are too few", "download"]),
        (f, vec![1, 0, 0, 0, 0, 0, 0], &["7 bytes are too few"]),
        (f, with_length(0, b""), &["header is empty", "download"]),
        (f, vec![0; 4096], &["header is empty", "download"]),
        (f, with_length(2, b""), &["truncated"]),
        (f, with_length(3, b"{}"), &["truncated", "header of 3 bytes", "10"]),
        (f, with_length(100_000_000, b"{}"), &["truncated"]),
        (f, with_length(100_000_001, b"{}"), &["100000001", "100000000 are allowed"]),
        (f, with_length(100_000_000_000, b"{}"), &["100000000000"]),
        (f, with_length(u64::MAX, b"{}"), &["18446744073709551615"]),
        (f, with_length(u64::MAX - 8, &[0; 64]), &["not a safetensors file"]),
    ]);
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let folder = Folder::new();
    let good = file(&header(&[("a", "F32", "[2]", 0, 8), ("b", "U8", "[3]", 8, 11)]), 11);
    folder.open("a.safetensors", &good).expect("the whole file is good");
    for length in 0..good.len() {
        folder.write("a.safetensors", &good[..length]);
        let message = folder.refusal("a.safetensors");
        assert!(message.contains("download it again"), "{length}: {message}");
    }
    folder.write("a.safetensors", [&good[..], b"\0"].concat());
    assert!(folder.refusal("a.safetensors").contains("1 bytes after the last tensor"));
}

#[test]
fn other_files_are_told_by_what_they_are() {
    let f = "a.safetensors";
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n".to_vec();
    refused(&[
        (f, pointer, &["git lfs pull"]),
        (f, b"<!DOCTYPE html><html>".to_vec(), &["web page"]),
        (f, b"\n\n  <html>\n".to_vec(), &["web page"]),
        (f, b"Entry not found".to_vec(), &["text, not weights"]),
        (f, b"oops".to_vec(), &["text, not weights"]),
        (f, b"PK\x03\x04\0\0\x08\x08\0\0\0\0".to_vec(), &["PyTorch", "safetensors.torch.save_file(torch.load("]),
        (f, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), &["PyTorch"]),
        (f, b"GGUF\x03\0\0\0\x10\0\0\0".to_vec(), &["GGUF", "safetensors checkpoint it was made from"]),
        ("a.onnx", one("a", 1), &["not a sound ONNX file", "export it again"]),
        ("a.pth", one("a", 1), &["PyTorch", "safetensors.torch.save_file(torch.load("]),
        ("a.PT", vec![], &["PyTorch"]),
        ("pytorch_model.bin", vec![0; 9], &["PyTorch"]),
        ("a.ckpt", vec![], &["PyTorch"]),
        ("a.gguf", vec![], &["GGUF"]),
        ("a.h5", vec![], &["Keras"]),
        ("a.npz", vec![], &["NumPy", "numpy.load"]),
        ("a.pdparams", vec![], &["Paddle"]),
        ("a.msgpack", vec![], &["Flax"]),
        ("a.tar", vec![], &["unpack it first"]),
        ("noextension", b"hello there, this is text".to_vec(), &["text"]),
        ("config.json", b"{\"architectures\":[]}".to_vec(), &["not an index", "weight_map"]),
    ]);
}

#[test]
fn headers_are_checked_entry_by_entry() {
    let f = "a.safetensors";
    let bad = |json: &str| file(json, 8);
    let entries = |entries: &[(&str, &str, &str, usize, usize)]| file(&header(entries), 8);
    let deep = |open: &str| file(&format!(r#"{{"a":{}"#, open.repeat(200_000)), 0);
    let empty_twice = header(&[("w", "F64", "[1]", 0, 8), ("e", "F32", "[0]", 8, 8), ("e", "F32", "[0,2]", 8, 8)]);
    refused(&[
        // Not JSON, or not the JSON that it should be.
        (f, bad("[]"), &["no JSON header"]),
        (f, bad("    "), &["no JSON header"]),
        (f, bad("{"), &["not what safetensors defines", "EOF"]),
        (f, bad("{} x"), &["trailing"]),
        (f, bad("{\"a\0\":1}"), &["control character"]),
        (f, [&with_length(4, b"{\"\xff\"")[..], b"\0"].concat(), &["UTF-8", "damaged"]),
        (f, deep("["), &["`a`"]),
        (f, deep("{\"a\":"), &["`a`"]),
        (f, file(&format!(r#"{{"a":{{"x":{}"#, "[".repeat(200_000)), 0), &["`a`"]),
        (f, bad(r#"{"a":1}"#), &["`a`", "invalid type"]),
        (f, bad(r#"{"a":{}}"#), &["`a`", "missing field `dtype`"]),
        (f, bad(r#"{"a":{"dtype":"F64","shape":[1]}}"#), &["`a`", "data_offsets"]),
        (f, bad(r#"{"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}"#), &["`a`", "-1"]),
        (f, bad(r#"{"a":{"dtype":"F64","shape":[1.0],"data_offsets":[0,8]}}"#), &["`a`"]),
        (
            f,
            bad(&format!(r#"{{"a":{{"dtype":"F64","shape":[{}1],"data_offsets":[0,8]}}}}"#, "1,".repeat(64))),
            &["`a`", "65 axes"],
        ),
        (f, bad(r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,99999999999999999999]}}"#), &["`a`"]),
        (f, bad(r#"{"__metadata__":{"a":1}}"#), &["`__metadata__` must map text to text"]),
        (f, bad(r#"{"__metadata__":{},"__metadata__":{}}"#), &["`__metadata__` appears twice"]),
        // The wrong bytes.
        (f, entries(&[("a", "F128", "[1]", 0, 8)]), &["`a`", "unknown dtype `F128`"]),
        (f, entries(&[("a", "f32", "[2]", 0, 8)]), &["unknown dtype `f32`"]),
        (f, entries(&[("a", &"F".repeat(900_000), "[2]", 0, 8)]), &["unknown dtype `FFF", "…"]),
        (f, entries(&[("a", "F\\u001b[2J", "[2]", 0, 8)]), &["unknown dtype `F\\u{1b}[2J`"]),
        (f, entries(&[("a", "F32", "[3]", 0, 8)]), &["`a`", "takes 12 bytes, not 0..8"]),
        (f, entries(&[("a", "F32", "[2]", 8, 0)]), &["`a`", "8..0"]),
        (f, entries(&[("a", "F4", "[15]", 0, 8)]), &["`a`", "whole bytes"]),
        (f, entries(&[("a", "F32", "[4294967296,4294967296]", 0, 8)]), &["`a`", "beyond 64 bits"]),
        (f, entries(&[("a", "F32", "[9223372036854775808]", 0, 8)]), &["`a`", "beyond 64 bits"]),
        (f, entries(&[("a", "U8", "[18446744073709551615,0]", 0, 8)]), &["`a`", "takes 0 bytes"]),
        (f, entries(&[("a", "U8", "[4]", 4, 8)]), &["`a`", "leaving 0..4 to no tensor"]),
        (f, entries(&[("a", "U8", "[4]", 0, 4), ("b", "U8", "[3]", 5, 8)]), &["`b`", "leaving 4..5"]),
        (f, entries(&[("a", "U8", "[5]", 0, 5), ("b", "U8", "[4]", 4, 8)]), &["`b`", "overlap those of `a`"]),
        (f, entries(&[("a", "U8", "[8]", 0, 8), ("b", "U8", "[8]", 0, 8)]), &["overlap"]),
        (f, entries(&[("a", "U8", "[9]", 0, 9)]), &["truncated", "9 bytes, and 8 are there"]),
        (f, entries(&[("a", "U8", "[7]", 0, 7)]), &["1 bytes after the last tensor"]),
        (f, entries(&[]), &["8 bytes after the last tensor"]),
        (f, entries(&[("a", "U8", "[2305843009213693951]", 0, (1 << 61) - 1)]), &["truncated"]),
        // A name twice: the same bytes, other bytes, or no bytes at all.
        (f, entries(&[("a", "U8", "[8]", 0, 8), ("a", "U8", "[8]", 0, 8)]), &["`a`", "twice"]),
        (f, entries(&[("a", "U8", "[4]", 0, 4), ("a", "U8", "[4]", 4, 8)]), &["`a`", "twice"]),
        (f, file(&empty_twice, 8), &["`e`", "twice"]),
        (f, entries(&[("a", "U8", "[8]", 0, 8), ("\\u0061", "U8", "[0]", 8, 8)]), &["`a`", "twice"]),
        // Control bytes of a name stay out of the terminal.
        (f, entries(&[("a\\u001b[2J", "U8", "[9]", 0, 8)]), &["`a\\u{1b}[2J`"]),
    ]);
}

#[test]
fn paths_that_are_no_files_do_not_hang() {
    let folder = Folder::new();
    assert!(folder.refusal("absent.safetensors").contains("absent.safetensors"));
    assert!(folder.refusal("absent.safetensors").contains("check the path"));
    assert!(folder.refusal("").contains("no .safetensors file in this folder"));
    folder.write("pytorch_model.bin", b"");
    assert!(folder.refusal("").contains("pytorch_model.bin is a PyTorch"));
    std::fs::create_dir(folder.path("x.safetensors")).expect("a folder with an odd name");
    assert!(folder.refusal("x.safetensors").contains("no .safetensors file in this folder"));
}

#[cfg(unix)]
#[test]
fn devices_pipes_and_sockets_are_refused_unopened() {
    let folder = Folder::new();
    let made = std::process::Command::new("mkfifo").arg(folder.path("pipe.safetensors")).status().expect("mkfifo runs");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket.safetensors")).expect("a socket");
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.safetensors")).expect("a link");
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.json")).expect("a link");
    for name in ["pipe.safetensors", "socket.safetensors", "zero.safetensors", "zero.json", "/dev/zero", "/dev/null"] {
        assert!(folder.refusal(name).contains("copy it to a file first"), "{name}");
    }
    std::os::unix::fs::symlink("loop.safetensors", folder.path("loop.safetensors")).expect("a link");
    assert!(folder.refusal("loop.safetensors").contains("loop.safetensors"));
}
