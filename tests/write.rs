//! Writing checkpoints: the same bytes, or what was planned. `write_refusals.rs` holds what is refused.

#[path = "files/copies.rs"]
mod copies;
mod files;

use copies::{contents, copy, names};
use files::{Folder, file, header, index, one};
use safetensors::{Dtype, SafeTensors};
use secateur::Error;
use secateur::checkpoint::{Checkpoint, Planned, Writer};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SHARDED: &str = "examples/data/sharded";

#[test]
fn a_file_comes_out_as_it_was() {
    let folder = Folder::new();
    // Metadata, entries out of order, spaces in unusual places, a tensor without elements.
    let json = r#" {"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]} , "__metadata__":{"z":"1","a":"é"},
        "e":{"dtype":"F64","shape":[0],"data_offsets":[7,7]},"a":{"shape":[1],"dtype":"F32","data_offsets":[0,4]}}   "#;
    for (name, bytes) in [("odd", file(json, 7)), ("empty", file("{}", 0)), ("one", one("w", 3 << 20))] {
        let source = folder.open(&format!("{name}.safetensors"), &bytes).expect("a good file");
        let out = folder.path(&format!("{name}-out.safetensors"));
        copy(&source, &out, false).expect("room");
        assert!(fs::read(&out).expect("it is there") == bytes, "{name}");
        Checkpoint::open(&out).expect("it can be read");
        SafeTensors::deserialize(&bytes).expect("by others, too");
    }
    assert_eq!(names(&folder.path("")).len(), 6, "and nothing else: {:?}", names(&folder.path("")));
}

#[test]
fn a_folder_comes_out_with_everything_in_it() {
    let folder = Folder::new();
    for (name, bytes) in contents(Path::new(SHARDED)) {
        folder.write(&format!("model/{name}"), bytes);
    }
    folder.write("model/tokenizer/vocab.txt", "words");
    folder.write("model/.cache/x", "hidden");
    folder.write("model/.secateur-left/behind", "by a process that was killed");
    fs::create_dir(folder.path("model/empty")).expect("room");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        // As in Hugging Face's cache: the files are links.
        fs::rename(folder.path("model/model-00002-of-00003.safetensors"), folder.path("blob")).expect("a rename");
        symlink("../blob", folder.path("model/model-00002-of-00003.safetensors")).expect("a link");
        folder.write("licence", "free");
        symlink("../licence", folder.path("model/LICENCE")).expect("a link");
        symlink("..", folder.path("model/up")).expect("a link that goes in circles");
        let socket = std::os::unix::net::UnixListener::bind(folder.path("model/.git.ipc"));
        socket.expect("a socket, which nobody reads");
    }
    let source = Checkpoint::open(folder.path("model")).expect("a good model");
    let whole = |path: &str| {
        let mut found = contents(&folder.path(path));
        found.retain(|name, _| !name.contains(".secateur-"));
        found
    };
    #[cfg(unix)]
    for path in ["model/up", "model/.git.ipc"] {
        assert!(fs::symlink_metadata(folder.path(path)).is_ok());
    }
    fs::create_dir(folder.path("empty")).expect("room");
    for out in ["out", "empty"] {
        copy(&source, &folder.path(out), false).expect("room");
        assert!(folder.path(&format!("{out}/empty")).is_dir());
        #[cfg(unix)]
        {
            let up = folder.path(&format!("{out}/up"));
            assert_eq!(
                fs::read_link(&up).expect("still a link"),
                fs::canonicalize(folder.path("")).expect("it is there")
            );
            fs::remove_file(up).expect("only a link");
            let shard = fs::symlink_metadata(folder.path(&format!("{out}/model-00002-of-00003.safetensors")));
            assert!(shard.expect("the shard").is_file());
        }
    }
    #[cfg(unix)]
    for path in ["model/up", "model/.git.ipc"] {
        fs::remove_file(folder.path(path)).expect("it is ours");
    }
    assert!(whole("out") == whole("model") && whole("empty") == whole("model"));
    assert_eq!(whole("out").len(), if cfg!(unix) { 8 } else { 7 });
    // By its index, the same.
    let source = Checkpoint::open(folder.path("model/model.safetensors.index.json")).expect("a good index");
    copy(&source, &folder.path("by-index"), false).expect("room");
    assert!(whole("by-index") == whole("model"));
    assert!(
        !names(&folder.path("")).iter().any(|name| name.starts_with(".secateur-")),
        "{:?}",
        names(&folder.path(""))
    );
}

#[test]
#[cfg(unix)]
fn shards_in_linked_folders_are_not_written_through_the_link() {
    let folder = Folder::new();
    folder.write("elsewhere/s.safetensors", one("w", 5));
    folder.write("elsewhere/notes", "kept");
    folder.write("model/model.safetensors.index.json", index(&[("w", "sub/s.safetensors")]));
    std::os::unix::fs::symlink("../elsewhere", folder.path("model/sub")).expect("a link");
    let source = Checkpoint::open(folder.path("model")).expect("a good model");
    copy(&source, &folder.path("out"), false).expect("room");
    assert!(contents(&folder.path("out")) == contents(&folder.path("model")));
    assert!(fs::symlink_metadata(folder.path("out/sub")).expect("it is there").is_dir());
    assert_eq!(fs::read(folder.path("elsewhere/s.safetensors")).expect("the source"), one("w", 5));
}

#[test]
fn writes_stay_inside_their_tensor() {
    let folder = Folder::new();
    let json = header(&[("a", "U8", "[4]", 0, 4), ("b", "U8", "[4]", 4, 8)]);
    let source = folder.open("m.safetensors", &file(&json, 8)).expect("a good file");
    let other = folder.open("other.safetensors", &one("a", 9)).expect("a good file");
    let writer = Writer::same(&source, &folder.path("out.safetensors"), false).expect("room");
    assert_eq!(writer.bytes(), fs::metadata(source.path()).expect("it is there").len());
    for (name, offset, length) in [("c", 0, 0), ("a", 2, 3), ("a", 5, 0), ("a", u64::MAX, 1), ("b", 0, 5)] {
        let error = writer.write_all_at(name, offset, &vec![0; length]).expect_err("outside");
        assert!(matches!(&error, Error::Tensor { tensor, .. } if tensor == name), "{error}");
        assert!(error.to_string().contains("out.safetensors"), "{error}");
    }
    assert!(writer.copy(&other, &other.tensors()[0]).is_err(), "larger");
    writer.write_all_at("a", 4, &[]).expect("nothing, at the end");
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let writer = &writer;
            scope.spawn(move || {
                for name in ["a", "b"] {
                    writer.write_all_at(name, thread.into(), &[thread]).expect("inside");
                }
            });
        }
    });
    writer.finish().expect("room");
    let written = fs::read(folder.path("out.safetensors")).expect("it is there");
    assert_eq!(written[written.len() - 8..], [0, 1, 2, 3, 0, 1, 2, 3]);
}

fn planned(name: &str, dtype: Dtype, shape: &[u64]) -> Planned {
    Planned { name: name.to_owned(), dtype, shape: shape.to_owned() }
}

#[test]
fn another_plan_gets_new_headers_and_a_new_index() {
    let folder = Folder::new();
    let json = r#"{"__metadata__":{"format":"pt"},"w\n":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    folder.write("m/a-1.safetensors", file(json, 8));
    folder.write("m/sub/a-2.safetensors", one("v", 3));
    let listing = r#"{"weight_map":{"w\n":"a-1.safetensors","v":"sub/a-2.safetensors"},"metadata":{"x":[1],"total_size":11},"y":2}"#;
    folder.write("m/model.safetensors.index.json", listing);
    folder.write("m/config.json", "{}");
    folder.write("m/notes", "kept");
    let source = Checkpoint::open(folder.path("m")).expect("a good model");
    let files = || {
        vec![
            vec![planned("w\n", Dtype::BF16, &[1, 3]), planned("new", Dtype::F64, &[]), planned("e", Dtype::U8, &[0])],
            vec![planned("v", Dtype::U8, &[2])],
        ]
    };
    let replaced = BTreeMap::from([("config.json".to_owned(), b"{\"a\":1}".to_vec())]);
    let writer = Writer::planned(&source, &folder.path("out"), false, files(), replaced).expect("room");
    let bytes = writer.bytes();
    for (name, data) in [("w\n", &[1u8; 6][..]), ("new", &[2; 8]), ("v", &[3; 2])] {
        writer.write_all_at(name, 0, data).expect("inside");
    }
    writer.finish().expect("room");

    let out = contents(&folder.path("out"));
    assert_eq!(out["config.json"], b"{\"a\":1}");
    assert_eq!(out["notes"], b"kept");
    let listing: serde_json::Value = serde_json::from_slice(&out["model.safetensors.index.json"]).expect("JSON");
    let expected = serde_json::json!({
        "metadata": {"total_size": 16, "x": [1]}, "y": 2,
        "weight_map": {"w\n": "a-1.safetensors", "new": "a-1.safetensors", "e": "a-1.safetensors", "v": "sub/a-2.safetensors"},
    });
    assert_eq!(listing, expected);
    let first = &out["a-1.safetensors"];
    assert_eq!(bytes as usize, first.len() + out["sub/a-2.safetensors"].len());
    let (header_bytes, metadata) = SafeTensors::read_metadata(first).expect("the reference reads it");
    assert_eq!((header_bytes % 8, metadata.metadata().clone()), (0, Some([("format".into(), "pt".into())].into())));
    let read = SafeTensors::deserialize(first).expect("the reference reads it");
    let view = read.tensor("w\n").expect("it is there");
    assert_eq!((view.dtype(), view.shape(), view.data()), (Dtype::BF16, &[1, 3][..], &[1u8; 6][..]));
    assert_eq!(read.tensor("new").expect("it is there").data(), [2; 8]);
    let ours = Checkpoint::open(folder.path("out")).expect("we read it");
    assert_eq!(ours.tensors().iter().map(|t| t.name()).collect::<Vec<_>>(), ["e", "new", "v", "w\n"]);

    let long = vec![planned("w", Dtype::F32, &[1; 65])];
    let huge = vec![planned("w", Dtype::U8, &[u64::MAX]), planned("x", Dtype::U8, &[9])];
    let other = |name: &str| BTreeMap::from([(name.to_owned(), Vec::new())]);
    for (files, replaced, part) in [
        (vec![vec![]], BTreeMap::new(), "1 files are planned for the 2"),
        (vec![vec![planned("a", Dtype::U8, &[1])], vec![planned("a", Dtype::U8, &[1])]], BTreeMap::new(), "twice"),
        (vec![vec![planned("__metadata__", Dtype::U8, &[1])], vec![]], BTreeMap::new(), "of this name"),
        (vec![long, vec![]], BTreeMap::new(), "so many axes"),
        (vec![huge, vec![]], BTreeMap::new(), "64 bits"),
        (vec![vec![planned("a", Dtype::F4, &[3])], vec![]], BTreeMap::new(), "whole bytes"),
        (vec![vec![planned("a", Dtype::U8, &[1 << 62])], vec![]], BTreeMap::new(), "a-1.safetensors"),
        (files(), other("../config.json"), "no other file"),
        (files(), other("a-1.safetensors"), "no other file"),
    ] {
        let error = Writer::planned(&source, &folder.path("bad"), false, files, replaced).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(names(&folder.path("")), ["m", "out"]);
}

#[test]
fn a_hundred_thousand_tensors_are_quick() {
    let folder = Folder::new();
    let tensors: Vec<String> = (0..100_000).map(|i| format!("model.layers.{i}.weight")).collect();
    let entries: Vec<_> = tensors.iter().enumerate().map(|(i, name)| (name.as_str(), "U8", "[1]", i, i + 1)).collect();
    let bytes = file(&header(&entries), entries.len());
    let source = folder.open("m.safetensors", &bytes).expect("a good file");
    let out = folder.path("out.safetensors");
    let began = std::time::Instant::now();
    copy(&source, &out, false).expect("room");
    assert!(began.elapsed().as_secs() < 20, "took {:?}", began.elapsed());
    assert!(fs::read(out).expect("it is there") == bytes);
    let plan = tensors.iter().map(|name| planned(name, Dtype::U8, &[1])).collect();
    let writer = Writer::planned(&source, &folder.path("p"), false, vec![plan], BTreeMap::new()).expect("room");
    drop(writer);
}
