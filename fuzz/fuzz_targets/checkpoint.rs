//! Arbitrary bytes as a safetensors file, an index and an ONNX file: no panic, and whatever is accepted can be read whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secateur::Checkpoint;
use std::cell::OnceCell;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a folder for temporary files"));
        for name in ["a.safetensors", "b.json", "c.onnx"] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("space for a small file");
            let Ok(checkpoint) = Checkpoint::open(&path) else { continue };
            // Whether its operators are sound is another question.
            let _ = checkpoint.graph();
            for tensor in checkpoint.tensors() {
                let mut data = vec![0; tensor.bytes() as usize];
                checkpoint.read_exact_at(tensor, 0, &mut data).expect("an accepted tensor is readable");
                assert_eq!(checkpoint.get(tensor.name()), Some(tensor));
            }
        }
    });
});
