//! `secateur audit`: what it counts, in every shape, and what scripts rely on.
#![cfg(feature = "cli")]

mod files;

use assert_cmd::cargo::cargo_bin_cmd;
use files::Folder;
use predicates::prelude::*;
use predicates::str::contains;
use secateur::audit::{COMMON, Entry, Options, Summary, audit};
use secateur::prune::NofM;
use secateur::{Checkpoint, Progress};
use serde_json::{Value, json};

/// A file of F32 tensors.
fn model(tensors: &[(&str, &[u64], Vec<f32>)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut entries = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        entries.push(json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]}));
        assert_eq!(shape.iter().product::<u64>(), values.len() as u64, "{name}");
    }
    let header: serde_json::Map<String, Value> =
        tensors.iter().map(|(name, ..)| (*name).to_owned()).zip(entries).collect();
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn run(checkpoint: &Checkpoint, options: &Options) -> (Vec<Entry>, Summary) {
    let mut entries = Vec::new();
    let summary = audit(checkpoint, options, &Progress::default(), &mut |entry| {
        entries.push(entry);
        Ok(())
    });
    (entries, summary.expect("a readable checkpoint"))
}

fn patterns(texts: &[&str]) -> Vec<NofM> {
    texts.iter().map(|text| text.parse().expect("a pattern")).collect()
}

#[test]
fn what_is_counted_in_small_tensors() {
    let nan = f32::NAN;
    /// Shape, values, zeros, patterns, empty outputs and inputs, bytes as a bitmask and without empty channels.
    type Case<'a> = (&'a [u64], Vec<f32>, u64, &'a [&'a str], Option<(u64, u64)>, u64, u64);
    let cases: [Case<'_>; 10] = [
        (&[2, 4], vec![1., 0., 2., -0., 0., 3., nan, 0.], 4, &["1:2", "2:4", "3:4"], Some((0, 1)), 1 + 16, 24),
        (&[2, 4], vec![1., 2., 0., 0., 0., 3., 4., 0.], 4, &["2:4", "3:4"], Some((0, 1)), 1 + 16, 24),
        (&[2, 4], vec![1., 2., 3., 0., 0., 0., 0., 0.], 5, &["3:4"], Some((1, 1)), 1 + 12, 12),
        // The same weights with the axes told apart: 1:2 along axis 1 only.
        (&[1, 2, 2], vec![1., 2., 0., 0.], 2, &["1:2"], Some((0, 1)), 1 + 8, 8),
        (&[1, 2, 2], vec![1., 0., 2., 0.], 2, &[], Some((0, 0)), 1 + 8, 16),
        (&[2, 3], vec![0., 1., 0., 0., 2., 0.], 4, &[], Some((0, 2)), 1 + 8, 8),
        (&[2, 2], vec![0.; 4], 4, &["1:2"], Some((2, 2)), 1, 0),
        (&[9], vec![0., 1., 0., 1., 0., 1., 0., 1., 0.], 5, &[], None, 2 + 16, 36),
        (&[], vec![-0.], 1, &[], None, 1, 4),
        (&[0, 4], vec![], 0, &["1:2", "1:4", "2:4", "3:4"], Some((0, 0)), 0, 0),
    ];
    let folder = Folder::new();
    for (shape, values, zeros, expected, empty, bitmask, without) in cases {
        let count = values.len() as u64;
        let checkpoint = folder.open("a.safetensors", &model(&[("w", shape, values)])).expect("a good file");
        let (entries, summary) = run(&checkpoint, &Options::default());
        let entry = &entries[0];
        assert_eq!((entry.count, entry.zeros), (count, zeros), "{shape:?}");
        assert_eq!(entry.sparsity, (count > 0).then(|| zeros as f64 / count as f64));
        assert_eq!(entry.patterns, patterns(expected), "{shape:?}");
        assert_eq!(entry.empty_outputs.zip(entry.empty_inputs), empty, "{shape:?}");
        let bytes = (entry.bytes.dense, entry.bytes.bitmask, entry.bytes.without_empty_channels);
        assert_eq!(bytes, (4 * count, bitmask, without), "{shape:?}");
        assert_eq!((summary.total.zeros, summary.total.bytes, summary.verdict), (zeros, entry.bytes, None));
    }
}

/// What the naive reading of the definition says.
fn naive(shape: &[u64], values: &[f32]) -> (Vec<NofM>, u64, u64) {
    let (rows, cols) = (shape[0] as usize, shape[1] as usize);
    let inner: usize = shape[2..].iter().product::<u64>() as usize;
    let at = |row: usize, col: usize, i: usize| values[(row * cols + col) * inner + i];
    let holds = |pattern: &&NofM| {
        let m = usize::from(pattern.of());
        cols.is_multiple_of(m)
            && (0..rows).all(|row| {
                (0..inner).all(|i| {
                    (0..cols).step_by(m).all(|first| {
                        (first..first + m).filter(|col| at(row, *col, i) != 0.0).count() <= usize::from(pattern.kept())
                    })
                })
            })
    };
    let empty = |zero: &dyn Fn(usize) -> bool, n: usize| (0..n).filter(|i| zero(*i)).count() as u64;
    let outputs = empty(&|row| (0..cols).all(|col| (0..inner).all(|i| at(row, col, i) == 0.0)), rows);
    let inputs = empty(&|col| (0..rows).all(|row| (0..inner).all(|i| at(row, col, i) == 0.0)), cols);
    (COMMON.iter().filter(holds).copied().collect(), outputs, inputs)
}

#[test]
fn every_way_of_cutting_a_tensor_up_counts_the_same() {
    let folder = Folder::new();
    // Pieces are 16 KiB with the many threads asked for: rows of half a piece, of several, and groups beyond one.
    let shapes: [&[u64]; 9] = [
        &[300, 48],
        &[3, 24_000],
        &[2, 16, 3000],
        &[1, 16, 9001],
        &[7, 33, 3, 3],
        &[20_000, 2],
        &[1, 1, 30_000],
        &[2, 8, 1],
        &[40, 16, 3, 3],
    ];
    for shape in shapes {
        let count = shape.iter().product::<u64>() as usize;
        for (kind, every) in [("dense", 1), ("half", 2), ("quarter", 4), ("few", 1009), ("none", usize::MAX)] {
            // The same place of every group along axis 1, so that the patterns hold, or not quite.
            let inner = shape[2..].iter().product::<u64>() as usize;
            let kept = |i: usize| (i / inner).is_multiple_of(every) && every != usize::MAX;
            let mut values: Vec<f32> = (0..count).map(|i| if kept(i) { 1.0 } else { -0.0 }).collect();
            for flawed in [false, true] {
                if flawed {
                    values[count - 1] = f32::NAN;
                }
                let checkpoint = folder.open("a.safetensors", &model(&[("w", shape, values.clone())])).expect("good");
                let (expected, outputs, inputs) = naive(shape, &values);
                for threads in [1, 64] {
                    let (memory_bytes, threads) = (64 << 20, std::num::NonZeroUsize::new(threads));
                    let (entries, _) = run(&checkpoint, &Options { memory_bytes, threads, ..Options::default() });
                    let found = (entries[0].patterns.clone(), entries[0].empty_outputs, entries[0].empty_inputs);
                    assert_eq!(found, (expected.clone(), Some(outputs), Some(inputs)), "{shape:?} {kind} {flawed}");
                    assert_eq!(entries[0].zeros, values.iter().filter(|w| **w == 0.0).count() as u64);
                }
            }
        }
    }
}

#[test]
fn hostile_shapes_do_no_harm() {
    let folder = Folder::new();
    let ones = "1,".repeat(62);
    let huge = 1u64 << 62;
    for (shape, bytes, empty) in [
        (format!("[{ones}2,2]"), 16, Some((0, 0))),
        (format!("[0,{huge},{huge},{huge}]"), 0, Some((0, 0))),
        (format!("[{huge},0]"), 0, Some((0, 0))),
        (format!("[0,{huge}]"), 0, Some((0, 0))),
        ("[0]".to_owned(), 0, None),
    ] {
        let header = files::header(&[("w", "F32", &shape, 0, bytes)]);
        let checkpoint = folder.open("a.safetensors", &files::file(&header, bytes)).expect("an odd but good file");
        let (entries, summary) = run(&checkpoint, &Options { pattern: "2:4".parse().ok(), ..Options::default() });
        assert_eq!(entries[0].empty_outputs.zip(entries[0].empty_inputs), empty, "{shape}");
        assert_eq!((entries[0].bytes.dense, summary.total.tensors), (bytes as u64, 1));
    }
}

fn secateur(arguments: &[&str]) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("secateur").arg("audit").args(arguments).env("NO_COLOR", "1").env_remove("COLUMNS").assert()
}

fn sparse_and_dense() -> Vec<u8> {
    let sparse: Vec<f32> = (0..32).map(|i| if i % 4 < 2 { 0.0 } else { 1.0 }).collect();
    model(&[
        ("bias", &[4], vec![1.0; 4]),
        ("lm_head.weight", &[1, 4], vec![1.0; 4]),
        ("odd", &[1, 3], vec![1.0; 3]),
        ("sparse", &[4, 8], sparse),
        ("worse", &[1, 4], vec![1.0; 4]),
        ("worst", &[1, 4], vec![1.0; 4]),
    ])
}

#[test]
fn json_says_which_tensors_fail_and_why_others_are_left_out() {
    let folder = Folder::new();
    let path = folder.write("m.safetensors", sparse_and_dense());
    let name = path.to_str().expect("UTF-8");
    let done = secateur(&[name, "--pattern", "2:4", "--format", "json"]).code(1);
    let line = predicate::function(|text: &str| text.lines().count() == 1);
    let done = done.stderr(line.and(contains("tensor `worse`: does not satisfy 2:4, nor does 1 other of 3 judged")));
    let report: Value = serde_json::from_slice(&done.get_output().stdout).expect("JSON");
    let verdicts: Vec<(&str, Option<bool>, &str)> = report["tensors"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|t| {
            let reason = t["left_out"].as_str().unwrap_or_default();
            (t["name"].as_str().expect("a name"), t["satisfies"].as_bool(), reason)
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("bias", None, "fewer than two dimensions"),
            ("lm_head.weight", None, "an output head (name it with --only to prune it)"),
            ("odd", None, "its input axis (axis 1) has 3 elements, no multiple of 4"),
            ("sparse", Some(true), ""),
            ("worse", Some(false), ""),
            ("worst", Some(false), ""),
        ]
    );
    assert_eq!(report["verdict"], json!({"pattern": "2:4", "judged": 3, "failed": 2, "first_failed": "worse"}));
    let sparse = &report["tensors"][3];
    let expected = json!({"name": "sparse", "dtype": "F32", "shape": [4, 8], "count": 32, "zeros": 16, "sparsity": 0.5,
        "patterns": ["2:4", "3:4", "4:8"], "empty_outputs": 0, "empty_inputs": 4, "bytes_dense": 128, "bytes_bitmask": 68,
        "bytes_without_empty_channels": 64, "satisfies": true, "left_out": null});
    assert_eq!(sparse, &expected);
    let total = json!({"tensors": 6, "count": 51, "zeros": 16, "sparsity": 16.0 / 51.0, "bytes_dense": 204,
        "bytes_bitmask": 1 + 16 + 1 + 16 + 1 + 12 + 68 + 2 * (1 + 16), "bytes_without_empty_channels": 140});
    assert_eq!((&report["total"], report["bytes"].as_u64()), (&total, Some(204)));
    for key in ["secateur", "model", "engine", "skipped", "seconds"] {
        assert!(!report[key].is_null(), "{key}");
    }
}

#[test]
fn exit_statuses() {
    let folder = Folder::new();
    let path = folder.write("m.safetensors", sparse_and_dense());
    let name = path.to_str().expect("UTF-8");
    // No pattern asked for; one that holds; chosen by name; left out by name.
    secateur(&[name]).success().stderr("");
    secateur(&[name, "--pattern", "2:4", "--skip", "wors*"]).success().stderr("");
    secateur(&[name, "--pattern", "2:4", "--only", "lm_head*"]).code(1).stderr(contains("`lm_head.weight`"));
    secateur(&[name, "--pattern", "2:4", "--only", "bias"])
        .success()
        .stderr(contains("warning: no tensor is eligible"));
    secateur(&[name, "--pattern", "4:2"]).code(2).stderr(contains("1 ≤ N < M ≤ 32"));
    secateur(&[name, "--only", "nothing"]).code(1).stderr(contains("--only"));
    secateur(&["no/such/file"]).code(1).stderr(contains("no/such/file"));
}

#[test]
fn the_table_fits_a_terminal() {
    let folder = Folder::new();
    let mut tensors = vec![("b\u{1b}[2J", &[4][..], vec![1.0; 4])];
    let long = format!("model.layers.17.{}.weight", "block_sparse_moe.experts".repeat(3));
    tensors.push((&long, &[16, 16], vec![0.0; 256]));
    let path = folder.write("m.safetensors", model(&tensors));
    let done = cargo_bin_cmd!("secateur")
        .args(["audit", path.to_str().expect("UTF-8"), "--pattern", "2:4"])
        .envs([("COLUMNS", "80"), ("NO_COLOR", "1")])
        .assert()
        .success();
    let table = String::from_utf8(done.get_output().stdout.clone()).expect("UTF-8");
    let (table, notes) = table.split_once("\n\n").expect("notes below");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(
        table.contains("17") && table.contains("1:8") && table.contains("16/16") && table.contains("yes"),
        "{table}"
    );
    assert!(table.contains("b\\u{1b}[2J") && notes.contains("2:4: satisfied by 1 of 1 judged"), "{table}\n{notes}");
}
