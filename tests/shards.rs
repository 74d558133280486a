//! Checkpoints of several files: what an index may say, and which file of a folder is the model.

mod files;

use files::{Folder, file, header, index, one};
use secateur::checkpoint::Checkpoint;

const INDEX: &str = "model.safetensors.index.json";

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors().iter().map(|tensor| tensor.name()).collect()
}

/// A folder of two shards whose names and tensors interleave, and its index.
fn sharded() -> Folder {
    let folder = Folder::new();
    folder.write("s-10.safetensors", one("layers.2", 3));
    folder.write(
        "s-9.safetensors",
        file(&header(&[("layers.10", "U8", "[2]", 0, 2), ("layers.1", "U8", "[1]", 2, 3)]), 3),
    );
    let listed = [("layers.1", "s-9.safetensors"), ("layers.10", "s-9.safetensors"), ("layers.2", "s-10.safetensors")];
    folder.write(INDEX, index(&listed));
    folder
}

#[test]
fn a_folder_and_its_index_are_the_same_model() {
    let folder = sharded();
    for name in ["", INDEX] {
        let checkpoint = Checkpoint::open(folder.path(name)).expect("a good checkpoint");
        assert_eq!(checkpoint.path(), folder.path(name));
        assert_eq!(names(&checkpoint), ["layers.1", "layers.2", "layers.10"]);
        let files: Vec<_> = checkpoint.files().collect();
        assert_eq!(files, [folder.path("s-9.safetensors"), folder.path("s-10.safetensors")]);
        let mut byte = [0];
        for (name, offset, expected) in [("layers.1", 0, 2), ("layers.10", 1, 1), ("layers.2", 2, 2)] {
            let tensor = checkpoint.get(name).expect("it is there");
            checkpoint.read_exact_at(tensor, offset, &mut byte).expect("inside");
            assert_eq!(byte, [expected], "{name}");
        }
        assert!(checkpoint.get("layers.3").is_none());
    }
}

#[test]
fn subfolders_are_allowed_and_leaving_is_not() {
    let folder = Folder::new();
    folder.write("sub/dir/a.safetensors", one("a", 1));
    folder.write(INDEX, index(&[("a", "sub/dir/a.safetensors")]));
    Checkpoint::open(folder.path("")).expect("a subfolder");

    let inside = folder.path("sub/dir/a.safetensors").display().to_string();
    let outside = [
        "../a.safetensors",
        "sub/../a.safetensors",
        "sub/..",
        "..",
        ".",
        "./sub/dir/a.safetensors",
        "",
        "/",
        "sub//dir/a.safetensors",
        "sub/dir/a.safetensors/",
        "/etc/passwd",
        &inside,
        "C:\\a.safetensors",
        "C:a.safetensors",
        "\\\\host\\share\\a",
        "sub\\dir\\a.safetensors",
        "..\\a",
        ".. /a",
        ".../a",
        "a.safetensors:stream",
        "a\0.safetensors",
        "//host/share",
    ];
    for shard in outside {
        let json = serde_json::json!({ "weight_map": { "w\u{1b}": shard } }).to_string();
        folder.write(INDEX, json);
        let message = folder.refusal(INDEX);
        assert!(message.contains("leaves the index's folder") && message.contains("w\\u{1b}"), "{shard}: {message}");
    }
}

#[test]
fn index_and_shards_must_agree() {
    let (a, b) = ("a.safetensors", "b.safetensors");
    let two = |first: &str, second: &str| file(&header(&[(first, "U8", "[1]", 0, 1), (second, "U8", "[1]", 1, 2)]), 2);
    /// Shards, the index, and parts of the message.
    type Case<'a> = (&'a [(&'a str, Vec<u8>)], String, &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (&[(a, one("x", 1))], index(&[("x", a), ("y", b)]), &[INDEX, "shard `b.safetensors` is missing", "download"]),
        (&[(a, one("x", 1))], index(&[("x", a), ("y", a), ("z", a)]), &[INDEX, "`y`", "listed in a.safetensors"]),
        (&[(a, two("x", "y"))], index(&[("x", a)]), &["`y`", "is in a.safetensors, but not in the index"]),
        (
            &[(a, two("x", "y")), (b, one("y", 1))],
            index(&[("x", a), ("y", b)]),
            &["`y`", "two shards, a.safetensors and b.safetensors"],
        ),
        (
            &[(a, one("x", 1)), (b, one("y", 1))],
            index(&[("x", b), ("y", a)]),
            &["`x`", "is in a.safetensors, not in b.safetensors"],
        ),
        (&[(a, one("x", 1))], index(&[("x", a), ("x", a)]), &["`x`", "twice"]),
        (&[(a, vec![])], index(&[("x", a)]), &[a, "is empty"]),
        (&[], index(&[("x", "pytorch_model-1.bin")]), &["pytorch_model-1.bin` is missing"]),
        (&[("w.bin", vec![])], index(&[("x", "w.bin")]), &["w.bin", "PyTorch"]),
        (&[("d/a.safetensors", vec![])], index(&[("x", "d")]), &["is a folder where a file is needed"]),
    ];
    for (shards, index, parts) in cases {
        let folder = Folder::new();
        for (name, bytes) in shards {
            folder.write(name, bytes);
        }
        folder.write(INDEX, &index);
        let message = folder.refusal(INDEX);
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message} for {index}");
        }
    }
}

#[test]
fn indexes_that_make_no_sense() {
    let folder = Folder::new();
    let deep = format!(r#"{{"metadata":{}"#, "[".repeat(200_000));
    let bad = [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"weight_map":[]}"#,
        r#"{"weight_map":{"a":1}}"#,
        r#"{"weight_map":{}} x"#,
        &deep,
    ];
    for json in bad {
        folder.write(INDEX, json);
        let message = folder.refusal("");
        assert!(message.contains(INDEX) && message.contains("not an index"), "{message}");
    }
    folder.write(INDEX, b"\xff{}");
    assert!(folder.refusal("").contains("not an index"));
    let huge = std::fs::File::create(folder.path(INDEX)).expect("a file");
    huge.set_len(100_000_001).expect("a sparse file");
    assert!(folder.refusal("").contains("100000001 bytes are too many"));

    folder.write(INDEX, r#"{"weight_map":{}}"#);
    assert_eq!(names(&Checkpoint::open(folder.path("")).expect("a model of nothing")), [""; 0]);
}

#[test]
fn which_file_of_a_folder_is_the_model() {
    let folder = sharded();
    folder.write("consolidated.safetensors", one("other", 1));
    assert_eq!(Checkpoint::open(folder.path("")).expect("the index").tensors().len(), 3);
    folder.write("model.safetensors", one("other", 1));
    let message = folder.refusal("");
    assert!(message.contains("both model.safetensors and model.safetensors.index.json"), "{message}");
    assert_eq!(Checkpoint::open(folder.path(INDEX)).expect("named").tensors().len(), 3);

    std::fs::remove_file(folder.path(INDEX)).expect("it was there");
    assert_eq!(names(&Checkpoint::open(folder.path("")).expect("model.safetensors")), ["other"]);
    std::fs::remove_file(folder.path("model.safetensors")).expect("it was there");
    let message = folder.refusal("");
    assert!(message.contains("name one of them") && message.contains("s-9.safetensors, s-10.safetensors"), "{message}");

    // One shard that is called as a whole model is.
    let folder = Folder::new();
    folder.write("model.safetensors", one("a", 1));
    folder.write(INDEX, index(&[("a", "model.safetensors")]));
    folder.write("._model.safetensors", b"a shadow");
    folder.write("config.json", b"{}");
    Checkpoint::open(folder.path("")).expect("the index lists it");

    let folder = Folder::new();
    folder.write("ONLY.SafeTensors", one("a", 1));
    Checkpoint::open(folder.path("")).expect("the extension in any case");
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_followed() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("blobs/0a1b", one("a", 2));
    folder.write("blobs/2c3d", index(&[("a", "model-1.safetensors")]));
    std::fs::create_dir_all(folder.path("snapshots/main")).expect("a folder");
    symlink("../../blobs/0a1b", folder.path("snapshots/main/model-1.safetensors")).expect("a link");
    symlink("../../blobs/2c3d", folder.path("snapshots/main").join(INDEX)).expect("a link");
    symlink("snapshots/main", folder.path("latest")).expect("a link");
    for name in ["snapshots/main", "latest", "snapshots/main/model-1.safetensors", "blobs/0a1b"] {
        assert_eq!(names(&Checkpoint::open(folder.path(name)).expect("links are followed")), ["a"], "{name}");
    }
    std::fs::remove_file(folder.path("blobs/0a1b")).expect("it was there");
    assert!(folder.refusal("latest").contains("shard `model-1.safetensors` is missing"));
    std::fs::remove_file(folder.path("latest").join(INDEX)).expect("it was there");
    assert!(folder.refusal("latest").contains("model-1.safetensors"), "a dangling link is named");
}

#[test]
fn many_tensors_open_fast() {
    const TENSORS: usize = 300_000;
    let folder = Folder::new();
    let entries: Vec<String> =
        (0..TENSORS).map(|i| format!(r#""layers.{i}.w":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    folder.write("a.safetensors", file(&format!("{{{}}}", entries.join(",")), 0));
    let listed: Vec<String> = (0..TENSORS).rev().map(|i| format!(r#""layers.{i}.w":"a.safetensors""#)).collect();
    folder.write(INDEX, format!(r#"{{"weight_map":{{{}}}}}"#, listed.join(",")));
    let start = std::time::Instant::now();
    let checkpoint = Checkpoint::open(folder.path("")).expect("a large, good checkpoint");
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(checkpoint.tensors().len(), TENSORS);
    assert_eq!(checkpoint.tensors()[TENSORS - 1].name(), format!("layers.{}.w", TENSORS - 1));
    // Quadratic work would take minutes; a busy machine may take a second or two.
    assert!(seconds < 20.0, "{seconds} s");
}
