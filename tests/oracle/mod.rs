//! The oracle's answers in `tests/data/expected`, and the comparison that `tests/data/README.md` defines.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use secateur::stats::{Entry, Options, Statistics, Summary, analyse};
use secateur::{Checkpoint, Engine, Progress, Selection};
use serde_json::Value;

/// One file of `expected`: the question, and the answer.
pub(crate) struct Case {
    pub(crate) name: String,
    model: PathBuf,
    options: Options,
    expected: Value,
    /// |mean|/σ of each tensor's weights where that is more than 1: standardised values lose as much.
    offsets: BTreeMap<String, f64>,
}

/// All entries, and the summary.
pub(crate) type Answer = (Vec<Entry>, Summary);

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let folder = fs::read_dir("tests/data/expected").expect("the expected answers");
    let mut found: Vec<(String, Value)> = folder
        .map(|file| file.expect("a file").path())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a readable file");
            (path.file_stem().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let offsets: BTreeMap<String, BTreeMap<String, f64>> = found
        .iter()
        .filter(|(_, answer)| answer["by"] == "tensor" && answer["transform"] == "none")
        .map(|(_, answer)| (text(&answer["model"]).to_owned(), list(&answer["tensors"]).iter().map(offset).collect()))
        .collect();
    found
        .into_iter()
        .map(|(name, expected)| Case {
            name,
            model: text(&expected["model"]).into(),
            options: options(&expected),
            offsets: offsets.get(text(&expected["model"])).cloned().unwrap_or_default(),
            expected,
        })
        .collect()
}

fn offset(entry: &Value) -> (String, f64) {
    let ratio = match (entry["mean"].as_f64(), entry["variance"].as_f64()) {
        (Some(mean), Some(variance)) if variance > 0.0 => (mean.abs() / variance.sqrt()).max(1.0),
        _ => 1.0,
    };
    (text(&entry["name"]).to_owned(), ratio)
}

fn options(asked: &Value) -> Options {
    let only: Vec<String> = list(&asked["only"]).iter().map(|glob| text(glob).to_owned()).collect();
    Options {
        by: text(&asked["by"]).parse().expect("a grouping"),
        transform: text(&asked["transform"]).parse().expect("a transform"),
        quantiles: list(&asked["quantiles"]).iter().filter_map(Value::as_f64).collect(),
        histogram: asked["histogram"].as_u64().map(|bins| bins as usize),
        selection: Selection::new(&only, &[]).expect("good globs"),
        ..Options::default()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

impl Case {
    /// What `engine` answers within `memory_bytes`.
    pub(crate) fn answer(&self, engine: &Engine, memory_bytes: u64) -> Answer {
        let checkpoint = Checkpoint::open(&self.model).expect("the model");
        let options = Options { memory_bytes, ..self.options.clone() };
        let mut entries = Vec::new();
        let summary = analyse(&checkpoint, engine, &options, &Progress::default(), &mut |entry| {
            entries.push(entry);
            Ok(())
        });
        (entries, summary.expect("an analysis"))
    }

    /// A line for everything in which `answer` differs from the oracle's by more than `tolerance`.
    pub(crate) fn differences(&self, (entries, summary): &Answer, tolerance: f64) -> Vec<String> {
        let mut wrong = Vec::new();
        let expected = list(&self.expected["tensors"]);
        if entries.len() != expected.len() {
            wrong.push(format!("{} entries, expected {}", entries.len(), expected.len()));
        }
        for (ours, theirs) in entries.iter().zip(expected) {
            let label = format!("{} {:?}", ours.name, ours.group);
            let found = serde_json::to_value(ours).expect("JSON");
            for field in ["name", "dtype", "shape", "group"] {
                if found[field] != theirs[field] {
                    wrong.push(format!("{label}: {field} is {}, expected {}", found[field], theirs[field]));
                }
            }
            let offset = self.offsets.get(&ours.name).copied().unwrap_or(1.0);
            self.compare(&label, &ours.statistics, theirs, tolerance, offset, &mut wrong);
        }
        // That of the tensors which the oracle's files call so, at most.
        let offset = 1000.0;
        self.compare("total", &summary.total, &self.expected["total"], tolerance, offset, &mut wrong);
        let skipped: Vec<Value> = summary.skipped.iter().map(|s| serde_json::to_value(s).expect("JSON")).collect();
        let identity = |s: &Value| (s["name"].to_string(), s["dtype"].to_string());
        let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
            (skipped.iter().map(identity).collect(), list(&self.expected["skipped"]).iter().map(identity).collect());
        ours.sort();
        theirs.sort();
        if ours != theirs {
            wrong.push(format!("skipped {ours:?}, expected {theirs:?}"));
        }
        wrong
    }

    fn compare(
        &self,
        label: &str,
        ours: &Statistics,
        theirs: &Value,
        tolerance: f64,
        offset: f64,
        wrong: &mut Vec<String>,
    ) {
        let found = serde_json::to_value(ours).expect("JSON");
        let sizes = Sizes { of: theirs };
        for field in ["count", "nan", "inf", "zeros"] {
            if found[field] != theirs[field] {
                wrong.push(format!("{label}: {field} is {}, expected {}", found[field], theirs[field]));
            }
        }
        // Standardised means are differences of means, in units of σ, and so are what squares sum up to.
        let standardized = text(&self.expected["transform"]) == "standardize";
        let shift = if standardized { tolerance * offset } else { 0.0 };
        for field in ["mean", "variance", "skewness", "kurtosis", "l1", "l2"] {
            let least = match field {
                "mean" => shift,
                "l2" => shift * (ours.count as f64).sqrt(),
                _ => 0.0,
            };
            let allowed = tolerance * sizes.size(field) + least;
            differs(label, field, &found[field], &theirs[field], allowed, wrong);
        }
        // The extremes, and whatever else is a value.
        let close = |value: &Value| match text(&self.expected["transform"]) {
            "standardize" => shift + tolerance * value.as_f64().unwrap_or(0.0).abs(),
            // What is interpolated has the error of the values it is between.
            "log" => 8.0 * f64::EPSILON * theirs["abs_max"].as_f64().unwrap_or(0.0).max(1.0),
            _ => 0.0,
        };
        for field in ["min", "max", "abs_max"] {
            differs(label, field, &found[field], &theirs[field], close(&theirs[field]), wrong);
        }
        if let Some(quantiles) = theirs["quantiles"].as_object() {
            for (probability, value) in quantiles {
                let ours = &found["quantiles"][probability];
                differs(label, &format!("quantile {probability}"), ours, value, close(value), wrong);
            }
        }
        if self.options.histogram.is_some() {
            self.compare_histograms(label, &found, theirs, close, wrong);
        }
    }

    fn compare_histograms(
        &self,
        label: &str,
        ours: &Value,
        theirs: &Value,
        close: impl Fn(&Value) -> f64,
        wrong: &mut Vec<String>,
    ) {
        let at_edges = theirs["at_edges"].as_u64().unwrap_or(0);
        let (ours, theirs) = (&ours["histogram"], &theirs["histogram"]);
        let (Some(_), Some(counts)) = (ours.as_object(), theirs["counts"].as_array()) else {
            if ours != theirs {
                wrong.push(format!("{label}: histogram is {ours}, expected {theirs}"));
            }
            return;
        };
        let edges = list(&theirs["edges"]);
        let widest = [&edges[0], &edges[edges.len() - 1]].map(&close).into_iter().fold(0.0, f64::max);
        for (i, edge) in edges.iter().enumerate() {
            differs(label, &format!("edge {i}"), &ours["edges"][i], edge, widest, wrong);
        }
        let read = |counts: &Value| -> Vec<u64> { list(counts).iter().filter_map(Value::as_u64).collect() };
        let (ours, theirs) = (read(&ours["counts"]), read(&theirs["counts"]));
        let total: u64 = theirs.iter().sum();
        let moved: u64 = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).sum();
        if ours.len() != counts.len() || ours.iter().sum::<u64>() != total || moved > 2 * at_edges {
            wrong.push(format!("{label}: histogram counts are {ours:?}, expected {theirs:?}"));
        }
    }
}

/// What errors of an expected entry are relative to.
struct Sizes<'a> {
    of: &'a Value,
}

impl Sizes<'_> {
    fn size(&self, field: &str) -> f64 {
        let value = |field: &str| self.of[field].as_f64();
        let own = value(field).unwrap_or(0.0).abs();
        match field {
            // A variance beyond f64 is null: σ is at most the largest magnitude.
            "mean" => own.max(value("variance").map_or_else(|| value("abs_max").unwrap_or(0.0), f64::sqrt)),
            "skewness" => value("mean_abs_z3").unwrap_or(0.0).max(1.0),
            "kurtosis" => value("mean_z4").unwrap_or(0.0),
            _ => own,
        }
    }
}

fn differs(label: &str, field: &str, ours: &Value, theirs: &Value, allowed: f64, wrong: &mut Vec<String>) {
    let good = match (ours.as_f64(), theirs.as_f64()) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= allowed,
        _ => ours == theirs,
    };
    if !good {
        wrong.push(format!("{label}: {field} is {ours}, expected {theirs} ± {allowed:.1e}"));
    }
}
