//! Whole checkpoints: what is accepted, and what reading gives. `hostile.rs` and `shards.rs` hold the rest.

mod files;

use files::{Folder, file, header, one};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use secateur::checkpoint::Checkpoint;
use secateur::{Error, Float};

/// Reads every tensor whole, and in two halves, which must agree.
fn read_all(checkpoint: &Checkpoint) -> Vec<(String, Vec<u8>)> {
    let read = |tensor: &secateur::Tensor| {
        let bytes = usize::try_from(tensor.bytes()).expect("a small test file");
        let mut whole = vec![0; bytes];
        checkpoint.read_exact_at(tensor, 0, &mut whole).expect("an accepted tensor is readable");
        let mut halves = vec![1; bytes];
        let (first, second) = halves.split_at_mut(bytes / 2);
        checkpoint.read_exact_at(tensor, 0, first).expect("the first half");
        checkpoint.read_exact_at(tensor, first.len() as u64, second).expect("the second half");
        assert_eq!(whole, halves);
        (tensor.name().to_owned(), whole)
    };
    checkpoint.tensors().iter().map(read).collect()
}

#[test]
fn unusual_files_are_accepted() {
    let cases: [(&str, usize, &[&str]); 10] = [
        ("{}", 0, &[]),
        ("  {}\n ", 0, &[]),
        (r#"{"__metadata__":{"format":"pt"}}       "#, 0, &[]),
        (r#"{"__metadata__":null}"#, 0, &[]),
        (r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4, &["a"]),
        (r#"{"a":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}}"#, 0, &["a"]),
        // Entries in any order, and an empty tensor on a boundary.
        (
            r#"{"z10":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"e":{"dtype":"F64","shape":[0],"data_offsets":[1,1]},
               "z9":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]}}"#,
            2,
            &["e", "z9", "z10"],
        ),
        (r#"{"a":{"extra":[1,{}],"data_offsets":[0,3],"dtype":"F6_E2M3","shape":[4]}}"#, 3, &["a"]),
        (r#"{"":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#, 2, &[""]),
        (r#"{"a\n\u0000":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#, 1, &["a\n\0"]),
    ];
    let folder = Folder::new();
    for (json, data_bytes, names) in cases {
        let bytes = file(json, data_bytes);
        let checkpoint = folder.open("a.safetensors", &bytes).unwrap_or_else(|e| panic!("{json}: {e}"));
        assert_eq!(checkpoint.tensors().iter().map(|t| t.name()).collect::<Vec<_>>(), names, "{json}");
        let data = &bytes[8 + json.len()..];
        assert_eq!(read_all(&checkpoint).iter().map(|(_, read)| read.len()).sum::<usize>(), data.len(), "{json}");
    }
}

#[test]
fn every_dtype_is_recognised() {
    use Dtype::*;
    let all = [
        BOOL,
        F4,
        F6_E2M3,
        F6_E3M2,
        U8,
        I8,
        F8_E5M2,
        F8_E4M3,
        F8_E8M0,
        F8_E4M3FNUZ,
        F8_E5M2FNUZ,
        I16,
        U16,
        F16,
        BF16,
        I32,
        U32,
        F32,
        C64,
        F64,
        I64,
        U64,
    ];
    let folder = Folder::new();
    for dtype in all {
        let bytes = dtype.bitsize();
        let json = header(&[("t", &dtype.to_string(), "[2, 4]", 0, bytes)]);
        let checkpoint = folder.open("a.safetensors", &file(&json, bytes)).unwrap_or_else(|e| panic!("{dtype}: {e}"));
        let tensor = checkpoint.get("t").expect("it is there");
        assert_eq!((tensor.dtype(), tensor.shape(), tensor.elements()), (dtype, &[2, 4][..], 8));
        assert_eq!((tensor.bytes(), tensor.float()), (bytes as u64, Float::from_dtype(dtype)));
    }
}

#[test]
fn reads_stay_inside_their_tensor() {
    let json = header(&[("a", "U8", "[4]", 0, 4), ("b", "U8", "[4]", 4, 8)]);
    let folder = Folder::new();
    let checkpoint = folder.open("a.safetensors", &file(&json, 8)).expect("a good file");
    let (a, b) = (checkpoint.get("a").expect("a"), checkpoint.get("b").expect("b"));
    let mut buf = [0; 3];
    checkpoint.read_exact_at(b, 1, &mut buf).expect("inside");
    assert_eq!(buf, [5, 6, 7], "the data counts upwards");
    checkpoint.read_exact_at(a, 4, &mut []).expect("nothing, at the end");
    for (offset, length) in [(2, 3), (4, 1), (5, 0), (u64::MAX, 0), (u64::MAX, 3), (u64::MAX - 1, 3), (0, 5)] {
        let error = checkpoint.read_exact_at(a, offset, &mut vec![0; length]).expect_err("outside");
        assert!(matches!(&error, Error::Tensor { tensor, .. } if tensor == "a"), "{offset} {length}: {error}");
    }

    let shorter = file(&json, 6);
    std::fs::write(folder.path("a.safetensors"), shorter).expect("it can be written in place");
    let error = checkpoint.read_exact_at(b, 0, &mut [0; 4]).expect_err("the file has shrunk");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("a.safetensors") && message.contains("`b`") && message.contains("download"), "{message}");
}

#[test]
fn a_tensor_of_another_checkpoint_does_no_harm() {
    let folder = Folder::new();
    let small = folder.open("small.safetensors", &one("a", 1)).expect("a good file");
    let large = folder.open("large.safetensors", &one("a", 9)).expect("a good file");
    let tensor = large.get("a").expect("a");
    assert!(small.read_exact_at(tensor, 0, &mut [0; 9]).is_err());
}

#[test]
fn threads_share_a_checkpoint() {
    let json = header(&[("a", "U8", "[200]", 0, 200)]);
    let folder = Folder::new();
    let checkpoint = &folder.open("a.safetensors", &file(&json, 200)).expect("a good file");
    let tensor = &checkpoint.tensors()[0];
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for offset in (thread..200).chain(0..thread) {
                    let mut byte = [0];
                    checkpoint.read_exact_at(tensor, offset, &mut byte).expect("inside");
                    assert_eq!(u64::from(byte[0]), offset);
                }
            });
        }
    });
}

/// A valid file of several tensors, written by the safetensors crate.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let tensor =
        (prop::sample::select(vec![Dtype::F32, Dtype::BF16, Dtype::U8]), prop::collection::vec(0usize..4, 0..4));
    (prop::collection::btree_map("[a-c.0-9]{0,6}", tensor, 0..6), any::<bool>()).prop_map(|(tensors, metadata)| {
        let data = vec![7; 4 * 64];
        let views = tensors.into_iter().map(|(name, (dtype, shape))| {
            let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (name, safetensors::tensor::TensorView::new(dtype, shape, &data[..bytes]).expect("sizes agree"))
        });
        let metadata = metadata.then(|| [("format".to_owned(), "pt".to_owned())].into());
        safetensors::serialize(views, metadata).expect("a valid file")
    })
}

/// Opens `bytes` as the safetensors crate and as we do: the two accept the same files and see the same tensors in them.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = Folder::new();
    match (folder.open("a.safetensors", bytes), SafeTensors::deserialize(bytes)) {
        (Ok(ours), Ok(theirs)) => {
            let read = read_all(&ours);
            prop_assert_eq!(read.len(), theirs.len());
            for ((name, data), tensor) in read.iter().zip(ours.tensors()) {
                let view = theirs.tensor(name).expect("the same names");
                prop_assert_eq!(view.data(), &data[..]);
                prop_assert_eq!(view.dtype(), tensor.dtype());
                prop_assert!(view.shape().iter().map(|&n| n as u64).eq(tensor.shape().iter().copied()));
                prop_assert_eq!(ours.get(name), Some(tensor));
            }
        }
        (Err(error), Err(_)) => prop_assert!(error.to_string().contains("a.safetensors"), "{}", error),
        // The crate keeps the last of two entries with one name.
        (Err(error), Ok(_)) => prop_assert!(error.to_string().contains("twice"), "only we refuse: {}", error),
        (Ok(_), Err(error)) => prop_assert!(false, "only we accept: {error}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn valid_files_are_read_as_the_reference_reads_them(bytes in valid()) {
        compare(&bytes)?;
    }

    #[test]
    fn mutated_files_never_panic(
        mut bytes in valid(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(b"0123456789[]{},:\"".to_vec())]), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        compare(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), json in "[\\[\\]{}:,\"a0-9 ]{0,40}") {
        compare(&bytes)?;
        compare(&file(&json, bytes.len()))?;
    }
}
