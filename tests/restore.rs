//! Restoring compressed checkpoints: hand-made ones of both namings, and what cannot be restored.
//! `tests/tools/restore_agreement.py` does it for those of compressed-tensors itself.

mod files;

use files::Folder;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use secateur::restore::{Options, Summary, restore};
use secateur::{Checkpoint, Progress, Result};
use std::fs;

/// A tensor: name, dtype, shape, data.
type Held = (String, Dtype, Vec<usize>, Vec<u8>);

fn held(name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Held {
    (name.to_owned(), dtype, shape.to_owned(), data.to_owned())
}

fn integers(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn bytes_of(tensors: &[Held]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).expect("sizes agree"))
    });
    safetensors::serialize(views, Some([("format".to_owned(), "pt".to_owned())].into())).expect("sound")
}

/// The parts of a compressed tensor of `shape`, by the definition: what is not all zero bits is kept.
fn compressed(prefix: &str, dtype: Dtype, shape: &[usize], dense: &[u8]) -> Vec<Held> {
    let (columns, width) = (shape[shape.len() - 1], dtype.bitsize() / 8);
    let mut packed = shape.to_vec();
    packed[shape.len() - 1] = columns.div_ceil(8);
    let (mut mask, mut values) = (vec![0u8; packed.iter().product()], Vec::new());
    for (i, element) in dense.chunks_exact(width).enumerate() {
        if element.iter().any(|&byte| byte != 0) {
            mask[i / columns * columns.div_ceil(8) + i % columns / 8] |= 1 << (i % columns % 8);
            values.extend(element);
        }
    }
    let axes: Vec<i64> = shape.iter().map(|&axis| axis as i64).collect();
    vec![
        held(&format!("{prefix}.compressed"), dtype, &[values.len() / width], &values),
        held(&format!("{prefix}.bitmask"), Dtype::U8, &packed, &mask),
        held(&format!("{prefix}.shape"), Dtype::I64, &[axes.len()], &integers(&axes)),
    ]
}

/// Elements of which about two thirds are zero.
fn sparse(dtype: Dtype, elements: usize) -> Vec<u8> {
    let width = dtype.bitsize() / 8;
    (0..elements * width).map(|i| if (i / width) % 3 == 1 { (i % 255 + 1) as u8 } else { 0 }).collect()
}

fn run(model: &Checkpoint, folder: &Folder, out: &str) -> Result<Summary> {
    let progress = Progress::default();
    let summary = restore(model, &folder.path(out), &Options::default(), &progress)?;
    assert_eq!(progress.bytes(), progress.total());
    Ok(summary)
}

#[test]
fn every_dtype_and_shape_in_both_namings() {
    use Dtype::{BF16, BOOL, C64, F8_E4M3, F8_E5M2, F16, F32, F64, I8, I64};
    let shapes: [&[usize]; 7] = [&[5, 24], &[7, 13], &[1], &[9], &[3, 2, 3, 3], &[4, 0], &[2, 0, 5]];
    let folder = Folder::new();
    for older in [false, true] {
        let (mut tensors, mut expected) = (Vec::new(), Vec::new());
        for dtype in [BF16, F8_E4M3, F8_E5M2, F16, F32, F64, I8, BOOL, C64, I64] {
            for (i, shape) in shapes.into_iter().enumerate() {
                let dense = sparse(dtype, shape.iter().product());
                // Older files compress biases, too.
                let name = format!("{dtype}.{i}.{}", if older && i == 3 { "bias" } else { "weight" });
                let prefix = if older { name.as_str() } else { name.trim_end_matches(".weight") };
                tensors.extend(compressed(prefix, dtype, shape, &dense));
                expected.push((name, dtype, shape, dense));
            }
        }
        tensors.push(held("row_offsets", Dtype::U8, &[1], &[7]));
        tensors.push(held("plain.shape", Dtype::U8, &[2], &[1, 2]));
        tensors.push(held("BF16.0.row_offsets", Dtype::I64, &[5], &[0; 40]));
        tensors.push(held("BF16.0.weight.row_offsets", Dtype::I64, &[5], &[0; 40]));
        let model = folder.open("m.safetensors", &bytes_of(&tensors)).expect("a good file");
        let out = format!("out-{older}.safetensors");
        let summary = run(&model, &folder, &out).expect("it is restored");
        assert_eq!((summary.tensors.len(), summary.copied), (expected.len(), 3));
        let written = fs::read(folder.path(&out)).expect("it is there");
        assert_eq!(summary.bytes_after, written.len() as u64);
        let (_, metadata) = SafeTensors::read_metadata(&written).expect("sound");
        assert_eq!(metadata.metadata().as_ref().and_then(|m| m.get("format")).map(String::as_str), Some("pt"));
        let dense = SafeTensors::deserialize(&written).expect("sound");
        assert_eq!(dense.len(), expected.len() + 3);
        assert_eq!(dense.tensor("plain.shape").expect("copied").data(), [1, 2]);
        for (name, dtype, shape, data) in expected {
            let view = dense.tensor(&name).expect("restored");
            assert_eq!((view.dtype(), view.shape(), view.data()), (dtype, shape, &data[..]), "{name}");
        }
    }
}

#[test]
fn tensors_larger_than_a_piece() {
    let folder = Folder::new();
    // Rows in pieces, and one row that is longer than a piece.
    for (shape, dtype) in [([3000, 401], Dtype::BF16), ([2, 1_100_003], Dtype::F8_E4M3), ([1_300_000, 1], Dtype::F64)] {
        let dense = sparse(dtype, shape.iter().product());
        let model =
            folder.open("m.safetensors", &bytes_of(&compressed("w", dtype, &shape, &dense))).expect("a good file");
        let options = Options { force: true, threads: std::num::NonZeroUsize::new(2), ..Options::default() };
        restore(&model, &folder.path("out.safetensors"), &options, &Progress::default()).expect("it is restored");
        let written = fs::read(folder.path("out.safetensors")).expect("it is there");
        let read = SafeTensors::deserialize(&written).expect("sound");
        assert!(read.tensor("w.weight").expect("restored").data() == dense, "{shape:?}");
    }
}

#[test]
fn a_folder_loses_its_sparsity_config() {
    let folder = Folder::new();
    let dense = sparse(Dtype::F32, 24);
    let mut parts = compressed("a", Dtype::F32, &[3, 8], &dense);
    // Parts in different shards.
    let bitmask = parts.remove(1);
    parts.push(held("plain", Dtype::U8, &[1], &[9]));
    folder.write("m/model-1.safetensors", bytes_of(&parts));
    folder.write("m/model-2.safetensors", bytes_of(&[bitmask]));
    let map = [("a.compressed", 1), ("a.shape", 1), ("plain", 1), ("a.bitmask", 2)];
    let map: Vec<_> = map.iter().map(|(name, i)| format!("\"{name}\":\"model-{i}.safetensors\"")).collect();
    folder.write("m/model.safetensors.index.json", format!("{{\"weight_map\":{{{}}}}}", map.join(",")));
    let config =
        r#"{"x": 1, "quantization_config": {"sparsity_config": {"format": "sparse-bitmask"}, "version": "1"}}"#;
    folder.write("m/config.json", config);
    let model = Checkpoint::open(folder.path("m")).expect("a good model");
    let summary = run(&model, &folder, "out").expect("it is restored");
    assert!(summary.config_changed && !summary.config_left);
    assert_eq!(fs::read_to_string(folder.path("out/config.json")).expect("it is there"), "{\n  \"x\": 1\n}\n");
    let index = fs::read(folder.path("out/model.safetensors.index.json")).expect("it is there");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let map = serde_json::json!({"a.weight": "model-1.safetensors", "plain": "model-1.safetensors"});
    assert_eq!(index, serde_json::json!({"metadata": {"total_size": 97}, "weight_map": map}));
    let read = Checkpoint::open(folder.path("out")).expect("it can be opened");
    let mut data = vec![0; 96];
    read.read_exact_at(read.get("a.weight").expect("restored"), 0, &mut data).expect("it can be read");
    assert_eq!(data, dense);

    let whole = bytes_of(&compressed("a", Dtype::F32, &[3, 8], &dense));
    folder.write("single/model.safetensors", &whole);
    folder.write("single/config.json", config);
    let model = Checkpoint::open(folder.path("single/model.safetensors")).expect("a good file");
    let summary = run(&model, &folder, "file.safetensors").expect("it is restored");
    assert!(!summary.config_changed && summary.config_left);
    folder.write("single/config.json", "[]");
    let model = Checkpoint::open(folder.path("single")).expect("a good model");
    let message = run(&model, &folder, "bad").expect_err("no configuration").to_string();
    assert!(message.contains("config.json: not a configuration"), "{message}");
}

#[test]
fn what_does_not_agree_is_named() {
    let dense = sparse(Dtype::F32, 3 * 10);
    let good = || compressed("a", Dtype::F32, &[3, 10], &dense);
    let with = |position: usize, tensor: Held| {
        let mut parts = good();
        parts[position] = tensor;
        parts
    };
    let without = |position: usize| {
        let mut parts = good();
        parts.remove(position);
        parts
    };
    let and = |more: Vec<Held>| good().into_iter().chain(more).collect::<Vec<_>>();
    let shape = |axes: &[i64]| with(2, held("a.shape", Dtype::I64, &[axes.len()], &integers(axes)));
    let empty = |axes: &[i64], packed: &[usize]| {
        vec![
            held("a.compressed", Dtype::F32, &[0], &[]),
            held("a.bitmask", Dtype::U8, packed, &[]),
            held("a.shape", Dtype::I64, &[axes.len()], &integers(axes)),
        ]
    };
    let huge = i64::MAX;
    let cases: Vec<(Vec<Held>, &str, &str)> = vec![
        (vec![held("w", Dtype::U8, &[1], &[1])], "m.safetensors", "nothing to restore"),
        (without(0), "`a.bitmask`", "`a.compressed` is missing"),
        (without(1), "`a.compressed`", "`a.bitmask` is missing"),
        (without(2), "`a.compressed`", "`a.shape` is missing"),
        (and(vec![held("a.weight", Dtype::U8, &[1], &[1])]), "`a.compressed`", "`a.weight`, which is there already"),
        (
            with(0, held("a.compressed", Dtype::F32, &[9], &[1; 36])),
            "`a.bitmask`",
            "more bits than there are values (9)",
        ),
        (with(0, held("a.compressed", Dtype::F32, &[11], &[1; 44])), "`a.bitmask`", "sets 10 bits for 11 values"),
        (with(0, held("a.compressed", Dtype::F32, &[31], &[1; 124])), "`a.compressed`", "31 values"),
        (with(0, held("a.compressed", Dtype::F4, &[20], &[1; 10])), "`a.compressed`", "do not fill bytes"),
        (with(1, held("a.bitmask", Dtype::I8, &[3, 2], &[1; 6])), "`a.bitmask`", "needs U8 [3, 2]"),
        (with(1, held("a.bitmask", Dtype::U8, &[6], &[1; 6])), "`a.bitmask`", "is U8 [6]"),
        (with(1, held("a.bitmask", Dtype::U8, &[3, 3], &[1; 9])), "`a.bitmask`", "is U8 [3, 3]"),
        (with(2, held("a.shape", Dtype::I32, &[2], &[1; 8])), "`a.shape`", "is I32 [2]"),
        (with(2, held("a.shape", Dtype::I64, &[], &[1; 8])), "`a.shape`", "is I64 []"),
        (with(2, held("a.shape", Dtype::I64, &[0], &[])), "`a.shape`", "is I64 [0]"),
        (with(2, held("a.shape", Dtype::I64, &[1, 2], &[1; 16])), "`a.shape`", "is I64 [1, 2]"),
        (with(2, held("a.shape", Dtype::I64, &[65], &[1; 520])), "`a.shape`", "is I64 [65]"),
        (shape(&[3, -1]), "`a.shape`", "an axis is -1"),
        (shape(&[3, 17]), "`a.bitmask`", "needs U8 [3, 3]"),
        (shape(&[3, 10, 1]), "`a.bitmask`", "needs U8 [3, 10, 1]"),
        (shape(&[huge, huge]), "`a.shape`", "beyond 64 bits"),
        (shape(&[1 << 62, 1]), "`a.shape`", "beyond 64 bits"),
        (shape(&[1 << 59, 1]), "`a.bitmask`", "needs U8"),
        (empty(&[0, huge], &[0, huge.div_euclid(8) as usize]), "`a.bitmask`", "needs U8 [0, 1152921504606846976]"),
        (empty(&[huge, huge, 0], &[0]), "`a.shape`", "beyond 64 bits"),
    ];
    let folder = Folder::new();
    for (tensors, name, part) in cases {
        let model = folder.open("m.safetensors", &bytes_of(&tensors)).expect("a file that is sound by itself");
        let message = run(&model, &folder, "out.safetensors").expect_err(part).to_string();
        assert!(message.contains(name) && message.contains(part) && message.lines().count() == 1, "{name}: {message}");
        assert_eq!(fs::read_dir(folder.path("")).expect("the folder").count(), 1, "nothing is left: {message}");
    }
    // A column vector for a shape, as one of the formats has it, and huge axes that hold nothing.
    let column = with(2, held("a.shape", Dtype::I64, &[2, 1], &integers(&[3, 10])));
    for (tensors, out) in [(column, "column"), (empty(&[1 << 60, 0], &[1 << 60, 0]), "nothing")] {
        let model = folder.open("m.safetensors", &bytes_of(&tensors)).expect("a good file");
        run(&model, &folder, out).expect("it is restored");
    }
}

#[cfg(feature = "cli")]
mod cli {
    use super::*;
    use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
    use predicates::prelude::*;
    use predicates::str::{contains, starts_with};
    use std::process::Command;

    fn model(folder: &Folder, elements: usize) -> String {
        let parts = compressed("a\u{1b}", Dtype::BF16, &[1, elements], &sparse(Dtype::BF16, elements));
        folder.write("m.safetensors", bytes_of(&parts)).display().to_string()
    }

    #[test]
    fn the_summary_and_the_refusals() {
        let folder = Folder::new();
        let (model, out) = (model(&folder, 30), folder.path("out.safetensors").display().to_string());
        let restore = |more: &[&str]| {
            let mut command = cargo_bin_cmd!("secateur");
            command.args(["restore", &model, "-o", &out, "--threads", "1"]).args(more).env("NO_COLOR", "1").assert()
        };
        let line = starts_with("a\\u{1b}.weight  BF16 1×30  66.7% zeros  60 B\n1 tensor decoded, 0 copied: ");
        restore(&[]).success().stdout(line).stderr("");
        restore(&[]).code(2).stdout("").stderr(contains("out.safetensors: exists already: add --force"));
        let json = restore(&["--force", "--format", "json"]).success().stderr("").get_output().stdout.clone();
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let tensor = serde_json::json!({"name": "a\u{1b}.weight", "dtype": "BF16", "shape": [1, 30], "count": 30, "kept": 10, "bytes": 60});
        assert_eq!((&json["tensors"][0], &json["copied"]), (&tensor, &0.into()));
        assert_eq!(json["bytes_after"], fs::metadata(&out).expect("it is there").len());
        let again = |path: &str| cargo_bin_cmd!("secateur").args(["restore", &out, "-o", path]).assert();
        again("none").code(1).stderr(contains("nothing to restore"));
        folder.write("config.json", r#"{"sparsity_config": {}}"#);
        restore(&["--force"]).success().stderr(starts_with("warning: config.json beside the model"));
        restore(&["--force", "--quiet"]).success().stderr("");
    }

    /// A limit on the size of files stands in for a disk that fills up while it is written to.
    #[test]
    #[cfg(unix)]
    fn a_file_that_cannot_grow_is_an_error_and_leaves_nothing() {
        let folder = Folder::new();
        let (model, out) = (model(&folder, 1 << 20), folder.write("out.safetensors", "old"));
        let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" restore \"$1\" -o \"$2\" --force";
        let done = Command::new("sh").args(["-c", script]).arg(cargo_bin!("secateur")).arg(&model).arg(&out).output();
        let done = done.expect("there is a shell");
        let told = String::from_utf8(done.stderr).expect("UTF-8");
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert!(told.starts_with("error: ") && told.contains("out.safetensors"), "{told}");
        assert_eq!(fs::read(&out).expect("it is there"), b"old");
        assert_eq!(fs::read_dir(folder.path("")).expect("the folder").count(), 2);
    }

    /// Killed at any moment: the old output or the new one, and at most one temporary beside it.
    #[test]
    #[cfg(unix)]
    fn a_killed_process_loses_nothing() {
        let folder = Folder::new();
        let (model, out) = (model(&folder, 4 << 20), folder.write("out.safetensors", "old"));
        for milliseconds in [1, 5, 10, 20, 40, 80] {
            let mut command = Command::new(cargo_bin!("secateur"));
            command.args(["restore", &model, "--force", "--quiet", "-o"]).arg(&out).stdout(std::process::Stdio::null());
            let mut child = command.spawn().expect("it starts");
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
            let left = fs::read(&out).expect("it is there");
            assert!(left == b"old" || SafeTensors::deserialize(&left).is_ok(), "after {milliseconds} ms");
            let names = fs::read_dir(folder.path("")).expect("the folder").map(|entry| entry.expect("an entry"));
            let strays: Vec<_> =
                names.filter(|e| e.file_name().as_encoded_bytes().starts_with(b".secateur-")).collect();
            assert!(strays.len() <= 1, "{strays:?}");
            strays.iter().for_each(|stray| fs::remove_file(stray.path()).expect("a temporary"));
        }
    }

    #[test]
    fn help_shows_an_example() {
        let help = cargo_bin_cmd!("secateur").args(["restore", "--help"]).assert();
        help.success().stdout(contains("secateur restore ").and(contains("--force")));
    }
}
