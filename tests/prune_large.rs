//! Tensors larger than --memory, shards and threads: the same bytes as when everything is held at once.
#![cfg(feature = "cli")]

#[path = "files/copies.rs"]
mod copies;
mod files;
#[path = "files/models.rs"]
mod models;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use files::{Folder, header};
use models::{Made, file_of, noise};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Prunes `model` to `out` and masks to a file beside it.
fn prune(model: &Path, out: &Path, arguments: &[&str]) {
    let mask = out.with_extension("mask");
    cargo_bin_cmd!("secateur")
        .args(["prune", text(model), "-o", text(out), "--mask", text(&mask), "--engine", "cpu", "--force", "--quiet"])
        .args(arguments)
        .assert()
        .success();
}

fn same_files(one: &Path, other: &Path) -> bool {
    let read = |path: &Path| fs::read(path).expect("written");
    read(one) == read(other)
}

/// A model of a tensor of 72 MB and two small ones, whose names come before and after it.
fn large(folder: &Folder, dtype: &str, inputs: usize) -> PathBuf {
    let width = if dtype == "F32" { 4 } else { 2 };
    // 3 × 3 kernels, so that N:M strides.
    let rows = 1000;
    let (small, all) = (32 * width, rows * inputs * 9 * width);
    let head = header(&[
        ("a.weight", dtype, "[4,8]", 0, small),
        ("b.weight", dtype, &format!("[{rows},{inputs},3,3]"), small, small + all),
        ("c.weight", dtype, "[4,8]", small + all, small + all + small),
    ]);
    let path = folder.path(&format!("{dtype}.safetensors"));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).expect("room"));
    file.write_all(&(head.len() as u64).to_le_bytes()).expect("room");
    file.write_all(head.as_bytes()).expect("room");
    let mut random = noise(1);
    // Few exponents, all signs and fractions; one weight in 256 is NaN.
    for _ in 0..(all + 2 * small) / 8 {
        let bits = random();
        let bits = bits & 0x81ff_81ff_81ff_81ff | 0x3c00_3c00_3c00_3c00;
        let bits = if bits & 0xff == 7 { bits | 0x7fc0_7fc0_7fc0_7fc0 } else { bits };
        file.write_all(&bits.to_le_bytes()).expect("room");
    }
    file.flush().expect("room");
    path
}

#[test]
fn a_bf16_tensor_larger_than_memory() {
    larger_than_memory("BF16", 4000);
}

#[test]
fn an_f32_tensor_larger_than_memory() {
    larger_than_memory("F32", 2000);
}

fn larger_than_memory(dtype: &str, inputs: usize) {
    let folder = Folder::new();
    let model = large(&folder, dtype, inputs);
    assert!(fs::metadata(&model).expect("written").len() > 64 << 20);
    let norms: Vec<f32> = (0..inputs).map(|i| (i * 7 % 13) as f32).collect();
    let norms = [("a.weight", 8), ("b.weight", inputs)].map(|(name, n)| Made::f32(name, &[n as u64], &norms[..n]));
    let wanda = format!("wanda:{}", text(&folder.write("norms.safetensors", file_of(&norms, &[]))));
    let [small, great] = ["small.safetensors", "great.safetensors"].map(|name| folder.path(name));
    for arguments in [
        &["--sparsity", "0.5"][..],
        &["--sparsity", "0.5", "--keep", "smallest"],
        &["--sparsity", "90%", "--allocation", "global"],
        &["--pattern", "2:4"],
        &["--sparsity", "0.3", "--criterion", "random:1"],
        &["--sparsity", "0.5", "--criterion", &wanda],
    ] {
        prune(&model, &small, &[arguments, &["--memory", "64MiB", "--threads", "3"]].concat());
        prune(&model, &great, &[arguments, &["--memory", "4GiB", "--threads", "1"]].concat());
        assert!(same_files(&small, &great), "{dtype} {arguments:?}");
        assert!(same_files(&small.with_extension("mask"), &great.with_extension("mask")), "{arguments:?}");
        assert!(!same_files(&small, &model), "{dtype} {arguments:?}");
    }
}

#[test]
fn a_folder_of_shards_stays_one() {
    let folder = Folder::new();
    for (name, bytes) in copies::contents(Path::new("examples/data/sharded")) {
        folder.write(&format!("in/{name}"), bytes);
    }
    folder.write("in/tokenizer/vocabulary.txt", "a\nb\n");
    folder.write("in/.hidden", "h");
    let before = copies::contents(&folder.path("in"));
    let shards = secateur::Checkpoint::open(folder.path("in")).expect("a good model");
    let held = shards
        .tensors()
        .iter()
        .map(|t| Made::new(t.name(), t.dtype(), t.shape(), models::bytes_of(&folder.path("in"), t.name())));
    let whole = folder.write("whole.safetensors", file_of(&held.collect::<Vec<_>>(), &[]));
    let [one, three, single] = ["one", "three", "single.safetensors"].map(|name| folder.path(name));
    for arguments in [&["--sparsity", "0.5", "--allocation", "global"][..], &["--pattern", "2:4"]] {
        prune(&folder.path("in"), &one, &[arguments, &["--threads", "1"]].concat());
        prune(&folder.path("in"), &three, &[arguments, &["--threads", "3"]].concat());
        prune(&whole, &single, arguments);
        let (found, again) = (copies::contents(&one), copies::contents(&three));
        assert!(found == again && same_files(&folder.path("one.mask"), &folder.path("three.mask")), "{arguments:?}");
        assert_eq!(found.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        for (name, bytes) in &found {
            assert!(name.ends_with(".safetensors") || *bytes == before[name], "{name} is carried over");
        }
        // The same model in one file is cut alike.
        for tensor in shards.tensors() {
            let name = tensor.name();
            assert!(models::bytes_of(&one, name) == models::bytes_of(&single, name), "{arguments:?}: {name}");
        }
        for path in [&one, &three] {
            fs::remove_dir_all(path).expect("it is there");
        }
    }
    assert_eq!(copies::contents(&folder.path("in")), before);
    assert!(copies::names(&folder.path("")).iter().all(|name| !name.starts_with(".secateur")));
}
