//! ONNX files as checkpoints: every way in which elements are stored, and files that are not sound.

mod files;
mod net;

use files::Folder;
use net::{Net, bytes, number, tensor};
use secateur::checkpoint::{Writer, check_outputs};
use secateur::{Checkpoint, Dtype};

/// A model around the fields of a graph.
fn model(graph: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    number(&mut file, 1, 8);
    bytes(&mut file, 2, b"a test");
    bytes(&mut file, 7, graph);
    let (mut opset, mut entry) = (Vec::new(), Vec::new());
    number(&mut opset, 2, 17);
    bytes(&mut file, 8, &opset);
    bytes(&mut entry, 1, b"author");
    bytes(&mut entry, 2, b"somebody");
    bytes(&mut file, 14, &entry);
    file
}

fn of_initializers(initializers: &[Vec<u8>]) -> Vec<u8> {
    let mut graph = Vec::new();
    initializers.iter().for_each(|initializer| bytes(&mut graph, 5, initializer));
    model(&graph)
}

/// An array whose elements are in field `field`, as `data`.
fn stored(name: &str, shape: &[u64], data_type: u64, field: u64, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    shape.iter().for_each(|axis| number(&mut out, 1, *axis));
    number(&mut out, 2, data_type);
    bytes(&mut out, field, data);
    bytes(&mut out, 8, name.as_bytes());
    out
}

fn varints(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        let mut field = Vec::new();
        number(&mut field, 1, *value);
        out.extend(&field[1..]);
    }
    out
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn data_of(model: &Checkpoint, name: &str) -> Vec<u8> {
    let tensor = model.get(name).unwrap_or_else(|| panic!("no {name}"));
    let mut bytes = vec![0; tensor.bytes() as usize];
    model.read_exact_at(tensor, 0, &mut bytes).expect("it is readable");
    bytes
}

/// Arrays stored in every way: name, file, bytes in memory.
fn every_way() -> Vec<(&'static str, Vec<u8>, Dtype, Vec<u8>)> {
    let floats = le(&[1.0, -2.5, 0.0, 7.0]);
    let one_by_one = {
        let mut out = Vec::new();
        number(&mut out, 1, 4);
        number(&mut out, 2, 1);
        bytes(&mut out, 8, b"one by one");
        for value in floats.chunks(4) {
            out.push(4 << 3 | 5);
            out.extend(value);
        }
        out
    };
    let packed_twice = {
        let mut out = stored("packed twice", &[4], 1, 4, &floats[..4]);
        bytes(&mut out, 4, &floats[4..]);
        out
    };
    let negative = (-7i64) as u64;
    vec![
        ("raw", tensor("raw", &[2, 2], 1, &floats), Dtype::F32, floats.clone()),
        ("packed", stored("packed", &[4], 1, 4, &floats), Dtype::F32, floats.clone()),
        ("packed twice", packed_twice, Dtype::F32, floats.clone()),
        ("one by one", one_by_one, Dtype::F32, floats.clone()),
        (
            "double",
            stored("double", &[2], 11, 10, &[1.5f64.to_le_bytes(), (-2f64).to_le_bytes()].concat()),
            Dtype::F64,
            [1.5f64.to_le_bytes(), (-2f64).to_le_bytes()].concat(),
        ),
        ("half", stored("half", &[2], 10, 5, &varints(&[0x3c00, 0xc000])), Dtype::F16, vec![0, 0x3c, 0, 0xc0]),
        ("brain", stored("brain", &[2], 16, 5, &varints(&[0x3f80, 0x8000])), Dtype::BF16, vec![0x80, 0x3f, 0, 0x80]),
        (
            "byte float",
            stored("byte float", &[3], 17, 5, &varints(&[0x38, 0xff, 0])),
            Dtype::F8_E4M3,
            vec![0x38, 0xff, 0],
        ),
        (
            "long",
            stored("long", &[2], 7, 7, &varints(&[5, negative])),
            Dtype::I64,
            [5i64.to_le_bytes(), (-7i64).to_le_bytes()].concat(),
        ),
        ("signed", stored("signed", &[2], 3, 5, &varints(&[1, negative])), Dtype::I8, vec![1, 0xf9]),
        ("unsigned", stored("unsigned", &[1], 12, 11, &varints(&[u32::MAX.into()])), Dtype::U32, vec![255; 4]),
        ("scalar", tensor("scalar", &[], 1, &floats[..4]), Dtype::F32, floats[..4].to_vec()),
        ("empty", stored("empty", &[0, 3], 1, 8, b"empty"), Dtype::F32, vec![]),
    ]
}

#[test]
fn every_way_of_storing_is_read_and_written() {
    let folder = Folder::new();
    let arrays = every_way();
    let initializers: Vec<Vec<u8>> = arrays.iter().map(|(_, array, ..)| array.clone()).collect();
    let model = folder.open("m.onnx", &of_initializers(&initializers)).expect("a sound file");
    assert_eq!(model.tensors().len(), arrays.len());
    assert_eq!(model.metadata().expect("metadata")["author"], "somebody");
    for (name, _, dtype, data) in &arrays {
        assert_eq!(model.get(name).expect(name).dtype(), *dtype, "{name}");
        assert_eq!(data_of(&model, name), *data, "{name}");
    }

    let out = folder.path("out.onnx");
    let writer = Writer::same(&model, &out, false).expect("a place to write to");
    model.tensors().iter().for_each(|tensor| writer.copy(&model, tensor).expect("a copy"));
    writer.finish().expect("everything was written");
    let copy = Checkpoint::open(&out).expect("what is written is sound");
    assert_eq!(copy.metadata().expect("metadata"), model.metadata().expect("metadata"));
    for (name, _, dtype, data) in &arrays {
        assert_eq!((copy.get(name).expect(name).dtype(), data_of(&copy, name)), (*dtype, data.clone()), "{name}");
    }
}

#[test]
fn what_is_raw_is_written_back_byte_for_byte() {
    let folder = Folder::new();
    let mut net = Net::new(5, &[-1, 3, 8, 8]);
    let x = net.conv("a", "x", 3, 4);
    let x = net.conv("b", &x, 4, 2);
    net.outputs.push(x);
    let mut file = net.encode();
    // Fields that no version of ONNX has, and a length in more bytes than it needs.
    bytes(&mut file, 999, b"unknown");
    file.extend([0x7a, 0x82, 0x80, 0x00, b'o', b'k']);
    let model = folder.open("m.onnx", &file).expect("a sound file");
    let out = folder.path("out.onnx");
    let writer = Writer::same(&model, &out, false).expect("a place to write to");
    model.tensors().iter().for_each(|tensor| writer.copy(&model, tensor).expect("a copy"));
    writer.finish().expect("everything was written");
    assert!(std::fs::read(&out).expect("the output") == file);
}

#[test]
fn constants_are_tensors_too() {
    let folder = Folder::new();
    let (mut attribute, mut node, mut graph) = (Vec::new(), Vec::new(), Vec::new());
    bytes(&mut attribute, 1, b"value");
    bytes(&mut attribute, 5, &tensor("a name of its own", &[2], 1, &le(&[3.0, 4.0])));
    number(&mut attribute, 20, 4);
    bytes(&mut node, 2, b"w");
    bytes(&mut node, 4, b"Constant");
    bytes(&mut node, 5, &attribute);
    bytes(&mut graph, 1, &node);
    let model = folder.open("m.onnx", &self::model(&graph)).expect("a sound file");
    assert_eq!(data_of(&model, "w"), le(&[3.0, 4.0]));
    let graph = model.graph().expect("a graph").expect("it is ONNX");
    assert_eq!(graph.constants["w"].values, Some(vec![3.0, 4.0]));
    assert!(graph.nodes.is_empty() && graph.constants["w"].is_tensor);
}

fn external(name: &str, location: &str, offset: u64, elements: u64) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, elements);
    number(&mut out, 2, 1);
    bytes(&mut out, 8, name.as_bytes());
    for (key, value) in [("location", location.to_owned()), ("offset", offset.to_string())] {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, key.as_bytes());
        bytes(&mut entry, 2, value.as_bytes());
        bytes(&mut out, 13, &entry);
    }
    number(&mut out, 14, 1);
    out
}

#[test]
fn external_data_are_read_and_written() {
    let folder = Folder::new();
    folder.write("weights/data.bin", le(&[0.0, 1.0, 2.0, 3.0]));
    let arrays = [
        external("a", "weights/data.bin", 4, 2),
        tensor("b", &[1], 1, &le(&[9.0])),
        external("c", "./weights/data.bin", 12, 1),
    ];
    let model = folder.open("m.onnx", &of_initializers(&arrays)).expect("a sound file");
    assert_eq!((data_of(&model, "a"), data_of(&model, "c")), (le(&[1.0, 2.0]), le(&[3.0])));

    let out = folder.path("out.onnx");
    let write = || {
        let writer = Writer::same(&model, &out, true)?;
        model.tensors().iter().try_for_each(|tensor| writer.copy(&model, tensor))?;
        writer.finish()
    };
    write().expect("a place to write to");
    let copy = Checkpoint::open(&out).expect("what is written is sound");
    for name in ["a", "b", "c"] {
        assert_eq!(data_of(&copy, name), data_of(&model, name), "{name}");
    }
    assert_eq!(
        copy.files().map(|file| file.to_owned()).collect::<Vec<_>>(),
        [out.clone(), folder.path("out.onnx.data")]
    );
    // What another model may use is never replaced.
    assert!(write().expect_err("the data are there").to_string().contains("another model's"));
    // Nor is it something else that a run writes.
    let data = folder.path("new.onnx.data");
    let checked = check_outputs(&model, Some(("out", &folder.path("new.onnx"))), &[("plan", &data)], &[]);
    assert!(checked.expect_err("it is taken").to_string().contains("external data"));
}

#[test]
fn files_that_are_not_sound_say_why() {
    let folder = Folder::new();
    let floats = le(&[1.0, 2.0]);
    let array = |shape: &[u64], raw: &[u8]| of_initializers(&[tensor("w", shape, 1, raw)]);
    let both = {
        let mut out = tensor("w", &[2], 1, &floats);
        bytes(&mut out, 4, &floats);
        of_initializers(&[out])
    };
    let name_as_number = {
        let mut out = Vec::new();
        number(&mut out, 8, 5);
        of_initializers(&[out])
    };
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("nothing", vec![], "empty"),
        ("text", b"Entry not found".to_vec(), "text"),
        ("page", b"<!DOCTYPE html>".to_vec(), "web page"),
        ("zip", b"PK\x03\x04rest".to_vec(), "PyTorch"),
        ("no graph", vec![8, 8], "no graph"),
        ("bytes left out", array(&[2], &floats[..7]), "takes 8 bytes, not 7"),
        ("negative", array(&[(-3i64) as u64], &floats), "length -3"),
        ("huge", array(&[1 << 40, 1 << 40], &floats), "beyond 64 bits"),
        ("large", array(&[1 << 40], &floats), "takes 4398046511104 bytes"),
        ("axes", array(&[1; 65], &floats[..4]), "more than 64 axes"),
        ("twice", both, "stored twice"),
        ("name", name_as_number, "is a number"),
        ("missing", of_initializers(&[stored("w", &[2], 1, 12, b"no data")]), "missing"),
        ("other type", of_initializers(&[stored("w", &[2], 1, 7, &varints(&[1, 2]))]), "stored as something else"),
        ("too few", of_initializers(&[stored("w", &[3], 7, 7, &varints(&[1, 2]))]), "2 of its 3"),
        ("too many", of_initializers(&[stored("w", &[1], 7, 7, &varints(&[1, 2]))]), "more than its 1"),
        (
            "two of a name",
            of_initializers(&[tensor("w", &[2], 1, &floats), tensor("w", &[2], 1, &floats)]),
            "two arrays",
        ),
    ];
    for (name, file, part) in cases {
        let path = format!("{name}.onnx");
        folder.write(&path, file);
        let message = folder.refusal(&path);
        assert!(message.contains(part) && !message.contains('\n'), "{name}: {message}");
    }
    for (location, part) in
        [("../x", "outside"), ("/etc/passwd", "outside"), ("gone.bin", "missing"), ("m.onnx", "beyond")]
    {
        folder.write("m.onnx", of_initializers(&[external("w", location, 1 << 20, 2)]));
        let message = folder.refusal("m.onnx");
        assert!(message.contains(part), "{location}: {message}");
    }
}

#[test]
fn no_damage_panics() {
    let folder = Folder::new();
    let initializers: Vec<Vec<u8>> = every_way().into_iter().map(|(_, array, ..)| array).collect();
    let mut net = Net::new(3, &[-1, 3, 8, 8]);
    let x = net.conv("a", "x", 3, 4);
    net.outputs.push(x);
    for file in [of_initializers(&initializers), net.encode()] {
        for end in (0..file.len()).step_by(if file.len() > 600 { 7 } else { 1 }) {
            // Whole fields may be left, which is a sound file.
            let _ = folder.open("cut.onnx", &file[..end]).and_then(|model| model.graph());
        }
        for at in 0..file.len().min(700) {
            let mut damaged = file.clone();
            damaged[at] = damaged[at].wrapping_add(1 + (at % 251) as u8);
            let _ = folder.open("damaged.onnx", &damaged).and_then(|model| model.graph());
        }
    }
}
