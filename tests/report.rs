//! Every format with made-up entries, the awkward ones among them. Snapshots lie in tests/snapshots: look at them.
#![cfg(feature = "cli")]

use std::num::NonZeroU64;

use secateur::report::{Format, Header, Look};
use secateur::stats::{Entry, Grouping, Histogram, Options, Quantiles, Skipped, Statistics, Summary, Transform};
use secateur::{Dtype, EngineInfo, EngineKind, Fallback};

fn statistics(count: u64, mean: f64, variance: f64) -> Statistics {
    let spread = variance.sqrt();
    Statistics {
        count,
        nan: 0,
        inf: 0,
        zeros: Some(count / 7),
        mean: Some(mean),
        variance: Some(variance),
        skewness: Some(-0.0714),
        kurtosis: Some(3.25),
        min: Some(mean - 5.0 * spread),
        max: Some(mean + 4.0 * spread),
        abs_max: Some(mean.abs() + 5.0 * spread),
        l1: Some(count as f64 * spread),
        l2: Some((count as f64).sqrt() * spread),
        quantiles: None,
        histogram: None,
    }
}

/// No finite value at all.
fn undefined() -> Statistics {
    let mut s = statistics(3, 0.0, 0.0);
    (s.nan, s.inf, s.zeros) = (2, 1, Some(0));
    (s.mean, s.variance, s.skewness, s.kurtosis) = (None, None, None, None);
    (s.min, s.max, s.abs_max) = (None, None, None);
    s
}

fn entry(name: &str, dtype: Dtype, shape: &[u64], statistics: Statistics) -> Entry {
    Entry { name: name.to_owned(), dtype, shape: shape.to_vec(), group: None, statistics }
}

fn resnet() -> Vec<Entry> {
    vec![
        entry("conv1.weight", Dtype::F32, &[64, 3, 7, 7], statistics(9_408, -1.234e-4, 1.685e-2)),
        entry("layer1.0.conv1.weight", Dtype::BF16, &[64, 64, 3, 3], statistics(36_864, 2.5e-3, 3.2e-3)),
        entry("layer4.1.conv2.weight", Dtype::BF16, &[512, 512, 3, 3], statistics(2_359_296, -7.7e-7, 9.9999e-5)),
        entry("fc.bias", Dtype::F32, &[1000], statistics(1000, 1.5, 0.25)),
    ]
}

fn llama() -> Vec<Entry> {
    let mut entries = vec![entry(
        "model.embed_tokens.weight",
        Dtype::BF16,
        &[128_256, 4096],
        statistics(525_336_576, 3.2e-6, 1.1e-4),
    )];
    for layer in [0, 9, 10, 31] {
        for (part, rows) in [("self_attn.q_proj", 4096), ("self_attn.k_proj", 1024), ("mlp.down_proj", 14_336)] {
            let name = format!("model.layers.{layer}.{part}.weight");
            entries.push(entry(&name, Dtype::BF16, &[rows, 4096], statistics(rows * 4096, -1.1e-5, 4.4e-4)));
        }
    }
    entries
}

fn hostile() -> Vec<Entry> {
    let mut constant = statistics(4, 0.5, 0.0);
    (constant.skewness, constant.kurtosis, constant.zeros) = (None, None, None);
    let mut extreme = statistics(u64::MAX, f64::MAX, f64::MAX);
    (extreme.min, extreme.max, extreme.kurtosis) = (Some(-f64::MAX), Some(5e-324), Some(1e12));
    (extreme.l2, extreme.nan) = (Some(f64::INFINITY), 12_345_678);
    vec![
        entry("conv1.weight", Dtype::F32, &[64, 3, 7, 7], statistics(9_408, -1.2e-4, 1.6e-2)),
        entry("\u{1b}[2Jclear\nnext\u{9b}31m\u{202e}", Dtype::F16, &[], undefined()),
        entry("a|b`c`<img src=x>*d*", Dtype::F8_E4M3, &[2, 2], constant),
        entry("=cmd|' /C calc'!A0", Dtype::F64, &[1, 1], extreme),
        entry(
            "a.name.that.goes.on.and.on.block.12.and.says.very.little.weight",
            Dtype::F32,
            &[9],
            statistics(9, 0.1, 0.2),
        ),
        entry("層一の畳み込みニューラルネットワークの重み.12.weight", Dtype::BF16, &[4], statistics(4, -3.0, 1.0)),
        entry("", Dtype::F32, &[0], Statistics { count: 0, nan: 0, inf: 0, l1: Some(0.0), ..undefined() }),
    ]
}

fn asked() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, groups) in [("conv1.weight", 3), ("conv2.weight", 1), ("bias", 0)] {
        for group in 0..groups.max(1) {
            let mut s = statistics(27, 1e-3 * group as f64, 0.01);
            s.quantiles = Some(Quantiles(vec![(0.01, Some(-0.23)), (0.5, Some(1e-4)), (0.999, None)]));
            s.histogram = Some((group != 1).then(|| Histogram {
                edges: (0..=16).map(|i| f64::from(i) / 16.0).collect(),
                counts: (0..16).map(|i| (i * i * group) % 23).collect(),
            }));
            let mut entry = entry(name, Dtype::F32, &[3, 3, 3, 3], s);
            entry.group = (groups > 0).then_some(group);
            entries.push(entry);
        }
    }
    entries
}

fn summary(entries: &[Entry], skipped: &[(&str, Dtype, &str)]) -> Summary {
    let mut total = statistics(0, -1.5e-5, 2.2e-3);
    (total.count, total.zeros) = (1_234_567_890, Some(1_234_567));
    total.nan = entries.iter().map(|entry| entry.statistics.nan).sum();
    total.inf = entries.iter().map(|entry| entry.statistics.inf).sum();
    total.quantiles = entries.first().and_then(|entry| entry.statistics.quantiles.clone());
    total.histogram = entries.first().and_then(|entry| entry.statistics.histogram.clone());
    let skipped =
        skipped.iter().map(|&(name, dtype, reason)| Skipped { name: name.into(), dtype, reason: reason.into() });
    Summary { total, skipped: skipped.collect(), tensors: entries.len() as u64, bytes: 16_060_522_496, seconds: 12.25 }
}

const INTEGER: &str = "I64 is not a floating type";

fn write(format: Format, look: Look, options: &Options, entries: &[Entry], summary: &Summary) -> String {
    let fallback = vec![Fallback { dtype: Dtype::F64, kind: EngineKind::Cpu }];
    let engine = EngineInfo { kind: EngineKind::Gpu, name: "NVIDIA H200".to_owned(), fallback };
    let mut out = Vec::new();
    {
        let mut report = format.report(Box::new(&mut out), look);
        report.begin(&Header { model: "models/my \"net\"", engine: &engine, options }).unwrap();
        entries.iter().for_each(|entry| report.entry(entry).unwrap());
        report.end(summary).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn wide(width: usize) -> Look {
    Look { width: Some(width), colour: false }
}

fn cases() -> Vec<(&'static str, Options, Vec<Entry>, Summary)> {
    let plain = Options::default;
    let asking = Options {
        by: Grouping::Output,
        transform: Transform::Standardize,
        quantiles: vec![0.01, 0.5, 0.999],
        histogram: Some(16),
        ..plain()
    };
    let skipped = [
        ("bn.num_batches_tracked", Dtype::I64, INTEGER),
        ("scale", Dtype::F8_E8M0, "F8_E8M0 holds scales, not weights"),
        ("evil\u{1b}[31m|", Dtype::I64, INTEGER),
    ];
    let many: Vec<String> = (0..90).map(|i| format!("layer{i}.bn.num_batches_tracked")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), Dtype::I64, INTEGER)).collect();
    vec![
        ("resnet", plain(), resnet(), summary(&resnet(), &many)),
        ("llama", plain(), llama(), summary(&llama(), &[])),
        ("hostile", plain(), hostile(), summary(&hostile(), &skipped)),
        ("asked", asking, asked(), summary(&asked(), &[])),
        ("empty", plain(), vec![], Summary { bytes: 0, seconds: 0.0, ..summary(&[], &[]) }),
    ]
}

#[test]
fn every_format_as_it_looks() {
    for (name, options, entries, summary) in cases() {
        for width in [80, 140] {
            let table = write(Format::Table, wide(width), &options, &entries, &summary);
            insta::assert_snapshot!(format!("{name}_table_{width}"), table);
        }
        for format in [Format::Table, Format::Markdown, Format::Json, Format::Jsonl, Format::Csv] {
            insta::assert_snapshot!(
                format!("{name}_{format}"),
                write(format, Look::default(), &options, &entries, &summary)
            );
        }
    }
}

#[test]
fn tables_keep_to_their_width_and_steer_no_terminal() {
    for (name, options, entries, summary) in cases() {
        for width in [60, 80, 100, 140, 200] {
            let table = write(Format::Table, wide(width), &options, &entries, &summary);
            for line in table.lines().take_while(|line| !line.is_empty()) {
                let cells = unicode_width::UnicodeWidthStr::width(line);
                assert!(cells <= width, "{name} at {width} takes {cells}: {line}");
            }
        }
        for format in Format::ALL {
            let text = write(format, Look::default(), &options, &entries, &summary);
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{name} as {format}");
            assert!(!text.contains('\u{202e}'), "{name} as {format}");
        }
    }
}

#[test]
fn json_reads_back() {
    for (name, options, entries, summary) in cases() {
        let text = write(Format::Json, Look::default(), &options, &entries, &summary);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["tensors"], serde_json::to_value(&entries).unwrap(), "{name}");
        assert_eq!(json["total"], serde_json::to_value(&summary.total).unwrap(), "{name}");
        assert_eq!(json["skipped"], serde_json::to_value(&summary.skipped).unwrap(), "{name}");
        assert_eq!((&json["model"], &json["by"]), (&"models/my \"net\"".into(), &options.by.to_string().into()));

        let lines = write(Format::Jsonl, Look::default(), &options, &entries, &summary);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(serde_json::Value::from(lines), json["tensors"], "{name}");
    }
}

#[test]
fn csv_reads_back() {
    for (name, options, entries, summary) in cases() {
        let text = write(Format::Csv, Look::default(), &options, &entries, &summary);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), entries.len(), "{name}");
        for (row, entry) in rows.iter().zip(&entries) {
            let json = serde_json::to_value(entry).unwrap();
            for (column, cell) in names.iter().zip(row).skip(1) {
                // A probability has a point of its own: split at the first.
                let expected = match column.split_once('.') {
                    Some((outer, inner)) => &json[outer][inner],
                    None => &json[column],
                };
                let cell = match cell {
                    "" => serde_json::Value::Null,
                    text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
                };
                assert_eq!(&cell, expected, "{name}: {column} of {}", entry.name);
            }
        }
    }
}

#[test]
fn a_table_streams_beyond_its_first_thousand_rows() {
    let options = Options { by: Grouping::Block(NonZeroU64::new(2).unwrap()), ..Options::default() };
    let mut entries: Vec<Entry> = (0..1500)
        .map(|group| Entry { group: Some(group), ..entry("w", Dtype::F32, &[3000], statistics(2, 0.01, 0.02)) })
        .collect();
    // What the first rows gave no hint of: non-finite values, a long name, wide numbers.
    entries[1200].statistics.nan = 7;
    entries[1300].name = "another.tensor.with.a.longer.name".to_owned();
    entries[1300].statistics.mean = Some(-1.234e-123);
    let table = write(Format::Table, wide(80), &options, &entries, &summary(&entries, &[]));
    let lines: Vec<&str> = table.lines().collect();
    let excerpt = [&lines[..4], &lines[1201..1204], &lines[1301..1304], &lines[1501..]].concat().join("\n");
    insta::assert_snapshot!("streamed_table_80", excerpt);
    let markdown = write(Format::Markdown, Look::default(), &options, &entries, &summary(&entries, &[]));
    assert!(markdown.contains("| w (7 NaN, 0 inf) | 1200 |"));
}

#[test]
fn colour_changes_no_text() {
    let (_, options, entries, summary) = cases().swap_remove(2);
    let plain = write(Format::Table, wide(80), &options, &entries, &summary);
    let coloured = write(Format::Table, Look { colour: true, ..wide(80) }, &options, &entries, &summary);
    assert!(coloured.contains("\u{1b}[33m"));
    let stripped =
        ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m"].iter().fold(coloured, |s, code| s.replace(code, ""));
    assert_eq!(stripped, plain);
}

#[test]
fn a_closed_pipe_stays_recognisable() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_, options, entries, summary) = cases().swap_remove(0);
    let engine = EngineInfo { kind: EngineKind::Cpu, name: String::new(), fallback: vec![] };
    for format in Format::ALL {
        let mut report = format.report(Box::new(Closed), Look::default());
        let mut all = || {
            report.begin(&Header { model: "m", engine: &engine, options: &options })?;
            // More than any writer buffers.
            (0..2000).try_for_each(|i| report.entry(&entries[i % entries.len()]))?;
            report.end(&summary)
        };
        assert_eq!(all().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe, "{format}");
    }
}
