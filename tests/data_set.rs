//! What a data set gives, and which files are none.

mod files;

use files::{Folder, file, header};
use secateur::data::{DataSet, Labels, Normalize};

/// A file of `inputs` and `labels`: dtype, shape, data of each.
fn set(inputs: (&str, &str, &[u8]), labels: Option<(&str, &str, &[u8])>) -> Vec<u8> {
    let middle = inputs.2.len();
    let mut entries = vec![("inputs", inputs.0, inputs.1, 0, middle)];
    entries.extend(labels.map(|(dtype, shape, data)| ("labels", dtype, shape, middle, middle + data.len())));
    let labels = labels.map_or(&[][..], |(_, _, data)| data);
    [&file(&header(&entries), 0)[..], inputs.2, labels].concat()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn inputs_are_scaled_and_normalised() {
    let folder = Folder::new();
    let path = folder.write("u8", set(("U8", "[3,2,2]", &[0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8]), None));
    let data = DataSet::open(&path).unwrap();
    assert_eq!((data.len(), data.shape(), data.elements(), data.labels()), (3, &[2, 2][..], 4, &Labels::None));
    let mut one = [0.0; 4];
    data.read(0, &mut one).unwrap();
    assert_eq!(one, [0.0, 1.0, 0.2, 0.4]);

    // By channel, of which there are two; and of the second and third input.
    let data = data.normalized(Normalize { mean: vec![0.2, 0.0], std: vec![0.2, 0.5] }).unwrap();
    data.read(0, &mut one).unwrap();
    assert_eq!(one, [-1.0, (1.0 - 0.2) / 0.2, 0.4, 0.8]);
    let mut two = [0.0; 8];
    data.read(1, &mut two).unwrap();
    assert_eq!(two[6..], [7.0 / 255.0 / 0.5, 8.0 / 255.0 / 0.5]);

    let values = [1.0, -2.0, f32::MAX, 1e-40];
    let path = folder.write("f32", set(("F32", "[2,2]", &bytes(&values)), None));
    let data = DataSet::open(&path).unwrap();
    data.read(0, &mut one).unwrap();
    assert_eq!(one, values);
    let data = data.normalized(Normalize { mean: vec![1.0], std: vec![2.0] }).unwrap();
    data.read(0, &mut one[..2]).unwrap();
    assert_eq!(one[..2], [0.0, -1.5]);
    for first in [1, 2, usize::MAX] {
        assert!(data.read(first, &mut one).is_err(), "{first}");
    }
    for (mean, std) in [(vec![0.0; 3], vec![1.0; 3]), (vec![0.0], vec![1.0; 2]), (vec![0.0], vec![0.0])] {
        let data = DataSet::open(&path).unwrap();
        assert!(data.normalized(Normalize { mean, std }).is_err());
    }
}

#[test]
fn labels_of_every_kind() {
    let folder = Folder::new();
    for (dtype, shape, data, want) in [
        ("U8", "[2]", vec![0, 255], Labels::Classes(vec![0, 255])),
        ("I16", "[2]", vec![1, 0, 0, 1], Labels::Classes(vec![1, 256])),
        ("U32", "[2]", vec![255, 255, 255, 255, 7, 0, 0, 0], Labels::Classes(vec![u32::MAX, 7])),
        ("I64", "[2]", [3i64, 4].iter().flat_map(|x| x.to_le_bytes()).collect(), Labels::Classes(vec![3, 4])),
        ("F32", "[2,1]", bytes(&[0.5, -1.0]), Labels::Values(vec![0.5, -1.0])),
    ] {
        let path = folder.write("x", set(("U8", "[2,1]", &[1, 2]), Some((dtype, shape, &data))));
        assert_eq!(DataSet::open(&path).unwrap().labels(), &want, "{dtype}");
    }
    for (dtype, shape, data, message) in [
        ("I8", "[2]", vec![0, 255], "number 1 is negative"),
        ("U64", "[2]", vec![255; 16], "number 0 is negative or beyond"),
        ("F16", "[2]", vec![0; 4], "are F16: integers are expected"),
        ("U8", "[3]", vec![0; 3], "do not belong to 2 inputs"),
        ("U8", "[2,1]", vec![0; 2], "are no class each"),
        ("F32", "[2]", bytes(&[0.0, f32::NAN]), "not finite"),
    ] {
        let path = folder.write("x", set(("U8", "[2,1]", &[1, 2]), Some((dtype, shape, &data))));
        let error = DataSet::open(&path).unwrap_err().to_string();
        assert!(error.contains("`labels`") && error.contains(message), "{error}");
    }
}

#[test]
fn what_is_no_data_set() {
    let folder = Folder::new();
    for (contents, message) in [
        (files::one("input", 3), "has no tensor `inputs`"),
        (set(("F16", "[1]", &[0, 0]), None), "F32 is expected"),
        (set(("U8", "[]", &[0]), None), "has no axes"),
        (set(("U8", "[0,3]", &[]), None), "holds nothing"),
        (set(("U8", "[3,0]", &[]), None), "holds nothing"),
    ] {
        let path = folder.write("x", contents);
        let error = DataSet::open(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
