//! Plans and masks that are saved do the same again.
#![cfg(feature = "cli")]

#[path = "files/copies.rs"]
mod copies;
mod files;
#[path = "files/models.rs"]
mod models;

use std::fs;

use assert_cmd::cargo::cargo_bin_cmd;
use copies::names;
use files::Folder;
use models::{FLOATS, Made, bytes_of, file_of};
use secateur::{Checkpoint, Dtype};
use serde_json::Value;

/// Runs in `folder`, in which the model is `m`.
fn prune(folder: &Folder, arguments: &[&str]) -> Value {
    let done = cargo_bin_cmd!("secateur")
        .current_dir(folder.path(""))
        .args(["prune", "m", "--engine", "cpu", "--format", "json", "--force", "--quiet"])
        .args(arguments)
        .assert()
        .success();
    let mut found: Value = serde_json::from_slice(&done.get_output().stdout).expect("JSON");
    found["seconds"] = Value::Null;
    found
}

/// A model of awkward weights of several formats, with norms for each.
fn model() -> Folder {
    let folder = Folder::new();
    let made = [
        Made::awkward("a10", Dtype::BF16, &[9, 8, 3], 1),
        Made::awkward("a9", Dtype::F32, &[5, 24], 2),
        Made::awkward("b", Dtype::F8_E4M3, &[4, 16], 3),
        Made::awkward("bias", Dtype::F16, &[7], 4),
    ];
    folder.write("m", file_of(&made, &[]));
    let norms: Vec<f32> = (0..24).map(|i| (i % 5) as f32).collect();
    let norms = [("a10", 8), ("a9", 24), ("b", 16)].map(|(name, n)| Made::f32(name, &[n as u64], &norms[..n]));
    folder.write("norms", file_of(&norms, &[]));
    folder
}

const CASES: [&[&str]; 11] = [
    &["--sparsity", "0.5"],
    &["--sparsity", "0.5", "--keep", "smallest"],
    &["--sparsity", "0.9", "--allocation", "global"],
    &["--sparsity", "0.5", "--allocation", "erk"],
    &["--sparsity", "0.5", "--allocation", "lamp"],
    &["--sparsity", "0.5", "--allocation", "variance"],
    &["--sparsity", "0.5", "--allocation", "moments"],
    &["--sparsity", "0.5", "--only", "b*"],
    &["--pattern", "3:8"],
    &["--sparsity", "0.5", "--criterion", "random:3", "--allocation", "global"],
    &["--sparsity", "0.5", "--criterion", "wanda:norms"],
];

#[test]
fn a_plan_and_a_mask_give_the_same_bytes() {
    let folder = model();
    let read = |name: &str| fs::read(folder.path(name)).expect("written");
    for arguments in CASES {
        let done = prune(&folder, &[&["-o", "out", "--plan", "plan", "--mask", "mask"], arguments].concat());
        assert_ne!(read("out"), read("m"), "{arguments:?}");
        let again = prune(&folder, &["-o", "again", "--from-plan", "plan", "--mask", "mask-2", "--plan", "plan-2"]);
        assert!(read("again") == read("out") && read("mask-2") == read("mask"), "{arguments:?}");
        assert_eq!((&again["tensors"], &again["total"]), (&done["tensors"], &done["total"]), "{arguments:?}");
        assert_eq!(read("plan-2"), read("plan"), "{arguments:?}");
        let masked = prune(&folder, &["-o", "masked", "--from-mask", "mask", "--mask", "mask-3"]);
        assert!(read("masked") == read("out") && read("mask-3") == read("mask"), "{arguments:?}");
        assert_eq!(masked["total"], done["total"], "{arguments:?}");
    }
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let folder = model();
    for arguments in CASES {
        let before = names(&folder.path(""));
        let dry = prune(&folder, &[&["--dry-run"], arguments].concat());
        assert_eq!(names(&folder.path("")), before, "{arguments:?}");
        assert_eq!(prune(&folder, &[&["-o", "out"], arguments].concat()), dry, "{arguments:?}");
        fs::remove_file(folder.path("out")).expect("written");
        // But for the plan, if it is asked for.
        prune(&folder, &[&["--dry-run", "--plan", "plan"], arguments].concat());
        prune(&folder, &["-o", "planned", "--from-plan", "plan"]);
        prune(&folder, &[&["-o", "out"], arguments].concat());
        assert!(bytes_of(&folder.path("planned"), "a9") == bytes_of(&folder.path("out"), "a9"), "{arguments:?}");
        for name in ["plan", "planned", "out"] {
            fs::remove_file(folder.path(name)).expect("written");
        }
    }
}

#[test]
fn parts_of_plans_and_masks() {
    let folder = model();
    prune(&folder, &["-o", "out", "--sparsity", "0.5", "--plan", "plan", "--mask", "mask"]);
    let of = |file: &str, name: &str| bytes_of(&folder.path(file), name);
    for (arguments, taken) in [
        (&["--only", "a*"][..], &["a10", "a9"][..]),
        (&["--skip", "a9"], &["a10", "b"]),
        (&["--only", "a*", "--skip", "a1*"], &["a9"]),
    ] {
        for from in [["--from-plan", "plan"], ["--from-mask", "mask"]] {
            let found = prune(&folder, &[&["-o", "part"][..], &from, arguments].concat());
            for name in ["a10", "a9", "b", "bias"] {
                let source = if taken.contains(&name) { "out" } else { "m" };
                assert!(of("part", name) == of(source, name), "{from:?} {arguments:?}: {name}");
            }
            let named = |list: &Value| {
                let names = list.as_array().expect("an array").iter();
                names.map(|t| t["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(named(&found["tensors"]).len(), taken.len(), "{from:?} {arguments:?}");
            assert_eq!(named(&found["left_out"]).len(), 4 - taken.len(), "{from:?} {arguments:?}");
        }
    }
}

#[test]
fn a_mask_is_what_the_manual_says() {
    let folder = model();
    prune(&folder, &["-o", "out", "--sparsity", "0.5", "--mask", "mask"]);
    let masks = Checkpoint::open(folder.path("mask")).expect("a good file");
    let shapes = masks.metadata().expect("metadata");
    assert_eq!(masks.tensors().len(), 3);
    for (name, shape) in [("a10", "[9,8,3]"), ("a9", "[5,24]"), ("b", "[4,16]")] {
        assert_eq!(shapes[name].replace(' ', ""), shape);
        let (before, after) = (bytes_of(&folder.path("m"), name), bytes_of(&folder.path("out"), name));
        let mask = bytes_of(&folder.path("mask"), name);
        let count = shape.trim_matches(['[', ']']).split(',').map(|n| n.parse::<usize>().expect("a number")).product();
        let width = before.len() / count;
        let bit = |i: usize| mask[i / 8] >> (i % 8) & 1 == 1;
        for i in 0..count {
            let part = i * width..(i + 1) * width;
            let want = if bit(i) { before[part.clone()].to_vec() } else { vec![0; width] };
            assert_eq!(after[part], want, "{name} {i}");
        }
        assert!(
            mask.len().is_multiple_of(4) && (count..mask.len() * 8).all(|i| !bit(i)),
            "{name}: bits beyond the last"
        );
    }
}

#[test]
fn a_mask_cuts_no_nan() {
    let folder = Folder::new();
    for dtype in FLOATS {
        let made = Made::awkward("w", dtype, &[5, 13], 9);
        folder.write("m", file_of(std::slice::from_ref(&made), &[]));
        let nothing = Made::new("w", Dtype::U32, &[3], vec![0; 12]);
        folder.write("given", file_of(&[nothing], &[("w", "[5,13]")]));
        let found = prune(&folder, &["-o", "out", "--from-mask", "given", "--mask", "mask"]);
        let nan: Vec<bool> = made.values().iter().map(|x| x.is_nan()).collect();
        let cut = (0..nan.len()).filter(|i| !nan[*i]);
        assert_eq!(bytes_of(&folder.path("out"), "w"), made.without(cut.clone()), "{dtype}");
        assert_eq!(found["total"]["cut"], cut.count(), "{dtype}");
        let mask = bytes_of(&folder.path("mask"), "w");
        assert!((0..96).all(|i| (mask[i / 8] >> (i % 8) & 1 == 1) == nan.get(i).is_some_and(|nan| *nan)), "{dtype}");
    }
}
