//! `secateur report` as a user runs it. What pages do in a browser is tested in tests/browser.
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

const MODEL: &str = "examples/data/cnn.safetensors";
const NARROW: &str = "examples/data/cnn-bf16.safetensors";

fn secateur(arguments: &[&str]) -> Output {
    cargo_bin_cmd!("secateur").args(arguments).output().expect("the binary runs")
}

fn succeeds(arguments: &[&str]) -> Output {
    let done = secateur(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done
}

/// A page on stdout.
fn page(arguments: &[&str]) -> String {
    let all = [&["report", "--engine", "cpu"], arguments].concat();
    String::from_utf8(succeeds(&all).stdout).expect("UTF-8")
}

/// What a page's script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("data");
    let (json, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

fn column<'v>(data: &'v Value, name: &str) -> &'v Vec<Value> {
    data["tensors"][name].as_array().unwrap_or_else(|| panic!("{name}"))
}

fn place(data: &Value, name: &str) -> usize {
    column(data, "name").iter().position(|found| found == name).unwrap_or_else(|| panic!("{name}"))
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("UTF-8").to_owned()
}

fn write(path: &str, tensors: &[(&str, Vec<usize>, Vec<f32>)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, weights)| weights.iter().flat_map(|w| w.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor")));
    safetensors::serialize_to_file(views, None, Path::new(path)).expect("written");
}

#[test]
fn a_page_needs_nothing_else_and_shows_every_tensor() {
    let page = page(&[MODEL]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for heading in ["Totals", "Weights", "Layers", "Outliers", "What pruning would cut", "Tensors", "Not analysed"] {
        assert!(page.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    // The only address is the name of SVG's elements.
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count() + 1, "http-equiv");
    for loads in ["src=", "<link", "@import", "url(", "fetch("] {
        assert!(!page.contains(loads), "{loads}");
    }
    let data = data(&page);
    assert_eq!(column(&data, "name").len(), 24);
    assert!(page.len() < 300_000, "{} bytes", page.len());
    assert!(page == self::page(&[MODEL]), "the same model gives the same page");
    let others = self::page(&[MODEL, "--threads", "3"]);
    // But for the line that says what computed.
    let rest = |page: &str| page.lines().filter(|line| !line.contains("Computed on the")).collect::<String>();
    assert!(rest(&page) == rest(&others), "threads change nothing");
}

#[test]
fn statistics_are_those_of_stats() {
    let stats = succeeds(&["stats", "--engine", "cpu", NARROW, "--format", "json"]).stdout;
    let stats: Value = serde_json::from_slice(&stats).expect("JSON");
    let data = data(&page(&[NARROW]));
    for entry in stats["tensors"].as_array().expect("tensors") {
        let at = place(&data, entry["name"].as_str().expect("a name"));
        for name in ["count", "zeros", "nan", "inf"] {
            assert_eq!(column(&data, name)[at], entry[name], "{name} of {}", entry["name"]);
        }
        for name in ["mean", "variance", "skewness", "kurtosis", "min", "max", "l1", "l2"] {
            let (found, want) = (column(&data, name)[at].as_f64(), entry[name].as_f64());
            let (Some(found), Some(want)) = (found, want) else {
                assert_eq!(found, want, "{name} of {}", entry["name"]);
                continue;
            };
            assert!((found - want).abs() <= 1e-4 * want.abs().max(1e-6), "{name} of {}: {found} {want}", entry["name"]);
        }
    }
}

/// Of 16 bits the page foretells to the weight what prune then does.
#[test]
fn prospects_are_what_prune_plans() {
    let data = data(&page(&[NARROW]));
    for (i, rate) in ["0.3", "0.5", "0.7", "0.9"].into_iter().enumerate() {
        for (allocation, exact) in [("global", true), ("uniform", false)] {
            let folder = tempfile::tempdir().expect("a folder");
            let out = path(&folder, "cut.safetensors");
            let plan = ["prune", NARROW, "-o", &out, "--engine", "cpu", "--sparsity", rate, "--allocation", allocation];
            let plan = succeeds(&[&plan[..], &["--format", "json"]].concat()).stdout;
            let plan: Value = serde_json::from_slice(&plan).expect("JSON");
            let tensors = plan["tensors"].as_array().expect("tensors");
            assert!(!tensors.is_empty());
            for tensor in tensors {
                let at = place(&data, tensor["name"].as_str().expect("a name"));
                assert_eq!(column(&data, "left_out")[at], Value::Null);
                if exact {
                    assert_eq!(column(&data, "global")[at][i], tensor["cut"], "{rate} of {}", tensor["name"]);
                } else {
                    let (found, want) = (column(&data, "uniform")[at][i].as_f64(), tensor["threshold"].as_f64());
                    let (found, want) = (found.expect("a threshold"), want.expect("a threshold"));
                    assert!((found / want - 1.0).abs() < 1e-4, "{rate} of {}: {found} {want}", tensor["name"]);
                }
            }
        }
    }
}

#[test]
fn two_models_say_what_was_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, html) = (path(&folder, "half.safetensors"), path(&folder, "pair.html"));
    let cut = ["prune", NARROW, "-o", &out, "--engine", "cpu", "--sparsity", "0.6", "--format", "json"];
    let summary: Value = serde_json::from_slice(&succeeds(&cut).stdout).expect("JSON");
    succeeds(&["report", NARROW, &out, "-o", &html, "--engine", "cpu"]);
    let page = fs::read_to_string(html).expect("the page");
    assert!(
        page.contains("The files are as large as before")
            && page.contains("What is left is as it was, as far as how often each value occurs tells.")
    );
    let data = data(&page);
    for tensor in summary["tensors"].as_array().expect("tensors") {
        let at = place(&data, tensor["name"].as_str().expect("a name"));
        let gained = tensor["zeros_after"].as_u64().zip(tensor["zeros_before"].as_u64()).map(|(a, b)| a - b);
        assert_eq!(data["changes"]["cut"][at].as_u64(), gained);
        assert_eq!(data["changes"]["only_cut"][at], true);
        let (found, want) = (data["changes"]["high"][at].as_f64(), tensor["threshold"].as_f64());
        let (found, want) = (found.expect("a threshold"), want.expect("a threshold"));
        assert!((found / want - 1.0).abs() < 1e-4, "{found} {want}");
    }
}

#[test]
fn names_are_text_wherever_they_stand() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (path(&folder, "<script>alert(0)<!--.safetensors"), path(&folder, "b.safetensors"));
    let names = [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(2)>.0.weight",
        "\"><svg onload=alert(3)>",
        "]]><!--\u{2028}\u{202e}\u{1b}[2J\u{0}",
        "__proto__",
        "a&lt;b",
    ];
    let ramp: Vec<f32> = (0..40).map(|i| i as f32 - 19.0).collect();
    let tensors: Vec<_> = names.iter().map(|name| (*name, vec![5, 8], ramp.clone())).collect();
    write(&a, &tensors);
    write(&b, &tensors[1..].iter().map(|(n, s, w)| (*n, s.clone(), w[..].to_vec())).collect::<Vec<_>>());
    let alone = page(&[&a]);
    assert!(alone.contains("&lt;img src=x") && alone.contains("a&amp;lt;b"));
    for page in [alone, page(&[&a, &b])] {
        assert_eq!(page.matches("<script").count(), 2, "its data and its own");
        for evil in ["<img", "<svg onload", "alert(1)</script>", "\u{202e}", "\u{1b}", "\u{2028}", "<!--"] {
            assert!(!page.contains(evil), "{evil:?}");
        }
        assert!(page.contains("script-src 'sha256-"), "only its own script may run");
    }
}

#[test]
fn awkward_models_have_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = path(&folder, "odd.safetensors");
    let tensors = [
        ("constant", vec![4, 4], vec![0.25; 16]),
        ("empty", vec![0, 4], vec![]),
        ("huge", vec![2, 2], vec![3e38, -3e38, 1.0, 2.0]),
        ("infinite", vec![2, 2], vec![f32::INFINITY, 1.0, 2.0, f32::NEG_INFINITY]),
        ("nan", vec![3, 3], vec![f32::NAN; 9]),
        ("scalar", vec![], vec![3.0]),
        ("tiny", vec![2, 2], vec![1e-42, -1e-42, 0.0, 2e-45]),
        ("zero", vec![4, 4], vec![0.0; 16]),
    ];
    write(&model, &tensors);
    let whole = data(&page(&[&model]));
    assert_eq!(column(&whole, "name").len(), 8);
    for (name, ..) in &tensors {
        let alone = page(&[&model, "--only", name]);
        assert_eq!(column(&data(&alone), "name").len(), 1);
        page(&[&model, &model, "--only", name]);
        let pictures = path(&folder, &format!("pictures-{name}"));
        succeeds(&["report", &model, "--only", name, "--format", "svg", "-o", &pictures]);
    }
    write(&model, &[]);
    assert!(page(&[&model]).contains("There is no tensor with weights."));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn pictures_are_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let formats = if cfg!(feature = "png") { &["svg", "png"][..] } else { &["svg"] };
    for format in formats {
        let out = path(&folder, format);
        succeeds(&["report", MODEL, "--only", "*.weight", "--format", format, "-o", &out]);
        let found = files(Path::new(&out));
        let named = |name: &str| found.iter().any(|file| file.ends_with(format!("{name}.{format}")));
        for name in ["histogram", "histogram-log", "magnitudes", "map-variance", "outliers", "prospects", "map-global"]
        {
            assert!(named(name), "{name}: {found:?}");
        }
        let of_tensors = found.iter().filter(|file| file.parent().is_some_and(|parent| parent.ends_with("tensors")));
        assert!(of_tensors.count() > 20, "{found:?}");
        for file in &found {
            let bytes = fs::read(file).expect("a picture");
            if *format == "svg" {
                let text = String::from_utf8(bytes).expect("UTF-8");
                assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{file:?}");
                assert!(text.contains("<title>") && text.contains("<desc>"), "{file:?}");
            } else {
                assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() > 4000, "{file:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused_before_the_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = path(&folder, "full");
    fs::create_dir(&full).expect("made");
    fs::write(path(&folder, "full/notes.txt"), "mine").expect("written");
    let (text, file, model) = (path(&folder, "page.txt"), path(&folder, "a.svg"), path(&folder, "m.html"));
    fs::write(&file, "mine").expect("written");
    fs::copy(MODEL, &model).expect("copied");
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "MODEL"),
        (&[MODEL, "-o", &text], 2, ".html"),
        (&[MODEL, "--format", "svg"], 2, "-o figures"),
        (&[MODEL, "--format", "svg", "-o", &full], 2, "not empty"),
        (&[MODEL, "--format", "svg", "-o", &file], 2, "folder"),
        (&[MODEL, "no-such-model"], 1, "no-such-model"),
        (&[MODEL, "--only", "nothing.at.all"], 1, "--only"),
        (&["--journal", "no-such-folder"], 1, "search.json"),
        (&[&model, "-o", &model], 2, "a file of the model"),
        (&[MODEL, MODEL, MODEL], 2, "unexpected"),
    ];
    for (arguments, status, says) in cases {
        let done = secateur(&[&["report"], *arguments].concat());
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(*status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert!(done.stdout.is_empty());
    }
    assert_eq!(files(folder.path()).len(), 3, "nothing new, and nothing half written");
}

#[test]
#[cfg(unix)]
fn a_journal_is_shown_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, journal) = (path(&folder, "out.safetensors"), path(&folder, "journal"));
    let script = path(&folder, "eval.sh");
    // The more zeros, the worse: the mean |w| of what is left falls.
    fs::write(
        &script,
        format!(
            "{} stats \"$1\" --format json | tr , '\\n' | grep -c '\"zeros\"' >/dev/null; echo 0.5\n",
            env!("CARGO_BIN_EXE_secateur")
        ),
    )
    .expect("written");
    let eval = format!("sh {script} {{model}}");
    let search = ["search", MODEL, "-o", &out, "--eval", &eval, "--floor", "0.4", "--evaluations", "4"];
    succeeds(&[&search[..], &["--strategy", "fixed", "--step", "20%", "--journal", &journal]].concat());
    let rounds = path(&folder, "journal/rounds.jsonl");
    // As a search leaves it that is writing now.
    let whole = fs::read_to_string(&rounds).expect("rounds");
    let torn = format!("{whole}{{\"round\":");
    fs::write(&rounds, &torn).expect("written");
    let shown = page(&["--journal", &journal]);
    assert_eq!(fs::read_to_string(&rounds).expect("rounds"), torn, "it is not for us to mend");
    assert!(shown.contains(">Search</h2>") && shown.contains("weights cut") && shown.contains(">chosen</td>"));
    assert_eq!(shown.matches("<th scope=\"row\">").count(), whole.lines().count());
    let both = page(&[MODEL, &out, "--journal", &journal]);
    assert!(both.contains(">Search</h2>") && both.contains(">What was cut</h2>"));
    fs::write(path(&folder, "journal/search.json"), "{}").expect("written");
    let done = secateur(&["report", "--journal", &journal]);
    assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains("is no journal's"));
}
