//! `secateur dataset`: files made by hand and the real ones, against what a few lines make of them; and what is refused.
#![cfg(feature = "cli")]

mod files;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use files::Folder;
use flate2::Compression;
use flate2::write::GzEncoder;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use safetensors::{Dtype, SafeTensors};
use secateur::data::{DataSet, Labels, shuffled};

fn dataset(folder: &Folder, arguments: &str) -> assert_cmd::assert::Assert {
    let mut command = cargo_bin_cmd!("secateur");
    command.current_dir(folder.path("")).arg("dataset").args(arguments.split_whitespace());
    command.env("NO_COLOR", "1").assert()
}

fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let axes = shape.iter().flat_map(|length| length.to_be_bytes());
    [0, 0, code, shape.len() as u8].into_iter().chain(axes).chain(data.iter().copied()).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Bytes that repeat after 251.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

/// Ten images of 2 × 3 and their labels, 0 to 9.
fn ten(folder: &Folder) {
    folder.write("images", idx(8, &[10, 2, 3], &bytes(60)));
    folder.write("labels", gz(&idx(8, &[10], &bytes(10))));
}

/// Dtype, shape and bytes of a tensor in a file.
fn tensor(path: &Path, name: &str) -> (Dtype, Vec<usize>, Vec<u8>) {
    let file = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let found = file.tensor(name).unwrap();
    (found.dtype(), found.shape().to_owned(), found.data().to_owned())
}

fn integers(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
    values.into_iter().flat_map(i64::to_le_bytes).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn images_and_labels() {
    let folder = Folder::new();
    ten(&folder);
    dataset(&folder, "--images images --labels labels -o all.safetensors")
        .success()
        .stdout("all.safetensors  U8 [10, 1, 2, 3]  10 classes  348 B\n");
    let all = folder.path("all.safetensors");
    assert_eq!(tensor(&all, "inputs"), (Dtype::U8, vec![10, 1, 2, 3], bytes(60)));
    assert_eq!(tensor(&all, "labels"), (Dtype::I64, vec![10], integers(0..10)));
    let set = DataSet::open(&all).unwrap();
    assert_eq!((set.len(), set.shape()), (10, &[1, 2, 3][..]));
    assert_eq!(set.labels(), &Labels::Classes((0..10).collect()));

    // Without labels, and of one axis.
    dataset(&folder, "--images images --flat -o flat.safetensors").success().stdout(contains("U8 [10, 6]  "));
    let flat = folder.path("flat.safetensors");
    assert_eq!(tensor(&flat, "inputs"), (Dtype::U8, vec![10, 6], bytes(60)));
    assert_eq!(DataSet::open(&flat).unwrap().labels(), &Labels::None);
}

#[test]
fn parts_are_consecutive_examples_of_an_order() {
    let folder = Folder::new();
    ten(&folder);
    let pick = |order: &[u64]| -> Vec<u8> {
        let images = bytes(60);
        order.iter().flat_map(|&i| images[i as usize * 6..][..6].to_vec()).collect()
    };
    let kept: Vec<u64> = (0..10).collect();
    for (options, order, sizes) in [
        ("--split 7,3 --no-shuffle", kept.clone(), [7, 3]),
        ("--split 7,3", shuffled(0, 10), [7, 3]),
        ("--split 70%,30% --seed 5", shuffled(5, 10), [7, 3]),
        ("--split 2,3 --limit 5", shuffled(0, 10), [2, 3]),
        ("--split 2,3 --limit 5 --no-shuffle", kept, [2, 3]),
    ] {
        let all = format!("--images images --labels labels {options} -o a.safetensors,b.safetensors --force");
        dataset(&folder, &all).success();
        let mut start = 0;
        for (name, size) in ["a.safetensors", "b.safetensors"].into_iter().zip(sizes) {
            let part = &order[start..start + size];
            assert_eq!(tensor(&folder.path(name), "inputs").2, pick(part), "{options}");
            let labels = integers(part.iter().map(|&i| i as i64));
            assert_eq!(tensor(&folder.path(name), "labels"), (Dtype::I64, vec![size], labels), "{options}");
            start += size;
        }
    }
    // One file is shuffled where a seed is named, or some are left out.
    dataset(&folder, "--images images --seed 5 -o c.safetensors").success();
    assert_eq!(tensor(&folder.path("c.safetensors"), "inputs").2, pick(&shuffled(5, 10)));
    dataset(&folder, "--images images --limit 4 -o d.safetensors").success();
    assert_eq!(tensor(&folder.path("d.safetensors"), "inputs").2, pick(&shuffled(0, 10)[..4]));
}

#[test]
fn what_it_was_made_of_is_in_the_file() {
    let folder = Folder::new();
    ten(&folder);
    let said = |arguments: &str| {
        dataset(&folder, arguments).success();
        let file = fs::read(folder.path("b.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let mut said: Vec<(String, String)> = header.metadata().clone().unwrap().into_iter().collect();
        said.sort();
        said.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        said("--images ./images --labels labels --split 6,2 --limit 8 --seed 9 -o a.safetensors,b.safetensors"),
        "limit=8; order=shuffled by seed 9; part=2; source=images, labels; split=6,2"
    );
    assert_eq!(said("--images images -o b.safetensors --force"), "order=as in the source; source=images");
}

#[test]
fn every_element_of_idx() {
    let folder = Folder::new();
    let shorts: Vec<u8> = [-2i16, 300].iter().flat_map(|value| value.to_be_bytes()).collect();
    let words: Vec<u8> = [-70_000i32, 7].iter().flat_map(|value| value.to_be_bytes()).collect();
    let singles: Vec<u8> = [0.1f32, -1e30].iter().flat_map(|value| value.to_be_bytes()).collect();
    let doubles: Vec<u8> = [0.1f64, 1e-300].iter().flat_map(|value| value.to_be_bytes()).collect();
    for (code, data, values) in [
        (0x09, vec![0xff, 0x7f], [-1.0, 127.0]),
        (0x0b, shorts, [-2.0, 300.0]),
        (0x0c, words, [-70_000.0, 7.0]),
        (0x0d, singles, [0.1, -1e30]),
        (0x0e, doubles, [0.1, 0.0]),
    ] {
        folder.write("x", idx(code, &[2, 1], &data));
        folder.write("y", idx(code, &[2], &data));
        dataset(&folder, "--images x -o x.safetensors --force").success();
        let inputs = (Dtype::F32, vec![2, 1], floats(&values));
        assert_eq!(tensor(&folder.path("x.safetensors"), "inputs"), inputs, "{code}");
        let labelled = dataset(&folder, "--images x --labels y -o x.safetensors --force");
        if code < 0x0d {
            labelled.code(1).stderr(contains("example 0 has the label -").and(contains("y: ")));
        } else {
            labelled.success();
            let labels = (Dtype::F32, vec![2], floats(&values));
            assert_eq!(tensor(&folder.path("x.safetensors"), "labels"), labels, "{code}");
        }
    }
    // Axes of one input: none, one, two, three.
    for (shape, expected) in [
        (&[4][..], vec![4, 1]),
        (&[2, 2], vec![2, 2]),
        (&[1, 2, 2], vec![1, 1, 2, 2]),
        (&[2, 2, 1, 1], vec![2, 2, 1, 1]),
    ] {
        folder.write("x", idx(8, shape, &bytes(4)));
        dataset(&folder, "--images x -o x.safetensors --force").success();
        assert_eq!(tensor(&folder.path("x.safetensors"), "inputs"), (Dtype::U8, expected, bytes(4)));
    }
}

#[test]
fn cifar() {
    let folder = Folder::new();
    let record = |labels: &[u8], first: u8| [labels, &[first], &bytes(3071)].concat();
    folder.write("one.bin", [record(&[3], 1), record(&[9], 2)].concat());
    folder.write("two.bin", gz(&record(&[0], 3)));
    folder.write("hundred.bin", [record(&[19, 99], 1), record(&[0, 4], 2)].concat());
    let out = folder.path("c.safetensors");

    let listed = dataset(&folder, "--cifar one.bin,two.bin -o c.safetensors");
    listed.success().stdout(contains("U8 [3, 3, 32, 32]  3 classes"));
    let (_, _, inputs) = tensor(&out, "inputs");
    assert_eq!(inputs, [1, 2, 3].map(|first| record(&[], first)).concat());
    assert_eq!(tensor(&out, "labels"), (Dtype::I64, vec![3], integers([3, 9, 0])));
    dataset(&folder, "--cifar one.bin --cifar two.bin -o d.safetensors").success();
    assert_eq!(tensor(&folder.path("d.safetensors"), "inputs").2, inputs);

    for (options, labels) in [("", [99, 4]), ("--cifar100", [99, 4]), ("--coarse", [19, 0])] {
        dataset(&folder, &format!("--cifar hundred.bin {options} -o c.safetensors --force")).success();
        assert_eq!(tensor(&out, "labels").2, integers(labels), "{options}");
        assert_eq!(tensor(&out, "inputs").2, [1, 2].map(|first| record(&[], first)).concat());
    }
    // A size that fits both is taken for CIFAR-10's, and its labels give a wrong guess away.
    let both: Vec<u8> = (0..3073).flat_map(|i| record(&[i as u8 % 20, i as u8 % 100], 0)).collect();
    folder.write("both.bin", both);
    dataset(&folder, "--cifar both.bin -o e.safetensors").code(1).stderr(contains("has the label"));
    dataset(&folder, "--cifar both.bin --cifar100 -o e.safetensors").success().stdout(contains("[3073, 3, 32, 32]"));

    for (arguments, message) in [
        ("--cifar one.bin,hundred.bin", "one.bin: takes 6146 bytes, and not whole records of CIFAR-10"),
        ("--cifar one.bin --coarse", "one.bin: is of CIFAR-10, which has no fine and coarse labels"),
        ("--cifar one.bin --cifar100", "one.bin: is of CIFAR-10"),
        ("--cifar nothing.bin", "nothing.bin: takes 0 bytes"),
        ("--cifar wrong.bin", "wrong.bin: record 0 has the label 10 of 10 classes"),
        ("--cifar all.tar.gz", "all.tar.gz: is a tar archive: unpack it"),
        ("--cifar all.zip", "all.zip: is a zip archive: unpack it"),
    ] {
        folder.write("nothing.bin", []);
        folder.write("wrong.bin", record(&[10], 0));
        folder.write("all.tar.gz", gz(&[&[0; 257][..], b"ustar\0", &[0; 700]].concat()));
        folder.write("all.zip", b"PK\x03\x04 and so on");
        dataset(&folder, &format!("{arguments} -o x.safetensors")).code(1).stderr(contains(message));
        assert!(!folder.path("x.safetensors").exists());
    }
}

#[test]
fn a_data_set_is_split() {
    let folder = Folder::new();
    let values: Vec<f32> = (0..30).map(|i| i as f32).collect();
    let (inputs, labels) = (floats(&values), floats(&values[..20]));
    let view = |shape: &[usize], data| safetensors::tensor::TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
    let views = [("inputs", view(&[10, 3], &inputs)), ("labels", view(&[10, 2], &labels))];
    safetensors::serialize_to_file(views, None, &folder.path("all.safetensors")).unwrap();

    dataset(&folder, "--from all.safetensors --split 9,1 --no-shuffle -o a.safetensors,b.safetensors").success();
    let b = folder.path("b.safetensors");
    assert_eq!(tensor(&b, "inputs"), (Dtype::F32, vec![1, 3], floats(&values[27..])));
    assert_eq!(tensor(&b, "labels"), (Dtype::F32, vec![1, 2], floats(&values[18..20])));
    dataset(&folder, "--from b.safetensors -o b.safetensors --force").code(2).stderr(contains("reads it"));
}

#[test]
fn files_that_lie() {
    let folder = Folder::new();
    ten(&folder);
    let whole = gz(&idx(8, &[10, 2, 3], &bytes(60)));
    let mut damaged = whole.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 0xff;
    folder.write("huge", idx(8, &[u32::MAX, u32::MAX], &bytes(9)));
    folder.write("huger", idx(14, &[u32::MAX, u32::MAX, u32::MAX], &bytes(9)));
    folder.write("axes", idx(8, &[1; 255], &bytes(1)));
    folder.write("huge.gz", gz(&idx(8, &[u32::MAX, u32::MAX], &bytes(9))));
    folder.write("short", idx(8, &[10, 2, 3], &bytes(59)));
    folder.write("long", idx(8, &[10, 2, 3], &bytes(61)));
    folder.write("long.gz", gz(&idx(8, &[10, 2, 3], &vec![0; 9 << 20])));
    folder.write("cut.gz", &whole[..whole.len() / 2]);
    folder.write("damaged.gz", damaged);
    folder.write("trailing.gz", [&whole[..], b"rubbish that goes on"].concat());
    folder.write("none", idx(8, &[0, 28, 28], &[]));
    folder.write("rank", idx(8, &[], &[]));
    folder.write("type", idx(7, &[1], &[0]));
    folder.write("header", [0, 0, 8, 3, 0]);
    folder.write("empty", []);
    folder.write("nan", idx(13, &[1, 1], &f32::NAN.to_be_bytes()));
    folder.write("eleven", idx(8, &[11], &bytes(11)));
    folder.write("page", "<!DOCTYPE html>");
    for (arguments, message) in [
        ("huge", "takes 18446744065119617025 bytes after its header, and 9 are there: download it again"),
        ("huger", "its 3 axes say more than any file holds"),
        ("axes", "its 255 axes say more than any file holds"),
        ("huge.gz", "and 9 are there"),
        ("short", "takes 60 bytes after its header, and 59 are there"),
        ("long", "and more are there"),
        ("long.gz", "and more are there"),
        ("cut.gz", "ends in the middle: download it again"),
        ("damaged.gz", "its gz compression is damaged"),
        ("trailing.gz", "its gz compression is damaged"),
        ("none", "of shape [0, 28, 28] holds nothing"),
        ("rank", "is no idx file"),
        ("type", "it begins with 00 00 07 01"),
        ("header", "ends in the middle"),
        ("empty", "ends in the middle"),
        ("page", "it begins with 3c 21 44 4f"),
        ("nan", "example 0 holds NaN, which is no finite f32"),
        ("missing", "missing: "),
        ("images --labels eleven", "eleven: holds 11 labels for the 10 inputs of images"),
        ("images --labels images", "images: of shape [10, 2, 3] holds no label each"),
        ("images --labels short", "short: of shape [10, 2, 3] takes 60 bytes"),
    ] {
        let line = predicate::function(|text: &str| text.lines().count() == 1);
        dataset(&folder, &format!("--images {arguments} -o x.safetensors"))
            .code(1)
            .stdout("")
            .stderr(starts_with("error: ").and(contains(message)).and(line));
        let left = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("secateur");
        assert!(!fs::read_dir(folder.path("")).unwrap().flatten().any(left), "{arguments}: a temporary is left");
        assert!(!folder.path("x.safetensors").exists());
    }
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    ten(&folder);
    folder.write("there.safetensors", "mine");
    fs::create_dir(folder.path("folder")).unwrap();
    for (arguments, message) in [
        ("-o x.safetensors", "--images"),
        ("--images images", "--output"),
        ("--images images --cifar images -o x.safetensors", "cannot be used with"),
        ("--labels labels -o x.safetensors", "--images"),
        ("--images images --split 5,5 -o x.safetensors", "-o names 1 of the files to write, one for each part: 2"),
        ("--images images -o x.safetensors,y.safetensors", "-o names 2 of the files to write"),
        ("--images images --split 5,4 -o x.safetensors,y.safetensors", "these are 9, and 10 examples are there"),
        ("--images images --split 5,0 -o x.safetensors,y.safetensors", "a part of 0 examples"),
        ("--images images --split 99%,1% -o x.safetensors,y.safetensors", "leaves a part empty"),
        ("--images images --split 50%,40% -o x.safetensors,y.safetensors", "100% together"),
        ("--images images --split some -o x.safetensors", "55000,5000 or shares such as 90%,10%"),
        ("--images images --split 5,5 -o x.safetensors,./x.safetensors", "-o names it, too"),
        ("--images images -o images --force", "what is read is never written"),
        ("--images images -o there.safetensors", "exists already: add --force"),
        ("--images images --split 5,5 -o x.safetensors,there.safetensors", "exists already: add --force"),
        ("--images images -o folder", "this is a folder, and a file is written"),
        ("--images images -o x.onnx", "what is written is safetensors"),
        ("--images images -o no/x.safetensors", "its folder does not exist"),
        ("--images images --seed 1 --no-shuffle -o x.safetensors", "cannot be used with"),
        ("--images images --limit 0 -o x.safetensors", "0"),
        ("--images folder -o x.safetensors", "is no regular file"),
    ] {
        dataset(&folder, arguments).code(2).stdout("").stderr(starts_with("error: ").and(contains(message)));
        assert!(!folder.path("x.safetensors").exists(), "{arguments}");
    }
    assert_eq!(fs::read(folder.path("there.safetensors")).unwrap(), b"mine");
}

#[test]
fn json() {
    let folder = Folder::new();
    ten(&folder);
    let run = dataset(&folder, "--images images --labels labels -o x.safetensors --format json").success();
    let made: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let bytes = fs::metadata(folder.path("x.safetensors")).unwrap().len();
    assert_eq!(
        made,
        serde_json::json!([{"path": "x.safetensors", "count": 10, "dtype": "U8", "shape": [1, 2, 3], "classes": 10, "bytes": bytes}])
    );
}

/// The files of MNIST and Fashion-MNIST, where they are at hand: bytes as gz and slices give them.
#[test]
fn the_real_ones() {
    let data = [std::env::var_os("SECATEUR_DATA").map(PathBuf::from), Some("../shared/data".into())];
    let Some(data) = data.into_iter().flatten().find(|data| data.join("mnist").is_dir()) else { return };
    let data = fs::canonicalize(data).unwrap();
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        let mut file = flate2::read::GzDecoder::new(fs::File::open(path).unwrap());
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        bytes
    };
    for set in ["mnist", "fashion-mnist"] {
        let folder = Folder::new();
        let (images, labels) =
            (data.join(set).join("train-images-idx3-ubyte.gz"), data.join(set).join("train-labels-idx1-ubyte.gz"));
        let arguments = format!(
            "--images {} --labels {} --split 55000,5000 --no-shuffle -o a.safetensors,b.safetensors",
            images.display(),
            labels.display()
        );
        dataset(&folder, &arguments).success();
        let (images, labels) = (read(&images), read(&labels));
        let (images, labels) = (&images[16..], &labels[8..]);
        for (name, from, to) in [("a.safetensors", 0, 55_000), ("b.safetensors", 55_000, 60_000)] {
            let path = folder.path(name);
            let (_, shape, inputs) = tensor(&path, "inputs");
            assert_eq!(shape, [to - from, 1, 28, 28]);
            assert!(inputs == images[from * 784..to * 784], "{set} {name}");
            let expected = integers(labels[from..to].iter().map(|&label| i64::from(label)));
            assert!(tensor(&path, "labels").2 == expected, "{set} {name}");
        }
    }
}
