//! Trained networks and the data they were trained for, where they lie beside the checkout.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

use secateur::data::{DataSet, Labels};

use super::files::Folder;
use super::sets;

/// Enough of a data set to tell.
pub(crate) const FEW: usize = 512;

/// A file of ../shared/data.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if !found.exists() {
        // Past the harness, which swallows what passing tests print.
        writeln!(std::io::stderr(), "skipped: no {}", found.display()).expect("stderr");
    }
    found.exists().then_some(found)
}

/// The first [`FEW`] of the validation images for the networks of CIFAR-10.
pub(crate) fn few_images(folder: &Folder) -> Option<PathBuf> {
    let normalize = "0.485,0.456,0.406,0.229,0.224,0.225".parse().expect("three of each");
    let all = shared("cifar10-jpeg/validation.safetensors")?;
    let all = DataSet::open(&all).and_then(|data| data.normalized(normalize)).expect("a data set");
    let mut inputs = vec![0.0; FEW * all.elements()];
    all.read(0, &mut inputs).expect("inputs");
    let Labels::Classes(classes) = all.labels() else { panic!("classes") };
    let classes: Vec<i64> = classes.iter().take(FEW).map(|&class| class.into()).collect();
    Some(sets::set(folder, "few.safetensors", &[FEW, 3, 32, 32], &inputs, &sets::Labels::Classes(&classes)))
}
