//! `secateur prune`, as scripts rely on it: exit statuses, what is refused and why, and what a run says and leaves.
#![cfg(feature = "cli")]

#[path = "files/copies.rs"]
mod copies;
mod files;
#[path = "files/models.rs"]
mod models;

use std::fs;

use assert_cmd::cargo::cargo_bin_cmd;
use copies::contents;
use files::Folder;
use models::{Made, file_of};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use secateur::Dtype;
use serde_json::{Value, json};

/// Runs in `folder`, in which the model is `m`.
fn prune(folder: &Folder, arguments: &[&str]) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("secateur")
        .current_dir(folder.path(""))
        .args(["prune", "m", "--engine", "cpu"])
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "80")
        .assert()
}

/// The summary of a run that succeeds.
fn summary(folder: &Folder, arguments: &[&str]) -> Value {
    let done = prune(folder, &[arguments, &["--format", "json"]].concat()).success();
    serde_json::from_slice(&done.get_output().stdout).expect("JSON")
}

/// What does not differ between two runs of the same.
fn timeless(mut summary: Value) -> Value {
    summary["seconds"] = Value::Null;
    summary
}

/// A model of two matrices, a bias and an integer.
fn small() -> Vec<Made> {
    vec![
        Made::f32("w2", &[2, 4], &[1.0, -2.0, 0.0, 4.0, f32::NAN, 0.5, 0.25, -8.0]),
        Made::f32("w10", &[1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]),
        Made::f32("bias", &[2], &[1.0, 2.0]),
        Made::new("steps", Dtype::I64, &[], vec![7, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

fn with_small() -> Folder {
    let folder = Folder::new();
    folder.write("m", file_of(&small(), &[("format", "pt")]));
    folder
}

#[test]
fn wrong_usage_exits_2_and_leaves_nothing() {
    let folder = with_small();
    folder.write("old", "old");
    let before = contents(&folder.path(""));
    for (arguments, parts) in [
        (&["--sparsity", "0.5"][..], &["--output"][..]),
        (&["-o", "out"], &["--sparsity"]),
        (&["-o", "out", "--sparsity", "1"], &["--sparsity", "less than 1"]),
        (&["-o", "out", "--sparsity", "100%"], &["--sparsity", "less than 1"]),
        (&["-o", "out", "--sparsity=-0.1"], &["--sparsity", "between 0 and 1"]),
        (&["-o", "out", "--sparsity", "nan"], &["--sparsity", "between 0 and 1"]),
        (&["-o", "out", "--pattern", "2:4", "--sparsity", "0.5"], &["N:M", "leave --sparsity out"]),
        (&["-o", "out", "--pattern", "2:4", "--allocation", "erk"], &["N:M", "leave --allocation out"]),
        (&["-o", "out", "--pattern", "element"], &["--sparsity"]),
        (&["-o", "out", "--pattern", "channel"], &["--sparsity RATE, --params RATE"]),
        (&["-o", "out", "--params", "0.5", "--sparsity", "0.5"], &["--params", "--sparsity"]),
        (&["-o", "out", "--sparsity", "0.5", "--round-to", "8"], &["--round-to is about channels"]),
        (&["-o", "out", "--pattern", "channel", "--macs", "0.5", "--criterion", "magnitude"], &["magnitude"]),
        (&["-o", "out", "--pattern", "channel", "--macs", "0.5", "--mask", "q"], &["a plan (--plan)"]),
        (&["-o", "out", "--pattern", "4:4"], &["--pattern", "1 ≤ N < M ≤ 32"]),
        (&["-o", "out", "--sparsity", "0.5", "--criterion", "variance"], &["variance", "magnitude, random:SEED"]),
        (&["-o", "out", "--sparsity", "0.5", "--criterion", "random"], &["random:7"]),
        (&["-o", "out", "--sparsity", "0.5", "--criterion", "size"], &["`size`", "wanda:FILE"]),
        (&["-o", "out", "--sparsity", "0.5", "--criterion", "random:1", "--allocation", "lamp"], &["lamp", "leave it"]),
        (&["-o", "out", "--sparsity", "0.5", "--criterion", "random:1", "--allocation", "moments"], &["does not go"]),
        (
            &["-o", "out", "--sparsity", "0.5", "--keep", "smallest", "--allocation", "lamp"],
            &["lamp", "--keep smallest"],
        ),
        (
            &["-o", "out", "--sparsity", "0.5", "--keep", "smallest", "--allocation", "moments"],
            &["smallest magnitudes"],
        ),
        (&["-o", "out", "--sparsity", "0.5", "--allocation", "fair"], &["fair", "uniform, global, erk"]),
        (&["-o", "out", "--sparsity", "0.5", "--keep", "most"], &["largest or smallest"]),
        (&["-o", "out", "--sparsity", "0.5", "--format", "csv"], &["table or json"]),
        (&["-o", "out", "--sparsity", "0.5", "--from-plan", "p"], &["--from-plan", "--sparsity"]),
        (&["-o", "out", "--pattern", "2:4", "--from-mask", "p"], &["--from-mask", "--pattern"]),
        (&["-o", "out", "--sparsity", "-0.1"], &["--sparsity", "between 0 and 1"]),
        (&["-o", "out", "--from-mask", "p", "--plan", "q"], &["--from-mask", "--plan"]),
        (&["-o", "out", "--from-mask", "p", "--from-plan", "p"], &["--from-mask", "--from-plan"]),
        (&["-o", "out", "--sparsity", "0.5", "--dry-run"], &["--dry-run", "--output"]),
        (&["--mask", "out", "--sparsity", "0.5", "--dry-run"], &["--dry-run", "--mask"]),
        (&["-o", "m", "--sparsity", "0.5", "--force"], &["m: ", "is the model", "name another"]),
        (&["-o", "./m", "--sparsity", "0.5"], &["is the model"]),
        (&["-o", "out", "--mask", "m", "--sparsity", "0.5", "--force"], &["m: ", "is the model"]),
        (&["-o", "out", "--plan", "m", "--sparsity", "0.5", "--force"], &["m: ", "is the model"]),
        (&["-o", "old", "--sparsity", "0.5"], &["old: ", "add --force"]),
        (&["-o", "out", "--mask", "old", "--sparsity", "0.5"], &["old: ", "add --force"]),
        (&["-o", "out", "--plan", "old", "--sparsity", "0.5"], &["old: ", "add --force"]),
        (&["-o", "out", "--mask", "./out", "--sparsity", "0.5", "--force"], &["--mask ./out: -o names it, too"]),
        (&["-o", "out", "--plan", "out", "--sparsity", "0.5"], &["--plan out: -o names it, too"]),
        (&["-o", "out", "--plan", "old", "--mask", "./old", "--sparsity", "0.5", "--force"], &["names it, too"]),
        (&["-o", "out", "--plan", "new", "--mask", "new", "--sparsity", "0.5"], &["--plan new: --mask names it, too"]),
        (&["-o", "out", "--from-plan", "old", "--plan", "./old", "--force"], &["--from-plan reads it"]),
        (&["-o", "old", "--from-mask", "old", "--force"], &["-o old: --from-mask reads it"]),
        (&["-o", "old/", "--sparsity", "0.5", "--force"], &["old/: ", "name a file"]),
        (&["-o", "out", "--plan", ".", "--sparsity", "0.5", "--force"], &["--plan .: ", "regular file"]),
        (&["-o", "new/", "--sparsity", "0.5"], &["new/: ", "name a file"]),
        (&["-o", "new.onnx", "--sparsity", "0.5"], &["new.onnx: ", ".safetensors"]),
    ] {
        let told = prune(&folder, arguments).code(2).stdout("").stderr(starts_with("error: "));
        let told = String::from_utf8(told.get_output().stderr.clone()).expect("UTF-8");
        parts.iter().for_each(|part| assert!(told.contains(part), "{arguments:?}: {part} is missing: {told}"));
        assert_eq!(contents(&folder.path("")), before, "{arguments:?}");
    }
}

#[test]
fn a_folder_model_keeps_its_files() {
    let folder = Folder::new();
    for name in ["m", "empty"] {
        fs::create_dir(folder.path(name)).expect("a new folder");
    }
    folder.write("m/model.safetensors", file_of(&small(), &[]));
    folder.write("m/config.json", "{}");
    let before = contents(&folder.path(""));
    for (arguments, parts) in [
        (&["-o", "out", "--plan", "m/config.json"][..], &["--plan m/config.json: ", "of it"][..]),
        (&["-o", "out", "--mask", "m/config.json"], &["--mask m/config.json: ", "of it"]),
        (&["-o", "out", "--mask", "m/model.safetensors"], &["of it"]),
        (&["-o", "out", "--mask", "m/new"], &["--mask m/new: ", "inside the model's folder"]),
        (&["-o", "out", "--plan", "empty/../m/new"], &["inside the model's folder"]),
        (&["-o", "empty", "--mask", "empty/m"], &["--mask empty/m: ", "inside -o"]),
        (&["-o", "out", "--plan", "out/plan"], &["--plan out/plan: ", "inside -o"]),
    ] {
        let told = prune(&folder, &[arguments, &["--sparsity", "0.5", "--force"]].concat()).code(2).stdout("");
        let told = String::from_utf8(told.get_output().stderr.clone()).expect("UTF-8");
        parts.iter().for_each(|part| assert!(told.contains(part), "{arguments:?}: {part} is missing: {told}"));
        assert_eq!(contents(&folder.path("")), before, "{arguments:?}");
    }
    assert!(fs::read_dir(folder.path("empty")).is_ok(), "it is still there");
}

/// A mask of `w2` as it should be, but for what a case changes.
fn mask(dtype: Dtype, shape: &[u64], words: &[u32], of: &str, stated: Option<&str>) -> Vec<u8> {
    let mask = Made::new(of, dtype, shape, words.iter().flat_map(|word| word.to_le_bytes()).collect());
    file_of(&[mask], &stated.map(|shape| (of, shape)).into_iter().collect::<Vec<_>>())
}

#[test]
fn bad_files_exit_1_in_one_line_and_leave_nothing() {
    let folder = with_small();
    folder.write("old", "old");
    let tensor = |name: &str, dtype: &str, shape: &str, cut: u64| {
        format!(r#"{{"name": "{name}", "dtype": "{dtype}", "shape": {shape}, "count": 8, "cut": {cut}}}"#)
    };
    let plan = |tensors: &str, pattern: &str, criterion: &str| {
        format!(
            r#"{{"secateur": "0", "pattern": "{pattern}", "criterion": "{criterion}", "keep": "largest", "tensors": [{tensors}]}}"#
        )
    };
    let good = tensor("w2", "F32", "[2, 4]", 3);
    let element = |tensors: &str| plan(tensors, "element", "magnitude");
    let u32 = Dtype::U32;
    type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str]);
    let cases: [Case<'_>; 23] = [
        ("plan", b"{".to_vec(), &["given: ", "no plan", "--plan writes one"]),
        ("plan", b"[1]".to_vec(), &["given: ", "no plan"]),
        ("plan", vec![0xff; 9], &["given: ", "no plan"]),
        ("plan", element(&tensor("w3", "F32", "[2, 4]", 1)).into(), &["`w3`", "not for this model", "no such tensor"]),
        ("plan", element(&tensor("w2", "F32", "[4, 2]", 1)).into(), &["`w2`", "[4, 2] in the plan", "[2, 4] in the"]),
        ("plan", element(&tensor("w2", "BF16", "[2, 4]", 1)).into(), &["`w2`", "BF16", "F32"]),
        ("plan", element(&tensor("w2", "F32", "[2, 4]", 9)).into(), &["`w2`", "9 of its 8"]),
        ("plan", element(&tensor("steps", "I64", "[]", 1)).into(), &["`steps`", "I64"]),
        ("plan", element(&format!("{good}, {good}")).into(), &["`w2`", "twice"]),
        ("plan", plan(&tensor("w10", "F32", "[1, 5]", 2), "2:4", "magnitude").into(), &["`w10`", "no multiple of 4"]),
        ("plan", plan(&tensor("bias", "F32", "[2]", 1), "1:2", "magnitude").into(), &["`bias`", "no input axis"]),
        ("plan", plan(&good, "element", "wanda:nowhere").into(), &["nowhere"]),
        ("mask", b"no mask".to_vec(), &["given: "]),
        ("mask", mask(u32, &[1], &[255], "w3", Some("[2,4]")), &["given: ", "`w3`", "no such tensor"]),
        ("mask", mask(u32, &[1], &[0], "steps", Some("[]")), &["`steps`", "I64"]),
        ("mask", mask(u32, &[2], &[255, 0], "w2", Some("[2,4]")), &["`w2`", "U32 [1]"]),
        ("mask", mask(u32, &[1, 1], &[255], "w2", Some("[2,4]")), &["`w2`", "U32 [1]"]),
        ("mask", mask(Dtype::F32, &[1], &[255], "w2", Some("[2,4]")), &["`w2`", "F32", "U32 [1]"]),
        ("mask", mask(u32, &[1], &[255], "w2", Some("[4,2]")), &["`w2`", "[4,2]", "[2, 4]"]),
        ("mask", mask(u32, &[1], &[255], "w2", Some("2x4")), &["`w2`", "2x4"]),
        ("mask", mask(u32, &[1], &[255], "w2", None), &["`w2`", "metadata"]),
        ("mask", mask(u32, &[1], &[0x1ff], "w2", Some("[2,4]")), &["`w2`", "beyond the last element"]),
        ("mask", mask(u32, &[1], &[1 << 31], "w2", Some("[2,4]")), &["`w2`", "beyond the last element"]),
    ];
    let one_line = || predicate::function(|text: &str| text.lines().count() == 1);
    for (kind, bytes, parts) in cases {
        folder.write("given", &bytes);
        let before = contents(&folder.path(""));
        let from = format!("--from-{kind}");
        let sides = if kind == "plan" { &["--plan", "plan"][..] } else { &[] };
        for out in [&["-o", "out"][..], &[&["-o", "old", "--force", "--mask", "masks"], sides].concat()] {
            let told = prune(&folder, &[out, &[&from, "given"]].concat()).code(1).stdout("").stderr(one_line());
            let told = String::from_utf8(told.get_output().stderr.clone()).expect("UTF-8");
            parts.iter().for_each(|part| assert!(told.contains(part), "{kind} {parts:?}: {told}"));
            assert_eq!(contents(&folder.path("")), before, "{told}");
        }
    }
    for (arguments, part) in [
        (&["--sparsity", "0.5", "--only", "w3"][..], "--only"),
        (&["--sparsity", "0.5", "--skip", "w*"], "nothing to cut: of its 4 tensors none is eligible"),
        (&["--pattern", "2:4", "--only", "w10"], "nothing to cut"),
        (&["--pattern", "5:7"], "of its 4 tensors none is eligible (`w2`: its input axis"),
        (&["--from-plan", "."], "no regular file"),
        (&["--from-plan", "none.json"], "none.json: "),
        (&["--from-mask", "none.safetensors"], "none.safetensors: "),
        (&["--sparsity", "0.5", "--criterion", "wanda:none.safetensors"], "none.safetensors: "),
        (&["--sparsity", "0.5", "--criterion", "wanda:m"], "norms are F32"),
        (&["--sparsity", "0.5", "--plan", "nowhere/plan"], "nowhere/plan"),
    ] {
        let before = contents(&folder.path(""));
        prune(&folder, &[&["-o", "out"], arguments].concat()).code(1).stdout("").stderr(one_line().and(contains(part)));
        assert_eq!(contents(&folder.path("")), before, "{arguments:?}");
    }
}

#[test]
fn hostile_plans_do_no_harm() {
    let folder = Folder::new();
    let empty = |name: &str, shape: &[u64]| Made::f32(name, shape, &[]);
    let tensors = [
        empty("a", &[0, 4]),
        empty("b", &[4, 0]),
        empty("c", &[2, 4, 0]),
        empty("d", &[0]),
        empty("e", &[1 << 40, 4, 0]),
    ];
    folder.write("m", file_of(&tensors, &[]));
    for pattern in ["element", "2:4"] {
        for tensor in &tensors {
            let planned = json!({"name": tensor.name, "dtype": "F32", "shape": tensor.shape, "count": 0, "cut": 0});
            let plan = json!({"secateur": "0", "pattern": pattern, "criterion": "magnitude", "keep": "largest",
                "tensors": [planned]});
            folder.write("plan", plan.to_string());
            let done = prune(&folder, &["-o", "out", "--from-plan", "plan", "--force", "--mask", "masks", "--quiet"]);
            let told = done.get_output();
            assert!(matches!(told.status.code(), Some(0 | 1)), "{tensor:?} {pattern}: {told:?}");
        }
    }
}

#[test]
fn the_summary_is_what_the_manual_says() {
    let folder = with_small();
    let found = summary(&folder, &["-o", "out", "--sparsity", "0.5"]);
    let size = fs::metadata(folder.path("m")).expect("it is there").len();
    let engine = found["engine"].clone();
    assert_eq!((&engine["kind"], engine["name"].is_string()), (&json!("cpu"), true));
    assert!(found["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    let expected = json!({
        "tensors": [
            {"name": "w2", "shape": [2, 4], "count": 8, "cut": 4, "zeros_before": 1, "zeros_after": 4, "threshold": 1.0,
             "new_shape": [2, 4]},
            {"name": "w10", "shape": [1, 5], "count": 5, "cut": 2, "zeros_before": 0, "zeros_after": 2,
             "threshold": 2.0, "new_shape": [1, 5]},
        ],
        "total": {"count": 13, "cut": 6, "sparsity": 6.0 / 13.0, "bytes_before": size, "bytes_after": size},
        "left_out": [
            {"name": "bias", "reason": "fewer than two dimensions"},
            {"name": "steps", "reason": "I64 is not a floating format that is pruned"},
        ],
        "engine": engine,
        "seconds": null,
    });
    assert_eq!(timeless(found), expected);
    let mut tensors = small();
    tensors[0].bytes = tensors[0].without([0, 2, 5, 6]);
    tensors[1].bytes = tensors[1].without([0, 1]);
    // Order, metadata and all that was not cut are as they were.
    assert_eq!(fs::read(folder.path("out")).expect("written"), file_of(&tensors, &[("format", "pt")]));

    let found = summary(&folder, &["--pattern", "2:4", "--dry-run"]);
    assert_eq!((&found["tensors"][0]["threshold"], &found["tensors"][0]["cut"]), (&Value::Null, &json!(4)));
    let found = summary(&folder, &["--sparsity", "0", "--dry-run"]);
    assert_eq!((&found["tensors"][0]["threshold"], &found["total"]["sparsity"]), (&Value::Null, &json!(0.0)));
}

#[test]
fn the_table_fits_80_columns() {
    let folder = Folder::new();
    let long = format!("model.layers.17.{}.weight", "block_sparse_moe.experts".repeat(3));
    let tensors = [
        Made::f32("b\u{1b}[2J\u{202e}", &[2, 4], &[1.5e-30, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        Made::f32(&long, &[100, 200], &[0.25; 20_000]),
        Made::f32("fc.weight", &[1, 8], &[1.0, f32::INFINITY, 0.0, 1e30, -2.0, 3.0, 4.0, 1e-9]),
        Made::f32("lm_head.weight", &[1, 1], &[1.0]),
        Made::f32("fc.bias", &[1], &[1.0]),
        Made::f32("norm.weight", &[1], &[1.0]),
    ];
    folder.write("m", file_of(&tensors, &[]));
    let done = prune(&folder, &["-o", "out", "--sparsity", "0.5"]).success().stderr("");
    let table = String::from_utf8(done.get_output().stdout.clone()).expect("UTF-8");
    assert!(table.lines().all(|line| line.trim_end() == line), "{table:?}");
    assert!(table.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80), "{table}");
    insta::with_settings!({filters => vec![(r"\d+\.\d\d s", "[time]"), (r"cpu: .*", "cpu: [name]")]}, {
        insta::assert_snapshot!("table", table);
    });
    prune(&folder, &["-o", "quiet", "--sparsity", "0", "--quiet"]).success().stderr("");
    let warning = starts_with("warning: nothing was cut");
    prune(&folder, &["-o", "little", "--sparsity", "0.000001"]).success().stderr(warning);
}

#[test]
fn what_nan_keeps_is_said() {
    let folder = Folder::new();
    let of = |n: usize| Made::f32("w", &[2, 4], &[&vec![f32::NAN; n][..], &vec![1.0; 8 - n]].concat());
    for allocation in ["uniform", "global"] {
        for (nan, told) in [(8, "warning: nothing was cut: what was to be is NaN"), (6, "warning: 2 of the 4 weights")]
        {
            folder.write("m", file_of(&[of(nan)], &[]));
            let arguments = ["--dry-run", "--sparsity", "0.5", "--allocation", allocation];
            prune(&folder, &arguments).success().stderr(starts_with(told));
            prune(&folder, &[&arguments[..], &["--quiet"]].concat()).success().stderr("");
        }
        folder.write("m", file_of(&[of(4)], &[]));
        prune(&folder, &["--dry-run", "--sparsity", "0.5", "--allocation", allocation]).success().stderr("");
    }
}

#[test]
fn the_reason_for_nothing_to_cut_is_the_telling_one() {
    let folder = with_small();
    let told = |arguments: &[&str]| {
        let done = prune(&folder, &[&["--dry-run"], arguments].concat()).code(1);
        String::from_utf8(done.get_output().stderr.clone()).expect("UTF-8")
    };
    let pattern = told(&["--pattern", "5:7"]);
    assert!(pattern.contains("`w2`: its input axis (axis 1) has 4 elements, no multiple of 7; `w10`"), "{pattern}");
    assert!(!pattern.contains("--only"), "{pattern}");
    let rank = told(&["--sparsity", "0.5", "--skip", "w*"]);
    assert!(rank.contains("`w2` and 1 other: skipped by --skip") && rank.contains("--only 'GLOB'"), "{rank}");
}

#[test]
fn a_plan_finds_its_norms_from_anywhere() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).expect("a new folder");
    folder.write("m", file_of(&[Made::f32("w", &[1, 4], &[1.0, 2.0, 3.0, 4.0])], &[]));
    folder.write("norms", file_of(&[Made::f32("w", &[4], &[9.0, 1.0, 1.0, 1.0])], &[]));
    prune(&folder, &["--dry-run", "--sparsity", "0.5", "--criterion", "wanda:norms", "--plan", "plan"]).success();
    let again = ["prune", "../m", "--engine", "cpu", "--from-plan", "../plan", "-o", "../out"];
    cargo_bin_cmd!("secateur").current_dir(folder.path("sub")).args(again).assert().success();
    assert!(folder.path("out").exists());
}
