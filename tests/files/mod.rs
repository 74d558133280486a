//! Small safetensors files, good and bad, for the tests of checkpoints.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use secateur::checkpoint::Checkpoint;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is removed at the end of a test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    /// The path of `name` inside; the folder itself for `""`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.path().to_owned() } else { self.0.path().join(name) }
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("its folder");
        fs::write(&path, bytes).expect("space for a small file");
        path
    }

    /// Writes a file and opens it.
    pub(crate) fn open(&self, name: &str, bytes: &[u8]) -> secateur::Result<Checkpoint> {
        Checkpoint::open(self.write(name, bytes))
    }

    /// The message that opening `name` ends in.
    pub(crate) fn refusal(&self, name: &str) -> String {
        match Checkpoint::open(self.path(name)) {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => error.to_string(),
        }
    }
}

/// A file of that header and `data_bytes` bytes of data, which count upwards from 0.
pub(crate) fn file(json: &str, data_bytes: usize) -> Vec<u8> {
    let data = (0..data_bytes).map(|i| i as u8);
    (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect()
}

/// A header of entries: name, dtype, shape as JSON, begin, end.
pub(crate) fn header(entries: &[(&str, &str, &str, usize, usize)]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, dtype, shape, begin, end)| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
        })
        .collect();
    format!("{{{}}}", entries.join(","))
}

/// A file of one U8 tensor of `elements` elements.
pub(crate) fn one(name: &str, elements: usize) -> Vec<u8> {
    file(&header(&[(name, "U8", &format!("[{elements}]"), 0, elements)]), elements)
}

/// An index of (tensor, shard) pairs.
pub(crate) fn index(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, shard)| format!("{name:?}:{shard:?}")).collect();
    format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{{{}}}}}"#, pairs.join(","))
}

/// The GPU; without one says so, past the test harness, which swallows what passing tests print, and gives `None`.
#[cfg(feature = "gpu")]
pub(crate) fn gpu() -> Option<secateur::Engine> {
    use std::io::Write;

    match secateur::Engine::gpu(&secateur::gpu::AdapterChoice::Default, None) {
        Ok(gpu) => Some(gpu),
        Err(e) => {
            assert!(std::env::var_os("SECATEUR_REQUIRE_GPU").is_none(), "SECATEUR_REQUIRE_GPU is set, but {e}");
            writeln!(std::io::stderr(), "skipped: {e} (SECATEUR_REQUIRE_GPU=1 makes this a failure)").expect("stderr");
            None
        }
    }
}
